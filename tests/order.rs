//! The order of a room, driven through random interleavings of commits, local and late deliveries, losses, checks,
//! subscriptions, leaves and returns. `order/history.rs` is what happened, `order/world.rs` what may happen next,
//! `order/session.rs` judges what each session is given. Notable cases stand beside it in `order/cases.rs`.

#[path = "order/cases.rs"]
mod cases;
#[path = "order/desk.rs"]
mod desk;
#[path = "order/history.rs"]
mod history;
#[path = "order/session.rs"]
mod session;
#[path = "order/world.rs"]
mod world;

use history::Word;
use proptest::collection::vec;
use proptest::prelude::*;
use world::{Fate, From, SESSIONS, Step, USERS, World};

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        10 => (proptest::option::weighted(0.3, 0..50_usize), proptest::bool::weighted(0.05))
            .prop_map(|(quotes, big)| Word::Message { quotes, big }),
        4 => (0..USERS).prop_map(Word::Turn),
        1 => (0..50_usize).prop_map(Word::Delete),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Delivered),
        3 => Just(Fate::Underway),
        1 => Just(Fate::Split),
        1 => Just(Fate::Twice),
        1 => Just(Fate::Lost),
    ]
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![2 => Just(From::Head), 2 => Just(From::Last), 3 => any::<u8>().prop_map(From::Any)]
}

fn step() -> impl Strategy<Value = Step> {
    let session = || 0..SESSIONS;
    let pick = || 0..100_usize;
    prop_oneof![
        120 => (vec(word(), 1..4), fate()).prop_map(|(words, fate)| Step::Commit(words, fate)),
        60 => (pick(), proptest::bool::weighted(0.3)).prop_map(|(pick, again)| Step::Arrive { pick, again }),
        15 => Just(Step::Heard),
        60 => session().prop_map(Step::Check),
        80 => (session(), from()).prop_map(|(pick, from)| Step::Subscribe(pick, from)),
        10 => session().prop_map(Step::Unsubscribe),
        40 => session().prop_map(Step::Resume),
        30 => Just(Step::Fill),
        30 => (pick(), 1..8_usize).prop_map(|(pick, limit)| Step::Read(pick, limit)),
        60 => (pick(), proptest::bool::weighted(0.05)).prop_map(|(pick, fails)| Step::Answer { pick, fails }),
        4 => session().prop_map(Step::Full),
        1 => any::<u8>().prop_map(Step::Forget),
        4 => Just(Step::Retire),
    ]
}

/// What happens in one run; printed a step a line.
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
        // the default is for secrets, and unbearably slow without optimisation
        rng_algorithm: proptest::test_runner::RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_session_gets_every_event_once_in_order_and_nothing_after_its_user_left(
        steps in vec(step(), 1..200).prop_map(Steps),
    ) {
        let mut world = World::new();
        for step in &steps.0 {
            let judged = world.step(step);
            prop_assert!(judged.is_ok(), "at {step:?}: {}", judged.unwrap_err());
        }
        let judged = world.settle();
        prop_assert!(judged.is_ok(), "at the end: {}", judged.unwrap_err());
    }
}
