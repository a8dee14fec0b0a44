//! Blocks: nothing passes between the two but what they say in shared groups; and reads that are not shared.

use serde_json::{Value, json};

use crate::live_and_replayed::Witness;
use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

async fn block(user: &TestUser, other: &TestUser) -> Value {
    user.post("/blocks", json!({ "user": other.username })).await.expect(201)
}

async fn unblock(user: &TestUser, other: &TestUser) {
    user.delete(&format!("/blocks/{}", other.username)).await.expect(204);
}

async fn status(user: &TestUser, other: &TestUser) -> Value {
    user.get(&format!("/blocks/{}/status", other.username)).await.expect(200)
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["type"].as_str().expect("a type")).collect()
}

async fn three(server: &TestServer) -> (TestUser, TestUser, TestUser) {
    (server.user("alice").await, server.user("bob").await, server.user("carol").await)
}

#[tokio::test]
async fn a_block_is_made_once_listed_and_taken_back() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = three(&server).await;
    let made = block(&alice, &bob).await;
    assert_eq!(made["user"]["id"], bob.id.as_str());
    assert!(made["created_at"].is_string(), "{made}");
    for reference in [&bob.id, "BOB"] {
        let again = alice.post("/blocks", json!({ "user": reference })).await.expect(200);
        assert_eq!(again, made);
    }
    block(&alice, &carol).await;
    let page = alice.get("/blocks?limit=1").await.expect(200);
    assert_eq!(page["items"][0]["user"]["id"], carol.id.as_str(), "the newest first");
    let cursor = text(&page["next_cursor"]);
    let page = alice.get(&format!("/blocks?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!((&page["items"], &page["next_cursor"]), (&json!([made]), &json!(null)));
    assert_eq!(bob.get("/blocks").await.expect(200)["items"], json!([]));
    for _ in 0..2 {
        unblock(&alice, &bob).await;
    }
    assert_eq!(alice.get("/blocks").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_status_tells_both_directions() {
    let server = TestServer::start().await;
    let (alice, bob, _) = three(&server).await;
    let told = |is_blocked: bool, is_blocked_by: bool, can: bool| json!({ "is_blocked": is_blocked, "is_blocked_by": is_blocked_by, "can_send_message": can });
    assert_eq!(status(&alice, &bob).await, told(false, false, true));
    block(&alice, &bob).await;
    assert_eq!(status(&alice, &bob).await, told(true, false, false));
    assert_eq!(status(&bob, &alice).await, told(false, true, false));
    block(&bob, &alice).await;
    assert_eq!(status(&bob, &alice).await, told(true, true, false));
    unblock(&alice, &bob).await;
    assert_eq!(status(&alice, &bob).await, told(false, true, false));
    unblock(&bob, &alice).await;
    assert_eq!(status(&alice, &bob).await, told(false, false, true));
    assert_eq!(status(&alice, &alice).await, told(false, false, false));
}

#[tokio::test]
async fn a_block_that_cannot_be_is_refused() {
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
async fn a_block_ends_direct_messages_and_both_hear_of_it() {
    let server = TestServer::start().await;
    let (alice, bob, _) = three(&server).await;
    let direct = alice.direct(&bob).await;
    alice.send(&direct, "hello").await;
    let mut mine = Witness::of(&alice).await;
    let mut theirs = Witness::of(&bob).await;
    block(&alice, &bob).await;
    for (user, witness) in [(&alice, &mut mine), (&bob, &mut theirs)] {
        let told = witness.sees("conversation.settings").await;
        assert_eq!((&told["conversation_id"], &told["my"]["blocked"]), (&json!(direct), &json!(true)));
        assert_eq!(told["my"], user.conversation(&direct).await["my"]);
        let path = format!("/conversations/{direct}/messages");
        user.post(&path, json!({ "content": "hi" })).await.refused(403, "blocked");
        let mut socket = user.connect().await;
        socket.refused("message.send", json!({ "conversation_id": direct, "content": "hi" }), "blocked").await;
    }
    let again = bob.post_nothing("/conversations/with/alice").await.expect(200);
    assert_eq!(again["id"], direct.as_str(), "what they said stays");
    // the second block changes nothing that either sees, nor does the end of the first
    block(&bob, &alice).await;
    unblock(&alice, &bob).await;
    bob.post(&format!("/conversations/{direct}/messages"), json!({ "content": "hi" })).await.refused(403, "blocked");
    unblock(&bob, &alice).await;
    for witness in [&mut mine, &mut theirs] {
        assert_eq!(witness.sees("conversation.settings").await["my"]["blocked"], false);
    }
    bob.send(&direct, "hi").await;
    for witness in [mine, theirs] {
        assert_eq!(witness.agrees_with_sync().await, 3);
    }
}

#[tokio::test]
async fn there_is_no_new_direct_conversation_across_a_block() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = three(&server).await;
    block(&alice, &bob).await;
    for (user, other) in [(&alice, &bob), (&bob, &alice)] {
        user.post_nothing(&format!("/conversations/with/{}", other.username)).await.refused(403, "blocked");
        let body = json!({ "type": "direct", "participant_ids": [other.id] });
        user.post("/conversations", body).await.refused(403, "blocked");
    }
    let group = carol.group("room", &[&alice, &bob]).await;
    bob.send(&group, "in a group they talk").await;
    assert_eq!(alice.history(&group).await.len(), 2);
    unblock(&alice, &bob).await;
    alice.post_nothing("/conversations/with/bob").await.expect(201);
}

#[tokio::test]
async fn presence_goes_and_comes_back_with_the_block() {
    let server = TestServer::start().await;
    let (alice, bob, _) = three(&server).await;
    let direct = alice.direct(&bob).await;
    let group = alice.group("room", &[&bob]).await;
    let mut mine = alice.connect().await;
    let mut theirs = bob.connect().await;
    let state = mine.accepted("presence.subscribe", json!({ "user_ids": ["BOB", "nobody"] }), "presence.state").await;
    assert_eq!(state["users"], json!({ &bob.id: "online" }), "references name users here too");
    mine.frames_until_pong().await;
    theirs.frames_until_pong().await;

    block(&alice, &bob).await;
    for (socket, user) in [(&mut mine, &bob), (&mut theirs, &alice)] {
        // that the other came may be told only now
        let is_gone = |frame: &Value| frame["type"] == "presence.update" && frame["payload"]["status"] == "offline";
        let gone = socket.wait_for("presence.update with offline", is_gone).await;
        assert_eq!(gone["payload"], json!({ "user_id": user.id, "status": "offline", "last_seen_at": null }));
    }
    for (user, other) in [(&alice, &bob), (&bob, &alice)] {
        let shown = user.get(&format!("/users/{}", other.username)).await.expect(200);
        assert_eq!((&shown["presence"], &shown["last_seen_at"]), (&json!("offline"), &json!(null)));
        let asked = user.post("/users/presence", json!({ "user_ids": [other.id] })).await.expect(200);
        assert_eq!(asked["users"], json!({}));
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
    let state = mine.accepted("presence.subscribe", json!({ "user_ids": [bob.id] }), "presence.state").await;
    assert_eq!(state["users"], json!({}));
    theirs.accepted("presence.set", json!({ "status": "away" }), "ack").await;
    theirs.accepted("presence.set", json!({ "status": "online" }), "ack").await;

    unblock(&alice, &bob).await;
    for (socket, user) in [(&mut mine, &bob), (&mut theirs, &alice)] {
        let frames = socket.frames_until("presence", |frame| frame["type"] == "presence.update").await;
        let back = &frames.last().unwrap()["payload"];
        assert_eq!((&back["user_id"], &back["status"]), (&json!(user.id), &json!("online")), "{frames:?}");
    }
    assert_eq!(alice.get("/users/bob").await.expect(200)["presence"], "online");
}

#[tokio::test]
async fn strangers_see_nothing_of_a_block_between_them() {
    let server = TestServer::start().await;
    let (alice, bob, _) = three(&server).await;
    let mut mine = alice.connect().await;
    let mut theirs = bob.connect().await;
    block(&alice, &bob).await;
    unblock(&alice, &bob).await;
    assert_eq!(mine.frames_until_pong().await, Vec::<Value>::new());
    assert_eq!(theirs.frames_until_pong().await, Vec::<Value>::new());
}

#[tokio::test]
async fn typing_is_not_seen_across_a_block() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = three(&server).await;
    let group = alice.group("room", &[&bob, &carol]).await;
    block(&bob, &alice).await;
    let mut author = alice.connect().await;
    let mut apart = bob.connect().await;
    let mut other = carol.connect().await;
    author.accepted("typing.start", json!({ "conversation_id": group }), "ack").await;
    other.expect("typing.start").await;
    let typing = |user: &TestUser| {
        let (user, path) = (user.clone(), format!("/conversations/{group}/typing"));
        async move { user.get(&path).await.expect(200)["user_ids"].clone() }
    };
    assert_eq!(typing(&carol).await, json!([alice.id]));
    assert_eq!((typing(&bob).await, typing(&alice).await), (json!([]), json!([])));
    author.say(&group, "done").await;
    other.expect("typing.stop").await;
    // from another session: one session is heard every two seconds
    let mut second = alice.connect().await;
    second.accepted("typing.start", json!({ "conversation_id": group }), "ack").await;
    other.expect("typing.start").await;
    second.accepted("typing.stop", json!({ "conversation_id": group }), "ack").await;
    other.expect("typing.stop").await;
    assert_eq!(typing(&carol).await, json!([]));
    author.say(&group, "the end").await;
    let frames = apart.frames_until("the end", |frame| frame["payload"]["message"]["content"] == "the end").await;
    assert!(!kinds(&frames).iter().any(|kind| kind.starts_with("typing")), "{frames:?}");
}

#[tokio::test]
async fn whoever_types_when_the_block_comes_is_seen_to_stop() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = three(&server).await;
    let group = alice.group("room", &[&bob, &carol]).await;
    let mut author = alice.connect().await;
    let mut apart = bob.connect().await;
    let mut other = carol.connect().await;
    author.accepted("typing.start", json!({ "conversation_id": group }), "ack").await;
    apart.expect("typing.start").await;
    block(&bob, &alice).await;
    assert_eq!(apart.expect("typing.stop").await["payload"]["user_id"], alice.id.as_str());
    author.say(&group, "done").await;
    let frames = apart.frames_until("done", |frame| frame["payload"]["message"]["content"] == "done").await;
    assert!(!kinds(&frames).contains(&"typing.stop"), "{frames:?}");
    let frames = other.frames_until("the stop", |frame| frame["type"] == "typing.stop").await;
    assert_eq!(kinds(&frames).iter().filter(|kind| **kind == "typing.stop").count(), 1);
}

#[tokio::test]
async fn receipts_are_not_seen_across_a_block() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = three(&server).await;
    let group = alice.group("room", &[&bob, &carol]).await;
    block(&alice, &bob).await;
    let mut author = alice.connect().await;
    let mut bystander = carol.connect().await;
    let last = alice.send(&group, "hello").await["seq"].clone();
    let mut reader = bob.connect().await;
    reader.accepted("message.delivered", json!({ "conversation_id": group, "seq": last }), "ack").await;
    reader.accepted("message.read", json!({ "conversation_id": group }), "ack").await;
    bystander.wait_for("bob's mark", |frame| frame["payload"]["status"] == "seen").await;
    for (user, other) in [(&alice, "bob"), (&bob, "alice")] {
        let member = user.get(&format!("/conversations/{group}/members/{other}")).await.expect(200);
        assert_eq!(member["last_read_seq"], json!(null));
    }
    assert_eq!(alice.history(&group).await.last().unwrap()["status"], "sent");
    // a mark that may be seen comes after it
    carol.post(&format!("/conversations/{group}/read"), json!({})).await.expect(200);
    let frames = author.frames_until("carol's mark", |frame| frame["payload"]["status"] == "seen").await;
    let statuses: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "message.status").collect();
    assert!(statuses.iter().all(|frame| frame["payload"]["user_id"] == carol.id.as_str()), "{statuses:?}");
    assert_eq!(alice.history(&group).await.last().unwrap()["status"], "seen");
    unblock(&alice, &bob).await;
    let member = alice.get(&format!("/conversations/{group}/members/bob")).await.expect(200);
    assert_eq!(member["last_read_seq"], last);
}

#[tokio::test]
async fn who_hides_their_reads_does_not_see_those_of_others() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = three(&server).await;
    let group = alice.group("room", &[&bob, &carol]).await;
    alice.patch("/users/me", json!({ "share_read_receipts": false })).await.expect(200);
    let last = alice.send(&group, "hello").await["seq"].clone();
    let mut hiding = alice.connect().await;
    let mut device = alice.connect().await;
    let mut sharing = carol.connect().await;
    let mut reader = bob.connect().await;
    reader.accepted("message.read", json!({ "conversation_id": group }), "ack").await;
    sharing.wait_for("bob's mark", |frame| frame["payload"]["status"] == "seen").await;
    let member = alice.get(&format!("/conversations/{group}/members/bob")).await.expect(200);
    assert_eq!(member["last_read_seq"], json!(null));
    assert_ne!(alice.history(&group).await.last().unwrap()["status"], "seen");
    let own = alice.get(&format!("/conversations/{group}/members/alice")).await.expect(200);
    assert_eq!(own["last_read_seq"], last, "one sees one's own");

    // one's own devices hear of one's own reads, and others do not
    bob.send(&group, "an answer").await;
    hiding.accepted("message.read", json!({ "conversation_id": group }), "ack").await;
    let own = device.expect("conversation.read").await;
    assert_eq!(own["payload"]["conversation_id"], group.as_str());
    reader.accepted("message.delivered", json!({ "conversation_id": group, "seq": 3 }), "ack").await;
    carol.post(&format!("/conversations/{group}/read"), json!({})).await.expect(200);
    let of_carol = |frame: &Value| frame["payload"]["user_id"] == carol.id.as_str();
    let frames = reader.frames_until("carol's mark", |frame| frame["payload"]["status"] == "seen" && of_carol(frame));
    for frame in frames.await {
        let own = frame["payload"]["last_read_seq"] == last;
        assert!(frame["type"] != "conversation.read" || own, "{frame}");
        assert!(frame["type"] != "message.status" || of_carol(&frame), "{frame}");
    }
    for frame in hiding.frames_until_pong().await {
        assert!(frame["payload"]["status"] != "seen", "{frame}");
    }
    eventually("delivered is told all the same", async || alice.history(&group).await[1]["status"] == "delivered")
        .await;
}

#[tokio::test]
async fn a_block_and_a_first_conversation_have_one_order() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for round in 0..12 {
        let bob = server.user(&format!("bob-{round}")).await;
        let mut witness = Witness::of(&bob).await;
        let meeting = bob.post_nothing("/conversations/with/alice");
        let (met, blocked) = tokio::join!(meeting, alice.post("/blocks", json!({ "user": bob.id })));
        blocked.expect(201);
        if met.status == 403 {
            met.refused(403, "blocked");
            bob.get("/conversations/with/alice").await.refused(404, "not_found");
            assert_eq!(witness.agrees_with_sync().await, 0);
            continue;
        }
        let direct = text(&met.expect(201)["id"]);
        assert_eq!(witness.sees("conversation.created").await["conversation"]["my"]["blocked"], false);
        assert_eq!(witness.sees("conversation.settings").await["my"]["blocked"], true);
        for user in [&alice, &bob] {
            assert_eq!(user.conversation(&direct).await["my"]["blocked"], true);
        }
        assert_eq!(witness.agrees_with_sync().await, 2);
    }
}

#[tokio::test]
async fn whoever_is_gone_is_not_blocked_and_can_be_unblocked() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = three(&server).await;
    alice.direct(&bob).await;
    block(&alice, &bob).await;
    server.sql("UPDATE users SET status = 'deleted', deleted_at = 1 WHERE username_key IN ('bob', 'carol')").await;
    alice.post("/blocks", json!({ "user": carol.id })).await.refused(404, "user_not_found");
    let mut mine = Witness::of(&alice).await;
    unblock(&alice, &bob).await;
    assert_eq!(mine.sees("conversation.settings").await["my"]["blocked"], false);
}
