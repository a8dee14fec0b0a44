//! Floods of commands over sockets.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::attacks::{AttackResult, Stop, flood};
use super::harness::AttackTest;
use crate::support::TestUser;

/// Lines that the server may log during a flood: its own, and at most one for each connection.
const LINES: usize = 200;

/// More than a hundred thousand `typing.stop` over six sockets, each for a conversation that does not exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_in_made_up_conversations_costs_the_others_nothing() {
    let test = AttackTest::new().await;
    let (before, result) = flood_with_commands(&test, "typing.stop", "typing.stop").await;
    assert!(result.count("rate_limited") > 0, "commands over the limit are refused: {result:?}");
    assert!(result.closes.contains_key(&4429), "a flood closes the connection: {result:?}");
    let log = test.server.log();
    let log = &log[before.min(log.len())..];
    assert_eq!(log.lines().filter(|line| line.contains("ERROR")).count(), 0, "a refusal is no error of the server");
    assert!(log.lines().count() <= LINES, "refusals are counted, not logged: {} lines", log.lines().count());
}

/// A session also has to remember each `typing.start`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_to_type_in_made_up_conversations_costs_the_others_nothing() {
    let test = AttackTest::new().await;
    let (_, result) = flood_with_commands(&test, "typing.start", "typing").await;
    assert!(result.closes.contains_key(&4429), "a flood closes the connection: {result:?}");
}

/// Control frames and binary frames are no commands, and cost the attacker as much: pings, which the server answers,
/// and pongs without a ping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_no_commands_cost_the_others_nothing() {
    let test = AttackTest::new().await;
    for (name, frame) in [
        ("pings", Message::Ping("a payload".into())),
        ("pongs", Message::Pong(Vec::new().into())),
        ("binary frames", Message::binary("no text")),
    ] {
        let attacker = test.server.user(&name.replace(' ', "-")).await;
        let result = flood_six_sockets(&test, name, attacker, move |_| frame.clone()).await;
        assert!(result.closes.contains_key(&4429), "a flood closes the connection: {result:?}");
    }
}

/// Floods the server with commands of a type. Returns the length of the log before the flood, and the result.
async fn flood_with_commands(test: &AttackTest, name: &str, kind: &'static str) -> (usize, AttackResult) {
    let attacker = test.server.user("attacker").await;
    let before = test.server.log().len();
    let frame = move |_| {
        let payload = json!({ "conversation_id": Uuid::now_v7() });
        json!({ "type": kind, "payload": payload }).to_string()
    };
    (before, flood_six_sockets(test, name, attacker, frame).await)
}

/// Floods the server over six sockets of one user.
async fn flood_six_sockets<F: Into<Message> + 'static>(
    test: &AttackTest,
    name: &str,
    attacker: TestUser,
    frame: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) -> AttackResult {
    let stop = Stop::default();
    let attack = {
        let stop = stop.clone();
        async move {
            let tasks: Vec<_> =
                (0..6).map(|_| tokio::spawn(flood(attacker.clone(), frame.clone(), stop.clone()))).collect();
            let mut total = AttackResult::default();
            for task in tasks {
                total.add(task.await.expect("the task does not panic"));
            }
            total
        }
    };
    let result = test.run_attack(name, attack, &stop).await;
    eprintln!("{name}: {result:?}");
    result
}
