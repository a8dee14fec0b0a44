//! A client that reconnects: `sync` sends the events that it missed, in order and followed by live events; or it resets
//! or denies a conversation that the client cannot continue.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestSocket, TestUser};

/// Sends `sync` and returns all frames before `sync.done`, and the payload of `sync.done`.
pub async fn sync(socket: &mut TestSocket, payload: Value) -> (Vec<Value>, Value) {
    let id = socket.start("sync", payload);
    let mut frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    let done = frames.pop().expect("the marker is last");
    assert_eq!(done["type"], "sync.done", "{done}");
    (frames, done["payload"].clone())
}

fn revs(frames: &[Value], room: &str) -> Vec<i64> {
    let is_of_room = |frame: &&Value| frame["stream"] == "conversation" && frame.to_string().contains(room);
    frames.iter().filter(is_of_room).map(|frame| frame["rev"].as_i64().expect("a rev")).collect()
}

async fn last_rev(user: &TestUser, room: &str) -> i64 {
    user.conversation(room).await["last_rev"].as_i64().expect("last_rev")
}

#[tokio::test]
async fn a_client_that_reconnects_gets_missed_events_and_then_live_events() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let quiet = alice.group("quiet", &[&bob]).await;
    let from = last_rev(&alice, &room).await;
    for number in 0..250 {
        alice.send(&room, &format!("missed {number}")).await;
    }
    let mut socket = bob.connect_unsubscribed().await;
    let epoch = socket.auth_success["epoch"].clone();
    let user_rev = socket.auth_success["user_rev"].clone();
    let quiet_rev = last_rev(&alice, &quiet).await;
    let payload = json!({ "conversations": { &room: from, &quiet: quiet_rev }, "user_rev": user_rev, "epoch": epoch });
    let (frames, done) = sync(&mut socket, payload).await;
    assert_eq!(revs(&frames, &room), (from + 1..=from + 250).collect::<Vec<_>>());
    assert_eq!(revs(&frames, &quiet), Vec::<i64>::new());
    assert_eq!(done["conversations"], json!({ &room: from + 250, &quiet: quiet_rev }));
    assert_eq!((&done["denied"], &done["user_rev"]), (&json!([]), &user_rev));
    assert!(done["reads"][&room].is_i64(), "{done}");

    alice.send(&room, "live").await;
    assert_eq!(socket.expect("message.new").await["rev"], from + 251);
    alice.send(&quiet, "live").await;
    assert_eq!(socket.expect("message.new").await["rev"], quiet_rev + 1);
}

#[tokio::test]
async fn no_event_is_lost_or_repeated_between_missed_and_live_events() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let from = last_rev(&alice, &room).await;
    let writer = tokio::spawn({
        let (alice, room) = (alice.clone(), room.clone());
        async move {
            let mut socket = alice.connect_unsubscribed().await;
            for number in 0..400 {
                socket.send_message(&room, &format!("number {number}")).await;
            }
        }
    });
    let mut known_rev = from;
    while known_rev < from + 400 {
        let mut socket = bob.connect_unsubscribed().await;
        let end = (known_rev + 60).min(from + 400);
        let id = socket.start("sync", json!({ "conversations": { &room: known_rev } }));
        while known_rev < end {
            let frame = socket.frame("an event of the room").await;
            if frame["id"] == id.as_str() {
                assert!(
                    frame["payload"]["conversations"][&room].as_i64() <= Some(known_rev),
                    "{frame} came before its events"
                );
            } else if frame["stream"] == "conversation" {
                known_rev += 1;
                assert_eq!(frame["rev"], known_rev, "{frame}");
            }
        }
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_client_ahead_of_the_server_is_reset() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let other = alice.group("other", &[]).await;
    let (last, other_last) = (last_rev(&alice, &room).await, last_rev(&alice, &other).await);
    let mut socket = alice.connect_unsubscribed().await;
    let payload = json!({ "conversations": { &room: last + 1_000, &other: other_last } });
    let (frames, done) = sync(&mut socket, payload).await;
    let resets: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "sync.reset").collect();
    assert_eq!(resets.len(), 1, "{frames:?}");
    assert_eq!(resets[0]["payload"], json!({ "conversation_id": room, "last_rev": last }));
    assert_eq!(resets[0].get("id"), None);
    assert_eq!(done["conversations"], json!({ &room: last, &other: other_last }));
    alice.send(&room, "live").await;
    assert_eq!(socket.expect("message.new").await["rev"], last + 1, "the session is subscribed from this revision");
}

#[tokio::test]
async fn another_epoch_resets_all_conversations() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let last = last_rev(&alice, &room).await;
    alice.send(&room, "hello").await;
    let mut socket = alice.connect_unsubscribed().await;
    let payload = json!({ "conversations": { &room: last }, "epoch": "another" });
    let (frames, done) = sync(&mut socket, payload).await;
    let reset = frames.iter().find(|frame| frame["type"] == "sync.reset").expect("a reset");
    assert_eq!(reset["payload"], json!({ "conversation_id": null, "last_rev": null }));
    assert_eq!(revs(&frames, &room), Vec::<i64>::new());
    assert_eq!(done["conversations"][&room], last + 1);
    alice.send(&room, "live").await;
    assert_eq!(socket.expect("message.new").await["rev"], last + 2);
}

#[tokio::test]
async fn conversations_of_others_are_denied_and_own_ones_sync() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let eve = server.user("eve").await;
    let foreign = alice.group("foreign", &[]).await;
    let own = eve.group("own", &[]).await;
    alice.send(&foreign, "secret").await;
    let from = last_rev(&eve, &own).await;
    eve.send(&own, "hello").await;
    let mut socket = eve.connect_unsubscribed().await;
    let payload = json!({ "conversations": { &foreign: 1, &own: from } });
    let (frames, done) = sync(&mut socket, payload).await;
    assert_eq!(done["denied"], json!([{ "id": foreign, "code": "not_a_participant" }]));
    assert_eq!(done["conversations"], json!({ &own: from + 1 }));
    assert_eq!(revs(&frames, &own), [from + 1]);
    alice.send(&foreign, "secret").await;
    eve.send(&own, "the end").await;
    let is_end = |frame: &Value| frame["payload"]["message"]["content"] == "the end";
    let mut frames = [frames, socket.frames_until("the end", is_end).await].concat();
    frames.extend(socket.frames_until_pong().await);
    assert!(frames.iter().all(|frame| !frame.to_string().contains("secret")), "{frames:?}");
}

#[tokio::test]
async fn a_sync_may_come_in_parts() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let (one, other) = (alice.group("one", &[]).await, alice.group("other", &[]).await);
    let (from_one, from_other) = (last_rev(&alice, &one).await, last_rev(&alice, &other).await);
    alice.send(&one, "hello").await;
    alice.send(&other, "hello").await;
    let mut socket = alice.connect_unsubscribed().await;
    socket.accepted("sync", json!({ "conversations": { &one: from_one }, "more": true }), "ack").await;
    let mut frames: Vec<Value> = socket.unread_frames().cloned().collect();
    socket.send(json!({ "type": "sync", "payload": { "conversations": {}, "more": true } }));
    let (rest, done) = sync(&mut socket, json!({ "conversations": { &other: from_other } })).await;
    frames.extend(rest);
    assert_eq!(done["conversations"], json!({ &one: from_one + 1, &other: from_other + 1 }));
    assert_eq!(revs(&frames, &other), [from_other + 1]);
    assert!(revs(&frames, &one).contains(&(from_one + 1)));
}

#[tokio::test]
async fn a_conversation_that_was_joined_while_offline_comes_in_the_user_stream() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let known = alice.group("known", &[&bob]).await;
    let first = bob.connect().await;
    let (user_rev, epoch) = (first.auth_success["user_rev"].clone(), first.auth_success["epoch"].clone());
    let known_rev = first.auth_success["conversations"][&known].clone();
    drop(first);
    let added = alice.group("added", &[&bob]).await;
    alice.send(&added, "missed").await;

    let mut socket = bob.connect_unsubscribed().await;
    let payload = json!({ "conversations": { &known: known_rev }, "user_rev": user_rev, "epoch": epoch });
    let (mut frames, done) = sync(&mut socket, payload).await;
    assert!(done["user_rev"].as_i64() > user_rev.as_i64(), "{done}");
    let created = frames.iter().find(|frame| frame["type"] == "conversation.created").expect("an event about it");
    assert_eq!(created["payload"]["conversation"]["id"], added.as_str());
    let from = created["payload"]["conversation"]["last_rev"].as_i64().unwrap();
    alice.send(&added, "live").await;
    let is_live = |frame: &Value| frame["payload"]["message"]["content"] == "live";
    frames.extend(socket.frames_until("the live message", is_live).await);
    assert_eq!(revs(&frames, &added), [from + 1, from + 2], "{frames:#?}");
}

#[tokio::test]
async fn missed_events_of_a_new_conversation_come_before_sync_done() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let user_rev = bob.connect_unsubscribed().await.auth_success["user_rev"].clone();
    let added = alice.group("added", &[&bob]).await;
    for number in 0..2 {
        alice.send(&added, &format!("missed {number}")).await;
    }
    let left = alice.group("left again", &[&bob]).await;
    alice.send(&left, "secret").await;
    alice.delete(&format!("/conversations/{left}/members/bob")).await.expect(204);
    let rejoined = alice.group("joined again", &[&bob]).await;
    alice.delete(&format!("/conversations/{rejoined}/members/bob")).await.expect(204);
    alice.send(&rejoined, "while bob was removed").await;
    alice.post(&format!("/conversations/{rejoined}/members"), json!({ "user_ids": ["bob"] })).await.expect(200);
    let joined = last_rev(&alice, &rejoined).await;
    alice.send(&rejoined, "missed").await;

    let mut socket = bob.connect_unsubscribed().await;
    let (frames, done) = sync(&mut socket, json!({ "conversations": {}, "user_rev": user_rev })).await;
    let last = last_rev(&alice, &added).await;
    assert_eq!(revs(&frames, &added), [last - 1, last], "{frames:#?}");
    assert_eq!(revs(&frames, &rejoined), [joined + 1], "{frames:#?}");
    assert_eq!(revs(&frames, &left), Vec::<i64>::new(), "{frames:#?}");
    assert_eq!(done["conversations"], json!({ &added: last, &rejoined: joined + 1 }));
    let mark = bob.conversation(&added).await["my"]["last_read_seq"].clone();
    assert_eq!((&done["reads"][&added], &done["reads"][&left]), (&mark, &json!(null)));
    assert_eq!(done["denied"], json!([]), "only requested conversations are denied");
    alice.send(&added, "live").await;
    assert_eq!(socket.expect("message.new").await["rev"], last + 1);
}

#[tokio::test]
async fn sync_done_lists_all_of_many_new_conversations() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let user_rev = bob.connect_unsubscribed().await.auth_success["user_rev"].clone();
    let mut added = serde_json::Map::new();
    for number in 0..300 {
        let room = alice.group(&format!("room {number}"), &[&bob]).await;
        added.insert(room, json!(1));
    }
    let mut socket = bob.connect_unsubscribed().await;
    let (_, done) = sync(&mut socket, json!({ "conversations": {}, "user_rev": user_rev })).await;
    assert_eq!(done["conversations"], Value::Object(added));
}

#[tokio::test]
async fn a_busy_session_gets_the_events_of_new_conversations() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let mut socket = bob.connect().await;
    let creating = tokio::spawn({
        let (alice, bob) = (alice.clone(), bob.clone());
        async move {
            let mut added = Vec::new();
            for _ in 0..10 {
                added.push(alice.group("added", &[&bob]).await);
            }
            added
        }
    });
    while !creating.is_finished() {
        // These are more commands than a lane holds. The last one is refused, or answered after the others.
        let last = (0..300).map(|_| socket.start("sync", json!({ "conversations": {} }))).last().unwrap();
        socket.wait_for("an answer", |frame| frame["id"] == last.as_str()).await;
    }
    for room in creating.await.unwrap() {
        let sent = alice.send(&room, "hello").await;
        socket.wait_for("the message", |frame| frame["payload"]["message"]["id"] == sent["id"]).await;
    }
}

#[tokio::test]
async fn sync_done_names_the_last_revision_that_came_before_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let loud = alice.group("loud", &[&bob]).await;
    let mut known_revs = serde_json::Map::new();
    for number in 0..30 {
        let quiet = alice.group(&format!("quiet {number}"), &[&bob]).await;
        known_revs.insert(quiet, json!(1));
    }
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn({
        let (alice, loud) = (alice.clone(), loud.clone());
        async move {
            let mut socket = alice.connect_unsubscribed().await;
            while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                let ids: Vec<String> = (0..20)
                    .map(|_| socket.start("message.send", json!({ "conversation_id": loud, "content": "hello" })))
                    .collect();
                for id in ids {
                    socket.wait_for("message.sent", |frame| frame["id"] == id.as_str()).await;
                }
            }
        }
    });
    for _ in 0..60 {
        let from = last_rev(&bob, &loud).await;
        known_revs.insert(loud.clone(), json!(from));
        let mut socket = bob.connect_unsubscribed().await;
        let (frames, done) = sync(&mut socket, json!({ "conversations": &known_revs, "user_rev": 0 })).await;
        let last = revs(&frames, &loud).last().copied().unwrap_or(from);
        assert_eq!(done["conversations"][&loud], last, "the last revision that came");
    }
    stop.send(()).expect("the writer runs");
    writer.await.unwrap();
}

#[tokio::test]
async fn a_user_who_left_and_joined_again_is_reset() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let from = last_rev(&alice, &room).await;
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    alice.send(&room, "while bob was removed").await;
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["bob"] })).await.expect(200);
    let mut socket = bob.connect_unsubscribed().await;
    let (frames, done) = sync(&mut socket, json!({ "conversations": { &room: from } })).await;
    let reset = frames.iter().find(|frame| frame["type"] == "sync.reset").expect("a reset");
    let last = last_rev(&alice, &room).await;
    assert_eq!(reset["payload"], json!({ "conversation_id": room, "last_rev": last }));
    assert_eq!(done["conversations"][&room], last);
    assert_eq!(revs(&frames, &room), Vec::<i64>::new());
}

#[tokio::test]
async fn a_user_who_was_removed_while_offline_is_denied_and_informed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let first = bob.connect().await;
    let user_rev = first.auth_success["user_rev"].clone();
    let from = first.auth_success["conversations"][&room].clone();
    drop(first);
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    alice.send(&room, "secret").await;
    let mut socket = bob.connect_unsubscribed().await;
    let (frames, done) = sync(&mut socket, json!({ "conversations": { &room: from }, "user_rev": user_rev })).await;
    assert_eq!(done["denied"], json!([{ "id": room, "code": "not_a_participant" }]));
    let removed = frames.iter().find(|frame| frame["type"] == "conversation.removed").expect("an event about it");
    assert_eq!(text(&removed["payload"]["conversation_id"]), room);
    assert!(frames.iter().all(|frame| !frame.to_string().contains("secret")), "{frames:?}");
}

#[tokio::test]
async fn a_sync_right_after_auth_ends_after_the_missed_events() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for _ in 0..300 {
        // The server may still process the subscriptions of `auth` when the sync comes.
        let mut socket = alice.connect_unsubscribed().await;
        let (frames, done) = sync(&mut socket, json!({ "conversations": {}, "user_rev": 0 })).await;
        let types: Vec<_> = frames.iter().map(|frame| frame["type"].clone()).collect();
        assert_eq!((types, &done["user_rev"]), (vec![json!("user.created")], &json!(1)));
    }
}

#[tokio::test]
async fn a_user_who_joined_again_gets_no_events_from_before() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let from = last_rev(&alice, &room).await;
    let user_rev = bob.connect_unsubscribed().await.auth_success["user_rev"].clone();
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["bob"] })).await.expect(200);
    for _ in 0..3 {
        alice.send(&room, "after bob joined again").await;
    }
    let last = last_rev(&alice, &room).await;
    // The first client left in between and is reset. The second has all events except those of the user stream.
    for (known_rev, resets) in [(from, 1), (last, 0)] {
        let mut socket = bob.connect_unsubscribed().await;
        let payload = json!({ "conversations": { &room: known_rev }, "user_rev": user_rev });
        let (mut frames, done) = sync(&mut socket, payload).await;
        assert_eq!(frames.iter().filter(|frame| frame["type"] == "sync.reset").count(), resets, "{frames:?}");
        assert!(frames.iter().any(|frame| frame["type"] == "conversation.created"), "{frames:?}");
        assert_eq!(done["conversations"][&room], last);
        // The server follows the conversations of the user stream before it answers this command.
        socket.accepted("subscribe", json!({ "conversation_ids": [room] }), "subscribed").await;
        frames.extend(socket.unread_frames().cloned());
        frames.extend(socket.frames_until_pong().await);
        assert_eq!(revs(&frames, &room), Vec::<i64>::new(), "{frames:?}");
    }
}
