//! Edits of a message, and its former texts.

use serde_json::{Value, json};

use crate::support::database::runs_on_postgres;
use crate::support::rest::Answer;
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

fn path(room: &str, message: &Value) -> String {
    format!("/conversations/{room}/messages/{}", text(&message["id"]))
}

async fn edit(user: &TestUser, room: &str, message: &Value, content: &str) -> Answer {
    user.patch(&path(room, message), json!({ "content": content })).await
}

async fn get_message(user: &TestUser, message: &Value) -> Value {
    user.get(&format!("/messages/{}", text(&message["id"]))).await.expect(200)
}

async fn last_rev(user: &TestUser, room: &str) -> i64 {
    user.conversation(room).await["last_rev"].as_i64().expect("last_rev")
}

async fn former_texts(user: &TestUser, room: &str, message: &Value) -> Vec<String> {
    let page = user.get(&format!("{}/history", path(room, message))).await.expect(200);
    assert_eq!(page["next_cursor"], json!(null));
    page["items"].as_array().expect("items").iter().map(|item| text(&item["content"])).collect()
}

#[tokio::test]
async fn all_participants_get_an_edit_live_and_by_sync() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let message = alice.send(&room, "frist").await;
    let before = last_rev(&alice, &room).await;
    let mut sockets = [alice.connect().await, alice.login().await.connect().await, bob.connect().await];

    let edited = edit(&alice, &room, &message, "  first ").await.expect(200);
    assert_eq!((&edited["content"], &edited["status"]), (&json!("first"), &json!("sent")));
    assert!(edited["edited_at"].as_str() >= message["created_at"].as_str(), "{edited}");
    for field in ["id", "seq", "created_at", "temp_id", "sender", "type"] {
        assert_eq!(edited[field], message[field], "{field}");
    }
    let mut expected = edited.clone();
    expected.as_object_mut().unwrap().remove("status");
    let mut live = Vec::new();
    for socket in &mut sockets {
        let frame = socket.expect("message.edited").await;
        assert_eq!((&frame["stream"], &frame["rev"]), (&json!("conversation"), &json!(before + 1)));
        assert_eq!(frame["payload"], json!({ "conversation_id": room, "message": expected }));
        live.push(frame);
    }
    let mut later = bob.connect_unsubscribed().await;
    later.start("sync", json!({ "conversations": { &room: before } }));
    assert_eq!(later.expect("message.edited").await, live[0]);

    for user in [&alice, &bob] {
        assert_eq!(get_message(user, &message).await["content"], "first");
        assert_eq!(user.history(&room).await.last().unwrap()["edited_at"], edited["edited_at"]);
        assert_eq!(user.conversation(&room).await["last_message"]["content"], "first");
        assert_eq!(former_texts(user, &room, &message).await, ["frist"]);
    }
    assert_eq!(bob.conversation(&room).await["unread_count"], 1, "an edit is not a new message");
}

#[tokio::test]
async fn put_patch_and_the_socket_edit_a_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "one").await;
    alice.put(&path(&room, &message), json!({ "content": "two" })).await.expect(200);
    alice.patch(&path(&room, &message), json!({ "content": "three" })).await.expect(200);
    let mut socket = alice.connect().await;
    for content in ["four", "five", "six"] {
        let payload = json!({ "conversation_id": room, "message_id": message["id"], "content": content });
        socket.start("message.edit", payload);
    }
    for _ in 0..3 {
        assert_eq!(socket.expect("ack").await["payload"], json!({}));
    }
    assert_eq!(get_message(&alice, &message).await["content"], "six", "the commands of a lane run one after the other");
    assert_eq!(former_texts(&alice, &room, &message).await, ["one", "two", "three", "four", "five"]);
}

#[tokio::test]
async fn an_edit_with_the_same_text_changes_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "as it is").await;
    let before = last_rev(&alice, &room).await;
    let same = edit(&alice, &room, &message, " as it is\n").await.expect(200);
    assert_eq!((&same["edited_at"], &same["content"]), (&json!(null), &json!("as it is")));
    assert_eq!(last_rev(&alice, &room).await, before);
    assert_eq!(former_texts(&alice, &room, &message).await, Vec::<String>::new());
}

#[tokio::test]
async fn only_an_author_who_may_write_can_edit() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let room = alice.group("room", &[&bob]).await;
    let elsewhere = alice.group("elsewhere", &[&bob]).await;
    let message = bob.send(&room, "mine").await;
    let rev = last_rev(&alice, &room).await;

    edit(&alice, &room, &message, "yours").await.refused(403, "forbidden");
    let system = alice.history(&room).await.remove(0);
    assert_eq!(system["type"], "system");
    edit(&alice, &room, &system, "not so").await.refused(403, "forbidden");
    edit(&carol, &room, &message, "yours").await.refused(403, "not_a_participant");
    edit(&bob, &elsewhere, &message, "here?").await.refused(404, "not_found");
    let unknown = json!({ "id": "01890a5d-ac96-774b-bcce-b302099a8057" });
    edit(&bob, &room, &unknown, "what").await.refused(404, "not_found");
    edit(&bob, &text(&unknown["id"]), &message, "where").await.refused(404, "not_found");
    edit(&bob, &room, &json!({ "id": "nonsense" }), "what").await.refused(400, "invalid_request");
    let mut socket = alice.connect().await;
    let payload = json!({ "conversation_id": room, "message_id": message["id"], "content": "yours" });
    socket.refused("message.edit", payload, "forbidden").await;
    assert_eq!(last_rev(&alice, &room).await, rev, "a refused edit appends no event");

    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    edit(&bob, &room, &message, "too late").await.refused(403, "not_a_participant");
    assert_eq!(get_message(&alice, &message).await["content"], "mine");
}

#[tokio::test]
async fn an_edited_text_obeys_the_rules_of_a_new_text() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "text").await;
    for content in [json!(""), json!(" \n"), json!("x".repeat(10_001)), json!("nul\0"), json!(null), json!(5)] {
        alice.patch(&path(&room, &message), json!({ "content": content })).await.invalid("content");
    }
    alice.patch(&path(&room, &message), json!({})).await.invalid("content");
    let with_type = json!({ "content": "x", "type": "sticker" });
    alice.patch(&path(&room, &message), with_type).await.invalid("type");
    edit(&alice, &room, &message, &"𝕏".repeat(10_000)).await.expect(200);

    let sticker = json!({ "type": "sticker", "data": { "pack": "cats", "id": "7" }, "content": "look" });
    let sticker = alice.post(&format!("/conversations/{room}/messages"), sticker).await.expect(201);
    let bare = edit(&alice, &room, &sticker, "").await.expect(200);
    assert_eq!((&bare["content"], &bare["data"]), (&json!(""), &json!({ "pack": "cats", "id": "7" })));
    assert_eq!(former_texts(&alice, &room, &sticker).await, ["look"]);
}

#[tokio::test]
async fn a_deleted_message_cannot_be_edited() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "text").await;
    alice.delete(&path(&room, &message)).await.expect(204);
    edit(&alice, &room, &message, "back").await.refused(409, "conflict");
    edit(&alice, &room, &message, "").await.refused(409, "conflict");
}

#[tokio::test]
async fn a_blocked_or_suspended_author_cannot_edit() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let direct = alice.direct(&bob).await;
    let room = alice.group("room", &[&bob]).await;
    let (in_direct, in_room) = (bob.send(&direct, "direct").await, bob.send(&room, "group").await);
    alice.post("/blocks", json!({ "user": "bob" })).await.expect(201);
    edit(&bob, &direct, &in_direct, "again").await.refused(403, "blocked");
    edit(&bob, &room, &in_room, "again").await.expect(200);
    server.sql(&format!("UPDATE users SET status = 'suspended' WHERE id = {}", literal(&bob.id))).await;
    edit(&bob, &room, &in_room, "a third time").await.refused(403, "suspended");
    assert_eq!(get_message(&alice, &in_room).await["content"], "again");
}

/// Returns an id as a literal of SQL.
fn literal(id: &str) -> String {
    if runs_on_postgres() { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) }
}

#[tokio::test]
async fn an_archived_class_allows_no_edit_and_no_deletion_for_everyone() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "text").await;
    let (class, author, id) = (literal("01890a5d-ac96-774b-bcce-b302099a8057"), literal(&alice.id), literal(&room));
    let archive = format!(
        "INSERT INTO classes (id, name, code, code_key, archived_at, created_by, created_at, updated_at)
         VALUES ({class}, 'class', 'C', 'c', 1, {author}, 1, 1)"
    );
    server.sql(&archive).await;
    server.sql(&format!("UPDATE conversations SET kind = 'class', class_id = {class} WHERE id = {id}")).await;
    edit(&alice, &room, &message, "other").await.refused(403, "class_archived");
    alice.delete(&path(&room, &message)).await.refused(403, "class_archived");
    assert_eq!(get_message(&alice, &message).await["content"], "text");
    alice.delete(&format!("{}?for=me", path(&room, &message))).await.expect(204);
}

#[tokio::test]
async fn a_repeated_send_is_compared_with_the_text_before_the_edit() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let send = async |content: &str| {
        let body = json!({ "content": content, "temp_id": "once" });
        alice.post(&format!("/conversations/{room}/messages"), body).await
    };
    let message = send("first").await.expect(201);
    edit(&alice, &room, &message, "second").await.expect(200);
    let again = send("first").await.expect(200);
    assert_eq!((&again["id"], &again["content"]), (&message["id"], &json!("second")));
    send("second").await.refused(409, "temp_id_reused");
}

#[tokio::test]
async fn an_edit_changes_quotes_and_mentions() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let message = alice.send(&room, "hello").await;
    let body = json!({ "content": "yes", "reply_to_id": message["id"] });
    let reply = bob.post(&format!("/conversations/{room}/messages"), body).await.expect(201);
    let mentions = async || bob.get("/conversations/unread-count").await.expect(200)["mentions"].clone();
    assert_eq!(mentions().await, 0);
    let mut socket = bob.connect().await;
    let edited = edit(&alice, &room, &message, "hello @bob").await.expect(200);
    assert_eq!(edited["mentions"], json!([bob.id]));
    assert_eq!(socket.expect("message.edited").await["payload"]["message"]["mentions"], json!([bob.id]));
    assert_eq!(get_message(&bob, &reply).await["reply_to"]["content"], "hello @bob");
    let edited = edit(&alice, &room, &message, "hello").await.expect(200);
    assert_eq!(edited["mentions"], json!([]));
    assert_eq!(get_message(&bob, &message).await["mentions"], json!([]));
    assert_eq!(mentions().await, 0);
}

#[tokio::test]
async fn former_texts_are_listed_in_pages_for_users_who_can_see_the_message() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[]).await;
    let elsewhere = alice.group("elsewhere", &[]).await;
    let message = alice.send(&room, "text 0").await;
    for number in 1..=5 {
        edit(&alice, &room, &message, &format!("text {number}")).await.expect(200);
    }
    let history = format!("{}/history", path(&room, &message));
    let (mut texts, mut times, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = alice.get(&format!("{history}?limit=2{cursor}")).await.expect(200);
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item.as_object().unwrap().len(), 2, "{item}");
            texts.push(text(&item["content"]));
            times.push(text(&item["edited_at"]));
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(texts, ["text 0", "text 1", "text 2", "text 3", "text 4"]);
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(
        get_message(&alice, &message).await["edited_at"],
        times[4],
        "each text has the time at which it was replaced"
    );

    alice.get(&format!("{history}?cursor=nonsense")).await.refused(400, "invalid_request");
    alice.get(&format!("{history}?limit=0")).await.refused(400, "invalid_request");
    alice.get(&format!("{}/history", path(&elsewhere, &message))).await.refused(404, "not_found");
    bob.get(&history).await.refused(403, "not_a_participant");
    alice.delete(&path(&room, &message)).await.expect(204);
    assert_eq!(former_texts(&alice, &room, &message).await, Vec::<String>::new());
}
