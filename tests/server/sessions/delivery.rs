//! The delivery of events to sessions: after the acknowledgement, once, in order, and only to subscribers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::follower::Follower;
use crate::support::history::{Conversation, Recorder, Row, check};
use crate::support::user::text;
use crate::support::{Random, TestServer};

#[tokio::test]
async fn a_message_is_acknowledged_and_then_broadcast_to_every_session() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let mut sender = alice.connect().await;
    let mut second = alice.connect().await;
    let mut receiver = bob.connect().await;

    let payload = json!({ "conversation_id": direct, "content": "hello", "temp_id": "t-1" });
    let id = sender.start("message.send", payload);
    let frames = sender.frames_until("its own event", |frame| frame["type"] == "message.new").await;
    let sent =
        frames.iter().find(|frame| frame["id"] == id.as_str()).expect("the acknowledgement comes before the event");
    assert_eq!((&sent["type"], &sent["payload"]["temp_id"]), (&json!("message.sent"), &json!("t-1")));
    let own = frames.last().expect("the event");

    for event in [own.clone(), second.expect("message.new").await, receiver.expect("message.new").await] {
        assert_eq!(event["stream"], "conversation");
        assert_eq!(event["rev"], sent["payload"]["rev"]);
        let message = &event["payload"]["message"];
        assert_eq!((&message["id"], &message["seq"]), (&sent["payload"]["message"]["id"], &json!(1)));
        assert_eq!((&message["content"], &message["temp_id"]), (&json!("hello"), &json!("t-1")));
        assert_eq!(message["sender"]["username"], "alice");
        assert!(message.get("status").is_none(), "all sessions get the same text: {message}");
    }
}

#[tokio::test]
async fn a_message_over_rest_is_broadcast_too() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let mut receiver = bob.connect().await;
    let sent = alice.send(&direct, "hello").await;
    assert_eq!(receiver.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
}

#[tokio::test]
async fn participants_get_a_new_conversation_and_its_events_without_a_request() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let mut sockets = [alice.connect().await, alice.connect().await, bob.connect().await];
    for kind in ["direct", "group"] {
        let body = json!({ "type": kind, "name": (kind == "group").then_some("room"), "participant_ids": [bob.id] });
        let body: Value = body
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let created = alice.post("/conversations", body).await.expect(201);
        let id = text(&created["id"]);
        let mut first_revs = Vec::new();
        for socket in &mut sockets {
            let created = socket.expect("conversation.created").await;
            let conversation = &created["payload"]["conversation"];
            assert_eq!((&created["stream"], &conversation["id"]), (&json!("user"), &json!(id)));
            assert_eq!(conversation["last_message"], json!(null));
            assert!(conversation.get("my").is_none_or(Value::is_object), "{conversation}");
            first_revs.push(conversation["last_rev"].as_i64().unwrap());
        }
        let sent = alice.send(&id, "hello").await;
        for (socket, from) in sockets.iter_mut().zip(first_revs) {
            let event = socket.wait_for("the first event", |frame| frame["stream"] == "conversation").await;
            assert_eq!(event["rev"], from + 1, "{event}");
            assert_eq!(event["payload"]["message"]["id"], sent["id"]);
        }
    }
}

#[tokio::test]
async fn a_session_gets_only_events_that_it_subscribed_to() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let loud = alice.group("loud", &[&bob]).await;
    let quiet = alice.group("quiet", &[&bob]).await;
    let mut socket = bob.connect().await;
    let answer = socket.accepted("unsubscribe", json!({ "conversation_ids": [quiet] }), "unsubscribed").await;
    assert!(answer.is_object() || answer.is_null(), "{answer}");
    alice.send(&quiet, "not subscribed").await;
    alice.send(&loud, "last").await;
    let is_last = |frame: &Value| frame["payload"]["message"]["content"] == "last";
    let mut frames = socket.frames_until("the message in the other group", is_last).await;
    frames.extend(socket.frames_until_pong().await);
    assert!(frames.iter().all(|frame| frame["payload"]["message"]["content"] != "not subscribed"), "{frames:?}");

    let answer = socket.accepted("subscribe", json!({ "conversation_ids": [quiet] }), "subscribed").await;
    assert_eq!((&answer["conversation_ids"], &answer["denied"]), (&json!([quiet]), &json!([])));
    let from = answer["revs"][&quiet].as_i64().unwrap();
    let sent = alice.send(&quiet, "subscribed again").await;
    let event = socket.expect("message.new").await;
    assert_eq!((&event["payload"]["message"]["id"], &event["rev"]), (&sent["id"], &json!(from + 1)));
}

#[tokio::test]
async fn a_session_that_subscribes_twice_gets_each_event_once() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let mut socket = alice.connect().await;
    for _ in 0..3 {
        socket.accepted("subscribe", json!({ "conversation_ids": [room, room] }), "subscribed").await;
    }
    let sent = socket.send_message(&room, "hello").await;
    let mut frames = socket.frames_until("the event", |frame| frame["type"] == "message.new").await;
    let next = socket.send_message(&room, "again").await;
    frames.extend(socket.frames_until("the next event", |frame| frame["type"] == "message.new").await);
    frames.extend(socket.frames_until_pong().await);
    let revs: Vec<&Value> =
        frames.iter().filter(|frame| frame["type"] == "message.new").map(|frame| &frame["rev"]).collect();
    assert_eq!(revs, [&sent["rev"], &next["rev"]]);
}

#[tokio::test]
async fn commands_about_one_conversation_are_answered_in_their_order() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let mut socket = alice.connect().await;
    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(
            socket.start("message.send", json!({ "conversation_id": room, "content": format!("number {number}") })),
        );
    }
    let mut seqs = Vec::new();
    for id in ids {
        let answer = socket.wait_for("an answer", |frame| frame["id"] == id.as_str()).await;
        seqs.push(answer["payload"]["message"]["seq"].as_i64().unwrap_or_else(|| panic!("{answer}")));
    }
    assert_eq!(seqs, (2..=101).collect::<Vec<_>>());
}

/// Several users send to several groups simultaneously, in part over REST.
#[tokio::test]
async fn every_session_gets_every_event_once_and_in_order_under_load() {
    let mut random = Random::from_environment();
    let server = TestServer::start().await;
    let mut users = Vec::new();
    for name in ["alice", "bob", "carol", "dave"] {
        users.push(server.user(name).await);
    }
    let mut rooms = Vec::new();
    for number in 0..3 {
        let others: Vec<_> = users[1..].iter().collect();
        rooms.push(users[0].group(&format!("room {number}"), &others).await);
    }
    let recorder = Recorder::default();
    let mut before = BTreeMap::new();
    for room in &rooms {
        before.insert(room.clone(), users[0].conversation(room).await);
    }
    let mut followers = Vec::new();
    for user in &users {
        for device in ["phone", "laptop"] {
            let name = format!("{}'s {device}", user.username);
            let mut follower = Follower::new(user, &name, &recorder).await;
            let socket = follower.connect(&mut random).await;
            followers.push((follower, socket));
        }
    }
    let mut writers = Vec::new();
    for user in &users {
        let (user, rooms, recorder, mut random) = (user.clone(), rooms.clone(), recorder.clone(), random.fork());
        writers.push(tokio::spawn(async move {
            let mut socket = user.connect_unsubscribed().await;
            for number in 0..60 {
                let room = random.pick(&rooms).clone();
                let temp_id = format!("{}-{number}", user.username);
                let send = recorder.add_send(&room, &user.id, &temp_id);
                if random.one_in(4) {
                    let body = json!({ "content": "over REST", "temp_id": temp_id });
                    let path = format!("/conversations/{room}/messages");
                    recorder.add_acknowledgement(send, &user.post(&path, body).await.expect(201), None);
                } else {
                    let payload = json!({ "conversation_id": room, "content": "hello", "temp_id": temp_id });
                    let answer = socket.accepted("message.send", payload, "message.sent").await;
                    recorder.add_acknowledgement(send, &answer["message"], answer["rev"].as_i64());
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mut last = BTreeMap::new();
    for room in &rooms {
        let after = users[0].conversation(room).await;
        let number = |value: &Value, name: &str| value[name].as_i64().unwrap();
        let first_seq = number(&before[room], "last_seq");
        let rows =
            users[0].history(room).await.iter().map(Row::from_message).filter(|row| row.seq > first_seq).collect();
        last.insert(room.clone(), number(&after, "last_rev"));
        recorder.add_conversation(
            room,
            Conversation {
                first_seq,
                first_rev: number(&before[room], "last_rev"),
                last_seq: number(&after, "last_seq"),
                last_rev: number(&after, "last_rev"),
                rows,
            },
        );
    }
    for (follower, socket) in followers {
        follower.finish(socket, &last, &mut random).await;
    }
    assert_eq!(check(&recorder.history()), []);
}
