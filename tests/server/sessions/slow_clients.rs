//! Clients that read slowly or not at all. One that stops reading is disconnected within the time of the contract and
//! costs a bounded amount of memory, and the other clients get all events.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{SlowSocket, StalledSocket, TestServer, TestSocket, eventually, eventually_within};

/// The text of one message. With its frame it has more than 4 KB.
const CONTENT_BYTES: usize = 4_000;
/// The messages that fill the caches and buffers of the server before the measurement: twice as many pages as the
/// 16 MiB that the write connection of SQLite keeps.
const WARM_UP_MESSAGES: usize = 5_000;
/// The messages while one client does not read: more than 20 MB.
const FLOOD_MESSAGES: usize = 5_000;
/// The memory by which the server may grow during the flood: much less than the flood, and much more than the megabyte
/// that the stalled client may cost.
const MAX_GROWTH_BYTES: u64 = 10 * 1024 * 1024;
/// The number of messages that are sent and not yet acknowledged.
const MESSAGES_IN_FLIGHT: usize = 16;

async fn count_sessions(server: &TestServer) -> i64 {
    let url = format!("{}/health", server.target().origin);
    let health: Value = server.target().http.get(url).send().await.unwrap().json().await.unwrap();
    health["sessions"].as_i64().expect("sessions")
}

/// Sends `count` messages, and checks that the reader gets all of them in order. Returns the greatest amount of memory
/// that the server used.
async fn send_messages(
    server: &TestServer,
    room: &str,
    sender: &mut TestSocket,
    reader: &mut Reader,
    count: usize,
) -> u64 {
    let payload = json!({ "conversation_id": room, "content": "x".repeat(CONTENT_BYTES) });
    let mut peak = 0;
    let mut started = 0;
    for number in 0..count {
        while started < count && started < number + MESSAGES_IN_FLIGHT {
            sender.start("message.send", payload.clone());
            started += 1;
        }
        sender.expect("message.sent").await;
        let event = reader.socket.expect("message.new").await;
        reader.known_rev += 1;
        assert_eq!(event["rev"], reader.known_rev, "the reader gets all events in order");
        if number % 100 == 0 {
            peak = peak.max(server.process().resident_bytes());
        }
    }
    peak.max(server.process().resident_bytes())
}

struct Reader {
    socket: TestSocket,
    known_rev: i64,
}

#[tokio::test]
async fn a_client_that_stops_reading_is_disconnected_and_does_not_delay_others() {
    // These settings limit the memory that the allocators keep after use. Otherwise it is larger than the growth that
    // is measured.
    let server =
        TestServer::builder().set("MALLOC_ARENA_MAX", "2").set("_RJEM_MALLOC_CONF", "dirty_decay_ms:0").start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    let mut sender = alice.connect_unsubscribed().await;
    let socket = carol.connect().await;
    let known_rev = socket.auth_success["conversations"][&room].as_i64().expect("a rev");
    let mut reader = Reader { socket, known_rev };

    let before = send_messages(&server, &room, &mut sender, &mut reader, WARM_UP_MESSAGES).await;
    let stalled = StalledSocket::open(&bob).await;
    eventually("there are three sessions", async || count_sessions(&server).await == 3).await;
    let peak = send_messages(&server, &room, &mut sender, &mut reader, FLOOD_MESSAGES).await;
    let grown = peak.saturating_sub(before);
    eprintln!("from {} KiB the server grew by {} KiB", before / 1024, grown / 1024);
    assert!(grown < MAX_GROWTH_BYTES, "the server grew by {grown} bytes");

    let timeout = Duration::from_secs(35);
    eventually_within(timeout, "the stalled session has ended", async || count_sessions(&server).await == 2).await;
    reader.socket.assert_alive().await;
    sender.assert_alive().await;
    drop(stalled);

    // The client reconnects, reads, and gets the events that it missed.
    let mut reconnected = bob.connect_unsubscribed().await;
    let mut known_rev = reader.known_rev - FLOOD_MESSAGES as i64;
    let id = reconnected.start("sync", json!({ "conversations": { &room: known_rev } }));
    loop {
        let frame = reconnected.frame("the missed events").await;
        if frame["id"] == id.as_str() {
            assert_eq!(frame["type"], "sync.done", "{frame}");
            break;
        }
        if frame["stream"] == "conversation" {
            known_rev += 1;
            assert_eq!(frame["rev"], known_rev);
        }
    }
    assert_eq!(known_rev, reader.known_rev, "a long replay does not count as being slow");
}

/// At this rate, reading all bytes takes longer than the time after which a client that reads nothing is disconnected.
const SLOW_BYTES: usize = 250_000;
const SLOW_BYTES_PER_SECOND: usize = 8_000;

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_events() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let known_rev = alice.conversation(&room).await["last_rev"].as_i64().expect("a rev");
    let content = "x".repeat(9_000);
    let count = (SLOW_BYTES / content.len()) as i64;
    for _ in 0..count {
        alice.send(&room, &content).await;
    }
    let mut socket = SlowSocket::open(&bob, SLOW_BYTES_PER_SECOND).await;
    socket.send(&json!({ "type": "sync", "id": "s", "payload": { "conversations": { &room: known_rev } } })).await;
    let mut last_rev = known_rev;
    loop {
        let frame = socket.frame().await;
        if frame["id"] == "s" {
            assert_eq!(frame["type"], "sync.done", "{frame}");
            break;
        }
        if frame["stream"] == "conversation" {
            last_rev += 1;
            assert_eq!(frame["rev"], last_rev, "in order and once");
        }
    }
    assert_eq!(last_rev, known_rev + count);
}

#[tokio::test]
async fn a_user_who_is_removed_during_a_slow_replay_gets_no_ephemeral_frames() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    let known_rev = alice.conversation(&room).await["last_rev"].as_i64().expect("a rev");
    let content = "x".repeat(9_000);
    let count = (SLOW_BYTES / content.len()) as i64;
    for _ in 0..count {
        alice.send(&room, &content).await;
    }
    let mut watcher = alice.connect().await;
    let mut author = carol.connect().await;
    let mut socket = SlowSocket::open(&bob, 3 * SLOW_BYTES_PER_SECOND).await;
    socket.send(&json!({ "type": "sync", "id": "s", "payload": { "conversations": { &room: known_rev } } })).await;
    while socket.frame().await["stream"] != "conversation" {}
    // The replay is not at its end: it waits for the client, which still has much to read.
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    watcher.expect("participant.left").await;
    author.accepted("typing.start", json!({ "conversation_id": room }), "ack").await;
    watcher.expect("typing.start").await;
    let mut last_rev = known_rev + 1;
    let mut left = false;
    loop {
        let frame = socket.frame().await;
        if frame["id"] == "s" {
            break;
        }
        assert_ne!(frame["type"], "typing.start", "{frame}");
        if frame["stream"] == "conversation" {
            last_rev += 1;
            assert_eq!(frame["rev"], last_rev, "in order and once");
            left = frame["type"] == "participant.left";
        }
    }
    assert!(left, "the user gets all events up to the removal");
}
