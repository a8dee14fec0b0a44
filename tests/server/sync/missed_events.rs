//! Coming back: the missed events in order, then live ones without a seam; and the cases in which there is nothing to
//! come back to.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestSocket, TestUser};

/// Sends `sync` and returns every frame before `sync.done`, and its payload.
pub async fn sync(socket: &mut TestSocket, payload: Value) -> (Vec<Value>, Value) {
    let id = socket.start("sync", payload);
    let mut frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    let done = frames.pop().expect("the marker is last");
    assert_eq!(done["type"], "sync.done", "{done}");
    (frames, done["payload"].clone())
}

fn revs(frames: &[Value], room: &str) -> Vec<i64> {
    let of = |frame: &&Value| frame["stream"] == "conversation" && frame.to_string().contains(room);
    frames.iter().filter(of).map(|frame| frame["rev"].as_i64().expect("a rev")).collect()
}

async fn last_rev(user: &TestUser, room: &str) -> i64 {
    user.conversation(room).await["last_rev"].as_i64().expect("last_rev")
}

#[tokio::test]
async fn who_comes_back_gets_what_was_missed_and_what_follows() {
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
    let epoch = socket.welcome["epoch"].clone();
    let user_rev = socket.welcome["user_rev"].clone();
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
async fn there_is_no_seam_between_missed_and_live_events() {
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
                socket.say(&room, &format!("number {number}")).await;
            }
        }
    });
    let mut held = from;
    while held < from + 400 {
        let mut socket = bob.connect_unsubscribed().await;
        let until = (held + 60).min(from + 400);
        let id = socket.start("sync", json!({ "conversations": { &room: held } }));
        while held < until {
            let frame = socket.frame("an event of the room").await;
            if frame["id"] == id.as_str() {
                assert!(
                    frame["payload"]["conversations"][&room].as_i64() <= Some(held),
                    "{frame} came before its events"
                );
            } else if frame["stream"] == "conversation" {
                held += 1;
                assert_eq!(frame["rev"], held, "{frame}");
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
    assert_eq!(socket.expect("message.new").await["rev"], last + 1, "it is subscribed from there");
}

#[tokio::test]
async fn another_epoch_resets_everything() {
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
async fn foreign_conversations_are_denied_and_the_rest_goes_on() {
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
    let mut frames: Vec<Value> = socket.kept().cloned().collect();
    socket.send(json!({ "type": "sync", "payload": { "conversations": {}, "more": true } }));
    let (rest, done) = sync(&mut socket, json!({ "conversations": { &other: from_other } })).await;
    frames.extend(rest);
    assert_eq!(done["conversations"], json!({ &one: from_one + 1, &other: from_other + 1 }));
    assert_eq!(revs(&frames, &other), [from_other + 1]);
    assert!(revs(&frames, &one).contains(&(from_one + 1)));
}

#[tokio::test]
async fn conversations_gained_meanwhile_come_from_the_users_stream() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let known = alice.group("known", &[&bob]).await;
    let first = bob.connect().await;
    let (user_rev, epoch) = (first.welcome["user_rev"].clone(), first.welcome["epoch"].clone());
    let known_rev = first.welcome["conversations"][&known].clone();
    drop(first);
    let gained = alice.group("gained", &[&bob]).await;
    alice.send(&gained, "missed").await;

    let mut socket = bob.connect_unsubscribed().await;
    let payload = json!({ "conversations": { &known: known_rev }, "user_rev": user_rev, "epoch": epoch });
    let (mut frames, done) = sync(&mut socket, payload).await;
    assert!(done["user_rev"].as_i64() > user_rev.as_i64(), "{done}");
    let created = frames.iter().find(|frame| frame["type"] == "conversation.created").expect("it is told");
    assert_eq!(created["payload"]["conversation"]["id"], gained.as_str());
    let from = created["payload"]["conversation"]["last_rev"].as_i64().unwrap();
    alice.send(&gained, "live").await;
    let is_live = |frame: &Value| frame["payload"]["message"]["content"] == "live";
    frames.extend(socket.frames_until("what follows", is_live).await);
    assert_eq!(revs(&frames, &gained), [from + 1, from + 2], "{frames:#?}");
}

#[tokio::test]
async fn what_was_missed_of_a_conversation_gained_meanwhile_comes_before_the_end() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let user_rev = bob.connect_unsubscribed().await.welcome["user_rev"].clone();
    let gained = alice.group("gained", &[&bob]).await;
    for number in 0..2 {
        alice.send(&gained, &format!("missed {number}")).await;
    }
    let gone = alice.group("gone again", &[&bob]).await;
    alice.send(&gone, "secret").await;
    alice.delete(&format!("/conversations/{gone}/members/bob")).await.expect(204);
    let back = alice.group("and back", &[&bob]).await;
    alice.delete(&format!("/conversations/{back}/members/bob")).await.expect(204);
    alice.send(&back, "while bob was out").await;
    alice.post(&format!("/conversations/{back}/members"), json!({ "user_ids": ["bob"] })).await.expect(200);
    let joined = last_rev(&alice, &back).await;
    alice.send(&back, "missed").await;

    let mut socket = bob.connect_unsubscribed().await;
    let (frames, done) = sync(&mut socket, json!({ "conversations": {}, "user_rev": user_rev })).await;
    let last = last_rev(&alice, &gained).await;
    assert_eq!(revs(&frames, &gained), [last - 1, last], "{frames:#?}");
    assert_eq!(revs(&frames, &back), [joined + 1], "{frames:#?}");
    assert_eq!(revs(&frames, &gone), Vec::<i64>::new(), "{frames:#?}");
    assert_eq!(done["conversations"], json!({ &gained: last, &back: joined + 1 }));
    let mark = bob.conversation(&gained).await["my"]["last_read_seq"].clone();
    assert_eq!((&done["reads"][&gained], &done["reads"][&gone]), (&mark, &json!(null)));
    assert_eq!(done["denied"], json!([]), "what was not asked for is not refused");
    alice.send(&gained, "live").await;
    assert_eq!(socket.expect("message.new").await["rev"], last + 1);
}

#[tokio::test]
async fn none_of_many_conversations_gained_meanwhile_is_lost() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let user_rev = bob.connect_unsubscribed().await.welcome["user_rev"].clone();
    let mut gained = serde_json::Map::new();
    for number in 0..300 {
        let room = alice.group(&format!("room {number}"), &[&bob]).await;
        gained.insert(room, json!(1));
    }
    let mut socket = bob.connect_unsubscribed().await;
    let (_, done) = sync(&mut socket, json!({ "conversations": {}, "user_rev": user_rev })).await;
    assert_eq!(done["conversations"], Value::Object(gained));
}

#[tokio::test]
async fn what_is_gained_is_followed_however_busy_the_session_is() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let mut socket = bob.connect().await;
    let creating = tokio::spawn({
        let (alice, bob) = (alice.clone(), bob.clone());
        async move {
            let mut gained = Vec::new();
            for _ in 0..10 {
                gained.push(alice.group("gained", &[&bob]).await);
            }
            gained
        }
    });
    while !creating.is_finished() {
        // more than a lane holds: the last is refused, or answered when the others are
        let last = (0..300).map(|_| socket.start("sync", json!({ "conversations": {} }))).last().unwrap();
        socket.wait_for("an answer", |frame| frame["id"] == last.as_str()).await;
    }
    for room in creating.await.unwrap() {
        let sent = alice.send(&room, "hello").await;
        socket.wait_for("the message", |frame| frame["payload"]["message"]["id"] == sent["id"]).await;
    }
}

#[tokio::test]
async fn the_end_names_what_came_before_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let loud = alice.group("loud", &[&bob]).await;
    let mut held = serde_json::Map::new();
    for number in 0..30 {
        let quiet = alice.group(&format!("quiet {number}"), &[&bob]).await;
        held.insert(quiet, json!(1));
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
        held.insert(loud.clone(), json!(from));
        let mut socket = bob.connect_unsubscribed().await;
        let (frames, done) = sync(&mut socket, json!({ "conversations": &held, "user_rev": 0 })).await;
        let last = revs(&frames, &loud).last().copied().unwrap_or(from);
        assert_eq!(done["conversations"][&loud], last, "the last that came");
    }
    stop.send(()).expect("the writer writes");
    writer.await.unwrap();
}

#[tokio::test]
async fn who_was_out_in_between_is_reset() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let from = last_rev(&alice, &room).await;
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    alice.send(&room, "while bob was out").await;
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
async fn who_was_removed_while_away_is_denied_and_told() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let first = bob.connect().await;
    let user_rev = first.welcome["user_rev"].clone();
    let from = first.welcome["conversations"][&room].clone();
    drop(first);
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    alice.send(&room, "secret").await;
    let mut socket = bob.connect_unsubscribed().await;
    let (frames, done) = sync(&mut socket, json!({ "conversations": { &room: from }, "user_rev": user_rev })).await;
    assert_eq!(done["denied"], json!([{ "id": room, "code": "not_a_participant" }]));
    let told = frames.iter().find(|frame| frame["type"] == "conversation.removed").expect("it is told");
    assert_eq!(text(&told["payload"]["conversation_id"]), room);
    assert!(frames.iter().all(|frame| !frame.to_string().contains("secret")), "{frames:?}");
}

#[tokio::test]
async fn a_sync_right_after_auth_ends_after_what_was_missed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for _ in 0..300 {
        // the subscription that auth made is still being answered when the sync comes
        let mut socket = alice.connect_unsubscribed().await;
        let (frames, done) = sync(&mut socket, json!({ "conversations": {}, "user_rev": 0 })).await;
        let types: Vec<_> = frames.iter().map(|frame| frame["type"].clone()).collect();
        assert_eq!((types, &done["user_rev"]), (vec![json!("user.created")], &json!(1)));
    }
}

#[tokio::test]
async fn who_was_told_where_a_conversation_begins_gets_nothing_from_before() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let from = last_rev(&alice, &room).await;
    let user_rev = bob.connect_unsubscribed().await.welcome["user_rev"].clone();
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["bob"] })).await.expect(200);
    for _ in 0..3 {
        alice.send(&room, "after bob came back").await;
    }
    let last = last_rev(&alice, &room).await;
    // one was out in between and reads anew; the other has read everything but the user's own stream
    for (held, resets) in [(from, 1), (last, 0)] {
        let mut socket = bob.connect_unsubscribed().await;
        let payload = json!({ "conversations": { &room: held }, "user_rev": user_rev });
        let (mut frames, done) = sync(&mut socket, payload).await;
        assert_eq!(frames.iter().filter(|frame| frame["type"] == "sync.reset").count(), resets, "{frames:?}");
        assert!(frames.iter().any(|frame| frame["type"] == "conversation.created"), "{frames:?}");
        assert_eq!(done["conversations"][&room], last);
        // whatever the user's stream made the session follow is followed before this is answered
        socket.accepted("subscribe", json!({ "conversation_ids": [room] }), "subscribed").await;
        frames.extend(socket.kept().cloned());
        frames.extend(socket.frames_until_pong().await);
        assert_eq!(revs(&frames, &room), Vec::<i64>::new(), "{frames:?}");
    }
}
