//! Deletion of a message for everyone: what remains of it, and who can delete it.

use serde_json::{Value, json};

use crate::support::rest::Answer;
use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

/// A text that occurs nowhere else in the database.
const SECRET: &str = "xyzzy-marker-plugh";

pub fn path(room: &str, message: &Value) -> String {
    format!("/conversations/{room}/messages/{}", text(&message["id"]))
}

async fn delete(user: &TestUser, room: &str, message: &Value) -> Answer {
    user.delete(&path(room, message)).await
}

pub async fn hide(user: &TestUser, room: &str, message: &Value) -> Answer {
    user.delete(&format!("{}?for=me", path(room, message))).await
}

async fn post(user: &TestUser, room: &str, body: Value) -> Value {
    user.post(&format!("/conversations/{room}/messages"), body).await.expect(201)
}

async fn get_message(user: &TestUser, message: &Value) -> Value {
    user.get(&format!("/messages/{}", text(&message["id"]))).await.expect(200)
}

pub async fn last_rev(user: &TestUser, room: &str) -> i64 {
    user.conversation(room).await["last_rev"].as_i64().expect("last_rev")
}

pub fn seqs(items: &Value) -> Vec<i64> {
    items.as_array().expect("messages").iter().map(|message| message["seq"].as_i64().expect("a seq")).collect()
}

/// Returns all events of a conversation, from the first on, as a sync replays them.
async fn replay(user: &TestUser, room: &str) -> Vec<Value> {
    let mut socket = user.connect_unsubscribed().await;
    let id = socket.start("sync", json!({ "conversations": { room: 0 } }));
    let mut frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    frames.pop();
    // Ephemeral frames, such as marks, may come in between.
    frames.retain(|frame| frame["stream"] == "conversation");
    let revs: Vec<i64> = frames.iter().map(|frame| frame["rev"].as_i64().expect("a rev")).collect();
    assert_eq!(revs, (1..=last_rev(user, room).await).collect::<Vec<_>>(), "each revision once, in order");
    frames
}

/// Returns the names of the fields in a JSON value, at all depths, without the values that a deletion changes.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let known = |name: &String| !["reactions", "mentions", "data", "deleted_at"].contains(&name.as_str());
            let part =
                |(name, value): (&String, &Value)| (name.clone(), if known(name) { shape(value) } else { Value::Null });
            Value::Object(fields.iter().map(part).collect())
        }
        _ => Value::Null,
    }
}

#[tokio::test]
async fn a_deleted_message_keeps_its_seq_and_loses_its_content() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let message = alice.send(&room, "hello @bob").await;
    let reply = post(&bob, &room, json!({ "content": "yes?", "reply_to_id": message["id"] })).await;
    bob.put(&format!("{}/reactions/👍", path(&room, &message)), json!({})).await.expect(200);
    alice.put(&format!("{}/pin", path(&room, &message)), json!({})).await.expect(200);
    let full = get_message(&alice, &message).await;
    assert_eq!((&full["pinned"], &full["mentions"]), (&json!(true), &json!([bob.id])));
    assert_eq!(full["reactions"].as_array().map(Vec::len), Some(1));
    let before = last_rev(&alice, &room).await;
    let unread = alice.conversation(&room).await["unread_count"].clone();
    let mut sockets = [alice.connect().await, alice.login().await.connect().await, bob.connect().await];

    delete(&alice, &room, &message).await.expect(204);
    let expected_payload = json!({ "conversation_id": room, "message_id": message["id"], "seq": message["seq"] });
    for socket in &mut sockets {
        let frame = socket.expect("message.deleted").await;
        assert_eq!((&frame["stream"], &frame["rev"]), (&json!("conversation"), &json!(before + 1)));
        assert_eq!(frame["payload"], expected_payload);
    }
    for user in [&alice, &bob] {
        let deleted = get_message(user, &message).await;
        for (field, expected) in [
            ("content", json!("")),
            ("data", json!(null)),
            ("mentions", json!([])),
            ("reactions", json!([])),
            ("pinned", json!(false)),
            ("seq", message["seq"].clone()),
            ("sender_id", json!(alice.id)),
        ] {
            assert_eq!(deleted[field], expected, "{field}: {deleted}");
        }
        assert!(deleted["deleted_at"].is_string(), "{deleted}");
        assert_eq!(user.history(&room).await[1]["deleted_at"], deleted["deleted_at"]);
        assert_eq!(get_message(user, &reply).await["reply_to"]["content"], "");
        assert_eq!(get_message(user, &reply).await["reply_to"]["id"], message["id"], "the quote keeps the id");
    }
    assert_eq!(alice.conversation(&room).await["unread_count"], unread, "a deleted message still counts");
    let pins = alice.get(&format!("/conversations/{room}/pins")).await.expect(200);
    assert_eq!(pins["items"], json!([]));

    delete(&alice, &room, &message).await.expect(204);
    let mut socket = alice.connect().await;
    let payload = json!({ "conversation_id": room, "message_id": message["id"] });
    assert_eq!(socket.accepted("message.delete", payload, "ack").await, json!({}));
    assert_eq!(last_rev(&alice, &room).await, before + 1, "a repeated deletion appends no event");
}

#[tokio::test]
async fn the_last_message_of_a_conversation_can_be_a_deleted_one() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let message = alice.send(&room, "hello").await;
    delete(&alice, &room, &message).await.expect(204);
    for user in [&alice, &bob] {
        let last = user.conversation(&room).await["last_message"].clone();
        assert_eq!((&last["id"], &last["content"]), (&message["id"], &json!("")));
    }
    assert_eq!(bob.conversation(&room).await["unread_count"], 1);
}

#[tokio::test]
async fn no_row_and_no_replay_contains_a_deleted_text() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let mut live = bob.connect().await;
    let location = json!({ "lat": 10.77, "lon": 106.7, "label": format!("at {SECRET}") });
    let body = json!({ "content": format!("{SECRET} @bob"), "type": "location", "data": location, "temp_id": "t" });
    let message = post(&alice, &room, body.clone()).await;
    for number in 0..3 {
        let content = json!({ "content": format!("{number} {SECRET} @bob https://example.org/{SECRET}") });
        alice.patch(&path(&room, &message), content).await.expect(200);
    }
    // More rows quote the message than one statement changes.
    let mut socket = bob.connect().await;
    for number in 0..300 {
        let payload =
            json!({ "conversation_id": room, "content": format!("re {number}"), "reply_to_id": message["id"] });
        socket.start("message.send", payload);
    }
    let mut reply = Value::Null;
    for _ in 0..300 {
        reply = socket.expect("message.sent").await["payload"]["message"].clone();
    }
    bob.patch(&path(&room, &reply), json!({ "content": "re edited" })).await.expect(200);
    hide(&bob, &room, &message).await.expect(204);
    let before = replay(&bob, &room).await;
    let with_secret = before.iter().filter(|frame| frame.to_string().contains(SECRET)).count();
    assert_eq!(with_secret, 1 + 3 + 300 + 1, "the message, its edits, its quotes, an edit of one");
    let stats = async || alice.get(&format!("/conversations/{room}/stats")).await.expect(200);
    eventually("all messages and links are counted", async || {
        stats().await["messages"] == 301 && stats().await["links"] == 1
    })
    .await;
    for table in ["messages", "message_edits", "message_links", "outbox"] {
        assert!(
            server.rows_with(SECRET).await.contains(&table.to_owned()),
            "{table} contains the text before the deletion"
        );
    }

    delete(&alice, &room, &message).await.expect(204);
    assert_eq!(server.rows_with(SECRET).await, Vec::<String>::new());
    assert_eq!(stats().await["links"], 0);
    live.expect("message.deleted").await;
    for user in [&alice, &bob] {
        let after = replay(user, &room).await;
        assert_eq!(after.len(), before.len() + 1);
        for (old, new) in before.iter().zip(&after) {
            assert!(!new.to_string().contains(SECRET), "{new}");
            assert_eq!(shape(new), shape(old), "a frame keeps its form");
            let shown = &new["payload"]["message"];
            if shown["id"] == message["id"] {
                assert!(shown["deleted_at"].is_string(), "{new}");
                assert_eq!((&shown["data"], &shown["mentions"]), (&json!(null), &json!([])));
            } else if old.to_string().contains(SECRET) {
                assert_eq!(
                    (&shown["content"], &shown["id"]),
                    (&old["payload"]["message"]["content"], &old["payload"]["message"]["id"])
                );
                assert_eq!((&shown["reply_to"]["content"], &shown["deleted_at"]), (&json!(""), &json!(null)));
            } else {
                assert_eq!(new, old, "other frames do not change");
            }
        }
        let answers = format!("{:?} {}", user.history(&room).await, user.conversation(&room).await);
        assert!(!answers.contains(SECRET));
    }
    let again = alice.post(&format!("/conversations/{room}/messages"), body).await.expect(200);
    assert_eq!((&again["id"], &again["content"]), (&message["id"], &json!("")));
    alice.send(&room, "https://example.org").await;
    eventually("the later message is counted", async || stats().await["messages"] == 302).await;
    assert_eq!(stats().await["links"], 1, "the deleted link is subtracted once");
}

#[tokio::test]
async fn a_quote_that_is_sent_while_its_message_is_deleted_keeps_no_text() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let mut socket = bob.connect().await;
    for round in 0..40 {
        let message = alice.send(&room, &format!("{SECRET} {round}")).await;
        let payload = json!({ "conversation_id": room, "content": "re", "reply_to_id": message["id"] });
        let sends: Vec<String> = (0..3).map(|_| socket.start("message.send", payload.clone())).collect();
        delete(&alice, &room, &message).await.expect(204);
        for id in sends {
            let answer = socket.wait_for("message.sent", |frame| frame["id"] == id.as_str()).await;
            assert_eq!(answer["type"], "message.sent", "{answer}");
        }
    }
    assert_eq!(server.rows_with(SECRET).await, Vec::<String>::new());
    assert!(!format!("{:?}", replay(&bob, &room).await).contains(SECRET));
}

/// Copies the log rows that meet a condition 5,000 times, more than a test can send, into streams without subscribers.
async fn copy_rows(server: &TestServer, condition: &str) {
    let copies = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO outbox (stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload, created_at)
        SELECT stream_kind, message_id, rev * 10000 + i, event_type, message_id, quoted_id, payload, created_at
        FROM outbox CROSS JOIN n WHERE {condition}"
    );
    server.sql(&copies).await;
}

#[tokio::test]
async fn a_message_in_thousands_of_log_rows_is_deleted() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, SECRET).await;
    post(&alice, &room, json!({ "content": "re", "reply_to_id": message["id"] })).await;
    alice.patch(&path(&room, &message), json!({ "content": format!("{SECRET} too") })).await.expect(200);
    copy_rows(&server, "quoted_id IS NOT NULL OR event_type = 'message.edited'").await;
    assert_eq!(
        server.rows_with(SECRET).await.len(),
        2 + 1 + 2 * 5001,
        "the message and its former text, its event, a quote and an edit with their copies"
    );
    delete(&alice, &room, &message).await.expect(204);
    assert_eq!(server.rows_with(SECRET).await, Vec::<String>::new());
    assert_eq!(get_message(&alice, &message).await["content"], "");
}

#[tokio::test]
async fn a_deletion_that_fails_halfway_leaves_the_message_in_the_log() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, SECRET).await;
    post(&alice, &room, json!({ "content": "re", "reply_to_id": message["id"] })).await;
    copy_rows(&server, "quoted_id IS NOT NULL").await;
    // Without this table the last transaction of the deletion fails.
    server.sql("ALTER TABLE notifications RENAME TO away").await;
    let refused = delete(&alice, &room, &message).await;
    assert!(refused.status >= 500, "{}", refused.body);
    assert!(server.rows_with(SECRET).await.len() < 2000, "some quotes are redacted before the failure");
    assert_eq!(get_message(&alice, &message).await["content"], SECRET);
    let events = replay(&alice, &room).await;
    let event = events.iter().find(|frame| frame["payload"]["message"]["id"] == message["id"]).expect("its event");
    assert_eq!(event["payload"]["message"]["content"], SECRET, "the replay has the text that is stored");
    server.sql("ALTER TABLE away RENAME TO notifications").await;
    delete(&alice, &room, &message).await.expect(204);
    assert_eq!(server.rows_with(SECRET).await, Vec::<String>::new());
}

#[tokio::test]
async fn authors_owners_and_admins_can_delete_for_everyone() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let dave = server.user("dave").await;
    let room = alice.group("room", &[&carol]).await;
    let added = json!({ "user_ids": ["bob"], "role": "admin" });
    alice.post(&format!("/conversations/{room}/members"), added).await.expect(200);
    let (first, second, third) =
        (alice.send(&room, "1").await, bob.send(&room, "2").await, carol.send(&room, "3").await);
    let rev = last_rev(&alice, &room).await;
    let system = alice.history(&room).await.remove(0);
    for (user, message) in [(&carol, &first), (&carol, &second), (&carol, &system), (&bob, &system), (&alice, &system)]
    {
        delete(user, &room, message).await.refused(403, "forbidden");
    }
    delete(&dave, &room, &first).await.refused(403, "not_a_participant");
    hide(&dave, &room, &first).await.refused(403, "not_a_participant");
    let mut socket = carol.connect().await;
    let payload = json!({ "conversation_id": room, "message_id": first["id"], "for": "everyone" });
    socket.refused("message.delete", payload, "forbidden").await;
    assert_eq!(last_rev(&alice, &room).await, rev);
    for (user, message) in [(&bob, &first), (&alice, &second), (&carol, &third)] {
        delete(user, &room, message).await.expect(204);
        assert!(get_message(&alice, message).await["deleted_at"].is_string());
    }
    delete(&carol, &room, &first).await.refused(403, "forbidden");

    let direct = alice.direct(&bob).await;
    let (mine, yours) = (alice.send(&direct, "mine").await, bob.send(&direct, "yours").await);
    delete(&alice, &direct, &yours).await.refused(403, "forbidden");
    bob.post("/blocks", json!({ "user": "alice" })).await.expect(201);
    delete(&alice, &direct, &mine).await.expect(204);
}

#[tokio::test]
async fn a_refused_deletion_has_the_code_of_its_reason() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let elsewhere = alice.group("elsewhere", &[]).await;
    let message = alice.send(&room, "text").await;
    let unknown = json!({ "id": "01890a5d-ac96-774b-bcce-b302099a8057" });
    for audience in ["everyone", "me"] {
        let query = format!("?for={audience}");
        alice.delete(&format!("{}{query}", path(&elsewhere, &message))).await.refused(404, "not_found");
        alice.delete(&format!("{}{query}", path(&room, &unknown))).await.refused(404, "not_found");
        alice.delete(&format!("{}{query}", path(&text(&unknown["id"]), &message))).await.refused(404, "not_found");
    }
    for query in ["?for=nobody", "?for=", "?for=Me", "?whom=me", "?for=me&for=me"] {
        alice.delete(&format!("{}{query}", path(&room, &message))).await.refused(400, "invalid_request");
    }
    let mut socket = alice.connect().await;
    let payload = json!({ "conversation_id": room, "message_id": message["id"], "for": "nobody" });
    let error = socket.refused("message.delete", payload, "validation_failed").await;
    assert_eq!(error["errors"][0]["field"], "for");
    assert_eq!(get_message(&alice, &message).await["content"], "text");
}
