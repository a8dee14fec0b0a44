//! Floods of calls over REST.

use super::attacks::{Stop, repeat_call};
use super::harness::AttackTest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_as_fast_as_they_are_answered_cost_the_others_nothing() {
    let test = AttackTest::new().await;
    let attacker = test.server.user("attacker").await;
    let before = test.server.log().len();
    let stop = Stop::default();
    let answers =
        test.run_attack("calls", repeat_call(attacker, "/conversations?limit=100", stop.clone()), &stop).await;
    eprintln!("calls: {answers:?}");
    assert!(answers.contains_key(&429), "{answers:?}");
    assert!(answers.keys().all(|status| [200, 429, 503].contains(status)), "{answers:?}");
    let (succeeded, log) = (answers[&200], test.server.log());
    let lines = log[before..].lines().filter(|line| line.contains("/api/v1/conversations\"")).count();
    assert!(lines as u64 <= succeeded + 1, "a refusal by a limit writes no line: {lines} lines, {succeeded} answers");
}
