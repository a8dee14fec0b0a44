//! Mentions: whom a text names, who is told, and `@all` (SPEC 5).

use serde_json::{Value, json};

use crate::support::database::runs_on_postgres;
use crate::support::user::text;
use crate::support::{TestServer, TestUser};
use crate::witness::Witness;

async fn mentions(user: &TestUser, room: &str, content: &str) -> Value {
    user.send(room, content).await["mentions"].clone()
}

/// How many unread messages mention the user.
async fn unread(user: &TestUser) -> i64 {
    user.get("/conversations/unread-count").await.expect(200)["mentions"].as_i64().unwrap()
}

async fn edit(user: &TestUser, room: &str, message: &Value, content: &str) -> Value {
    let path = format!("/conversations/{room}/messages/{}", text(&message["id"]));
    user.patch(&path, json!({ "content": content })).await.expect(200)["mentions"].clone()
}

async fn three(server: &TestServer) -> (TestUser, TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol.ann").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    (alice, bob, carol, room)
}

/// Everybody's ids but one's own, as `@all` stands in a message.
fn others(users: &[&TestUser]) -> Value {
    let mut ids: Vec<&str> = users.iter().map(|user| user.id.as_str()).collect();
    ids.sort_unstable();
    json!(ids)
}

#[tokio::test]
async fn a_mention_is_seen_live_after_sync_and_in_the_list() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let mut devices = [Witness::of(&alice).await, Witness::of(&bob).await, Witness::of(&carol).await];
    let sent = alice.send(&room, "hi @Carol.Ann, @bob and @bob!").await;
    assert_eq!(sent["mentions"], json!([carol.id, bob.id]), "in order of appearance, each once");
    for device in &mut devices {
        assert_eq!(device.sees("message.new").await["message"]["mentions"], sent["mentions"]);
    }
    assert_eq!(bob.history(&room).await.pop().unwrap()["mentions"], sent["mentions"]);
    let one = bob.get(&format!("/messages/{}", text(&sent["id"]))).await.expect(200);
    assert_eq!(one["mentions"], sent["mentions"]);
    for device in devices {
        assert_eq!(device.agrees_with_sync().await, 1);
    }
    let mut socket = bob.connect().await;
    assert_eq!(socket.say(&room, "and @alice").await["message"]["mentions"], json!([alice.id]));
}

#[tokio::test]
async fn only_names_of_participants_are_mentions() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    server.user("eve").await;
    for content in ["@eve", "@nobody", "mail a@bob", "é@bob", "@bobby", "@bob_", "@alice, that is me", "@", "@all"] {
        assert_eq!(
            mentions(&bob, &room, content).await.as_array().unwrap().len(),
            usize::from(content.contains("alice")),
            "{content}"
        );
    }
    assert_eq!(mentions(&alice, &room, "@alice myself").await, json!([]));
    assert_eq!(mentions(&alice, &room, "(@BOB), @bob").await, json!([bob.id]));
    assert_eq!(mentions(&alice, &room, "@bob.").await, json!([bob.id]));
    assert_eq!(mentions(&alice, &room, "@bob-like").await, json!([bob.id]));
    assert_eq!(mentions(&alice, &room, "@carol.ann-").await, json!([carol.id]));
    assert_eq!(mentions(&alice, &room, "@carol.anna @carol").await, json!([]));
    assert_eq!(mentions(&alice, &room, "@bob@carol.ann").await, json!([bob.id]));
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    assert_eq!(mentions(&alice, &room, "@bob is gone").await, json!([]));
}

#[tokio::test]
async fn the_longest_name_of_a_participant_is_meant() {
    let server = TestServer::start().await;
    let (alice, _, carol, room) = three(&server).await;
    let short = server.user("carol").await;
    assert_eq!(mentions(&alice, &room, "@carol.ann").await, json!([carol.id]));
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["carol"] })).await.expect(200);
    assert_eq!(mentions(&alice, &room, "@carol.ann.x @carol.x").await, json!([carol.id, short.id]));
    alice.delete(&format!("/conversations/{room}/members/carol.ann")).await.expect(204);
    assert_eq!(mentions(&alice, &room, "@carol.ann").await, json!([short.id]));
}

#[tokio::test]
async fn unread_mentions_are_counted_until_they_are_read() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let direct = alice.direct(&bob).await;
    let first = alice.send(&room, "@bob").await;
    alice.send(&room, "nobody").await;
    let last = alice.send(&room, "@bob @carol.ann").await;
    alice.send(&direct, "@bob").await;
    assert_eq!((unread(&alice).await, unread(&bob).await, unread(&carol).await), (0, 3, 1));
    let mut socket = bob.connect().await;
    bob.post(&format!("/conversations/{room}/read"), json!({ "seq": first["seq"] })).await.expect(200);
    assert_eq!(socket.expect("unread").await["payload"]["mentions"], 2);
    assert_eq!(unread(&bob).await, 2);
    alice.delete(&format!("/conversations/{room}/messages/{}", text(&last["id"]))).await.expect(204);
    assert_eq!((unread(&bob).await, unread(&carol).await), (1, 0), "a deleted message mentions nobody");
    bob.post(&format!("/conversations/{direct}/read"), json!({})).await.expect(200);
    assert_eq!(unread(&bob).await, 0);
}

#[tokio::test]
async fn all_is_for_owners_and_admins_and_once_a_minute() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    assert_eq!(mentions(&bob, &room, "@all from a member").await, json!([]));
    alice.put(&format!("/conversations/{room}/members/bob/role"), json!({ "role": "admin" })).await.expect(200);
    let sent = bob.send(&room, "hi @ALL, and @carol.ann first").await;
    let mut expected = vec![carol.id.clone()];
    expected.push(alice.id.clone());
    assert_eq!(sent["mentions"], json!(expected), "those named, then the others");
    assert_eq!((unread(&alice).await, unread(&carol).await), (1, 1));
    assert_eq!(mentions(&alice, &room, "@all too soon, but @bob").await, json!([bob.id]));
    let listed = alice.history(&room).await.into_iter().find(|message| message["id"] == sent["id"]).unwrap();
    assert_eq!(listed["mentions"], sent["mentions"]);

    let elsewhere = alice.group("elsewhere", &[&bob]).await;
    assert_eq!(mentions(&alice, &elsewhere, "@all").await, json!([bob.id]), "each conversation has its own minute");
    let id = if runs_on_postgres() { format!("'{room}'") } else { format!("x'{}'", room.replace('-', "")) };
    server.sql(&format!("UPDATE conversations SET all_mentioned_at = all_mentioned_at - 60000 WHERE id = {id}")).await;
    assert_eq!(mentions(&alice, &room, "@all again").await, others(&[&bob, &carol]));
    assert_eq!(mentions(&alice, &room, "@all too soon again").await, json!([]));

    let direct = alice.direct(&bob).await;
    assert_eq!(mentions(&alice, &direct, "@all @bob").await, json!([bob.id]));
    assert_eq!(mentions(&alice, &direct, "@all").await, json!([]));
}

#[tokio::test]
async fn of_many_at_once_one_mentions_all() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let mut socket = alice.connect().await;
    let ids: Vec<String> = (0..20)
        .map(|number| {
            let content = format!("@all {number}");
            socket.start("message.send", json!({ "conversation_id": room, "content": content }))
        })
        .collect();
    let mut effective = 0;
    for id in ids {
        let sent = socket.wait_for("message.sent", |frame| frame["id"] == id.as_str()).await;
        let mentioned = &sent["payload"]["message"]["mentions"];
        effective += usize::from(*mentioned == others(&[&bob, &carol]));
        assert!(mentioned.as_array().unwrap().is_empty() || effective == 1, "{sent}");
    }
    assert_eq!(effective, 1);
    assert_eq!(unread(&bob).await, 1);
}

#[tokio::test]
async fn a_repetition_mentions_nobody_again() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let path = format!("/conversations/{room}/messages");
    let body = json!({ "content": "@all", "temp_id": "once" });
    let sent = alice.post(&path, body.clone()).await.expect(201);
    let again = alice.post(&path, body).await.expect(200);
    assert_eq!((&again["id"], &again["mentions"]), (&sent["id"], &others(&[&bob, &carol])));
    assert_eq!(unread(&bob).await, 1);
    alice.post(&path, json!({ "content": "@all @bob", "temp_id": "once" })).await.refused(409, "temp_id_reused");
}

#[tokio::test]
async fn an_edit_mentions_whom_the_new_text_names() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let message = alice.send(&room, "hi @bob").await;
    let mut devices = [Witness::of(&alice).await, Witness::of(&carol).await];
    assert_eq!(edit(&alice, &room, &message, "hi @carol.ann").await, json!([carol.id]));
    for device in &mut devices {
        assert_eq!(device.sees("message.edited").await["message"]["mentions"], json!([carol.id]));
    }
    assert_eq!((unread(&bob).await, unread(&carol).await), (0, 1));
    assert_eq!(edit(&alice, &room, &message, "hi @carol.ann and @bob").await, json!([carol.id, bob.id]));
    assert_eq!(edit(&alice, &room, &message, "nobody").await, json!([]));
    assert_eq!((unread(&bob).await, unread(&carol).await), (0, 0));
    for device in devices {
        assert_eq!(device.agrees_with_sync().await, 3);
    }
}

#[tokio::test]
async fn an_edit_adds_no_all_and_keeps_the_one_that_was_there() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let plain = alice.send(&room, "hi").await;
    assert_eq!(edit(&alice, &room, &plain, "hi @all").await, json!([]));
    let message = alice.send(&room, "hi @all").await;
    assert_eq!(message["mentions"], others(&[&bob, &carol]));
    server.user("dave").await;
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["dave"] })).await.expect(200);
    assert_eq!(edit(&alice, &room, &message, "hello @all").await, others(&[&bob, &carol]), "and nobody new");
    assert_eq!(edit(&alice, &room, &message, "@carol.ann @all").await, json!([carol.id, bob.id]));
    assert_eq!(edit(&alice, &room, &message, "hello").await, json!([]));
    assert_eq!(edit(&alice, &room, &message, "hello @all").await, json!([]), "what is gone does not come back");
    assert_eq!((unread(&bob).await, unread(&carol).await), (0, 0));
}
