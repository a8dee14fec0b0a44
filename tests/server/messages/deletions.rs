//! Deleting a message for everyone.

use serde_json::{Value, json};

use crate::support::rest::Answer;
use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

/// No other text of a test contains it.
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

async fn see(user: &TestUser, message: &Value) -> Value {
    user.get(&format!("/messages/{}", text(&message["id"]))).await.expect(200)
}

pub async fn last_rev(user: &TestUser, room: &str) -> i64 {
    user.conversation(room).await["last_rev"].as_i64().expect("last_rev")
}

pub fn seqs(items: &Value) -> Vec<i64> {
    items.as_array().expect("messages").iter().map(|message| message["seq"].as_i64().expect("a seq")).collect()
}

/// Every event of a conversation since its first.
async fn replay(user: &TestUser, room: &str) -> Vec<Value> {
    let mut socket = user.connect_unsubscribed().await;
    let id = socket.start("sync", json!({ "conversations": { room: 0 } }));
    let mut frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    frames.pop();
    // what is told of the moment, such as marks, may come in between
    frames.retain(|frame| frame["stream"] == "conversation");
    let revs: Vec<i64> = frames.iter().map(|frame| frame["rev"].as_i64().expect("a rev")).collect();
    assert_eq!(revs, (1..=last_rev(user, room).await).collect::<Vec<_>>(), "every revision, once, in order");
    frames
}

/// The names in a JSON value, however deep.
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
async fn a_deleted_message_keeps_its_place_and_nothing_else() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let message = alice.send(&room, "hello @bob").await;
    let reply = post(&bob, &room, json!({ "content": "yes?", "reply_to_id": message["id"] })).await;
    bob.put(&format!("{}/reactions/👍", path(&room, &message)), json!({})).await.expect(200);
    alice.put(&format!("{}/pin", path(&room, &message)), json!({})).await.expect(200);
    let full = see(&alice, &message).await;
    assert_eq!((&full["pinned"], &full["mentions"]), (&json!(true), &json!([bob.id])));
    assert_eq!(full["reactions"].as_array().map(Vec::len), Some(1));
    let before = last_rev(&alice, &room).await;
    let unread = alice.conversation(&room).await["unread_count"].clone();
    let mut sockets = [alice.connect().await, alice.login().await.connect().await, bob.connect().await];

    delete(&alice, &room, &message).await.expect(204);
    let told = json!({ "conversation_id": room, "message_id": message["id"], "seq": message["seq"] });
    for socket in &mut sockets {
        let frame = socket.expect("message.deleted").await;
        assert_eq!((&frame["stream"], &frame["rev"]), (&json!("conversation"), &json!(before + 1)));
        assert_eq!(frame["payload"], told);
    }
    for user in [&alice, &bob] {
        let gone = see(user, &message).await;
        for (field, expected) in [
            ("content", json!("")),
            ("data", json!(null)),
            ("mentions", json!([])),
            ("reactions", json!([])),
            ("pinned", json!(false)),
            ("seq", message["seq"].clone()),
            ("sender_id", json!(alice.id)),
        ] {
            assert_eq!(gone[field], expected, "{field}: {gone}");
        }
        assert!(gone["deleted_at"].is_string(), "{gone}");
        assert_eq!(user.history(&room).await[1]["deleted_at"], gone["deleted_at"]);
        assert_eq!(see(user, &reply).await["reply_to"]["content"], "");
        assert_eq!(see(user, &reply).await["reply_to"]["id"], message["id"], "what it answered is still told");
    }
    assert_eq!(alice.conversation(&room).await["unread_count"], unread, "it still counts");
    let pins = alice.get(&format!("/conversations/{room}/pins")).await.expect(200);
    assert_eq!(pins["items"], json!([]));

    delete(&alice, &room, &message).await.expect(204);
    let mut socket = alice.connect().await;
    let payload = json!({ "conversation_id": room, "message_id": message["id"] });
    assert_eq!(socket.accepted("message.delete", payload, "ack").await, json!({}));
    assert_eq!(last_rev(&alice, &room).await, before + 1, "told once");
}

#[tokio::test]
async fn the_newest_message_of_a_conversation_shows_that_it_is_gone() {
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
async fn no_row_and_no_replay_holds_a_byte_of_what_was_said() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let mut live = bob.connect().await;
    let place = json!({ "lat": 10.77, "lon": 106.7, "label": format!("at {SECRET}") });
    let body = json!({ "content": format!("{SECRET} @bob"), "type": "location", "data": place, "temp_id": "t" });
    let message = post(&alice, &room, body.clone()).await;
    for number in 0..3 {
        let content = json!({ "content": format!("{number} {SECRET} @bob https://example.org/{SECRET}") });
        alice.patch(&path(&room, &message), content).await.expect(200);
    }
    // more rows that quote it than one statement takes
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
    let told = before.iter().filter(|frame| frame.to_string().contains(SECRET)).count();
    assert_eq!(told, 1 + 3 + 300 + 1, "the message, its edits, its quotes, an edit of one");
    let stats = async || alice.get(&format!("/conversations/{room}/stats")).await.expect(200);
    eventually("all is counted", async || stats().await["messages"] == 301 && stats().await["links"] == 1).await;
    for table in ["messages", "message_edits", "message_links", "outbox"] {
        assert!(server.rows_with(SECRET).await.contains(&table.to_owned()), "the search would find it in {table}");
    }

    delete(&alice, &room, &message).await.expect(204);
    assert_eq!(server.rows_with(SECRET).await, Vec::<String>::new());
    assert_eq!(stats().await["links"], 0);
    live.expect("message.deleted").await;
    for user in [&alice, &bob] {
        let after = replay(user, &room).await;
        assert_eq!(after.len(), before.len() + 1);
        for (was, is) in before.iter().zip(&after) {
            assert!(!is.to_string().contains(SECRET), "{is}");
            assert_eq!(shape(is), shape(was), "a frame keeps its form");
            let shown = &is["payload"]["message"];
            if shown["id"] == message["id"] {
                assert!(shown["deleted_at"].is_string(), "{is}");
                assert_eq!((&shown["data"], &shown["mentions"]), (&json!(null), &json!([])));
            } else if was.to_string().contains(SECRET) {
                assert_eq!(
                    (&shown["content"], &shown["id"]),
                    (&was["payload"]["message"]["content"], &was["payload"]["message"]["id"])
                );
                assert_eq!((&shown["reply_to"]["content"], &shown["deleted_at"]), (&json!(""), &json!(null)));
            } else {
                assert_eq!(is, was, "all else stays");
            }
        }
        let answers = format!("{:?} {}", user.history(&room).await, user.conversation(&room).await);
        assert!(!answers.contains(SECRET));
    }
    let again = alice.post(&format!("/conversations/{room}/messages"), body).await.expect(200);
    assert_eq!((&again["id"], &again["content"]), (&message["id"], &json!("")));
    alice.send(&room, "https://example.org").await;
    eventually("what came after is counted", async || stats().await["messages"] == 302).await;
    assert_eq!(stats().await["links"], 1, "a link that went is taken away once");
}

#[tokio::test]
async fn a_quote_that_is_sent_while_its_message_goes_keeps_nothing() {
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

/// As many more rows of the log that show or quote a message as no test can send, in a stream that nobody follows.
async fn copy_rows(server: &TestServer, which: &str) {
    let copies = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO outbox (stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload, created_at)
        SELECT stream_kind, message_id, rev * 10000 + i, event_type, message_id, quoted_id, payload, created_at
        FROM outbox CROSS JOIN n WHERE {which}"
    );
    server.sql(&copies).await;
}

#[tokio::test]
async fn a_message_that_thousands_of_rows_show_is_deleted_all_the_same() {
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
    assert_eq!(see(&alice, &message).await["content"], "");
}

#[tokio::test]
async fn a_deletion_that_ends_halfway_leaves_the_message_in_the_log() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, SECRET).await;
    post(&alice, &room, json!({ "content": "re", "reply_to_id": message["id"] })).await;
    copy_rows(&server, "quoted_id IS NOT NULL").await;
    // the last of its transactions cannot be committed
    server.sql("ALTER TABLE notifications RENAME TO away").await;
    let refused = delete(&alice, &room, &message).await;
    assert!(refused.status >= 500, "{}", refused.body);
    assert!(server.rows_with(SECRET).await.len() < 2000, "quotes were taken out before");
    assert_eq!(see(&alice, &message).await["content"], SECRET);
    let told = replay(&alice, &room).await;
    let told = told.iter().find(|frame| frame["payload"]["message"]["id"] == message["id"]).expect("its event");
    assert_eq!(told["payload"]["message"]["content"], SECRET, "what stands is what a replay tells");
    server.sql("ALTER TABLE away RENAME TO notifications").await;
    delete(&alice, &room, &message).await.expect(204);
    assert_eq!(server.rows_with(SECRET).await, Vec::<String>::new());
}

#[tokio::test]
async fn authors_owners_and_admins_delete_for_everyone() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let dave = server.user("dave").await;
    let room = alice.group("room", &[&carol]).await;
    let added = json!({ "user_ids": ["bob"], "role": "admin" });
    alice.post(&format!("/conversations/{room}/members"), added).await.expect(200);
    let (first, second, third) =
        (alice.send(&room, "1").await, bob.send(&room, "2").await, carol.send(&room, "3").await);
    let rev = last_rev(&alice, &room).await;
    let told = alice.history(&room).await.remove(0);
    for (user, message) in [(&carol, &first), (&carol, &second), (&carol, &told), (&bob, &told), (&alice, &told)] {
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
        assert!(see(&alice, message).await["deleted_at"].is_string());
    }
    delete(&carol, &room, &first).await.refused(403, "forbidden");

    let direct = alice.direct(&bob).await;
    let (mine, yours) = (alice.send(&direct, "mine").await, bob.send(&direct, "yours").await);
    delete(&alice, &direct, &yours).await.refused(403, "forbidden");
    bob.post("/blocks", json!({ "user": "alice" })).await.expect(201);
    delete(&alice, &direct, &mine).await.expect(204);
}

#[tokio::test]
async fn what_cannot_be_deleted_is_told_by_its_code() {
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
    assert_eq!(see(&alice, &message).await["content"], "text");
}
