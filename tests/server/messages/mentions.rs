//! Mentions: whom a text names, who is told, and `@all`.

use serde_json::{Value, json};

use crate::live_and_replayed::Witness;
use crate::support::database::runs_on_postgres;
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

async fn mentions(user: &TestUser, room: &str, content: &str) -> Value {
    user.send(room, content).await["mentions"].clone()
}

/// How many unread messages mention the user.
async fn unread(user: &TestUser) -> i64 {
    user.get("/conversations/unread-count").await.expect(200)["mentions"].as_i64().unwrap()
}

async fn edit(user: &TestUser, room: &str, message: &Value, content: &str) -> (Value, Value) {
    let path = format!("/conversations/{room}/messages/{}", text(&message["id"]));
    meant(&user.patch(&path, json!({ "content": content })).await.expect(200))
}

async fn three(server: &TestServer) -> (TestUser, TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol.ann").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    (alice, bob, carol, room)
}

/// Whom a message names, and whether it mentions everybody.
fn meant(message: &Value) -> (Value, Value) {
    (message["mentions"].clone(), message["mentions_all"].clone())
}

/// [`meant`] of a text that is sent.
async fn send(user: &TestUser, room: &str, content: &str) -> (Value, Value) {
    meant(&user.send(room, content).await)
}

/// Names these, and not everybody.
fn only(users: &[&TestUser]) -> (Value, Value) {
    (json!(users.iter().map(|user| user.id.as_str()).collect::<Vec<_>>()), json!(false))
}

/// Mentions everybody, and names these.
fn all_and(users: &[&TestUser]) -> (Value, Value) {
    (only(users).0, json!(true))
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
    for content in ["@eve", "@nobody", "mail a@bob", "@bobby", "@bob_", "@alice, that is me", "@", "@all"] {
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
async fn a_mention_may_stand_after_any_script_and_not_in_an_address_or_code() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = three(&server).await;
    for content in
        ["你好@bob", "สวัสดี@bob", "é@bob", "＠bob", "你好＠BOB。", "👍@bob", "https://medium.com @bob", "it`s @bob"]
    {
        assert_eq!(send(&alice, &room, content).await, only(&[&bob]), "{content}");
    }
    for content in [
        "https://medium.com/@bob/post",
        "看https://medium.com/@bob/post",
        "www.medium.com/@bob",
        "mail me: x@bob 5@bob _@bob .@bob +@bob -@bob x＠bob",
        "`@bob`",
        "```\n@bob\n\n@bob\n```",
    ] {
        assert_eq!(send(&alice, &room, content).await, only(&[]), "{content}");
    }
    assert_eq!(unread(&bob).await, 8);
    assert_eq!(send(&alice, &room, "`@all` https://a.example/@all").await, only(&[]));
    assert_eq!(send(&alice, &room, "大家＠all").await, all_and(&[]));
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
    assert_eq!(send(&bob, &room, "@all from a member").await, only(&[]));
    alice.put(&format!("/conversations/{room}/members/bob/role"), json!({ "role": "admin" })).await.expect(200);
    let sent = bob.send(&room, "hi @ALL, and @carol.ann first").await;
    assert_eq!(meant(&sent), all_and(&[&carol]));
    assert_eq!((unread(&alice).await, unread(&bob).await, unread(&carol).await), (1, 0, 1), "once a message");
    assert_eq!(send(&alice, &room, "@all too soon, but @bob").await, only(&[&bob]));
    let listed = alice.history(&room).await.into_iter().find(|message| message["id"] == sent["id"]).unwrap();
    assert_eq!(meant(&listed), meant(&sent));

    let elsewhere = alice.group("elsewhere", &[&bob]).await;
    assert_eq!(send(&alice, &elsewhere, "@all").await, all_and(&[]), "each conversation has its own minute");
    let id = if runs_on_postgres() { format!("'{room}'") } else { format!("x'{}'", room.replace('-', "")) };
    server.sql(&format!("UPDATE conversations SET all_mentioned_at = all_mentioned_at - 60000 WHERE id = {id}")).await;
    assert_eq!(send(&alice, &room, "@all again").await, all_and(&[]));
    assert_eq!(send(&alice, &room, "@all too soon again").await, only(&[]));

    let direct = alice.direct(&bob).await;
    assert_eq!(send(&alice, &direct, "@all @bob").await, only(&[&bob]));
    assert_eq!(send(&alice, &direct, "@all").await, only(&[]));
}

#[tokio::test]
async fn a_mention_of_all_is_a_flag_in_frames_and_counts_for_whoever_was_there() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let mut devices = [Witness::of(&alice).await, Witness::of(&bob).await];
    let sent = alice.send(&room, "@all").await;
    for device in &mut devices {
        assert_eq!(meant(&device.sees("message.new").await["message"]), all_and(&[]));
    }
    for device in devices {
        assert_eq!(device.agrees_with_sync().await, 1);
    }
    let dave = server.user("dave").await;
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["dave"] })).await.expect(200);
    assert_eq!((unread(&alice).await, unread(&bob).await, unread(&dave).await), (0, 1, 0));
    bob.post(&format!("/conversations/{room}/mute"), json!({})).await.expect(200);
    assert_eq!(unread(&bob).await, 1, "mentions count everywhere");
    let path = format!("/conversations/{room}/messages/{}", text(&sent["id"]));
    bob.delete(&format!("{path}?for=me")).await.expect(204);
    assert_eq!((unread(&bob).await, unread(&carol).await), (0, 1), "what one has hidden does not");
    carol.post(&format!("/conversations/{room}/read"), json!({ "seq": sent["seq"] })).await.expect(200);
    assert_eq!(unread(&carol).await, 0);

    alice.delete(&path).await.expect(204);
    let gone = alice.get(&format!("/messages/{}", text(&sent["id"]))).await.expect(200);
    assert_eq!(meant(&gone), only(&[]));
    let mut late = carol.connect_unsubscribed().await;
    late.start("sync", json!({ "conversations": { &room: 1 } }));
    assert_eq!(meant(&late.expect("message.new").await["payload"]["message"]), only(&[]), "nor in the log");
}

#[tokio::test]
async fn of_many_at_once_one_mentions_all() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = three(&server).await;
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
        effective += usize::from(sent["payload"]["message"]["mentions_all"] == true);
    }
    assert_eq!(effective, 1);
    assert_eq!(unread(&bob).await, 1);
}

#[tokio::test]
async fn a_repetition_mentions_nobody_again() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = three(&server).await;
    let path = format!("/conversations/{room}/messages");
    let body = json!({ "content": "@all", "temp_id": "once" });
    let sent = alice.post(&path, body.clone()).await.expect(201);
    let again = alice.post(&path, body).await.expect(200);
    assert_eq!((&again["id"], meant(&again)), (&sent["id"], all_and(&[])));
    assert_eq!(unread(&bob).await, 1);
    alice.post(&path, json!({ "content": "@all @bob", "temp_id": "once" })).await.refused(409, "temp_id_reused");
}

#[tokio::test]
async fn an_edit_mentions_whom_the_new_text_names() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let message = alice.send(&room, "hi @bob").await;
    let mut devices = [Witness::of(&alice).await, Witness::of(&carol).await];
    assert_eq!(edit(&alice, &room, &message, "hi @carol.ann").await, only(&[&carol]));
    for device in &mut devices {
        assert_eq!(meant(&device.sees("message.edited").await["message"]), only(&[&carol]));
    }
    assert_eq!((unread(&bob).await, unread(&carol).await), (0, 1));
    assert_eq!(edit(&alice, &room, &message, "hi @carol.ann and @bob").await, only(&[&carol, &bob]));
    assert_eq!(edit(&alice, &room, &message, "nobody").await, only(&[]));
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
    assert_eq!(edit(&alice, &room, &plain, "hi @all").await, only(&[]));
    let message = alice.send(&room, "hi @all").await;
    assert_eq!(meant(&message), all_and(&[]));
    assert_eq!(edit(&alice, &room, &message, "hello @all").await, all_and(&[]));
    assert_eq!(edit(&alice, &room, &message, "@carol.ann @all").await, all_and(&[&carol]));
    assert_eq!((unread(&bob).await, unread(&carol).await), (1, 1));
    assert_eq!(edit(&alice, &room, &message, "hello").await, only(&[]));
    assert_eq!(edit(&alice, &room, &message, "hello @all").await, only(&[]), "what is gone does not come back");
    assert_eq!((unread(&bob).await, unread(&carol).await), (0, 0));
}
