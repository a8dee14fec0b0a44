//! Blocks: two users, of whom one has blocked the other, exchange only messages in shared groups.

use serde_json::{Value, json};

use crate::live_and_replayed::LiveSession;
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

async fn block(user: &TestUser, other: &TestUser) -> Value {
    user.post("/blocks", json!({ "user": other.username })).await.expect(201)
}

async fn unblock(user: &TestUser, other: &TestUser) {
    user.delete(&format!("/blocks/{}", other.username)).await.expect(204);
}

async fn get_status(user: &TestUser, other: &TestUser) -> Value {
    user.get(&format!("/blocks/{}/status", other.username)).await.expect(200)
}

fn expected_status(is_blocked: bool, is_blocked_by: bool, can_send: bool) -> Value {
    json!({ "is_blocked": is_blocked, "is_blocked_by": is_blocked_by, "can_send_message": can_send })
}

fn event_types(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["type"].as_str().expect("a type")).collect()
}

async fn register_three(server: &TestServer) -> (TestUser, TestUser, TestUser) {
    (server.user("alice").await, server.user("bob").await, server.user("carol").await)
}

#[tokio::test]
async fn a_block_is_created_once_listed_and_removed() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = register_three(&server).await;
    let created = block(&alice, &bob).await;
    assert_eq!(created["user"]["id"], bob.id.as_str());
    assert!(created["created_at"].is_string(), "{created}");
    for reference in [&bob.id, "BOB"] {
        let repeated = alice.post("/blocks", json!({ "user": reference })).await.expect(200);
        assert_eq!(repeated, created);
    }
    block(&alice, &carol).await;
    let page = alice.get("/blocks?limit=1").await.expect(200);
    assert_eq!(page["items"][0]["user"]["id"], carol.id.as_str(), "the newest block is the first");
    let cursor = text(&page["next_cursor"]);
    let page = alice.get(&format!("/blocks?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!((&page["items"], &page["next_cursor"]), (&json!([created]), &json!(null)));
    assert_eq!(bob.get("/blocks").await.expect(200)["items"], json!([]));
    for _ in 0..2 {
        unblock(&alice, &bob).await;
    }
    assert_eq!(alice.get("/blocks").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_status_contains_both_directions() {
    let server = TestServer::start().await;
    let (alice, bob, _) = register_three(&server).await;
    assert_eq!(get_status(&alice, &bob).await, expected_status(false, false, true));
    block(&alice, &bob).await;
    assert_eq!(get_status(&alice, &bob).await, expected_status(true, false, false));
    assert_eq!(get_status(&bob, &alice).await, expected_status(false, true, false));
    block(&bob, &alice).await;
    assert_eq!(get_status(&bob, &alice).await, expected_status(true, true, false));
    unblock(&alice, &bob).await;
    assert_eq!(get_status(&alice, &bob).await, expected_status(false, true, false));
    unblock(&bob, &alice).await;
    assert_eq!(get_status(&alice, &bob).await, expected_status(false, false, true));
    assert_eq!(get_status(&alice, &alice).await, expected_status(false, false, false));
}

#[tokio::test]
async fn an_invalid_block_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.post("/blocks", json!({ "user": "alice" })).await.refused(400, "self_block");
    alice.post("/blocks", json!({ "user": alice.id })).await.refused(400, "self_block");
    alice.post("/blocks", json!({ "user": "nobody" })).await.refused(404, "user_not_found");
    alice.post("/blocks", json!({ "user": "" })).await.refused(404, "user_not_found");
    alice.post("/blocks", json!({ "user": "ext:\0" })).await.refused(404, "user_not_found");
    alice.post("/blocks", json!({})).await.invalid("user");
    alice.post("/blocks", json!({ "user": 5 })).await.invalid("user");
    alice.post("/blocks", json!({ "user": "bob", "why": "rude" })).await.invalid("why");
    alice.delete("/blocks/nobody").await.refused(404, "user_not_found");
    alice.get("/blocks/nobody/status").await.refused(404, "user_not_found");
    for query in ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=e30", "order=up"] {
        alice.get(&format!("/blocks?{query}")).await.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_block_forbids_direct_messages_and_both_users_are_informed() {
    let server = TestServer::start().await;
    let (alice, bob, _) = register_three(&server).await;
    let direct = alice.direct(&bob).await;
    alice.send(&direct, "hello").await;
    let mut alice_session = LiveSession::new(&alice).await;
    let mut bob_session = LiveSession::new(&bob).await;
    block(&alice, &bob).await;
    for (user, session) in [(&alice, &mut alice_session), (&bob, &mut bob_session)] {
        let payload = session.expect_payload("conversation.settings").await;
        assert_eq!((&payload["conversation_id"], &payload["my"]["blocked"]), (&json!(direct), &json!(true)));
        assert_eq!(payload["my"], user.conversation(&direct).await["my"]);
        let path = format!("/conversations/{direct}/messages");
        user.post(&path, json!({ "content": "hi" })).await.refused(403, "blocked");
        let mut socket = user.connect().await;
        socket.refused("message.send", json!({ "conversation_id": direct, "content": "hi" }), "blocked").await;
    }
    let direct_again = bob.post_empty("/conversations/with/alice").await.expect(200);
    assert_eq!(direct_again["id"], direct.as_str(), "the conversation remains");
    // The second block changes nothing that the two users see, and neither does the removal of the first.
    block(&bob, &alice).await;
    unblock(&alice, &bob).await;
    bob.post(&format!("/conversations/{direct}/messages"), json!({ "content": "hi" })).await.refused(403, "blocked");
    unblock(&bob, &alice).await;
    for session in [&mut alice_session, &mut bob_session] {
        assert_eq!(session.expect_payload("conversation.settings").await["my"]["blocked"], false);
    }
    bob.send(&direct, "hi").await;
    for session in [alice_session, bob_session] {
        assert_eq!(session.compare_with_sync().await, 3);
    }
}

#[tokio::test]
async fn no_direct_conversation_is_created_across_a_block() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = register_three(&server).await;
    block(&alice, &bob).await;
    for (user, other) in [(&alice, &bob), (&bob, &alice)] {
        user.post_empty(&format!("/conversations/with/{}", other.username)).await.refused(403, "blocked");
        let body = json!({ "type": "direct", "participant_ids": [other.id] });
        user.post("/conversations", body).await.refused(403, "blocked");
    }
    let group = carol.group("Chess", &[&alice, &bob]).await;
    bob.send(&group, "hello").await;
    assert_eq!(alice.history(&group).await.len(), 2);
    unblock(&alice, &bob).await;
    alice.post_empty("/conversations/with/bob").await.expect(201);
}

#[tokio::test]
async fn a_block_hides_the_presence_until_it_is_removed() {
    let server = TestServer::start().await;
    let (alice, bob, _) = register_three(&server).await;
    let direct = alice.direct(&bob).await;
    let group = alice.group("Chess", &[&bob]).await;
    let mut alice_socket = alice.connect().await;
    let mut bob_socket = bob.connect().await;
    let state =
        alice_socket.accepted("presence.subscribe", json!({ "user_ids": ["BOB", "nobody"] }), "presence.state").await;
    assert_eq!(state["users"], json!({ &bob.id: "online" }), "users are named by references");
    alice_socket.frames_until_pong().await;
    bob_socket.frames_until_pong().await;

    block(&alice, &bob).await;
    for (socket, user) in [(&mut alice_socket, &bob), (&mut bob_socket, &alice)] {
        // The update that the other user is online may arrive first.
        let is_offline = |frame: &Value| frame["type"] == "presence.update" && frame["payload"]["status"] == "offline";
        let update = socket.wait_for("presence.update with offline", is_offline).await;
        assert_eq!(update["payload"], json!({ "user_id": user.id, "status": "offline", "last_seen_at": null }));
    }
    for (user, other) in [(&alice, &bob), (&bob, &alice)] {
        let profile = user.get(&format!("/users/{}", other.username)).await.expect(200);
        assert_eq!((&profile["presence"], &profile["last_seen_at"]), (&json!("offline"), &json!(null)));
        let presence = user.post("/users/presence", json!({ "user_ids": [other.id] })).await.expect(200);
        assert_eq!(presence["users"], json!({}));
        let peer = user.conversation(&direct).await["peer"].clone();
        assert_eq!((&peer["presence"], &peer["last_seen_at"]), (&json!("offline"), &json!(null)));
        let path = format!("/conversations/{group}");
        assert_eq!(user.get(&format!("{path}/online")).await.expect(200), json!({ "user_ids": [user.id] }));
        let member = user.get(&format!("{path}/members/{}", other.username)).await.expect(200);
        assert_eq!(member["presence"], "offline");
        for member in user.conversation(&group).await["members"].as_array().unwrap() {
            assert_eq!(member["presence"] == "online", member["user"]["id"] == user.id.as_str(), "{member}");
        }
    }
    let state = alice_socket.accepted("presence.subscribe", json!({ "user_ids": [bob.id] }), "presence.state").await;
    assert_eq!(state["users"], json!({}));
    bob_socket.accepted("presence.set", json!({ "status": "away" }), "ack").await;
    bob_socket.accepted("presence.set", json!({ "status": "online" }), "ack").await;

    unblock(&alice, &bob).await;
    for (socket, user) in [(&mut alice_socket, &bob), (&mut bob_socket, &alice)] {
        let frames = socket.frames_until("presence", |frame| frame["type"] == "presence.update").await;
        let update = &frames.last().unwrap()["payload"];
        assert_eq!((&update["user_id"], &update["status"]), (&json!(user.id), &json!("online")), "{frames:?}");
    }
    assert_eq!(alice.get("/users/bob").await.expect(200)["presence"], "online");
}

#[tokio::test]
async fn users_without_a_shared_conversation_get_no_events_of_a_block() {
    let server = TestServer::start().await;
    let (alice, bob, _) = register_three(&server).await;
    let mut alice_socket = alice.connect().await;
    let mut bob_socket = bob.connect().await;
    block(&alice, &bob).await;
    unblock(&alice, &bob).await;
    assert_eq!(alice_socket.frames_until_pong().await, Vec::<Value>::new());
    assert_eq!(bob_socket.frames_until_pong().await, Vec::<Value>::new());
}

#[tokio::test]
async fn typing_is_not_sent_across_a_block() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = register_three(&server).await;
    let group = alice.group("Chess", &[&bob, &carol]).await;
    block(&bob, &alice).await;
    let mut alice_socket = alice.connect().await;
    let mut bob_socket = bob.connect().await;
    let mut carol_socket = carol.connect().await;
    alice_socket.accepted("typing.start", json!({ "conversation_id": group }), "ack").await;
    carol_socket.expect("typing.start").await;
    let typing = |user: &TestUser| {
        let (user, path) = (user.clone(), format!("/conversations/{group}/typing"));
        async move { user.get(&path).await.expect(200)["user_ids"].clone() }
    };
    assert_eq!(typing(&carol).await, json!([alice.id]));
    assert_eq!((typing(&bob).await, typing(&alice).await), (json!([]), json!([])));
    alice_socket.send_message(&group, "done").await;
    carol_socket.expect("typing.stop").await;
    // Another session sends this one, because the server passes on one `typing.start` of a session every two seconds.
    let mut second_socket = alice.connect().await;
    second_socket.accepted("typing.start", json!({ "conversation_id": group }), "ack").await;
    carol_socket.expect("typing.start").await;
    second_socket.accepted("typing.stop", json!({ "conversation_id": group }), "ack").await;
    carol_socket.expect("typing.stop").await;
    assert_eq!(typing(&carol).await, json!([]));
    alice_socket.send_message(&group, "last").await;
    let frames = bob_socket.frames_until("last", |frame| frame["payload"]["message"]["content"] == "last").await;
    assert!(!event_types(&frames).iter().any(|event_type| event_type.starts_with("typing")), "{frames:?}");
}

#[tokio::test]
async fn a_block_ends_the_typing_that_the_other_user_sees() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = register_three(&server).await;
    let group = alice.group("Chess", &[&bob, &carol]).await;
    let mut alice_socket = alice.connect().await;
    let mut bob_socket = bob.connect().await;
    let mut carol_socket = carol.connect().await;
    alice_socket.accepted("typing.start", json!({ "conversation_id": group }), "ack").await;
    bob_socket.expect("typing.start").await;
    block(&bob, &alice).await;
    assert_eq!(bob_socket.expect("typing.stop").await["payload"]["user_id"], alice.id.as_str());
    alice_socket.send_message(&group, "done").await;
    let frames = bob_socket.frames_until("done", |frame| frame["payload"]["message"]["content"] == "done").await;
    assert!(!event_types(&frames).contains(&"typing.stop"), "{frames:?}");
    let frames = carol_socket.frames_until("the stop", |frame| frame["type"] == "typing.stop").await;
    assert_eq!(event_types(&frames).iter().filter(|event_type| **event_type == "typing.stop").count(), 1);
}

#[tokio::test]
async fn read_and_delivered_marks_are_not_sent_across_a_block() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = register_three(&server).await;
    let group = alice.group("Chess", &[&bob, &carol]).await;
    block(&alice, &bob).await;
    let mut alice_socket = alice.connect().await;
    let mut carol_socket = carol.connect().await;
    let last = alice.send(&group, "hello").await["seq"].clone();
    let mut bob_socket = bob.connect().await;
    bob_socket.accepted("message.delivered", json!({ "conversation_id": group, "seq": last }), "ack").await;
    bob_socket.accepted("message.read", json!({ "conversation_id": group }), "ack").await;
    carol_socket.wait_for("bob's mark", |frame| frame["payload"]["status"] == "seen").await;
    for (user, other) in [(&alice, "bob"), (&bob, "alice")] {
        let member = user.get(&format!("/conversations/{group}/members/{other}")).await.expect(200);
        assert_eq!(member["last_read_seq"], json!(null));
    }
    assert_eq!(alice.history(&group).await.last().unwrap()["status"], "sent");
    // Carol's mark comes after bob's, and alice gets it.
    carol.post(&format!("/conversations/{group}/read"), json!({})).await.expect(200);
    let frames = alice_socket.frames_until("carol's mark", |frame| frame["payload"]["status"] == "seen").await;
    let statuses: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "message.status").collect();
    assert!(statuses.iter().all(|frame| frame["payload"]["user_id"] == carol.id.as_str()), "{statuses:?}");
    assert_eq!(alice.history(&group).await.last().unwrap()["status"], "seen");
    unblock(&alice, &bob).await;
    let member = alice.get(&format!("/conversations/{group}/members/bob")).await.expect(200);
    assert_eq!(member["last_read_seq"], last);
}

#[tokio::test]
async fn a_block_and_a_new_direct_conversation_take_effect_one_after_the_other() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for round in 0..12 {
        let bob = server.user(&format!("bob-{round}")).await;
        let mut session = LiveSession::new(&bob).await;
        let creation = bob.post_empty("/conversations/with/alice");
        let (created, blocked) = tokio::join!(creation, alice.post("/blocks", json!({ "user": bob.id })));
        blocked.expect(201);
        if created.status == 403 {
            created.refused(403, "blocked");
            bob.get("/conversations/with/alice").await.refused(404, "not_found");
            assert_eq!(session.compare_with_sync().await, 0);
            continue;
        }
        let direct = text(&created.expect(201)["id"]);
        assert_eq!(session.expect_payload("conversation.created").await["conversation"]["my"]["blocked"], false);
        assert_eq!(session.expect_payload("conversation.settings").await["my"]["blocked"], true);
        for user in [&alice, &bob] {
            assert_eq!(user.conversation(&direct).await["my"]["blocked"], true);
        }
        assert_eq!(session.compare_with_sync().await, 2);
    }
}

#[tokio::test]
async fn a_deleted_user_cannot_be_blocked_but_can_be_unblocked() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = register_three(&server).await;
    alice.direct(&bob).await;
    block(&alice, &bob).await;
    server.sql("UPDATE users SET status = 'deleted', deleted_at = 1 WHERE username_key IN ('bob', 'carol')").await;
    alice.post("/blocks", json!({ "user": carol.id })).await.refused(404, "user_not_found");
    let mut alice_session = LiveSession::new(&alice).await;
    unblock(&alice, &bob).await;
    assert_eq!(alice_session.expect_payload("conversation.settings").await["my"]["blocked"], false);
}
