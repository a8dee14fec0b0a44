//! The first sync of a session that opened with `subscribe=none`: events of the user stream that happen before it come
//! after the events that the client missed.

use crate::support::{TestServer, TestSocket, TestUser};
use crate::sync::missed_events::sync;
use serde_json::{Value, json};

/// Bob misses one event of his user stream, opens a session with `subscribe=none`, and another event happens. Returns
/// that session, the last revision that Bob has, and a live session of his.
async fn reconnect(alice: &TestUser, bob: &TestUser) -> (TestSocket, i64, TestSocket) {
    let mut live = bob.connect().await;
    let known_rev = live.auth_success["user_rev"].as_i64().expect("a rev");
    alice.group("missed", &[bob]).await;
    live.expect("conversation.created").await;
    let socket = bob.connect_unsubscribed().await;
    alice.group("after auth", &[bob]).await;
    live.expect("conversation.created").await;
    (socket, known_rev, live)
}

fn own_revs(frames: &[Value]) -> Vec<i64> {
    let own = frames.iter().filter(|frame| frame["stream"] == "user");
    own.map(|frame| frame["rev"].as_i64().expect("a rev")).collect()
}

#[tokio::test]
async fn events_between_auth_and_the_first_sync_come_after_missed_events() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let (mut socket, known_rev, _live) = reconnect(&alice, &bob).await;
    // A refused sync has no effect.
    for part in 0..=10 {
        let unknown: serde_json::Map<_, _> = (0..1000).map(|_| (uuid::Uuid::now_v7().to_string(), json!(0))).collect();
        socket.start("sync", json!({ "conversations": unknown, "more": part < 10 }));
    }
    socket.wait_for("a refusal", |frame| frame["type"] == "error").await;
    let (mut frames, done) = sync(&mut socket, json!({ "conversations": {}, "user_rev": known_rev })).await;
    assert_eq!(done["user_rev"], known_rev + 2);
    alice.group("later", &[&bob]).await;
    frames.push(socket.wait_for("the new event", |frame| frame["stream"] == "user").await);
    frames.splice(0..0, socket.unread_frames().cloned());
    assert_eq!(own_revs(&frames), (known_rev + 1..=known_rev + 3).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_that_sends_no_sync_gets_the_events_since_auth() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    for command in [None, Some("subscribe")] {
        let (mut socket, known_rev, _live) = reconnect(&alice, &bob).await;
        if let Some(command) = command {
            socket.accepted(command, json!({ "conversation_ids": [] }), "subscribed").await;
        }
        let mut frames = vec![socket.wait_for("the event since auth", |frame| frame["stream"] == "user").await];
        frames.extend(socket.frames_until_pong().await);
        assert_eq!(own_revs(&frames), [known_rev + 2]);
        alice.group("later", &[&bob]).await;
        assert_eq!(socket.wait_for("the new event", |frame| frame["stream"] == "user").await["rev"], known_rev + 3);
    }
}

#[tokio::test]
async fn a_revoked_session_closes_before_its_first_sync() {
    let server = TestServer::start().await;
    let bob = server.user("bob").await;
    let mut socket = bob.connect_unsubscribed().await;
    bob.post("/auth/logout", json!({})).await.expect(204);
    socket.expect_close(4401).await;
}
