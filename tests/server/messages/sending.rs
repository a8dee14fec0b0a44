//! Sending over REST and over the socket: each message is stored exactly once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::history::{Conversation, Recorder, Row, check};
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

async fn post(user: &TestUser, room: &str, body: Value) -> crate::support::Answer {
    user.post(&format!("/conversations/{room}/messages"), body).await
}

#[tokio::test]
async fn a_message_is_stored_with_all_its_fields() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let message = post(&alice, &direct, json!({ "content": "Hello, Bob", "temp_id": "t-1" })).await.expect(201);
    assert_eq!(
        (&message["seq"], &message["type"], &message["content"]),
        (&json!(1), &json!("text"), &json!("Hello, Bob"))
    );
    assert_eq!((&message["sender_id"], &message["sender"]["username"]), (&json!(alice.id), &json!("alice")));
    assert_eq!((&message["conversation_id"], &message["temp_id"]), (&json!(direct), &json!("t-1")));
    assert_eq!((&message["status"], &message["pinned"]), (&json!("sent"), &json!(false)));
    for (field, expected) in [
        ("data", json!(null)),
        ("attachments", json!([])),
        ("reply_to", json!(null)),
        ("mentions", json!([])),
        ("reactions", json!([])),
        ("edited_at", json!(null)),
        ("deleted_at", json!(null)),
    ] {
        assert_eq!(message[field], expected, "{field}: {message}");
    }
    let seen = bob.get(&format!("/messages/{}", text(&message["id"]))).await.expect(200);
    assert_eq!((&seen["id"], &seen["content"]), (&message["id"], &message["content"]));
}

#[tokio::test]
async fn a_send_moves_the_mark_of_the_sender_and_raises_the_unread_count_of_the_peer() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    for _ in 0..3 {
        alice.send(&direct, "hello").await;
    }
    let of_alice = alice.conversation(&direct).await;
    assert_eq!((&of_alice["unread_count"], &of_alice["my"]["last_read_seq"]), (&json!(0), &json!(3)));
    let of_bob = bob.conversation(&direct).await;
    assert_eq!((&of_bob["unread_count"], &of_bob["my"]["last_read_seq"]), (&json!(3), &json!(0)));
    bob.send(&direct, "hello").await;
    assert_eq!(bob.conversation(&direct).await["unread_count"], 0);
}

#[tokio::test]
async fn content_has_1_to_10000_characters() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    for (what, body) in [
        ("missing", json!({})),
        ("empty", json!({ "content": "" })),
        ("invisible", json!({ "content": "\u{200B}\u{2060}" })),
        ("white space", json!({ "content": " \n\t " })),
        ("long", json!({ "content": "x".repeat(10_001) })),
        ("long, with characters of four bytes", json!({ "content": "𝕏".repeat(10_001) })),
        ("NUL", json!({ "content": "nul\0" })),
    ] {
        let refused = post(&alice, &room, body).await;
        assert_eq!(refused.status, 422, "{what}: {}", refused.body);
        refused.invalid("content");
    }
    for content in ["x".repeat(10_000), "𝕏".repeat(10_000), format!("  {}\n", "x".repeat(10_000)), "a\nb\tc".to_owned()]
    {
        post(&alice, &room, json!({ "content": content })).await.expect(201);
    }
    let seqs: Vec<i64> = alice.history(&room).await.iter().map(|message| message["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5], "a refused send leaves no gap");
}

#[tokio::test]
async fn content_is_stored_without_changes() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    for content in
        ["<script>alert(1)</script>", "'; DROP TABLE messages; --", "👩‍👩‍👧‍👦 e\u{301} \u{202e}rtl", "tiếng Việt", "\\u0000"]
    {
        let message = alice.send(&room, content).await;
        assert_eq!(message["content"], content);
        let read = alice.get(&format!("/messages/{}", text(&message["id"]))).await.expect(200);
        assert_eq!(read["content"], content);
    }
}

#[tokio::test]
async fn a_temp_id_has_1_to_64_characters() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    for temp_id in [json!(""), json!("x".repeat(65)), json!(5), json!("nul\0")] {
        post(&alice, &room, json!({ "content": "hello", "temp_id": temp_id })).await.invalid("temp_id");
    }
    post(&alice, &room, json!({ "content": "hello", "temp_id": "x".repeat(64) })).await.expect(201);
}

#[tokio::test]
async fn a_repeated_temp_id_returns_the_same_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let body = || json!({ "content": "hello", "temp_id": "once" });
    let first = post(&alice, &room, body()).await.expect(201);
    let again = post(&alice, &room, body()).await.expect(200);
    assert_eq!((&again["id"], &again["seq"]), (&first["id"], &first["seq"]));
    let mut socket = alice.connect().await;
    let payload = json!({ "conversation_id": room, "content": "hello", "temp_id": "once" });
    let sent = socket.accepted("message.send", payload, "message.sent").await;
    assert_eq!((&sent["message"]["id"], &sent["temp_id"]), (&first["id"], &json!("once")));

    let other = json!({ "content": "something else", "temp_id": "once" });
    post(&alice, &room, other).await.refused(409, "temp_id_reused");
    let payload = json!({ "conversation_id": room, "content": "something else", "temp_id": "once" });
    let error = socket.refused("message.send", payload, "temp_id_reused").await;
    assert_eq!(error["temp_id"], "once");

    // A temp_id belongs to one sender and one conversation.
    assert_ne!(post(&bob, &room, body()).await.expect(201)["id"], first["id"]);
    let elsewhere = alice.group("elsewhere", &[]).await;
    assert_ne!(post(&alice, &elsewhere, body()).await.expect(201)["id"], first["id"]);
    assert_eq!(alice.history(&room).await.len(), 3);
}

#[tokio::test]
async fn a_repeated_temp_id_after_leaving_returns_the_same_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let body = || json!({ "content": "hello", "temp_id": "once" });
    let first = post(&bob, &room, body()).await.expect(201);
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    assert_eq!(post(&bob, &room, body()).await.expect(200)["id"], first["id"]);
    post(&bob, &room, json!({ "content": "hello", "temp_id": "twice" })).await.refused(403, "not_a_participant");
}

#[tokio::test]
async fn a_repeated_temp_id_after_leaving_contains_no_later_text() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let quoted = alice.send(&room, "text before").await;
    let body = || json!({ "content": "yes", "reply_to_id": quoted["id"], "temp_id": "once" });
    let first = post(&bob, &room, body()).await.expect(201);
    assert_eq!(first["reply_to"]["content"], "text before");
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    let path = format!("/conversations/{room}/messages/{}", text(&quoted["id"]));
    alice.patch(&path, json!({ "content": "text after" })).await.expect(200);
    let again = post(&bob, &room, body()).await.expect(200);
    assert_eq!((&again["id"], &again["reply_to"]["content"]), (&first["id"], &json!("")));
}

#[tokio::test]
async fn concurrent_sends_with_one_temp_id_over_rest_and_the_socket_store_one_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let mut socket = alice.connect().await;
    let mut messages: BTreeMap<String, Value> = BTreeMap::new();
    for round in 0..60 {
        let temp_id = format!("round-{round}");
        let payload = json!({ "conversation_id": room, "content": "hello", "temp_id": temp_id });
        let body = json!({ "content": "hello", "temp_id": temp_id });
        let (one, two, sent) = tokio::join!(
            post(&alice, &room, body.clone()),
            post(&alice, &room, body),
            socket.accepted("message.send", payload, "message.sent"),
        );
        for answer in [&one, &two] {
            assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
            assert_eq!(answer.body["id"], sent["message"]["id"]);
        }
        assert!(one.status == 200 || two.status == 200, "it was created once");
        messages.insert(temp_id, sent["message"].clone());
    }
    let history = alice.history(&room).await;
    let seqs: Vec<i64> = history.iter().map(|message| message["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=61).collect::<Vec<_>>(), "no gap and no repetition");
    for message in &history[1..] {
        assert_eq!(messages[message["temp_id"].as_str().unwrap()]["seq"], message["seq"]);
    }
}

#[tokio::test]
async fn many_concurrent_senders_leave_an_ordered_conversation_without_gaps() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let recorder = Recorder::default();
    let before = alice.conversation(&room).await;
    let mut tasks = Vec::new();
    for task in 0..16 {
        let (user, room, recorder) =
            (if task % 2 == 0 { &alice } else { &bob }.clone(), room.clone(), recorder.clone());
        tasks.push(tokio::spawn(async move {
            for number in 0..20 {
                let temp_id = format!("{task}-{number}");
                let send = recorder.add_send(&room, &user.id, &temp_id);
                let body = json!({ "content": "hello", "temp_id": temp_id });
                recorder.add_acknowledgement(send, &post(&user, &room, body).await.expect(201), None);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let after = alice.conversation(&room).await;
    let number = |value: &Value, name: &str| value[name].as_i64().unwrap();
    let rows: Vec<Row> = alice.history(&room).await.iter().skip(1).map(Row::from_message).collect();
    assert_eq!(rows.len(), 320);
    let conversation = Conversation {
        first_seq: number(&before, "last_seq"),
        first_rev: number(&after, "last_rev"),
        last_seq: number(&after, "last_seq"),
        last_rev: number(&after, "last_rev"),
        rows,
    };
    assert_eq!(number(&after, "last_rev") - number(&before, "last_rev"), 320);
    let mut history = recorder.history();
    // No session is connected, so there are no events to compare. The checker compares the order of the messages.
    history.conversations.insert(room, conversation);
    let found: Vec<_> = check(&history);
    assert_eq!(found, []);
}

#[tokio::test]
async fn a_reply_quotes_its_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let question = alice.send(&room, &"why? ".repeat(40)).await;
    let reply = post(&bob, &room, json!({ "content": "because", "reply_to_id": question["id"] })).await.expect(201);
    let quoted = &reply["reply_to"];
    assert_eq!(
        (&quoted["id"], &quoted["seq"], &quoted["sender_id"]),
        (&question["id"], &question["seq"], &json!(alice.id))
    );
    assert!(text(&quoted["content"]).chars().count() <= 100);

    let elsewhere = alice.group("elsewhere", &[]).await;
    let foreign = alice.send(&elsewhere, "secret").await;
    for target in [foreign["id"].clone(), json!("01890a5d-ac96-774b-bcce-b302099a8057")] {
        let refused = post(&bob, &room, json!({ "content": "hm", "reply_to_id": target })).await;
        assert!((400..500).contains(&refused.status), "{}", refused.body);
        assert!(!refused.body.to_string().contains("secret"));
    }
    post(&bob, &room, json!({ "content": "hm", "reply_to_id": "nonsense" })).await.invalid("reply_to_id");
}

#[tokio::test]
async fn a_sent_message_is_in_every_later_read() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    for number in 1..=50 {
        let message = alice.send(&direct, &format!("number {number}")).await;
        let newest = bob.get(&format!("/conversations/{direct}/messages?limit=1")).await.expect(200);
        assert_eq!(newest["items"][0]["id"], message["id"]);
        assert_eq!(bob.conversation(&direct).await["last_seq"], number);
        assert_eq!(bob.get("/conversations/unread-count").await.expect(200)["messages"], number);
    }
}

#[tokio::test]
async fn typed_data_has_the_fields_of_its_type() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let long = "x".repeat(4096);
    for (kind, data) in [
        ("sticker", json!({ "pack": "cats", "id": "7" })),
        ("location", json!({ "lat": -90, "lon": 180 })),
        ("location", json!({ "lat": 10.762_622, "lon": 106.660_172, "label": "Sài Gòn \\u0000" })),
        ("contact", json!({ "name": "Bob" })),
        ("contact", json!({ "name": "Bob", "phone": "+84 1", "email": "b@example.org", "user_id": bob.id })),
    ] {
        let sent = post(&alice, &room, json!({ "type": kind, "data": data })).await.expect(201);
        assert_eq!((&sent["type"], &sent["data"], &sent["content"]), (&json!(kind), &data, &json!("")));
        let read = bob.get(&format!("/messages/{}", text(&sent["id"]))).await.expect(200);
        assert_eq!((&read["type"], &read["data"]), (&json!(kind), &data));
    }
    for (kind, data) in [
        ("sticker", json!(null)),
        ("sticker", json!({ "pack": "cats" })),
        ("sticker", json!({ "pack": "cats", "id": 7 })),
        ("sticker", json!({ "pack": "cats", "id": " " })),
        ("sticker", json!({ "pack": "cats", "id": "nul\0" })),
        ("sticker", json!({ "pack": "cats", "id": "7", "url": "x" })),
        ("sticker", json!({ "pack": "cats", "id": long })),
        ("sticker", json!(["cats", "7"])),
        ("location", json!({ "lat": 90.000_001, "lon": 0 })),
        ("location", json!({ "lat": 0, "lon": -180.5 })),
        ("location", json!({ "lat": 0 })),
        ("location", json!({ "lat": "0", "lon": 0 })),
        ("location", json!({ "lat": 0, "lon": 0, "label": "" })),
        ("location", json!({ "lat": 0, "lon": 0, "altitude": 3 })),
        ("contact", json!({})),
        ("contact", json!({ "name": "Bob", "user_id": "bob" })),
        ("contact", json!({ "name": "Bob", "phone": 84 })),
        ("text", json!({})),
    ] {
        post(&alice, &room, json!({ "content": "x", "type": kind, "data": data })).await.invalid("data");
    }
    post(&alice, &room, json!({ "content": "x", "data": { "pack": "a", "id": "b" } })).await.invalid("data");
    for kind in ["system", "image", "mixed", "poll"] {
        post(&alice, &room, json!({ "content": "x", "type": kind })).await.invalid("type");
    }
}

#[tokio::test]
async fn the_answer_to_a_reaction_over_the_socket_names_the_action() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let message = alice.send(&room, "text").await;
    let mut socket = bob.connect().await;
    let payload = || json!({ "conversation_id": room, "message_id": message["id"], "emoji": "🎉" });
    for (kind, action) in [
        ("reaction.add", "added"),
        ("reaction.add", "unchanged"),
        ("reaction.remove", "removed"),
        ("reaction.remove", "unchanged"),
    ] {
        assert_eq!(socket.accepted(kind, payload(), "ack").await, json!({ "action": action }));
    }
    let events = [socket.expect("reaction.updated").await, socket.expect("reaction.updated").await];
    assert_eq!(events.map(|frame| frame["payload"]["action"].clone()), ["added", "removed"]);
    let mut wrong = payload();
    wrong["emoji"] = json!("not one");
    assert_eq!(socket.refused("reaction.add", wrong, "validation_failed").await["errors"][0]["field"], "emoji");
}
