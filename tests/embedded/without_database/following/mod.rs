//! The streams that a session follows, in random interleavings of commits, deliveries, leaves and joins, commands,
//! checks of rights and slow clients. The rooms use the real order. `harness.rs` contains the state of the simulation
//! and the possible steps, and `client.rs` checks the events that the client gets.

mod client;
mod harness;
mod rooms;
mod session;

use greenroom::domain::ids::Rev;
use greenroom::domain::stream::Stream;
use greenroom::protocol::subscriptions::SyncConversations;
use greenroom::realtime::following::{FollowEffect, Following, Rights, SyncRights};
use harness::{CONVERSATIONS, Simulation, Step};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

fn step() -> impl Strategy<Value = Step> {
    let conversation = || 0..CONVERSATIONS;
    let pick = || 0..100_usize;
    prop_oneof![
        60 => conversation().prop_map(Step::SendMessage),
        15 => conversation().prop_map(Step::LeaveOrJoin),
        60 => pick().prop_map(Step::Deliver),
        5 => pick().prop_map(Step::LoseDelivery),
        20 => Just(Step::CatchUp),
        80 => pick().prop_map(Step::RoomMessage),
        40 => (pick(), 1..6_usize).prop_map(|(pick, rows)| Step::ReadLog(pick, rows)),
        120 => Just(Step::SessionMessage),
        60 => Just(Step::ReadRights),
        60 => Just(Step::AnswerRights),
        8 => any::<bool>().prop_map(Step::Reconnect),
        12 => (0..8_usize).prop_map(Step::Subscribe),
        8 => (0..8_usize).prop_map(Step::Unsubscribe),
        25 => (any::<bool>(), proptest::bool::weighted(0.8))
            .prop_map(|(in_parts, names_user_rev)| Step::Sync { in_parts, names_user_rev }),
        10 => Just(Step::ClientStopsReading),
        20 => Just(Step::ClientReads),
        8 => Just(Step::SyncTimeout),
    ]
}

/// The steps of one run, printed with one step on each line.
struct Steps(Vec<Step>);

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "\n  {step:?}"))
    }
}

/// The session requests the events again that its room replays while it holds back events of the user stream.
#[test]
fn an_event_that_was_held_back_during_a_replay_is_not_lost() {
    let (user, batch) = (harness::USER, harness::batch_of(harness::OWN, 4));
    for first in ["another command", "a sync that names no revision"] {
        let mut following: Following<Stream> = Following::new(true);
        following.begin_session(user, harness::OWN, Rev(3), Vec::new());
        following.handle_events(harness::OWN, 1, &batch);
        following.handle_page_sent(harness::OWN);
        following.handle_live(harness::OWN, 1, Rev(4));
        if first == "another command" {
            following.skip_first_sync();
        } else {
            following.begin_sync(SyncConversations::default(), None);
            let rights = Rights { rooms: HashMap::new(), memberships: Vec::new(), denied: Vec::new() };
            let (reset_all, reset) = (false, HashSet::new());
            following.handle_sync_rights(Ok(SyncRights { rights, user_rev: Rev(4), reset_all, reset }));
        }
        let requested = std::iter::from_fn(|| following.next_effect()).filter_map(|effect| match effect {
            FollowEffect::Subscribe { from, .. } => Some(from),
            FollowEffect::SendEvents(_) => panic!("an event was sent before {first}"),
            _ => None,
        });
        assert_eq!(requested.collect::<Vec<_>>(), [Rev(3), Rev(3)], "{first}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        rng_algorithm: proptest::test_runner::RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_client_gets_every_event_of_the_streams_that_it_follows_once_and_in_order(
        steps in vec(step(), 1..150).prop_map(Steps),
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
