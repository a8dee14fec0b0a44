//! Typing and presence: which users get the frames, and when typing ends without a stop. No such frame is durable.

use serde_json::{Value, json};

use crate::support::{TestServer, TestSocket, TestUser};

async fn two_users(server: &TestServer) -> (TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    (alice, bob, direct)
}

async fn wait_for_presence(socket: &mut TestSocket, user: &TestUser, status: &str) -> Value {
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
async fn two_users_with_a_new_direct_conversation_see_each_other_online() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let mut one = alice.connect().await;
    let mut other = bob.connect().await;
    alice.direct(&bob).await;
    wait_for_presence(&mut one, &bob, "online").await;
    wait_for_presence(&mut other, &alice, "online").await;
}

#[tokio::test]
async fn only_the_other_participants_get_typing_frames() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = two_users(&server).await;
    let mut author = alice.connect().await;
    let mut other = bob.connect().await;
    author.accepted("typing.start", json!({ "conversation_id": direct }), "ack").await;
    let seen = other.expect("typing.start").await;
    let display_name = &seen["payload"]["display_name"];
    let expected =
        json!({ "conversation_id": direct, "user_id": alice.id, "username": "alice", "display_name": display_name });
    assert_eq!(seen["payload"], expected);
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
async fn a_typing_command_without_an_id_gets_no_answer() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = two_users(&server).await;
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
    let (alice, bob, direct) = two_users(&server).await;
    let mut author = alice.connect().await;
    let mut other = bob.connect().await;
    author.accepted("typing.start", json!({ "conversation_id": direct }), "ack").await;
    other.expect("typing.start").await;
    author.send_message(&direct, "done").await;
    other.expect("typing.stop").await;
}

#[tokio::test]
async fn typing_ends_when_its_author_disconnects() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = two_users(&server).await;
    let author = alice.connect().await;
    let mut other = bob.connect().await;
    author.send(json!({ "type": "typing.start", "payload": { "conversation_id": direct } }));
    other.expect("typing.start").await;
    drop(author);
    other.expect("typing.stop").await;
}

/// Returns three users and a group of them.
async fn three_users(server: &TestServer) -> (TestUser, TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    (alice, bob, carol, room)
}

fn is_about(frame: &Value, kind: &str, user: &TestUser) -> bool {
    frame["type"] == kind && frame["payload"]["user_id"] == user.id.as_str()
}

#[tokio::test]
async fn typing_ends_immediately_when_its_author_closes_the_last_socket_that_typed() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three_users(&server).await;
    let payload = json!({ "conversation_id": room });
    let mut watcher = bob.connect().await;
    // Carol began to type first, so her typing ends before that of Alice could end without a stop.
    let mut other = carol.connect().await;
    other.accepted("typing.start", payload.clone(), "ack").await;
    let mut author = alice.connect().await;
    let _idle = alice.connect().await;
    author.accepted("typing.start", payload, "ack").await;
    watcher.wait_for("alice types", |frame| is_about(frame, "typing.start", &alice)).await;
    drop(author);
    let frames = watcher.frames_until("carol stops", |frame| is_about(frame, "typing.stop", &carol)).await;
    assert_eq!(frames.iter().filter(|frame| is_about(frame, "typing.stop", &alice)).count(), 1, "{frames:?}");
}

#[tokio::test]
async fn one_device_that_stops_typing_does_not_end_what_another_types() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three_users(&server).await;
    let payload = json!({ "conversation_id": room });
    let mut watcher = bob.connect().await;
    let mut other = carol.connect().await;
    let mut phone = alice.connect().await;
    let mut laptop = alice.connect().await;
    let mut tablet = alice.connect().await;
    for socket in [&mut phone, &mut laptop, &mut tablet] {
        socket.accepted("typing.start", payload.clone(), "ack").await;
    }
    phone.accepted("typing.stop", payload.clone(), "ack").await;
    drop(tablet);
    // A stop from a device that does not type has no effect.
    let mut idle = alice.connect().await;
    idle.accepted("typing.stop", payload.clone(), "ack").await;
    other.accepted("typing.start", payload.clone(), "ack").await;
    let frames = watcher.frames_until("carol types", |frame| is_about(frame, "typing.start", &carol)).await;
    assert!(frames.iter().any(|frame| is_about(frame, "typing.start", &alice)), "{frames:?}");
    assert!(frames.iter().all(|frame| frame["type"] != "typing.stop"), "{frames:?}");
    laptop.accepted("typing.stop", payload, "ack").await;
    watcher.wait_for("alice stops", |frame| is_about(frame, "typing.stop", &alice)).await;
    let own = phone.frames_until_pong().await;
    assert!(own.iter().all(|frame| !is_about(frame, "typing.stop", &alice)), "{own:?}");
}

#[tokio::test]
async fn typing_ends_without_a_stop_after_a_time() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = two_users(&server).await;
    let mut author = alice.connect().await;
    let mut other = bob.connect().await;
    author.accepted("typing.start", json!({ "conversation_id": direct }), "ack").await;
    other.expect("typing.start").await;
    other.expect("typing.stop").await;
    author.assert_alive().await;
}

#[tokio::test]
async fn a_direct_peer_sees_online_away_and_offline() {
    let server = TestServer::start().await;
    let (alice, bob, _) = two_users(&server).await;
    let mut watcher = bob.connect().await;
    let mut socket = alice.connect().await;
    wait_for_presence(&mut watcher, &alice, "online").await;
    assert_eq!(bob.get("/users/alice").await.expect(200)["presence"], "online");
    socket.accepted("presence.set", json!({ "status": "away" }), "ack").await;
    wait_for_presence(&mut watcher, &alice, "away").await;
    socket.accepted("presence.set", json!({ "status": "online" }), "ack").await;
    wait_for_presence(&mut watcher, &alice, "online").await;
    drop(socket);
    let offline = wait_for_presence(&mut watcher, &alice, "offline").await;
    assert!(offline["payload"]["last_seen_at"].is_string(), "{offline}");
    assert_eq!(bob.get("/users/alice").await.expect(200)["presence"], "offline");
}

#[tokio::test]
async fn a_short_absence_is_not_announced() {
    let server = TestServer::start().await;
    let (alice, bob, direct) = two_users(&server).await;
    let mut watcher = bob.connect().await;
    let first = alice.connect().await;
    wait_for_presence(&mut watcher, &alice, "online").await;
    drop(first);
    let mut second = alice.connect().await;
    second.send_message(&direct, "online again").await;
    let frames = watcher.frames_until("the message", |frame| frame["type"] == "message.new").await;
    let updates: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "presence.update").collect();
    assert_eq!(updates, Vec::<&Value>::new());
}

#[tokio::test]
async fn a_watcher_sees_only_users_of_the_same_conversations() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let outsider = server.user("outsider").await;
    alice.group("room", &[&bob]).await;
    let mut watcher = alice.connect().await;
    let _online = outsider.connect().await;
    let ids = json!({ "user_ids": [bob.id, outsider.id] });
    let state = watcher.accepted("presence.subscribe", ids, "presence.state").await;
    assert_eq!(state["users"], json!({ &bob.id: "offline" }), "the presence of an outsider is not sent");
    let _socket = bob.connect().await;
    wait_for_presence(&mut watcher, &bob, "online").await;

    let answer = alice.post("/users/presence", json!({ "user_ids": [bob.id, outsider.id] })).await.expect(200);
    assert_eq!(answer["users"][&bob.id]["status"], "online");
    assert_eq!(answer["users"].as_object().unwrap().len(), 1, "{answer}");
    let many: Vec<&str> = vec![&bob.id; 101];
    alice.post("/users/presence", json!({ "user_ids": many })).await.invalid_within("user_ids");

    let state = watcher.accepted("presence.unsubscribe", json!({ "user_ids": [bob.id] }), "presence.state").await;
    assert_eq!(state["users"], json!({}), "no user is watched any more");
}

#[tokio::test]
async fn a_pong_has_the_id_of_its_ping_if_there_is_one() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut socket = alice.connect().await;
    socket.assert_alive().await;
    socket.send(json!({ "type": "ping" }));
    let pong = socket.expect("pong").await;
    assert_eq!(pong.get("id"), None);
    socket.send(json!({ "type": "ping", "id": 7, "payload": {} }));
    assert_eq!(socket.expect("pong").await["id"], 7);
}
