//! Read and delivered marks, and the unread counts that follow from them.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

/// Creates a group of Alice and Bob in which Alice has sent five messages, with the seqs 2 to 6.
async fn group_with_five_messages(server: &TestServer) -> (TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    for number in 2..=6 {
        alice.send(&room, &format!("number {number}")).await;
    }
    (alice, bob, room)
}

async fn mark_read(user: &TestUser, room: &str, body: Value) -> Value {
    user.post(&format!("/conversations/{room}/read"), body).await.expect(200)
}

#[tokio::test]
async fn a_read_mark_only_grows() {
    let server = TestServer::start().await;
    let (_, bob, room) = group_with_five_messages(&server).await;
    assert_eq!(bob.conversation(&room).await["unread_count"], 5, "system messages do not count");
    for (body, last_read_seq, unread_count, marked) in [
        (json!({ "seq": 3 }), 3, 3, 2),
        (json!({ "seq": 3 }), 3, 3, 0),
        (json!({ "seq": 1 }), 3, 3, 0),
        (json!({ "seq": 5 }), 5, 1, 2),
        (json!({ "seq": 999 }), 6, 0, 1),
    ] {
        let answer = mark_read(&bob, &room, body.clone()).await;
        let expected = json!({ "last_read_seq": last_read_seq, "unread_count": unread_count, "marked": marked });
        assert_eq!(answer, expected, "{body}");
    }
    let conversation = bob.conversation(&room).await;
    assert_eq!((&conversation["unread_count"], &conversation["my"]["last_read_seq"]), (&json!(0), &json!(6)));
}

#[tokio::test]
async fn a_user_reads_up_to_a_message_or_to_the_end() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_with_five_messages(&server).await;
    let messages = alice.history(&room).await;
    let answer = mark_read(&bob, &room, json!({ "message_id": messages[3]["id"] })).await;
    assert_eq!((&answer["last_read_seq"], &answer["marked"]), (&json!(4), &json!(3)));
    let answer = bob.post_empty(&format!("/conversations/{room}/read")).await.expect(200);
    assert_eq!((&answer["last_read_seq"], &answer["unread_count"]), (&json!(6), &json!(0)));

    let elsewhere = alice.group("elsewhere", &[]).await;
    let foreign = alice.send(&elsewhere, "hello").await;
    let path = format!("/conversations/{room}/read");
    let refused = bob.post(&path, json!({ "message_id": foreign["id"] })).await;
    assert!((400..500).contains(&refused.status), "{}", refused.body);
    bob.post(&path, json!({ "seq": -1 })).await.invalid("seq");
    let both = bob.post(&path, json!({ "seq": 2, "message_id": messages[3]["id"] })).await;
    assert!(both.status < 500, "{}", both.body);
}

#[tokio::test]
async fn the_unread_count_is_the_sum_of_all_conversations() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_with_five_messages(&server).await;
    let direct = alice.direct(&bob).await;
    alice.send(&direct, "hello").await;
    let count = bob.get("/conversations/unread-count").await.expect(200);
    assert_eq!((&count["messages"], &count["conversations"]), (&json!(6), &json!(2)));
    assert!(count["mentions"].is_i64());
    mark_read(&bob, &room, json!({})).await;
    let count = bob.get("/conversations/unread-count").await.expect(200);
    assert_eq!((&count["messages"], &count["conversations"]), (&json!(1), &json!(1)));
    let count = alice.get("/conversations/unread-count").await.expect(200);
    assert_eq!((&count["messages"], &count["conversations"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_read_mark_notifies_the_author_and_the_other_sessions_of_the_reader() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_with_five_messages(&server).await;
    let mut author = alice.connect().await;
    let mut other = bob.connect().await;
    let mut reader = bob.connect().await;
    let payload = json!({ "conversation_id": room, "seq": 4 });
    let answer = reader.accepted("message.read", payload, "ack").await;
    assert_eq!(answer, json!({ "last_read_seq": 4, "unread_count": 2, "marked": 3 }));

    let status = author.wait_for("seen", |frame| frame["payload"]["status"] == "seen").await;
    assert_eq!(status["type"], "message.status");
    assert_eq!(status["rev"], json!(null), "it is ephemeral");
    assert_eq!(
        (&status["payload"]["conversation_id"], &status["payload"]["user_id"], &status["payload"]["seq"]),
        (&json!(room), &json!(bob.id), &json!(4))
    );
    let read = other.expect("conversation.read").await;
    assert_eq!(read["payload"], json!({ "conversation_id": room, "last_read_seq": 4, "unread_count": 2 }));
    let unread = other.expect("unread").await;
    assert_eq!((&unread["payload"]["messages"], &unread["payload"]["conversations"]), (&json!(2), &json!(1)));

    let messages = alice.history(&room).await;
    let statuses: Vec<&Value> = messages[1..].iter().map(|message| &message["status"]).collect();
    assert_eq!(statuses, ["seen", "seen", "seen", "sent", "sent"]);
}

#[tokio::test]
async fn a_user_who_sends_has_read_the_messages_before() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_with_five_messages(&server).await;
    let mut author = alice.connect().await;
    let mut other = bob.connect().await;
    bob.connect().await.send_message(&room, "number 7").await;
    let status = author.expect("message.status").await;
    let seen = json!({ "conversation_id": room, "user_id": bob.id, "status": "seen", "seq": 7 });
    assert_eq!(status["payload"], seen);
    let read = other.expect("conversation.read").await;
    assert_eq!(read["payload"], json!({ "conversation_id": room, "last_read_seq": 7, "unread_count": 0 }));
    let unread = other.expect("unread").await;
    assert_eq!(unread["payload"], json!({ "messages": 0, "conversations": 0, "mentions": 0 }));

    // Bob has read all messages already, so his next sends change no status. The next status is that of Alice.
    for number in 8..=10 {
        bob.send(&room, &format!("number {number}")).await;
    }
    alice.send(&room, "number 11").await;
    let seen = json!({ "conversation_id": room, "user_id": alice.id, "status": "seen", "seq": 11 });
    assert_eq!(other.expect("message.status").await["payload"], seen);
    let frames = author.frames_until("the unread count of the author", |frame| frame["type"] == "unread").await;
    assert!(frames.iter().all(|frame| frame["type"] != "message.status"), "{frames:?}");
}

#[tokio::test]
async fn a_delivered_mark_notifies_the_author() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_with_five_messages(&server).await;
    let mut author = alice.connect().await;
    let mut reader = bob.connect().await;
    reader.accepted("message.delivered", json!({ "conversation_id": room, "seq": 6 }), "ack").await;
    let status = author.wait_for("delivered", |frame| frame["payload"]["status"] == "delivered").await;
    assert_eq!((&status["type"], &status["payload"]["seq"]), (&json!("message.status"), &json!(6)));
    eventually("the messages are delivered", async || {
        let messages = alice.history(&room).await;
        messages[1..].iter().all(|message| message["status"] == "delivered")
    })
    .await;
    assert_eq!(bob.conversation(&room).await["unread_count"], 5, "delivered is not read");
}

#[tokio::test]
async fn a_user_cannot_set_marks_in_a_conversation_of_others() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_with_five_messages(&server).await;
    let eve = server.user("eve").await;
    let mut socket = eve.connect().await;
    socket.refused("message.read", json!({ "conversation_id": room, "seq": 4 }), "not_a_participant").await;
    socket.refused("message.delivered", json!({ "conversation_id": room, "seq": 4 }), "not_a_participant").await;
    let mut author = alice.connect().await;
    bob.connect().await.accepted("message.delivered", json!({ "conversation_id": room, "seq": 2 }), "ack").await;
    let status = author.expect("message.status").await;
    assert_eq!((&status["payload"]["user_id"], &status["payload"]["seq"]), (&json!(bob.id), &json!(2)));
    let statuses = alice.history(&room).await;
    assert!(statuses[2..].iter().all(|message| message["status"] == "sent"), "{statuses:#?}");
}

#[tokio::test]
async fn only_participants_can_set_a_delivered_mark() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_with_five_messages(&server).await;
    let mark = json!({ "conversation_id": room, "seq": 4 });
    let unknown = json!({ "conversation_id": "01890a5d-ac96-774b-bcce-b302099a8057", "seq": 4 });
    let mut socket = bob.connect_unsubscribed().await;
    assert_eq!(
        socket.accepted("message.delivered", mark.clone(), "ack").await,
        json!({}),
        "no subscription is necessary"
    );
    let path = format!("/conversations/{room}/messages/{}/receipts", text(&alice.history(&room).await[1]["id"]));
    let receipts = alice.get(&path).await.expect(200);
    assert_eq!(receipts["delivered"][0]["user_id"], bob.id.as_str(), "{receipts}");
    socket.refused("message.delivered", unknown, "not_found").await;

    let mut subscribed = bob.connect().await;
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    subscribed.expect("participant.left").await;
    subscribed.expect("conversation.removed").await;
    for mut socket in [socket, subscribed, bob.connect().await] {
        socket.refused("message.delivered", mark.clone(), "not_a_participant").await;
    }
}

#[tokio::test]
async fn marks_in_300_conversations_are_acknowledged() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut rooms = Vec::new();
    for number in 0..300 {
        rooms.push(alice.group(&format!("room {number}"), &[]).await);
    }
    for mut socket in [alice.connect().await, alice.connect_unsubscribed().await] {
        for kind in ["message.delivered", "message.read"] {
            let mark = |room: &String| socket.start(kind, json!({ "conversation_id": room, "seq": 1 }));
            let ids: Vec<String> = rooms.iter().map(mark).collect();
            for id in ids {
                let answer = socket.wait_for("an answer", |frame| frame["id"] == id.as_str()).await;
                assert_eq!(answer["type"], "ack", "{kind}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_user_who_hides_read_receipts_is_not_shown_as_a_reader() {
    let server = TestServer::start().await;
    let (alice, bob, room) = group_with_five_messages(&server).await;
    bob.patch("/users/me", json!({ "share_read_receipts": false })).await.expect(200);
    let mut author = alice.connect().await;
    mark_read(&bob, &room, json!({})).await;
    let member = alice.get(&format!("/conversations/{room}/members/bob")).await.expect(200);
    assert_eq!(member["last_read_seq"], json!(null));
    assert!(alice.history(&room).await.iter().all(|message| message["status"] != "seen"));
    // Carol shares her read receipts, so the first mark that Alice gets is the later one of Carol.
    let carol = server.user("carol").await;
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["carol"] })).await.expect(200);
    alice.send(&room, "for carol").await;
    mark_read(&carol, &room, json!({})).await;
    let frames = author.frames_until("carol's mark", |frame| frame["payload"]["status"] == "seen").await;
    let last = frames.last().expect("the marker");
    assert_eq!(text(&last["payload"]["user_id"]), carol.id);
}
