//! Reactions: a user adds each emoji at most once to a message, and all participants get an event.

use std::fmt::Write;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::live_and_replayed::LiveSession;
use crate::support::database::runs_on_postgres;
use crate::support::rest::{Answer, Body};
use crate::support::user::text;
use crate::support::{Random, TestServer, TestUser};

/// Encodes `text` as a segment of a path.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02X}");
        encoded
    })
}

fn path(room: &str, message: &Value) -> String {
    format!("/conversations/{room}/messages/{}/reactions", text(&message["id"]))
}

async fn put(user: &TestUser, room: &str, message: &Value, emoji: &str) -> Answer {
    user.call(reqwest::Method::PUT, &format!("{}/{}", path(room, message), encode(emoji)), Body::None).await
}

async fn remove(user: &TestUser, room: &str, message: &Value, emoji: &str) -> Answer {
    user.delete(&format!("{}/{}", path(room, message), encode(emoji))).await
}

/// Returns the reactions of a message as this user sees them.
async fn get_reactions(user: &TestUser, message: &Value) -> Value {
    user.get(&format!("/messages/{}", text(&message["id"]))).await.expect(200)["reactions"].clone()
}

async fn last_rev(user: &TestUser, room: &str) -> i64 {
    user.conversation(room).await["last_rev"].as_i64().unwrap()
}

async fn group_with_message(server: &TestServer) -> (TestUser, TestUser, String, Value) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let message = alice.send(&room, "hello").await;
    (alice, bob, room, message)
}

#[tokio::test]
async fn a_reaction_is_in_the_live_event_the_sync_and_the_list() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    let mut devices = [LiveSession::new(&alice).await, LiveSession::new(&bob).await, LiveSession::new(&bob).await];

    let answer = put(&bob, &room, &message, "👍").await.expect(200);
    assert_eq!(answer, json!({ "emoji": "👍", "count": 1, "me": true }));
    let answer = put(&alice, &room, &message, "👍").await.expect(200);
    assert_eq!(answer, json!({ "emoji": "👍", "count": 2, "me": true }));
    remove(&bob, &room, &message, "👍").await.expect(204);
    for device in &mut devices {
        for (user, action, count) in [(&bob, "added", 1), (&alice, "added", 2), (&bob, "removed", 1)] {
            let expected = json!({
                "conversation_id": room, "message_id": message["id"], "emoji": "👍", "user_id": user.id,
                "action": action, "count": count,
            });
            assert_eq!(device.expect_payload("reaction.updated").await, expected);
        }
    }
    assert_eq!(get_reactions(&alice, &message).await, json!([{ "emoji": "👍", "count": 1, "me": true }]));
    assert_eq!(get_reactions(&bob, &message).await, json!([{ "emoji": "👍", "count": 1, "me": false }]));
    let listed = bob.history(&room).await.pop().unwrap();
    assert_eq!(listed["reactions"], json!([{ "emoji": "👍", "count": 1, "me": false }]));
    for device in devices {
        assert_eq!(device.compare_with_sync().await, 3);
    }
}

#[tokio::test]
async fn a_repeated_reaction_changes_nothing_and_appends_no_event() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    remove(&bob, &room, &message, "👍").await.expect(204);
    put(&bob, &room, &message, "👍").await.expect(200);
    let before = last_rev(&alice, &room).await;
    assert_eq!(put(&bob, &room, &message, "👍").await.expect(200)["count"], 1);
    remove(&alice, &room, &message, "👍").await.expect(204);
    remove(&bob, &room, &message, "🎉").await.expect(204);
    assert_eq!(last_rev(&alice, &room).await, before);
    remove(&bob, &room, &message, "👍").await.expect(204);
    remove(&bob, &room, &message, "👍").await.expect(204);
    assert_eq!(last_rev(&alice, &room).await, before + 1);
    assert_eq!(get_reactions(&bob, &message).await, json!([]));
}

#[tokio::test]
async fn two_spellings_of_an_emoji_are_one_reaction() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    assert_eq!(put(&alice, &room, &message, "❤").await.expect(200)["emoji"], "❤️");
    assert_eq!(put(&bob, &room, &message, "❤️").await.expect(200)["count"], 2);
    remove(&alice, &room, &message, "❤️").await.expect(204);
    remove(&bob, &room, &message, "❤").await.expect(204);
    assert_eq!(get_reactions(&bob, &message).await, json!([]));
}

#[tokio::test]
async fn every_kind_of_emoji_is_accepted_and_other_texts_are_refused() {
    let server = TestServer::start().await;
    let (alice, _, room, message) = group_with_message(&server).await;
    for emoji in ["👍🏽", "#️⃣", "🇻🇳", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}", "©️"]
    {
        assert_eq!(put(&alice, &room, &message, emoji).await.expect(200)["emoji"], emoji);
    }
    for other in ["a", "👍👍", "7", "\u{1f3fd}", "\u{200d}", "\u{fe0f}", "🇻", "👍a", " ", "%", "é", "👍/👍", "\0"]
    {
        put(&alice, &room, &message, other).await.invalid("emoji");
        remove(&alice, &room, &message, other).await.invalid("emoji");
    }
    put(&alice, &room, &message, &"👨‍👩‍👧‍👦".repeat(4)).await.invalid("emoji");
    let broken = format!("{}/%FF%FE", path(&room, &message));
    alice.call(reqwest::Method::PUT, &broken, Body::None).await.invalid("emoji");
    let mut socket = alice.connect().await;
    for emoji in ["", "a", "👍👍"] {
        let payload = json!({ "conversation_id": room, "message_id": message["id"], "emoji": emoji });
        socket.refused("reaction.add", payload, "validation_failed").await;
    }
}

#[tokio::test]
async fn emojis_are_listed_in_the_order_in_which_they_were_added() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    for (user, emoji) in [(&alice, "🎉"), (&bob, "👍"), (&bob, "🎉"), (&alice, "🫠"), (&alice, "👀")] {
        put(user, &room, &message, emoji).await.expect(200);
    }
    let order = async || -> Vec<String> {
        let reactions = get_reactions(&bob, &message).await;
        reactions.as_array().unwrap().iter().map(|reaction| text(&reaction["emoji"])).collect()
    };
    assert_eq!(order().await, ["🎉", "👍", "🫠", "👀"]);
    remove(&alice, &room, &message, "🎉").await.expect(204);
    assert_eq!(order().await, ["🎉", "👍", "🫠", "👀"], "the reaction of the other user keeps the order");
    remove(&alice, &room, &message, "🫠").await.expect(204);
    put(&alice, &room, &message, "🫠").await.expect(200);
    assert_eq!(order().await, ["🎉", "👍", "👀", "🫠"], "an emoji that is added again is the last");
}

#[tokio::test]
async fn the_list_names_the_users_of_each_emoji_in_pages() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    for (user, emoji) in [(&bob, "👍"), (&alice, "👍"), (&alice, "🎉"), (&bob, "👀")] {
        put(user, &room, &message, emoji).await.expect(200);
    }
    let whole = alice.get(&path(&room, &message)).await.expect(200);
    let expected = json!([
        { "emoji": "👍", "count": 2, "user_ids": [bob.id, alice.id] },
        { "emoji": "🎉", "count": 1, "user_ids": [alice.id] },
        { "emoji": "👀", "count": 1, "user_ids": [bob.id] },
    ]);
    let with_sorted_users = |list: &Value| {
        let mut list = list.clone();
        // Two reactions within one millisecond are in the order of the user ids.
        for item in list.as_array_mut().unwrap() {
            item["user_ids"].as_array_mut().unwrap().sort_by_key(text);
        }
        list
    };
    assert_eq!(with_sorted_users(&whole["items"]), with_sorted_users(&expected));
    assert_eq!(whole["next_cursor"], json!(null));
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = alice.get(&format!("{}?limit=1{cursor}", path(&room, &message))).await.expect(200);
        assert_eq!(page["items"].as_array().unwrap().len(), 1);
        listed.push(page["items"][0].clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(json!(listed), whole["items"]);
    alice.get(&format!("{}?cursor=x", path(&room, &message))).await.refused(400, "invalid_request");
    alice.get(&format!("{}?limit=0", path(&room, &message))).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn reactions_are_added_and_removed_over_the_socket() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    let mut other = alice.connect().await;
    let mut socket = bob.connect().await;
    let payload = json!({ "conversation_id": room, "message_id": message["id"], "emoji": "❤" });
    for (command, action) in [
        ("reaction.add", "added"),
        ("reaction.add", "unchanged"),
        ("reaction.remove", "removed"),
        ("reaction.remove", "unchanged"),
    ] {
        assert_eq!(socket.accepted(command, payload.clone(), "ack").await, json!({ "action": action }));
    }
    for (action, count) in [("added", 1), ("removed", 0)] {
        let event = other.expect("reaction.updated").await;
        assert_eq!((&event["stream"], &event["payload"]["emoji"]), (&json!("conversation"), &json!("❤️")));
        assert_eq!((&event["payload"]["action"], &event["payload"]["count"]), (&json!(action), &json!(count)));
    }
    assert!(other.frames_until_pong().await.iter().all(|frame| frame["type"] != "reaction.updated"));
}

#[tokio::test]
async fn only_participants_who_may_write_react_and_only_to_existing_messages() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    let (olga, eve) = (server.user("olga").await, server.user("eve").await);
    let body = json!({ "user_ids": ["olga"], "role": "observer" });
    alice.post(&format!("/conversations/{room}/members"), body).await.expect(200);
    put(&olga, &room, &message, "👍").await.refused(403, "forbidden");
    olga.get(&path(&room, &message)).await.expect(200);
    put(&eve, &room, &message, "👍").await.refused(403, "not_a_participant");
    eve.get(&path(&room, &message)).await.refused(403, "not_a_participant");

    let elsewhere = alice.group("elsewhere", &[&bob]).await;
    put(&bob, &elsewhere, &message, "👍").await.refused(404, "not_found");
    bob.get(&path(&elsewhere, &message)).await.refused(404, "not_found");
    let unknown = json!({ "id": "01890a5d-ac96-774b-bcce-b302099a8057" });
    put(&bob, &room, &unknown, "👍").await.refused(404, "not_found");
    put(&bob, "01890a5d-ac96-774b-bcce-b302099a8057", &message, "👍").await.refused(404, "not_found");
    put(&bob, "x", &message, "👍").await.refused(400, "invalid_request");
    put(&bob, &room, &json!({ "id": "x" }), "👍").await.refused(400, "invalid_request");

    bob.delete(&format!("/conversations/{room}/messages/{}?for=me", text(&message["id"]))).await.expect(204);
    put(&bob, &room, &message, "👍").await.refused(404, "not_found");
    put(&alice, &room, &message, "👍").await.expect(200);
    alice.delete(&format!("/conversations/{room}/messages/{}", text(&message["id"]))).await.expect(204);
    put(&alice, &room, &message, "👍").await.refused(409, "conflict");
    remove(&alice, &room, &message, "👍").await.expect(204);
    assert_eq!(get_reactions(&alice, &message).await, json!([]));
    assert_eq!(alice.get(&path(&room, &message)).await.expect(200)["items"], json!([]));

    let system = alice.history(&room).await.remove(0);
    assert_eq!(system["type"], "system");
    assert_eq!(put(&bob, &room, &system, "🎉").await.expect(200)["count"], 1);
}

#[tokio::test]
async fn a_block_and_an_archived_class_forbid_reactions() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    let direct = alice.direct(&bob).await;
    let hello = alice.send(&direct, "hello").await;
    put(&bob, &direct, &hello, "👍").await.expect(200);
    alice.post("/blocks", json!({ "user": "bob" })).await.expect(201);
    for user in [&alice, &bob] {
        put(user, &direct, &hello, "🎉").await.refused(403, "blocked");
        remove(user, &direct, &hello, "👍").await.refused(403, "blocked");
    }
    put(&bob, &room, &message, "👍").await.expect(200);
    archive(&server, &alice, &room).await;
    put(&alice, &room, &message, "👍").await.refused(403, "class_archived");
    remove(&bob, &room, &message, "👍").await.refused(403, "class_archived");
}

/// Makes a group the conversation of an archived class.
async fn archive(server: &TestServer, author: &TestUser, room: &str) {
    let literal = |id: &str| if runs_on_postgres() { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) };
    let class = literal("01890a5d-ac96-774b-bcce-b302099a8058");
    let author = literal(&author.id);
    let insert = format!(
        "INSERT INTO classes (id, name, code, code_key, archived_at, created_by, created_at, updated_at)
         VALUES ({class}, 'class', 'C', 'c', 1, {author}, 1, 1)"
    );
    server.sql(&insert).await;
    let room = literal(room);
    server.sql(&format!("UPDATE conversations SET kind = 'class', class_id = {class} WHERE id = {room}")).await;
}

#[tokio::test]
async fn a_message_has_reactions_with_at_most_fifty_emojis() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    let emojis: Vec<String> = ('🐀'..='🐿').map(String::from).collect();
    for emoji in &emojis[..50] {
        put(&alice, &room, &message, emoji).await.expect(200);
    }
    put(&bob, &room, &message, &emojis[50]).await.refused(409, "conflict");
    assert_eq!(put(&bob, &room, &message, &emojis[49]).await.expect(200)["count"], 2);
    remove(&alice, &room, &message, &emojis[0]).await.expect(204);
    put(&bob, &room, &message, &emojis[50]).await.expect(200);
}

#[tokio::test]
async fn a_repeated_send_returns_the_current_reactions() {
    let server = TestServer::start().await;
    let (alice, bob, room, _) = group_with_message(&server).await;
    let body = json!({ "content": "hello @bob", "temp_id": "once" });
    let path = format!("/conversations/{room}/messages");
    let message = bob.post(&path, json!({ "content": "hi", "temp_id": "once" })).await.expect(201);
    assert_eq!((&message["reactions"], &message["mentions"]), (&json!([]), &json!([])));
    let message = alice.post(&path, body.clone()).await.expect(201);
    put(&alice, &room, &message, "👍").await.expect(200);
    put(&bob, &room, &message, "🎉").await.expect(200);
    let again = alice.post(&path, body.clone()).await.expect(200);
    assert_eq!((&again["id"], &again["mentions"]), (&message["id"], &json!([bob.id])));
    let expected = json!([{ "emoji": "👍", "count": 1, "me": true }, { "emoji": "🎉", "count": 1, "me": false }]);
    assert_eq!(again["reactions"], expected);
    alice.delete(&format!("/conversations/{room}")).await.expect(204);
    let again = alice.post(&path, body).await.expect(200);
    assert_eq!((&again["id"], &again["reactions"]), (&message["id"], &json!([])));
}

#[tokio::test]
async fn the_reaction_events_lead_to_the_listed_reactions() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    let mut random = Random::from_environment();
    let mut socket = alice.connect().await;
    let started = last_rev(&alice, &room).await;
    for _ in 0..6 {
        let mut calls = Vec::new();
        for _ in 0..8 {
            let user = random.pick(&[&alice, &bob]).to_owned().clone();
            let emoji = *random.pick(&["👍", "🎉", "❤️", "👀"]);
            let adds = random.one_in(2);
            let (room, message) = (room.clone(), message.clone());
            calls.push(async move {
                if adds {
                    put(&user, &room, &message, emoji).await.expect(200);
                } else {
                    remove(&user, &room, &message, emoji).await.expect(204);
                }
            });
        }
        join_all(calls).await;
    }
    put(&bob, &room, &message, "🏁").await.expect(200);
    let is_end = |frame: &Value| frame["payload"]["emoji"] == "🏁";
    let events = socket.frames_until("the end", is_end).await;
    let events: Vec<Value> = events.into_iter().filter(|frame| frame["type"] == "reaction.updated").collect();
    let revs: Vec<i64> = events.iter().map(|event| event["rev"].as_i64().unwrap()).collect();
    assert_eq!(revs, (started + 1..=last_rev(&alice, &room).await).collect::<Vec<_>>(), "the log has no other events");

    let mut list: Vec<(String, i64)> = Vec::new();
    for event in &events {
        let (emoji, count) = (text(&event["payload"]["emoji"]), event["payload"]["count"].as_i64().unwrap());
        let step = if event["payload"]["action"] == "added" { 1 } else { -1 };
        let before = list.iter_mut().find(|(known, _)| *known == emoji);
        assert_eq!(count - step, before.as_ref().map_or(0, |(_, count)| *count), "{event}");
        match before {
            Some((_, known)) => *known = count,
            None => list.push((emoji, count)),
        }
        list.retain(|(_, count)| *count > 0);
    }
    let shown: Vec<(String, i64)> = get_reactions(&alice, &message)
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|reaction| (text(&reaction["emoji"]), reaction["count"].as_i64().unwrap()))
        .collect();
    assert_eq!(shown, list);
}
