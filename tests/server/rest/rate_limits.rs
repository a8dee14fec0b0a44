//! How much one may ask: each kind has a limit of its own, dear things cost more, and what is under way is bounded.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::{TestServer, eventually};

/// Over a socket everything but sends shares a limit, which that on calls over REST does not touch: two hundred at
/// once.
#[tokio::test]
async fn commands_have_a_limit_of_their_own() {
    let server = TestServer::builder().set("GREENROOM_LIMIT_API_PER_SECOND", "5").start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let mut socket = alice.connect().await;
    let message = socket.say(&room, "so it was").await["message"]["id"].clone();
    let edits: Vec<String> = (0..280)
        .map(|number| {
            let content = format!("no, {number}");
            let payload = json!({ "conversation_id": room, "message_id": message, "content": content });
            socket.start("message.edit", payload)
        })
        .collect();
    let mut made = 0;
    for edit in edits {
        let answer = socket.wait_for("the answer to an edit", |frame| frame["id"] == edit.as_str()).await;
        if answer["type"] == "ack" {
            made += 1;
        } else {
            assert_eq!(answer["payload"]["code"], "rate_limited", "{answer}");
            assert!(answer["payload"]["retry_after_ms"].is_u64(), "{answer}");
        }
    }
    assert!((200..280).contains(&made), "{made} of 280 were let through");
    let answer = socket.say(&room, "sends are counted apart").await;
    assert!(answer["message"]["seq"].is_i64(), "{answer}");
}

/// Whatever the command, and whether it means anything: who goes on after a hundred refusals is closed.
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
        socket.send_text("no frame at all");
    }
    socket.expect_close(4429).await;
    server.user("carol").await.connect().await.is_alive().await;
}

/// A lawful client that comes back with a thousand conversations, and one with ten thousand, is served at once.
#[tokio::test]
async fn a_client_with_many_conversations_syncs_at_once() {
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

/// What is asked while anything is left is served, and paid for afterwards.
#[tokio::test]
async fn dear_calls_are_served_while_anything_is_left() {
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

/// The seconds after which a refused call may be made again.
fn retry_after(answer: &crate::support::Answer) -> u64 {
    answer.clone().refused(429, "rate_limited");
    answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds")
}

/// Thirty-two calls of one user may be under way; other users have their own.
#[tokio::test]
async fn too_many_calls_at_once_are_busy() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let mut held = Vec::new();
    // a look takes a place for a moment, in which one of these may be refused: another one comes before each look
    eventually("all places are taken", async || {
        let mut call = TcpStream::connect(server.target().address).await.expect("the server is up");
        let request = format!(
            "POST /api/v1/blocks HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {}\r\ncontent-length: 2\r\n\r\n{{",
            alice.access_token
        );
        call.write_all(request.as_bytes()).await.expect("it is written");
        held.push(call);
        alice.get("/users/me").await.status == 503
    })
    .await;
    let refused = alice.get("/users/me").await;
    assert!(refused.headers.contains_key("retry-after"), "it says when to come back");
    refused.refused(503, "busy");
    bob.get("/users/me").await.expect(200);
    alice.connect().await.is_alive().await;
    drop(held);
    eventually("the places are free", async || alice.get("/users/me").await.status == 200).await;
}

/// Whoever stole a token of a login that has ended since is refused, and uses up nothing of the user's.
#[tokio::test]
async fn a_token_of_an_ended_login_costs_its_user_nothing() {
    let server = TestServer::builder().set("GREENROOM_LIMIT_API_PER_SECOND", "5").start().await;
    let ada = server.user("ada").await;
    let stolen = ada.login().await;
    stolen.post_nothing("/auth/logout").await.expect(204);
    for _ in 0..200 {
        stolen.get("/users/me").await.refused(401, "unauthorized");
    }
    ada.get("/users/me").await.expect(200);
    server.stop().await;
}
