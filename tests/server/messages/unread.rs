//! Unread counts of one conversation and of all conversations: hidden messages and system messages do not count, the
//! totals leave out muted conversations, and mentions count in all conversations.

use serde_json::{Value, json};

use crate::messages::deletions::{hide, path};
use crate::support::{TestServer, TestUser, eventually};

async fn totals(user: &TestUser) -> Value {
    user.get("/conversations/unread-count").await.expect(200)
}

/// Returns the unread count of the conversation, and the total of the user.
async fn counts(user: &TestUser, room: &str) -> (i64, i64) {
    let one = user.conversation(room).await["unread_count"].as_i64().unwrap();
    let total = totals(user).await["messages"].as_i64().unwrap();
    (one, total)
}

async fn mark_read(user: &TestUser, room: &str, body: Value) -> Value {
    user.post(&format!("/conversations/{room}/read"), body).await.expect(200)
}

async fn group_of_two(server: &TestServer) -> (TestUser, TestUser, String) {
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    (alice, bob, room)
}

#[tokio::test]
async fn a_hidden_message_is_not_unread() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_of_two(&server).await;
    let mut messages = Vec::new();
    for content in ["one", "two @bob", "three", "four", "five @bob"] {
        messages.push(alice.send(&room, content).await);
    }
    alice.patch(&format!("/conversations/{room}"), json!({ "name": "renamed" })).await.expect(200);
    let renamed = alice.history(&room).await.pop().unwrap();
    assert_eq!(counts(&bob, &room).await, (5, 5));
    for (message, left, mentions) in
        [(&messages[1], 4, 1), (&messages[3], 3, 1), (&renamed, 3, 1), (&messages[3], 3, 1)]
    {
        hide(&bob, &room, message).await.expect(204);
        assert_eq!(counts(&bob, &room).await, (left, left), "{}", message["content"]);
        assert_eq!(totals(&bob).await["mentions"], mentions);
    }
    let own = bob.get("/conversations/stats").await.expect(200);
    assert_eq!((&own["unread_messages"], &own["unread_conversations"]), (&json!(3), &json!(1)));

    // The seqs and texts are now: 2 one, 3 two (hidden), 4 three, 5 four (hidden), 6 five, 7 renamed (hidden)
    let answer = mark_read(&bob, &room, json!({ "seq": 4 })).await;
    assert_eq!(answer, json!({ "last_read_seq": 4, "unread_count": 1, "marked": 2 }));
    let mut socket = bob.connect().await;
    let payload = json!({ "conversation_id": room, "seq": 5 });
    let answer = socket.accepted("message.read", payload, "ack").await;
    assert_eq!(answer, json!({ "last_read_seq": 5, "unread_count": 1, "marked": 0 }), "a hidden message is not marked");
    hide(&bob, &room, &messages[0]).await.expect(204);
    assert_eq!(counts(&bob, &room).await, (1, 1), "messages up to the mark are not unread");
    hide(&bob, &room, &messages[4]).await.expect(204);
    assert_eq!(totals(&bob).await, json!({ "messages": 0, "conversations": 0, "mentions": 0 }));
    let own = bob.get("/conversations/stats").await.expect(200);
    assert_eq!((&own["unread_messages"], &own["unread_conversations"]), (&json!(0), &json!(0)));
    let listed = async |unread: &str| bob.get(&format!("/conversations?unread={unread}")).await.expect(200);
    assert_eq!(listed("true").await["items"], json!([]));
    assert_eq!(listed("false").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(counts(&alice, &room).await, (0, 0));
}

#[tokio::test]
async fn a_deleted_message_still_counts_as_unread() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_of_two(&server).await;
    let message = alice.send(&room, "@bob").await;
    alice.send(&room, "two").await;
    alice.delete(&path(&room, &message)).await.expect(204);
    assert_eq!(counts(&bob, &room).await, (2, 2));
    assert_eq!(totals(&bob).await["mentions"], 0, "a deleted message has no mentions");
    hide(&bob, &room, &message).await.expect(204);
    assert_eq!(counts(&bob, &room).await, (1, 1));
}

#[tokio::test]
async fn hiding_a_message_sends_the_unread_counts_to_the_sessions_of_the_user() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_of_two(&server).await;
    let message = alice.send(&room, "one @bob").await;
    alice.send(&room, "two @bob").await;
    let (mut other, mut author) = (bob.connect().await, alice.connect().await);
    hide(&bob, &room, &message).await.expect(204);
    let unread = other.expect("unread").await;
    assert_eq!(unread["payload"], json!({ "messages": 1, "conversations": 1, "mentions": 1 }));
    let frames = author.frames_until_pong().await;
    assert!(frames.iter().all(|frame| frame["type"] != "unread"), "{frames:?}");
}

#[tokio::test]
async fn totals_leave_out_muted_conversations_and_mentions_count_everywhere() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_of_two(&server).await;
    let quiet = alice.group("quiet", &[&bob]).await;
    for target in [&room, &quiet] {
        alice.send(target, "hello @bob").await;
        alice.send(target, "hello").await;
    }
    let all = json!({ "messages": 4, "conversations": 2, "mentions": 2 });
    let without_muted = json!({ "messages": 2, "conversations": 1, "mentions": 2 });
    assert_eq!(totals(&bob).await, all);
    let stats = async || {
        let own = bob.get("/conversations/stats").await.expect(200);
        (own["unread_messages"].clone(), own["unread_conversations"].clone(), own["muted"].clone())
    };
    bob.post(&format!("/conversations/{quiet}/mute"), json!({})).await.expect(200);
    assert_eq!(totals(&bob).await, without_muted);
    assert_eq!(stats().await, (json!(2), json!(1), json!(1)));
    assert_eq!(bob.conversation(&quiet).await["unread_count"], 2, "the count of the conversation itself stays");
    let mut socket = bob.connect().await;
    let answer = mark_read(&bob, &room, json!({ "seq": 2 })).await;
    assert_eq!(answer["unread_count"], 1);
    let unread = socket.expect("unread").await;
    assert_eq!(unread["payload"], json!({ "messages": 1, "conversations": 1, "mentions": 1 }));

    bob.delete(&format!("/conversations/{quiet}/mute")).await.expect(204);
    assert_eq!(totals(&bob).await, json!({ "messages": 3, "conversations": 2, "mentions": 1 }));
    let until = json!({ "until": "2100-01-01T00:00:00.000Z" });
    bob.post(&format!("/conversations/{quiet}/mute"), until).await.expect(200);
    assert_eq!(stats().await, (json!(1), json!(1), json!(1)));
    bob.post(&format!("/conversations/{quiet}/archive"), json!({})).await.expect(200);
    assert_eq!(
        totals(&bob).await,
        json!({ "messages": 1, "conversations": 1, "mentions": 1 }),
        "archived conversations count"
    );
}

#[tokio::test]
async fn a_user_who_joins_has_read_up_to_the_message_about_it() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_of_two(&server).await;
    let carol = server.user("carol").await;
    alice.send(&room, "before @all").await;
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["carol"] })).await.expect(200);
    let joined = alice.history(&room).await.pop().unwrap();
    let mine = carol.conversation(&room).await;
    assert_eq!((&mine["my"]["last_read_seq"], &mine["unread_count"]), (&joined["seq"], &json!(0)));
    assert_eq!(totals(&carol).await, json!({ "messages": 0, "conversations": 0, "mentions": 0 }));
    bob.send(&room, "after").await;
    assert_eq!(counts(&carol, &room).await, (1, 1));
    carol.send(&room, "sending is reading").await;
    assert_eq!(counts(&carol, &room).await, (0, 0));
}

/// An acknowledged mark covers the messages of that moment: it does not mark later messages as delivered.
#[tokio::test]
async fn a_delivered_mark_beyond_the_end_means_the_end_of_that_moment() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_of_two(&server).await;
    alice.send(&room, "before").await;
    let mut socket = bob.connect().await;
    let held = server.hold("SELECT 1 FROM participants FOR UPDATE").await;
    let id = socket.start("message.delivered", json!({ "conversation_id": room, "seq": 1_000_000 }));
    let frames = socket.frames_until_pong().await;
    assert!(frames.iter().all(|frame| frame["id"] != id.as_str()), "acknowledged before it is stored: {frames:?}");
    held.release().await;
    assert_eq!(socket.wait_for("the answer", |frame| frame["id"] == id.as_str()).await["type"], "ack");
    alice.send(&room, "after").await;
    eventually("the first is delivered", async || alice.history(&room).await[1]["status"] == "delivered").await;
    assert_eq!(alice.history(&room).await[2]["status"], "sent");
}
