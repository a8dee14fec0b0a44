//! A client that stops reading (G7): it is gone within the time the contract gives, costs a bounded amount of memory,
//! and the others get everything meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{StalledSocket, TestServer, eventually_within};

/// Enough to fill every buffer between server and client several times over.
const MESSAGES: usize = 3_000;
/// Text of one message; with its frame about 4 KiB.
const CONTENT: usize = 3_500;

async fn sessions(server: &TestServer) -> i64 {
    let url = format!("{}/health", server.target().origin);
    let health: Value = server.target().http.get(url).send().await.unwrap().json().await.unwrap();
    health["sessions"].as_i64().expect("sessions")
}

#[tokio::test]
async fn a_client_that_stops_reading_is_gone_and_costs_the_others_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    let mut sender = alice.connect_unsubscribed().await;
    let mut reader = carol.connect().await;
    let stalled = StalledSocket::open(&bob).await;
    eventually_within(Duration::from_secs(20), "three sessions", async || sessions(&server).await == 3).await;

    // What the server keeps for a message in its own caches is part of the base: warm up first, without the stalled one
    // counting for more than its share.
    let content = "x".repeat(CONTENT);
    let before = server.process().resident_bytes();
    let mut peak = before;
    let mut expected = reader.welcome["conversations"][&room].as_i64().expect("a rev");
    for number in 0..MESSAGES {
        sender.say(&room, &content).await;
        let event = reader.expect("message.new").await;
        expected += 1;
        assert_eq!(event["rev"], expected, "the reader gets everything in order");
        if number % 100 == 0 {
            peak = peak.max(server.process().resident_bytes());
        }
    }
    // About 12 MiB went out to each; had they been kept for the stalled one, memory would have grown by at least that.
    let grown = peak.max(server.process().resident_bytes()).saturating_sub(before);
    eprintln!("the server grew by {} KiB", grown / 1024);
    assert!(grown < 40 * 1024 * 1024, "the server grew by {grown} bytes");

    eventually_within(Duration::from_secs(35), "the stalled session is gone", async || sessions(&server).await == 2)
        .await;
    reader.is_alive().await;
    sender.is_alive().await;
    drop(stalled);

    // It comes back and gets what it missed, paced, while it reads.
    let mut back = bob.connect_unsubscribed().await;
    let id = back.start("sync", json!({ "conversations": { &room: expected - 2_000 } }));
    let mut held = expected - 2_000;
    loop {
        let frame = back.frame("the missed events").await;
        if frame["id"] == id.as_str() {
            assert_eq!(frame["type"], "sync.done", "{frame}");
            break;
        }
        if frame["stream"] == "conversation" {
            held += 1;
            assert_eq!(frame["rev"], held);
        }
    }
    assert_eq!(held, expected, "a long replay does not count as being slow");
}
