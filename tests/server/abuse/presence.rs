//! A user who comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;

use super::attacks::{Stop, flood};
use super::harness::World;
use crate::support::eventually;
use crate::support::socket::ConnectOptions;

/// Updates that a peer may get of one user: four a second, and one at each end of the attack.
const PER_SECOND: u64 = 4;

/// `presence.set` to and fro as fast as it is taken: a direct peer and a watcher get the newest state now and then, and
/// nothing is left to be told when it is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coming_and_going_all_the_time_costs_the_others_nothing() {
    let world = World::new().await;
    let attacker = world.server.user("attacker").await;
    let peer = world.server.user("peer").await;
    attacker.direct(&peer).await;
    let mut socket = peer.connect().await;
    let (updates, over) = (Arc::new(AtomicU64::new(0)), Stop::default());
    let counting = {
        let (updates, over) = (updates.clone(), over.clone());
        tokio::spawn(async move {
            while !over.is_over() {
                let Some(frame) = socket.poll_frame(std::time::Duration::from_millis(50)).await else { continue };
                let frame = frame.expect("the peer's connection stands");
                updates.fetch_add(u64::from(frame["type"] == "presence.update"), Ordering::Relaxed);
            }
            socket
        })
    };
    let stop = Stop::default();
    let frame = |number: u64| {
        let status = if number.is_multiple_of(2) { "away" } else { "online" };
        json!({ "type": "presence.set", "payload": { "status": status } }).to_string()
    };
    let begun = Instant::now();
    let loot = world.under("presence.set", flood(attacker.clone(), frame, stop.clone()), &stop).await;
    let seconds = begun.elapsed().as_secs() + 1;
    eprintln!("presence.set: {loot:?}");
    assert!(loot.of("ack") >= 200, "a burst is taken: {loot:?}");
    over.set();
    let mut socket = counting.await.expect("counting ends well");
    let updates = updates.load(Ordering::Relaxed);
    assert!(updates <= PER_SECOND * seconds + 2, "the peer was told {updates} times in {seconds} s");
    // every refused connection was followed by another: the bucket of handshakes has to fill first
    let mut last = None;
    eventually("the attacker is let in again", async || {
        last = attacker.try_connect(ConnectOptions::default()).await.ok();
        last.is_some()
    })
    .await;
    let mut last = last.expect("a connection");
    last.accepted("presence.set", json!({ "status": "online" }), "ack").await;
    socket.is_alive().await;
}
