//! The order of a room, in random interleavings of commits, local and late deliveries, losses, checks, subscriptions,
//! leaves and joins.
//!
//! `history.rs` contains what was committed, `simulation.rs` contains the possible steps, and `session.rs`
//! checks what each session gets. `cases.rs` contains single cases, with the helpers in `recorder.rs`.

mod cases;
mod history;
mod recorder;
mod session;
mod simulation;

use history::Change;
use proptest::collection::vec;
use proptest::prelude::*;
use simulation::{Delivery, SESSIONS, Simulation, Start, Step, USERS};

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        10 => (proptest::option::weighted(0.3, 0..50_usize), proptest::bool::weighted(0.05))
            .prop_map(|(quotes, is_big)| Change::Message { quotes, is_big }),
        4 => (0..USERS).prop_map(Change::LeaveOrJoin),
        1 => (0..50_usize).prop_map(Change::Delete),
    ]
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        6 => Just(Delivery::Immediate),
        3 => Just(Delivery::Later),
        1 => Just(Delivery::Split),
        1 => Just(Delivery::Twice),
        1 => Just(Delivery::Lost),
    ]
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![2 => Just(Start::Head), 2 => Just(Start::Last), 3 => any::<u8>().prop_map(Start::Any)]
}

fn step() -> impl Strategy<Value = Step> {
    let session = || 0..SESSIONS;
    let pick = || 0..100_usize;
    prop_oneof![
        120 => (vec(change(), 1..4), delivery()).prop_map(|(changes, delivery)| Step::Commit(changes, delivery)),
        60 => (pick(), proptest::bool::weighted(0.3)).prop_map(|(pick, stays)| Step::Arrive { pick, stays }),
        15 => Just(Step::NoteHead),
        60 => session().prop_map(Step::Check),
        80 => (session(), start()).prop_map(|(pick, start)| Step::Subscribe(pick, start)),
        10 => session().prop_map(Step::Unsubscribe),
        40 => session().prop_map(Step::Resume),
        30 => Just(Step::ReadGap),
        30 => (pick(), 1..8_usize).prop_map(|(pick, limit)| Step::Read(pick, limit)),
        60 => (pick(), proptest::bool::weighted(0.05)).prop_map(|(pick, fails)| Step::Answer { pick, fails }),
        4 => session().prop_map(Step::Full),
        1 => any::<u8>().prop_map(Step::LoseRows),
        4 => Just(Step::RestartRoom),
    ]
}

/// The steps of one run, printed with one step on each line.
struct Steps(Vec<Step>);

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "\n  {step:?}"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4000,
        failure_persistence: None,
        // The default generator is made for secrets, and is very slow without optimisation.
        rng_algorithm: proptest::test_runner::RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_session_gets_every_event_once_in_order_and_none_after_its_user_left(
        steps in vec(step(), 1..200).prop_map(Steps),
    ) {
        let mut simulation = Simulation::new();
        for step in &steps.0 {
            let checked = simulation.step(step);
            prop_assert!(checked.is_ok(), "at {step:?}: {}", checked.unwrap_err());
        }
        let checked = simulation.finish();
        prop_assert!(checked.is_ok(), "at the end: {}", checked.unwrap_err());
    }
}
