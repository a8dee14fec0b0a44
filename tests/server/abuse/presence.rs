//! Floods of changes of one user's presence.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;

use super::attacks::{Stop, flood};
use super::harness::AttackTest;
use crate::support::eventually;
use crate::support::socket::ConnectOptions;

/// Updates of one user's presence that a peer may get in a second, and one at each end of the attack.
const UPDATES_PER_SECOND: u64 = 4;

/// `presence.set` with two states in turn, as fast as the server reads it. A direct peer gets the newest state a few
/// times a second, and no backlog of announcements remains after the attack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn constant_changes_of_presence_cost_the_others_nothing() {
    let test = AttackTest::new().await;
    let attacker = test.server.user("attacker").await;
    let peer = test.server.user("peer").await;
    attacker.direct(&peer).await;
    let mut socket = peer.connect().await;
    let (updates, stop_counting) = (Arc::new(AtomicU64::new(0)), Stop::default());
    let counter = {
        let (updates, stop_counting) = (updates.clone(), stop_counting.clone());
        tokio::spawn(async move {
            while !stop_counting.is_set() {
                let Some(frame) = socket.poll_frame(std::time::Duration::from_millis(50)).await else { continue };
                let frame = frame.expect("the peer's connection is open");
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
    let started = Instant::now();
    let result = test.run_attack("presence.set", flood(attacker.clone(), frame, stop.clone()), &stop).await;
    let seconds = started.elapsed().as_secs() + 1;
    eprintln!("presence.set: {result:?}");
    assert!(result.count("ack") >= 200, "a burst is accepted: {result:?}");
    stop_counting.set();
    let mut socket = counter.await.expect("the task does not panic");
    let updates = updates.load(Ordering::Relaxed);
    assert!(updates <= UPDATES_PER_SECOND * seconds + 2, "the peer got {updates} updates in {seconds} s");
    // The attacker tried again after every refused connection, so the bucket of handshakes has to fill first.
    let mut last = None;
    eventually("the attacker can connect again", async || {
        last = attacker.try_connect(ConnectOptions::default()).await.ok();
        last.is_some()
    })
    .await;
    let mut last = last.expect("a connection");
    last.accepted("presence.set", json!({ "status": "online" }), "ack").await;
    socket.assert_alive().await;
}
