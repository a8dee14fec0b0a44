//! A client that stops reading: it is gone within the time the contract gives, costs a bounded amount of memory,
//! and the others get everything meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{SlowSocket, StalledSocket, TestServer, TestSocket, eventually, eventually_within};

/// Text of one message; with its frame more than 4 KB.
const CONTENT: usize = 4_000;
/// Messages that bring the server's caches and buffers to their size before anybody stalls: twice as many pages as the
/// 16 MiB that SQLite's writer keeps.
const WARM_UP: usize = 5_000;
/// Messages while one client does not read: more than 20 MB.
const FLOOD: usize = 5_000;
/// What the server may grow by during the flood; far less than the flood, far more than the megabyte that the stalled
/// client may cost.
const GROWTH: u64 = 10 * 1024 * 1024;
/// Messages on their way at a time.
const WINDOW: usize = 16;

async fn sessions(server: &TestServer) -> i64 {
    let url = format!("{}/health", server.target().origin);
    let health: Value = server.target().http.get(url).send().await.unwrap().json().await.unwrap();
    health["sessions"].as_i64().expect("sessions")
}

/// Sends `count` messages, of which the reader must get each in its order; the most memory the server had meanwhile.
async fn flood(server: &TestServer, room: &str, sender: &mut TestSocket, reader: &mut Reader, count: usize) -> u64 {
    let payload = json!({ "conversation_id": room, "content": "x".repeat(CONTENT) });
    let mut peak = 0;
    let mut begun = 0;
    for number in 0..count {
        while begun < count && begun < number + WINDOW {
            sender.start("message.send", payload.clone());
            begun += 1;
        }
        sender.expect("message.sent").await;
        let event = reader.socket.expect("message.new").await;
        reader.held += 1;
        assert_eq!(event["rev"], reader.held, "the reader gets everything in order");
        if number % 100 == 0 {
            peak = peak.max(server.process().resident_bytes());
        }
    }
    peak.max(server.process().resident_bytes())
}

struct Reader {
    socket: TestSocket,
    held: i64,
}

#[tokio::test]
async fn a_client_that_stops_reading_is_gone_and_costs_the_others_nothing() {
    // Two arenas for SQLite, and for the rest no pages kept for later: otherwise what the allocators keep is larger
    // than what is measured.
    let server =
        TestServer::builder().set("MALLOC_ARENA_MAX", "2").set("_RJEM_MALLOC_CONF", "dirty_decay_ms:0").start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    let mut sender = alice.connect_unsubscribed().await;
    let socket = carol.connect().await;
    let held = socket.welcome["conversations"][&room].as_i64().expect("a rev");
    let mut reader = Reader { socket, held };

    let before = flood(&server, &room, &mut sender, &mut reader, WARM_UP).await;
    let stalled = StalledSocket::open(&bob).await;
    eventually("there are three sessions", async || sessions(&server).await == 3).await;
    let peak = flood(&server, &room, &mut sender, &mut reader, FLOOD).await;
    let grown = peak.saturating_sub(before);
    eprintln!("from {} KiB the server grew by {} KiB", before / 1024, grown / 1024);
    assert!(grown < GROWTH, "the server grew by {grown} bytes");

    let within = Duration::from_secs(35);
    eventually_within(within, "the stalled session is gone", async || sessions(&server).await == 2).await;
    reader.socket.is_alive().await;
    sender.is_alive().await;
    drop(stalled);

    // It comes back and gets what it missed, paced, while it reads.
    let mut back = bob.connect_unsubscribed().await;
    let mut held = reader.held - FLOOD as i64;
    let id = back.start("sync", json!({ "conversations": { &room: held } }));
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
    assert_eq!(held, reader.held, "a long replay does not count as being slow");
}

/// Longer than the time after which a client that reads nothing is gone, at this rate.
const SLOW_BYTES: usize = 250_000;
const SLOW_RATE: usize = 8_000;

#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let held = alice.conversation(&room).await["last_rev"].as_i64().expect("a rev");
    let content = "x".repeat(9_000);
    let count = (SLOW_BYTES / content.len()) as i64;
    for _ in 0..count {
        alice.send(&room, &content).await;
    }
    let mut socket = SlowSocket::open(&bob, SLOW_RATE).await;
    socket.send(&json!({ "type": "sync", "id": "s", "payload": { "conversations": { &room: held } } })).await;
    let mut reached = held;
    loop {
        let frame = socket.frame().await;
        if frame["id"] == "s" {
            assert_eq!(frame["type"], "sync.done", "{frame}");
            break;
        }
        if frame["stream"] == "conversation" {
            reached += 1;
            assert_eq!(frame["rev"], reached, "in order, and once");
        }
    }
    assert_eq!(reached, held + count);
}

#[tokio::test]
async fn who_is_removed_during_a_slow_replay_gets_nothing_of_the_moment_any_more() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    let held = alice.conversation(&room).await["last_rev"].as_i64().expect("a rev");
    let content = "x".repeat(9_000);
    let count = (SLOW_BYTES / content.len()) as i64;
    for _ in 0..count {
        alice.send(&room, &content).await;
    }
    let mut watcher = alice.connect().await;
    let mut typist = carol.connect().await;
    let mut socket = SlowSocket::open(&bob, 3 * SLOW_RATE).await;
    socket.send(&json!({ "type": "sync", "id": "s", "payload": { "conversations": { &room: held } } })).await;
    while socket.frame().await["stream"] != "conversation" {}
    // its replay waits now and then for what it has yet to read, which is a good deal
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    watcher.expect("participant.left").await;
    typist.accepted("typing.start", json!({ "conversation_id": room }), "ack").await;
    watcher.expect("typing.start").await;
    let mut reached = held + 1;
    let mut left = false;
    loop {
        let frame = socket.frame().await;
        if frame["id"] == "s" {
            break;
        }
        assert_ne!(frame["type"], "typing.start", "{frame}");
        if frame["stream"] == "conversation" {
            reached += 1;
            assert_eq!(frame["rev"], reached, "in order, and once");
            left = frame["type"] == "participant.left";
        }
    }
    assert!(left, "it has everything up to the event with which its user left");
}
