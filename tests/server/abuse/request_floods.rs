//! Floods of calls over REST.

use super::attacks::{Stop, calls};
use super::harness::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_as_fast_as_they_are_answered_cost_the_others_nothing() {
    let world = World::new().await;
    let attacker = world.server.user("attacker").await;
    let before = world.server.log().len();
    let stop = Stop::default();
    let answers = world.under("calls", calls(attacker, "/conversations?limit=100", stop.clone()), &stop).await;
    eprintln!("calls: {answers:?}");
    assert!(answers.contains_key(&429), "{answers:?}");
    assert!(answers.keys().all(|status| [200, 429, 503].contains(status)), "{answers:?}");
    let (passed, log) = (answers[&200], world.server.log());
    let lines = log[before..].lines().filter(|line| line.contains("/api/v1/conversations\"")).count();
    assert!(lines as u64 <= passed + 1, "what a limit refuses has no line in the log: {lines} lines, {passed} answers");
}
