//! Floods of commands over sockets.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::attacks::{Loot, Stop, flood};
use super::harness::World;
use crate::support::TestUser;

/// Lines that the server may log while it is flooded: its own, and one for each connection at most.
const LINES: usize = 200;

/// A hundred thousand `typing.stop` and more, each for a conversation that is not there, over six sockets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_in_made_up_conversations_costs_the_others_nothing() {
    let world = World::new().await;
    let (before, loot) = flooded(&world, "typing.stop", "typing.stop").await;
    assert!(loot.of("rate_limited") > 0, "a limit was met: {loot:?}");
    assert!(loot.closes.contains_key(&4429), "a flood closes the connection: {loot:?}");
    let log = world.server.log();
    let log = &log[before.min(log.len())..];
    assert_eq!(log.lines().filter(|line| line.contains("ERROR")).count(), 0, "refusals are no errors of the server");
    assert!(log.lines().count() <= LINES, "refusals are counted, not logged: {} lines", log.lines().count());
}

/// The same with `typing.start`, which a session also has to remember.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_to_type_in_made_up_conversations_costs_the_others_nothing() {
    let world = World::new().await;
    let (_, loot) = flooded(&world, "typing.start", "typing").await;
    assert!(loot.closes.contains_key(&4429), "a flood closes the connection: {loot:?}");
}

/// Control frames and binary ones are no commands, and as dear: pings, which are answered, pongs that nobody asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_no_commands_cost_the_others_nothing() {
    let world = World::new().await;
    for (name, frame) in [
        ("pings", Message::Ping("a payload".into())),
        ("pongs", Message::Pong(Vec::new().into())),
        ("binary frames", Message::binary("no text")),
    ] {
        let attacker = world.server.user(&name.replace(' ', "-")).await;
        let loot = flooding(&world, name, attacker, move |_| frame.clone()).await;
        assert!(loot.closes.contains_key(&4429), "a flood closes the connection: {loot:?}");
    }
}

/// Floods the server with commands of a kind; how long its log was before, and what the attacker got.
async fn flooded(world: &World, name: &str, kind: &'static str) -> (usize, Loot) {
    let attacker = world.server.user("attacker").await;
    let before = world.server.log().len();
    let frame = move |_| {
        let payload = json!({ "conversation_id": Uuid::now_v7() });
        json!({ "type": kind, "payload": payload }).to_string()
    };
    (before, flooding(world, name, attacker, frame).await)
}

/// Floods the server over six sockets of one user.
async fn flooding<F: Into<Message> + 'static>(
    world: &World,
    name: &str,
    attacker: TestUser,
    frame: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) -> Loot {
    let stop = Stop::default();
    let attack = {
        let stop = stop.clone();
        async move {
            let sockets: Vec<_> =
                (0..6).map(|_| tokio::spawn(flood(attacker.clone(), frame.clone(), stop.clone()))).collect();
            let mut all = Loot::default();
            for socket in sockets {
                all.add(socket.await.expect("a socket ends well"));
            }
            all
        }
    };
    let loot = world.under(name, attack, &stop).await;
    eprintln!("{name}: {loot:?}");
    loot
}
