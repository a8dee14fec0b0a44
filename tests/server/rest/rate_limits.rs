//! Rate limits: sends, other commands and calls have separate limits, expensive calls cost more, and the number of
//! simultaneous calls of a user is bounded.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::{TestServer, eventually};

/// All commands except sends share one limit: two hundred in a burst. Calls over REST have another one.
#[tokio::test]
async fn commands_and_calls_have_separate_limits() {
    let server = TestServer::builder().set("GREENROOM_LIMIT_API_PER_SECOND", "5").start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let mut socket = alice.connect().await;
    let message = socket.send_message(&room, "first text").await["message"]["id"].clone();
    let edits: Vec<String> = (0..280)
        .map(|number| {
            let content = format!("text {number}");
            let payload = json!({ "conversation_id": room, "message_id": message, "content": content });
            socket.start("message.edit", payload)
        })
        .collect();
    let mut accepted = 0;
    for edit in edits {
        let answer = socket.wait_for("the answer to an edit", |frame| frame["id"] == edit.as_str()).await;
        if answer["type"] == "ack" {
            accepted += 1;
        } else {
            assert_eq!(answer["payload"]["code"], "rate_limited", "{answer}");
            assert!(answer["payload"]["retry_after_ms"].is_u64(), "{answer}");
        }
    }
    assert!((200..280).contains(&accepted), "{accepted} of 280 were accepted");
    let answer = socket.send_message(&room, "sends have another limit").await;
    assert!(answer["message"]["seq"].is_i64(), "{answer}");
}

/// A client that sends more after a hundred refusals is closed, also if its frames are no commands.
#[tokio::test]
async fn a_flood_of_any_command_closes_the_connection() {
    let server = TestServer::builder().set("GREENROOM_LIMIT_API_PER_SECOND", "100").start().await;
    let alice = server.user("alice").await;
    let mut socket = alice.connect().await;
    for _ in 0..400 {
        socket.send(json!({ "type": "typing.stop", "payload": { "conversation_id": Uuid::now_v7() } }));
    }
    socket.expect_close(4429).await;
    let bob = server.user("bob").await;
    let mut socket = bob.connect().await;
    for _ in 0..400 {
        socket.send_text("not a frame");
    }
    socket.expect_close(4429).await;
    server.user("carol").await.connect().await.assert_alive().await;
}

/// A client that reconnects with one thousand or ten thousand conversations is within the limits.
#[tokio::test]
async fn a_client_with_many_conversations_syncs_immediately() {
    let server = TestServer::builder().set("GREENROOM_LIMIT_API_PER_SECOND", "100").start().await;
    let alice = server.user("alice").await;
    for conversations in [1_000, 10_000] {
        let mut socket = alice.connect_unsubscribed().await;
        let mut left = conversations;
        while left > 0 {
            let part = left.min(1_000);
            left -= part;
            let revs: serde_json::Map<_, _> = (0..part).map(|_| (Uuid::now_v7().to_string(), json!(1))).collect();
            let payload = json!({ "conversations": revs, "user_rev": 0, "more": left > 0 });
            let answer = socket.command("sync", payload).await;
            assert_eq!(answer["type"], if left > 0 { "ack" } else { "sync.done" }, "{}", answer["payload"]["code"]);
        }
    }
}

/// An expensive call delays the calls after it, until its cost is paid.
#[tokio::test]
async fn an_expensive_call_is_served_while_one_unit_is_left() {
    let server = TestServer::builder().set("GREENROOM_LIMIT_API_PER_SECOND", "1").start().await;
    let searching = server.user("searching").await;
    searching.get("/users/search?q=a").await.expect(200);
    let seconds = retry_after(&searching.get("/users/me").await);
    assert!((3..=4).contains(&seconds), "a search costs 5 of 2, so 4 are missing: {seconds}");

    let creating = server.user("creating").await;
    let names: Vec<String> = (0..91).map(|_| Uuid::now_v7().to_string()).collect();
    let group = json!({ "type": "group", "name": "many", "participant_ids": names });
    creating.post("/conversations", group).await.refused(404, "user_not_found");
    let seconds = retry_after(&creating.get("/users/me").await);
    assert!((7..=9).contains(&seconds), "a group of 91 costs 10 of 2, so 9 are missing: {seconds}");

    let adding = server.user("adding").await;
    let group = adding.group("few", &[]).await;
    adding.post(&format!("/conversations/{group}/members"), json!({ "user_ids": names })).await;
    let seconds = retry_after(&adding.get("/users/me").await);
    assert!((8..=10).contains(&seconds), "making the group, and adding 91, cost 11 of 2: {seconds}");
}

/// Returns the seconds after which a refused call may be repeated.
fn retry_after(answer: &crate::support::Answer) -> u64 {
    answer.clone().refused(429, "rate_limited");
    answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds")
}

/// Thirty-two calls of one user may run simultaneously. Other users are not affected.
#[tokio::test]
async fn too_many_simultaneous_calls_are_busy() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let mut open_calls = Vec::new();
    // The check itself needs a permit for a moment, in which a new call may be refused. So each check opens one more
    // call.
    eventually("all permits are in use", async || {
        let mut call = TcpStream::connect(server.target().address).await.expect("the server is up");
        let request = format!(
            "POST /api/v1/blocks HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {}\r\ncontent-length: 2\r\n\r\n{{",
            alice.access_token
        );
        call.write_all(request.as_bytes()).await.expect("the request is sent");
        open_calls.push(call);
        alice.get("/users/me").await.status == 503
    })
    .await;
    let refused = alice.get("/users/me").await;
    assert!(refused.headers.contains_key("retry-after"), "it has a time for the next attempt");
    refused.refused(503, "busy");
    bob.get("/users/me").await.expect(200);
    alice.connect().await.assert_alive().await;
    drop(open_calls);
    eventually("the permits are free", async || alice.get("/users/me").await.status == 200).await;
}

/// A stolen token of an ended login is refused, and the calls with it are not charged to the user.
#[tokio::test]
async fn a_token_of_an_ended_login_costs_its_user_nothing() {
    let server = TestServer::builder().set("GREENROOM_LIMIT_API_PER_SECOND", "5").start().await;
    let ada = server.user("ada").await;
    let stolen = ada.login().await;
    stolen.post_empty("/auth/logout").await.expect(204);
    for _ in 0..200 {
        stolen.get("/users/me").await.refused(401, "unauthorized");
    }
    ada.get("/users/me").await.expect(200);
    server.stop().await;
}
