//! Two things at once, many times over: whichever commits first, the other one sees it. Here over REST and
//! WebSocket, as clients meet it; `tests/embedded/races` plays a thousand rounds of each inside the process.

use serde_json::{Value, json};

use crate::support::follower::Follower;
use crate::support::history::{Conversation, Recorder, Row, check};
use crate::support::{TestServer, TestSocket, TestUser};

#[tokio::test]
async fn two_creations_of_a_direct_conversation_at_once_give_one() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut rounds = Vec::new();
    for round in 0..100 {
        rounds.push(server.user(&format!("peer-{round}")).await);
    }
    for peer in rounds {
        let mine = json!({ "type": "direct", "participant_ids": [peer.id] });
        let theirs = json!({ "type": "direct", "participant_ids": [alice.id] });
        let short = format!("/conversations/with/{}", peer.username);
        let (one, other, third) = tokio::join!(
            alice.post("/conversations", mine.clone()),
            peer.post("/conversations", theirs),
            alice.post_nothing(&short),
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

/// Bob sends while Alice removes him. What is acknowledged is stored before the removal, what comes after it is
/// refused, and no event of the room reaches him after the removal's own.
#[tokio::test]
async fn a_removal_and_a_send_at_once_see_each_other() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let recorder = Recorder::default();
    let mut random = crate::support::Random::from_environment();
    let before = alice.conversation(&room).await;
    let mut witness = Follower::new(&alice, "alice's phone", &recorder).await;
    let mut witness_socket = witness.connect(&mut random).await;
    let mut removed = Follower::new(&bob, "bob's phone", &recorder).await;
    let mut removed_socket = removed.connect(&mut random).await;
    let mut sender = bob.connect_unsubscribed().await;

    for round in 0..200 {
        let mut sends = Vec::new();
        for number in 0..3 {
            let temp_id = format!("{round}-{number}");
            let send = recorder.invoke(&room, &bob.id, &temp_id);
            let payload = json!({ "conversation_id": room, "content": "hello", "temp_id": temp_id });
            sends.push((send, sender.start("message.send", payload)));
        }
        let path = format!("/conversations/{room}/members/bob");
        let removal = alice.delete(&path);
        let answers = async {
            for (send, id) in sends {
                let answer = sender.wait_for("an answer", |frame| frame["id"] == id.as_str()).await;
                if answer["type"] == "message.sent" {
                    recorder.stored(send, &answer["payload"]["message"], answer["payload"]["rev"].as_i64());
                } else {
                    assert_eq!(answer["payload"]["code"], "not_a_participant", "{answer}");
                    recorder.failed(send, "not_a_participant");
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
    for (client, socket) in [(&mut witness, &mut witness_socket), (&mut removed, &mut removed_socket)] {
        while client.rev(&room) < Some(last_rev) {
            client.record(&socket.frame("the rest of the events").await);
        }
        for frame in socket.frames_until_pong().await {
            client.record(&frame);
        }
    }
    let rows: Vec<Row> =
        alice.history(&room).await.iter().map(Row::from_message).filter(|row| row.seq > first_seq).collect();
    recorder.conversation(
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
    eprintln!("{} of {} sends came before the removal", stored.count(), history.sends.len());
    assert_eq!(check(&history), []);
    assert_eq!(server.count_wrong_member_counts().await, 0);
}

#[tokio::test]
async fn two_additions_of_one_user_at_once_make_one_member() {
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
async fn two_marks_at_once_leave_the_larger_one() {
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

/// Rounds of each of the races below.
const ROUNDS: usize = 25;

/// The types of a conversation's events after a revision, in order, as a live session got them. Somebody who comes now
/// and syncs from there gets the same ones, with the same revisions.
async fn events(live: &mut TestSocket, user: &TestUser, room: &str, after: i64) -> Vec<String> {
    let last = user.conversation(room).await["last_rev"].as_i64().unwrap();
    let mut got = Vec::new();
    while got.len() < usize::try_from(last - after).unwrap() {
        let frame = live.wait_for("the next event", |frame| is_of(frame, room)).await;
        got.push((frame["rev"].as_i64().unwrap(), frame["type"].as_str().unwrap().to_owned()));
    }
    assert_eq!(got.iter().map(|(rev, _)| *rev).collect::<Vec<_>>(), (after + 1..=last).collect::<Vec<_>>());
    let mut late = user.connect_unsubscribed().await;
    let id = late.start("sync", json!({ "conversations": { room: after } }));
    let frames = late.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    let synced = frames.iter().filter(|frame| is_of(frame, room));
    let synced: Vec<(i64, String)> =
        synced.map(|frame| (frame["rev"].as_i64().unwrap(), frame["type"].as_str().unwrap().to_owned())).collect();
    assert_eq!(synced, got);
    got.into_iter().map(|(_, kind)| kind).collect()
}

fn is_of(frame: &Value, room: &str) -> bool {
    frame["stream"] == "conversation" && frame["payload"]["conversation_id"] == room
}

async fn last_rev(user: &TestUser, room: &str) -> i64 {
    user.conversation(room).await["last_rev"].as_i64().unwrap()
}

#[tokio::test]
async fn a_reaction_and_a_deletion_at_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let mut witness = alice.connect_unsubscribed().await;
    for _ in 0..ROUNDS {
        let before = last_rev(&alice, &room).await;
        witness.accepted("sync", json!({ "conversations": { &room: before } }), "sync.done").await;
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
        assert_eq!(events(&mut witness, &alice, &room, before).await, expected);
        for user in [&alice, &bob] {
            let now = user.get(&format!("/messages/{}", message["id"].as_str().unwrap())).await.expect(200);
            assert_eq!((&now["content"], &now["reactions"]), (&json!(""), &json!([])), "{now}");
        }
    }
}

#[tokio::test]
async fn a_block_and_a_send_at_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let direct = alice.direct(&bob).await;
    let mut witness = alice.connect_unsubscribed().await;
    let mut sender = bob.connect_unsubscribed().await;
    for _ in 0..ROUNDS {
        let before = last_rev(&alice, &direct).await;
        witness.accepted("sync", json!({ "conversations": { &direct: before } }), "sync.done").await;
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
        assert_eq!(events(&mut witness, &alice, &direct, before).await, expected);
        assert_eq!(alice.history(&direct).await, bob_less_status(&bob, &direct).await);
        sender.refused("message.send", hello, "blocked").await;
        alice.delete("/blocks/bob").await.expect(204);
    }
}

/// What Bob sees, without what only the author of a message is told.
async fn bob_less_status(bob: &TestUser, direct: &str) -> Vec<Value> {
    let mut messages = bob.history(direct).await;
    for message in &mut messages {
        message.as_object_mut().unwrap().remove("status");
    }
    messages
}

#[tokio::test]
async fn admins_who_remove_each_other_at_once_are_both_refused() {
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
    let (to_bob, to_carol) =
        (format!("/conversations/{room}/members/bob"), format!("/conversations/{room}/members/carol"));
    for _ in 0..ROUNDS {
        let (one, other) = tokio::join!(bob.delete(&to_carol), carol.delete(&to_bob));
        one.refused(403, "forbidden");
        other.refused(403, "forbidden");
    }
    assert_eq!(last_rev(alice, &room).await, before, "nothing happened");
}

#[tokio::test]
async fn the_last_two_leave_a_group_at_once() {
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
