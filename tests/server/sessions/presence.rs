//! Typing and presence: what is seen, by whom, and when it ends by itself. None of it is durable.

use serde_json::{Value, json};

use crate::support::{TestServer, TestSocket, TestUser};

async fn pair(server: &TestServer) -> (TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    (alice, bob, direct)
}

async fn presence_of(socket: &mut TestSocket, user: &TestUser, status: &str) -> Value {
    let what = format!("{} is {status}", user.username);
    socket
        .wait_for(&what, |frame| {
            frame["type"] == "presence.update"
                && frame["payload"]["user_id"] == user.id.as_str()
                && frame["payload"]["status"] == status
        })
        .await
}

#[tokio::test]
async fn two_who_get_a_direct_conversation_see_that_the_other_is_there() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let mut one = alice.connect().await;
    let mut other = bob.connect().await;
    alice.direct(&bob).await;
    presence_of(&mut one, &bob, "online").await;
    presence_of(&mut other, &alice, "online").await;
}

#[tokio::test]
async fn typing_is_seen_by_the_others_only() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = pair(&server).await;
    let mut author = alice.connect().await;
    let mut other = bob.connect().await;
    author.accepted("typing.start", json!({ "conversation_id": direct }), "ack").await;
    let seen = other.expect("typing.start").await;
    assert_eq!(
        seen["payload"],
        json!({ "conversation_id": direct, "user_id": alice.id, "username": "alice", "display_name": seen["payload"]["display_name"] })
    );
    assert_eq!(seen.get("rev"), None);
    let typing = bob.get(&format!("/conversations/{direct}/typing")).await;
    if typing.status == 200 {
        assert_eq!(typing.body["user_ids"], json!([alice.id]));
    }
    author.accepted("typing.stop", json!({ "conversation_id": direct }), "ack").await;
    other.expect("typing.stop").await;
    let frames = author.frames_until_pong().await;
    assert!(frames.iter().all(|frame| !frame["type"].as_str().unwrap().starts_with("typing")), "{frames:?}");
}

#[tokio::test]
async fn typing_without_an_id_is_not_answered() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = pair(&server).await;
    let mut author = alice.connect().await;
    let mut other = bob.connect().await;
    author.send(json!({ "type": "typing", "payload": { "conversation_id": direct } }));
    other.expect("typing.start").await;
    let frames = author.frames_until_pong().await;
    assert!(frames.iter().all(|frame| frame["type"] != "ack" && frame["type"] != "error"), "{frames:?}");
}

#[tokio::test]
async fn typing_ends_when_its_author_sends() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = pair(&server).await;
    let mut author = alice.connect().await;
    let mut other = bob.connect().await;
    author.accepted("typing.start", json!({ "conversation_id": direct }), "ack").await;
    other.expect("typing.start").await;
    author.say(&direct, "done").await;
    other.expect("typing.stop").await;
}

#[tokio::test]
async fn typing_ends_when_its_author_leaves() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = pair(&server).await;
    let author = alice.connect().await;
    let mut other = bob.connect().await;
    author.send(json!({ "type": "typing.start", "payload": { "conversation_id": direct } }));
    other.expect("typing.start").await;
    drop(author);
    other.expect("typing.stop").await;
}

/// Three in a room.
async fn three(server: &TestServer) -> (TestUser, TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    (alice, bob, carol, room)
}

fn tells(frame: &Value, kind: &str, user: &TestUser) -> bool {
    frame["type"] == kind && frame["payload"]["user_id"] == user.id.as_str()
}

#[tokio::test]
async fn typing_ends_at_once_when_its_author_closes_the_last_socket_that_typed() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let at = json!({ "conversation_id": room });
    let mut watcher = bob.connect().await;
    // what carol types ends by itself, and before what alice types would
    let mut other = carol.connect().await;
    other.accepted("typing.start", at.clone(), "ack").await;
    let mut author = alice.connect().await;
    let _idle = alice.connect().await;
    author.accepted("typing.start", at, "ack").await;
    watcher.wait_for("alice types", |frame| tells(frame, "typing.start", &alice)).await;
    drop(author);
    let frames = watcher.frames_until("carol stops", |frame| tells(frame, "typing.stop", &carol)).await;
    assert_eq!(frames.iter().filter(|frame| tells(frame, "typing.stop", &alice)).count(), 1, "{frames:?}");
}

#[tokio::test]
async fn one_device_that_stops_typing_does_not_end_what_another_types() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let at = json!({ "conversation_id": room });
    let mut watcher = bob.connect().await;
    let mut other = carol.connect().await;
    let mut phone = alice.connect().await;
    let mut laptop = alice.connect().await;
    let mut tablet = alice.connect().await;
    for socket in [&mut phone, &mut laptop, &mut tablet] {
        socket.accepted("typing.start", at.clone(), "ack").await;
    }
    phone.accepted("typing.stop", at.clone(), "ack").await;
    drop(tablet);
    // a device that does not type has nothing to stop
    let mut idle = alice.connect().await;
    idle.accepted("typing.stop", at.clone(), "ack").await;
    other.accepted("typing.start", at.clone(), "ack").await;
    let frames = watcher.frames_until("carol types", |frame| tells(frame, "typing.start", &carol)).await;
    assert!(frames.iter().any(|frame| tells(frame, "typing.start", &alice)), "{frames:?}");
    assert!(frames.iter().all(|frame| frame["type"] != "typing.stop"), "{frames:?}");
    laptop.accepted("typing.stop", at, "ack").await;
    watcher.wait_for("alice stops", |frame| tells(frame, "typing.stop", &alice)).await;
    let own = phone.frames_until_pong().await;
    assert!(own.iter().all(|frame| !tells(frame, "typing.stop", &alice)), "{own:?}");
}

#[tokio::test]
async fn typing_ends_by_itself() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = pair(&server).await;
    let mut author = alice.connect().await;
    let mut other = bob.connect().await;
    author.accepted("typing.start", json!({ "conversation_id": direct }), "ack").await;
    other.expect("typing.start").await;
    other.expect("typing.stop").await;
    author.is_alive().await;
}

#[tokio::test]
async fn a_direct_peer_sees_who_comes_goes_and_is_away() {
    let server = TestServer::start().await;
    let (alice, bob, _) = pair(&server).await;
    let mut watcher = bob.connect().await;
    let mut socket = alice.connect().await;
    presence_of(&mut watcher, &alice, "online").await;
    assert_eq!(bob.get("/users/alice").await.expect(200)["presence"], "online");
    socket.accepted("presence.set", json!({ "status": "away" }), "ack").await;
    presence_of(&mut watcher, &alice, "away").await;
    socket.accepted("presence.set", json!({ "status": "online" }), "ack").await;
    presence_of(&mut watcher, &alice, "online").await;
    drop(socket);
    let gone = presence_of(&mut watcher, &alice, "offline").await;
    assert!(gone["payload"]["last_seen_at"].is_string(), "{gone}");
    assert_eq!(bob.get("/users/alice").await.expect(200)["presence"], "offline");
}

#[tokio::test]
async fn a_short_absence_is_not_told() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = pair(&server).await;
    let mut watcher = bob.connect().await;
    let first = alice.connect().await;
    presence_of(&mut watcher, &alice, "online").await;
    drop(first);
    let mut second = alice.connect().await;
    second.say(&direct, "back").await;
    let frames = watcher.frames_until("the message", |frame| frame["type"] == "message.new").await;
    let updates: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "presence.update").collect();
    assert_eq!(updates, Vec::<&Value>::new());
}

#[tokio::test]
async fn whoever_asks_sees_those_they_share_a_conversation_with() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let stranger = server.user("stranger").await;
    alice.group("room", &[&bob]).await;
    let mut watcher = alice.connect().await;
    let _there = stranger.connect().await;
    let ids = json!({ "user_ids": [bob.id, stranger.id] });
    let state = watcher.accepted("presence.subscribe", ids, "presence.state").await;
    assert_eq!(state["users"], json!({ &bob.id: "offline" }), "a stranger is not told of");
    let _socket = bob.connect().await;
    presence_of(&mut watcher, &bob, "online").await;

    let answer = alice.post("/users/presence", json!({ "user_ids": [bob.id, stranger.id] })).await.expect(200);
    assert_eq!(answer["users"][&bob.id]["status"], "online");
    assert_eq!(answer["users"].as_object().unwrap().len(), 1, "{answer}");
    let many: Vec<&str> = vec![&bob.id; 101];
    alice.post("/users/presence", json!({ "user_ids": many })).await.invalid_somewhere("user_ids");

    let state = watcher.accepted("presence.unsubscribe", json!({ "user_ids": [bob.id] }), "presence.state").await;
    assert_eq!(state["users"], json!({}), "nobody is watched any more");
}

#[tokio::test]
async fn a_ping_is_answered_with_its_id_or_without() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut socket = alice.connect().await;
    socket.is_alive().await;
    socket.send(json!({ "type": "ping" }));
    let pong = socket.expect("pong").await;
    assert_eq!(pong.get("id"), None);
    socket.send(json!({ "type": "ping", "id": 7, "payload": {} }));
    assert_eq!(socket.expect("pong").await["id"], 7);
}
