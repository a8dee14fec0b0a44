//! Two operations at the same time, repeated many times: the one that commits second respects the one that commits
//! first. These tests use REST and WebSocket as clients do; `tests/embedded/races` runs a thousand rounds of each race
//! inside the process.

use serde_json::{Value, json};

use crate::support::follower::Follower;
use crate::support::history::{Conversation, Recorder, Row, check};
use crate::support::{TestServer, TestSocket, TestUser};

#[tokio::test]
async fn two_concurrent_creations_of_a_direct_conversation_create_one() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut peers = Vec::new();
    for round in 0..100 {
        peers.push(server.user(&format!("peer-{round}")).await);
    }
    for peer in peers {
        let by_alice = json!({ "type": "direct", "participant_ids": [peer.id] });
        let by_peer = json!({ "type": "direct", "participant_ids": [alice.id] });
        let with_peer = format!("/conversations/with/{}", peer.username);
        let (one, other, third) = tokio::join!(
            alice.post("/conversations", by_alice.clone()),
            peer.post("/conversations", by_peer),
            alice.post_empty(&with_peer),
        );
        let mut statuses = [one.status, other.status, third.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 201], "{} {} {}", one.body, other.body, third.body);
        assert_eq!(one.body["id"], other.body["id"]);
        assert_eq!(one.body["id"], third.body["id"]);
        let list = peer.get("/conversations").await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
    }
}

/// Bob sends while Alice removes him. An acknowledged message is stored before the removal, a later one is refused, and
/// Bob gets no event of the group after the event of the removal.
#[tokio::test]
async fn a_message_is_stored_before_a_concurrent_removal_or_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let recorder = Recorder::default();
    let mut random = crate::support::Random::from_environment();
    let before = alice.conversation(&room).await;
    let mut alice_client = Follower::new(&alice, "alice's phone", &recorder).await;
    let mut alice_socket = alice_client.connect(&mut random).await;
    let mut bob_client = Follower::new(&bob, "bob's phone", &recorder).await;
    let mut bob_socket = bob_client.connect(&mut random).await;
    let mut sender = bob.connect_unsubscribed().await;

    for round in 0..200 {
        let mut sends = Vec::new();
        for number in 0..3 {
            let temp_id = format!("{round}-{number}");
            let send = recorder.add_send(&room, &bob.id, &temp_id);
            let payload = json!({ "conversation_id": room, "content": "hello", "temp_id": temp_id });
            sends.push((send, sender.start("message.send", payload)));
        }
        let path = format!("/conversations/{room}/members/bob");
        let removal = alice.delete(&path);
        let answers = async {
            for (send, id) in sends {
                let answer = sender.wait_for("an answer", |frame| frame["id"] == id.as_str()).await;
                if answer["type"] == "message.sent" {
                    recorder.add_acknowledgement(
                        send,
                        &answer["payload"]["message"],
                        answer["payload"]["rev"].as_i64(),
                    );
                } else {
                    assert_eq!(answer["payload"]["code"], "not_a_participant", "{answer}");
                    recorder.add_error(send, "not_a_participant");
                }
            }
        };
        let (removal, ()) = tokio::join!(removal, answers);
        removal.expect(204);
        let body = json!({ "user_ids": ["bob"] });
        alice.post(&format!("/conversations/{room}/members"), body).await.expect(200);
    }

    let after = alice.conversation(&room).await;
    let number = |value: &Value, name: &str| value[name].as_i64().unwrap();
    let (first_seq, last_rev) = (number(&before, "last_seq"), number(&after, "last_rev"));
    for (client, socket) in [(&mut alice_client, &mut alice_socket), (&mut bob_client, &mut bob_socket)] {
        while client.rev(&room) < Some(last_rev) {
            client.record(&socket.frame("the rest of the events").await);
        }
        for frame in socket.frames_until_pong().await {
            client.record(&frame);
        }
    }
    let rows: Vec<Row> =
        alice.history(&room).await.iter().map(Row::from_message).filter(|row| row.seq > first_seq).collect();
    recorder.add_conversation(
        &room,
        Conversation {
            first_seq,
            first_rev: number(&before, "last_rev"),
            last_seq: number(&after, "last_seq"),
            last_rev,
            rows,
        },
    );
    let history = recorder.history();
    let stored = history.sends.iter().filter(|send| {
        send.outcomes.iter().any(|outcome| matches!(outcome, crate::support::history::Outcome::Stored { .. }))
    });
    eprintln!("{} of {} sends were stored before the removal", stored.count(), history.sends.len());
    assert_eq!(check(&history), []);
    assert_eq!(server.count_wrong_member_counts().await, 0);
    assert_eq!(server.broken_rules().await, [""; 0]);
}

#[tokio::test]
async fn two_concurrent_additions_of_one_user_add_one_member() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    for round in 0..20 {
        let room = alice.group(&format!("room {round}"), &[]).await;
        let path = format!("/conversations/{room}/members");
        let body = || json!({ "user_ids": [bob.id] });
        let (one, other) = tokio::join!(alice.post(&path, body()), alice.post(&path, body()));
        one.expect(200);
        other.expect(200);
        let detail = alice.conversation(&room).await;
        assert_eq!((&detail["member_count"], &detail["last_seq"]), (&json!(2), &json!(2)), "{detail}");
    }
}

#[tokio::test]
async fn the_greater_of_two_concurrent_read_marks_remains() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    for _ in 0..40 {
        alice.send(&direct, "hello").await;
    }
    let path = format!("/conversations/{direct}/read");
    for round in 1..=20 {
        let (low, high) = (json!({ "seq": 2 * round - 1 }), json!({ "seq": 2 * round }));
        let (one, other) = tokio::join!(bob.post(&path, low), bob.post(&path, high));
        let (one, other) = (one.expect(200), other.expect(200));
        assert!(one["last_read_seq"].as_i64() >= Some(2 * round - 1), "{one}");
        assert_eq!(other["last_read_seq"], 2 * round);
        assert_eq!(bob.conversation(&direct).await["my"]["last_read_seq"], 2 * round);
    }
}

/// The number of rounds of each race below.
const ROUNDS: usize = 25;

/// Returns the types of the events of a conversation after a revision, in order, as a live session gets them. Checks
/// that a new session that syncs from this revision gets the same events with the same revisions.
async fn list_event_types(live: &mut TestSocket, user: &TestUser, room: &str, after: i64) -> Vec<String> {
    let last = user.conversation(room).await["last_rev"].as_i64().unwrap();
    let mut received = Vec::new();
    while received.len() < usize::try_from(last - after).unwrap() {
        let frame = live.wait_for("the next event", |frame| belongs_to(frame, room)).await;
        received.push((frame["rev"].as_i64().unwrap(), frame["type"].as_str().unwrap().to_owned()));
    }
    assert_eq!(received.iter().map(|(rev, _)| *rev).collect::<Vec<_>>(), (after + 1..=last).collect::<Vec<_>>());
    let mut later = user.connect_unsubscribed().await;
    let id = later.start("sync", json!({ "conversations": { room: after } }));
    let frames = later.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    let synced = frames.iter().filter(|frame| belongs_to(frame, room));
    let synced: Vec<(i64, String)> =
        synced.map(|frame| (frame["rev"].as_i64().unwrap(), frame["type"].as_str().unwrap().to_owned())).collect();
    assert_eq!(synced, received);
    received.into_iter().map(|(_, kind)| kind).collect()
}

fn belongs_to(frame: &Value, room: &str) -> bool {
    frame["stream"] == "conversation" && frame["payload"]["conversation_id"] == room
}

async fn last_rev(user: &TestUser, room: &str) -> i64 {
    user.conversation(room).await["last_rev"].as_i64().unwrap()
}

#[tokio::test]
async fn a_reaction_is_stored_before_a_concurrent_deletion_or_refused() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let mut live = alice.connect_unsubscribed().await;
    for _ in 0..ROUNDS {
        let before = last_rev(&alice, &room).await;
        live.accepted("sync", json!({ "conversations": { &room: before } }), "sync.done").await;
        let message = alice.send(&room, "gone soon").await;
        let path = format!("/conversations/{room}/messages/{}", message["id"].as_str().unwrap());
        let thumb = format!("{path}/reactions/%F0%9F%91%8D");
        let (deleted, reacted) = tokio::join!(alice.delete(&path), bob.put(&thumb, json!({})));
        deleted.expect(204);
        let mut expected = vec!["message.new", "message.deleted"];
        match reacted.status {
            200 => expected.insert(1, "reaction.updated"),
            _ => drop(reacted.refused(409, "conflict")),
        }
        assert_eq!(list_event_types(&mut live, &alice, &room, before).await, expected);
        for user in [&alice, &bob] {
            let message_now = user.get(&format!("/messages/{}", message["id"].as_str().unwrap())).await.expect(200);
            assert_eq!((&message_now["content"], &message_now["reactions"]), (&json!(""), &json!([])), "{message_now}");
        }
    }
}

#[tokio::test]
async fn a_message_is_stored_before_a_concurrent_block_or_refused() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let direct = alice.direct(&bob).await;
    let mut live = alice.connect_unsubscribed().await;
    let mut sender = bob.connect_unsubscribed().await;
    for _ in 0..ROUNDS {
        let before = last_rev(&alice, &direct).await;
        live.accepted("sync", json!({ "conversations": { &direct: before } }), "sync.done").await;
        let hello = json!({ "conversation_id": direct, "content": "hello" });
        let (blocked, sent) = tokio::join!(
            alice.post("/blocks", json!({ "user": "bob" })),
            sender.command("message.send", hello.clone())
        );
        blocked.expect(201);
        let expected: &[&str] = if sent["type"] == "message.sent" {
            &["message.new"]
        } else {
            assert_eq!(sent["payload"]["code"], "blocked", "{sent}");
            &[]
        };
        assert_eq!(list_event_types(&mut live, &alice, &direct, before).await, expected);
        assert_eq!(alice.history(&direct).await, history_without_status(&bob, &direct).await);
        sender.refused("message.send", hello, "blocked").await;
        alice.delete("/blocks/bob").await.expect(204);
    }
}

/// Returns the messages that Bob gets, without the status, which only the author of a message gets.
async fn history_without_status(bob: &TestUser, direct: &str) -> Vec<Value> {
    let mut messages = bob.history(direct).await;
    for message in &mut messages {
        message.as_object_mut().unwrap().remove("status");
    }
    messages
}

#[tokio::test]
async fn two_admins_who_remove_each_other_concurrently_are_both_refused() {
    let server = TestServer::start().await;
    let mut users = Vec::new();
    for name in ["alice", "bob", "carol"] {
        users.push(server.user(name).await);
    }
    let [alice, bob, carol] = users.as_slice() else { unreachable!() };
    let room = alice.group("room", &[bob, carol]).await;
    for name in ["bob", "carol"] {
        let path = format!("/conversations/{room}/members/{name}/role");
        alice.put(&path, json!({ "role": "admin" })).await.expect(200);
    }
    let before = last_rev(alice, &room).await;
    let (bob_path, carol_path) =
        (format!("/conversations/{room}/members/bob"), format!("/conversations/{room}/members/carol"));
    for _ in 0..ROUNDS {
        let (one, other) = tokio::join!(bob.delete(&carol_path), carol.delete(&bob_path));
        one.refused(403, "forbidden");
        other.refused(403, "forbidden");
    }
    assert_eq!(last_rev(alice, &room).await, before, "no event was appended");
}

#[tokio::test]
async fn the_last_two_members_can_leave_a_group_concurrently() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let mut sockets = [alice.connect().await, bob.connect().await];
    for round in 0..ROUNDS {
        let room = alice.group(&format!("room {round}"), &[&bob]).await;
        let path = format!("/conversations/{room}");
        let (one, other) = tokio::join!(alice.delete(&path), bob.delete(&path));
        one.expect(204);
        other.expect(204);
        for (user, socket) in [&alice, &bob].into_iter().zip(&mut sockets) {
            let removed = |frame: &Value| {
                frame["type"] == "conversation.removed" && frame["payload"]["conversation_id"] == room.as_str()
            };
            socket.wait_for("conversation.removed", removed).await;
            user.get(&path).await.refused(404, "not_found");
        }
    }
    for user in [&alice, &bob] {
        assert_eq!(user.get("/conversations").await.expect(200)["items"], json!([]));
    }
}
