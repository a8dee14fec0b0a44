//! Mentions: the participants whom a text mentions, their unread mentions, and `@all`.

use serde_json::{Value, json};

use crate::live_and_replayed::LiveSession;
use crate::support::database::runs_on_postgres;
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

/// Sends a text and returns the ids of the mentioned users.
async fn send_and_get_mentions(user: &TestUser, room: &str, content: &str) -> Value {
    user.send(room, content).await["mentions"].clone()
}

/// Returns the number of unread messages that mention the user.
async fn unread_mentions(user: &TestUser) -> i64 {
    user.get("/conversations/unread-count").await.expect(200)["mentions"].as_i64().unwrap()
}

async fn edit(user: &TestUser, room: &str, message: &Value, content: &str) -> (Value, Value) {
    let path = format!("/conversations/{room}/messages/{}", text(&message["id"]));
    mentions_of(&user.patch(&path, json!({ "content": content })).await.expect(200))
}

async fn group_of_three(server: &TestServer) -> (TestUser, TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol.ann").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    (alice, bob, carol, room)
}

/// Returns the ids of the users whom a message mentions, and whether it mentions all participants.
fn mentions_of(message: &Value) -> (Value, Value) {
    (message["mentions"].clone(), message["mentions_all"].clone())
}

/// Sends a text and returns [`mentions_of`] the message.
async fn send(user: &TestUser, room: &str, content: &str) -> (Value, Value) {
    mentions_of(&user.send(room, content).await)
}

/// The mentions of a message that mentions these users, and not all.
fn only(users: &[&TestUser]) -> (Value, Value) {
    (json!(users.iter().map(|user| user.id.as_str()).collect::<Vec<_>>()), json!(false))
}

/// The mentions of a message that mentions all participants, and these users by name.
fn all_and(users: &[&TestUser]) -> (Value, Value) {
    (only(users).0, json!(true))
}

#[tokio::test]
async fn a_mention_is_in_the_live_event_the_sync_and_the_list() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let mut devices = [LiveSession::new(&alice).await, LiveSession::new(&bob).await, LiveSession::new(&carol).await];
    let sent = alice.send(&room, "hi @Carol.Ann, @bob and @bob!").await;
    assert_eq!(sent["mentions"], json!([carol.id, bob.id]), "in order of appearance, each once");
    for device in &mut devices {
        assert_eq!(device.expect_payload("message.new").await["message"]["mentions"], sent["mentions"]);
    }
    assert_eq!(bob.history(&room).await.pop().unwrap()["mentions"], sent["mentions"]);
    let one = bob.get(&format!("/messages/{}", text(&sent["id"]))).await.expect(200);
    assert_eq!(one["mentions"], sent["mentions"]);
    for device in devices {
        assert_eq!(device.compare_with_sync().await, 1);
    }
    let mut socket = bob.connect().await;
    assert_eq!(socket.send_message(&room, "and @alice").await["message"]["mentions"], json!([alice.id]));
}

#[tokio::test]
async fn only_names_of_participants_are_mentions() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    server.user("eve").await;
    for content in ["@eve", "@nobody", "mail a@bob", "@bobby", "@bob_", "@alice, that is me", "@", "@all"] {
        assert_eq!(
            send_and_get_mentions(&bob, &room, content).await.as_array().unwrap().len(),
            usize::from(content.contains("alice")),
            "{content}"
        );
    }
    assert_eq!(send_and_get_mentions(&alice, &room, "@alice myself").await, json!([]));
    assert_eq!(send_and_get_mentions(&alice, &room, "(@BOB), @bob").await, json!([bob.id]));
    assert_eq!(send_and_get_mentions(&alice, &room, "@bob.").await, json!([bob.id]));
    assert_eq!(send_and_get_mentions(&alice, &room, "@bob-like").await, json!([bob.id]));
    assert_eq!(send_and_get_mentions(&alice, &room, "@carol.ann-").await, json!([carol.id]));
    assert_eq!(send_and_get_mentions(&alice, &room, "@carol.anna @carol").await, json!([]));
    assert_eq!(send_and_get_mentions(&alice, &room, "@bob@carol.ann").await, json!([bob.id]));
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    assert_eq!(send_and_get_mentions(&alice, &room, "@bob is gone").await, json!([]));
}

#[tokio::test]
async fn a_mention_may_follow_any_script_and_is_not_in_an_address_or_code() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = group_of_three(&server).await;
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
    assert_eq!(unread_mentions(&bob).await, 8);
    assert_eq!(send(&alice, &room, "`@all` https://a.example/@all").await, only(&[]));
    assert_eq!(send(&alice, &room, "大家＠all").await, all_and(&[]));
}

#[tokio::test]
async fn the_longest_username_of_a_participant_is_mentioned() {
    let server = TestServer::start().await;
    let (alice, _, carol, room) = group_of_three(&server).await;
    let short = server.user("carol").await;
    assert_eq!(send_and_get_mentions(&alice, &room, "@carol.ann").await, json!([carol.id]));
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["carol"] })).await.expect(200);
    assert_eq!(send_and_get_mentions(&alice, &room, "@carol.ann.x @carol.x").await, json!([carol.id, short.id]));
    alice.delete(&format!("/conversations/{room}/members/carol.ann")).await.expect(204);
    assert_eq!(send_and_get_mentions(&alice, &room, "@carol.ann").await, json!([short.id]));
}

#[tokio::test]
async fn unread_mentions_are_counted_until_they_are_read() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let direct = alice.direct(&bob).await;
    let first = alice.send(&room, "@bob").await;
    alice.send(&room, "nobody").await;
    let last = alice.send(&room, "@bob @carol.ann").await;
    alice.send(&direct, "@bob").await;
    assert_eq!((unread_mentions(&alice).await, unread_mentions(&bob).await, unread_mentions(&carol).await), (0, 3, 1));
    let mut socket = bob.connect().await;
    bob.post(&format!("/conversations/{room}/read"), json!({ "seq": first["seq"] })).await.expect(200);
    assert_eq!(socket.expect("unread").await["payload"]["mentions"], 2);
    assert_eq!(unread_mentions(&bob).await, 2);
    alice.delete(&format!("/conversations/{room}/messages/{}", text(&last["id"]))).await.expect(204);
    assert_eq!(
        (unread_mentions(&bob).await, unread_mentions(&carol).await),
        (1, 0),
        "a deleted message has no mentions"
    );
    bob.post(&format!("/conversations/{direct}/read"), json!({})).await.expect(200);
    assert_eq!(unread_mentions(&bob).await, 0);
}

#[tokio::test]
async fn only_owners_and_admins_mention_all_and_only_once_a_minute() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    assert_eq!(send(&bob, &room, "@all from a member").await, only(&[]));
    alice.put(&format!("/conversations/{room}/members/bob/role"), json!({ "role": "admin" })).await.expect(200);
    let sent = bob.send(&room, "hi @ALL, and @carol.ann first").await;
    assert_eq!(mentions_of(&sent), all_and(&[&carol]));
    assert_eq!(
        (unread_mentions(&alice).await, unread_mentions(&bob).await, unread_mentions(&carol).await),
        (1, 0, 1),
        "a message counts once"
    );
    assert_eq!(send(&alice, &room, "@all too soon, but @bob").await, only(&[&bob]));
    let listed = alice.history(&room).await.into_iter().find(|message| message["id"] == sent["id"]).unwrap();
    assert_eq!(mentions_of(&listed), mentions_of(&sent));

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
async fn a_mention_of_all_is_a_flag_in_frames_and_counts_for_the_participants_of_that_moment() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let mut devices = [LiveSession::new(&alice).await, LiveSession::new(&bob).await];
    let sent = alice.send(&room, "@all").await;
    for device in &mut devices {
        assert_eq!(mentions_of(&device.expect_payload("message.new").await["message"]), all_and(&[]));
    }
    for device in devices {
        assert_eq!(device.compare_with_sync().await, 1);
    }
    let dave = server.user("dave").await;
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["dave"] })).await.expect(200);
    assert_eq!((unread_mentions(&alice).await, unread_mentions(&bob).await, unread_mentions(&dave).await), (0, 1, 0));
    bob.post(&format!("/conversations/{room}/mute"), json!({})).await.expect(200);
    assert_eq!(unread_mentions(&bob).await, 1, "mentions in muted conversations count");
    let path = format!("/conversations/{room}/messages/{}", text(&sent["id"]));
    bob.delete(&format!("{path}?for=me")).await.expect(204);
    assert_eq!((unread_mentions(&bob).await, unread_mentions(&carol).await), (0, 1), "a hidden mention does not count");
    carol.post(&format!("/conversations/{room}/read"), json!({ "seq": sent["seq"] })).await.expect(200);
    assert_eq!(unread_mentions(&carol).await, 0);

    alice.delete(&path).await.expect(204);
    let deleted = alice.get(&format!("/messages/{}", text(&sent["id"]))).await.expect(200);
    assert_eq!(mentions_of(&deleted), only(&[]));
    let mut later = carol.connect_unsubscribed().await;
    later.start("sync", json!({ "conversations": { &room: 1 } }));
    assert_eq!(
        mentions_of(&later.expect("message.new").await["payload"]["message"]),
        only(&[]),
        "the log has no mention either"
    );
}

#[tokio::test]
async fn one_of_many_concurrent_messages_mentions_all() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = group_of_three(&server).await;
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
    assert_eq!(unread_mentions(&bob).await, 1);
}

#[tokio::test]
async fn a_repeated_send_adds_no_mention() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = group_of_three(&server).await;
    let path = format!("/conversations/{room}/messages");
    let body = json!({ "content": "@all", "temp_id": "once" });
    let sent = alice.post(&path, body.clone()).await.expect(201);
    let again = alice.post(&path, body).await.expect(200);
    assert_eq!((&again["id"], mentions_of(&again)), (&sent["id"], all_and(&[])));
    assert_eq!(unread_mentions(&bob).await, 1);
    alice.post(&path, json!({ "content": "@all @bob", "temp_id": "once" })).await.refused(409, "temp_id_reused");
}

#[tokio::test]
async fn an_edit_mentions_the_users_in_the_new_text() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let message = alice.send(&room, "hi @bob").await;
    let mut devices = [LiveSession::new(&alice).await, LiveSession::new(&carol).await];
    assert_eq!(edit(&alice, &room, &message, "hi @carol.ann").await, only(&[&carol]));
    for device in &mut devices {
        assert_eq!(mentions_of(&device.expect_payload("message.edited").await["message"]), only(&[&carol]));
    }
    assert_eq!((unread_mentions(&bob).await, unread_mentions(&carol).await), (0, 1));
    assert_eq!(edit(&alice, &room, &message, "hi @carol.ann and @bob").await, only(&[&carol, &bob]));
    assert_eq!(edit(&alice, &room, &message, "nobody").await, only(&[]));
    assert_eq!((unread_mentions(&bob).await, unread_mentions(&carol).await), (0, 0));
    for device in devices {
        assert_eq!(device.compare_with_sync().await, 3);
    }
}

#[tokio::test]
async fn an_edit_adds_no_mention_of_all_and_keeps_an_existing_one() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let plain = alice.send(&room, "hi").await;
    assert_eq!(edit(&alice, &room, &plain, "hi @all").await, only(&[]));
    let message = alice.send(&room, "hi @all").await;
    assert_eq!(mentions_of(&message), all_and(&[]));
    assert_eq!(edit(&alice, &room, &message, "hello @all").await, all_and(&[]));
    assert_eq!(edit(&alice, &room, &message, "@carol.ann @all").await, all_and(&[&carol]));
    assert_eq!((unread_mentions(&bob).await, unread_mentions(&carol).await), (1, 1));
    assert_eq!(edit(&alice, &room, &message, "hello").await, only(&[]));
    assert_eq!(edit(&alice, &room, &message, "hello @all").await, only(&[]), "a removed mention is not restored");
    assert_eq!((unread_mentions(&bob).await, unread_mentions(&carol).await), (0, 0));
}
