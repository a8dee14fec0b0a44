//! Two things at once, many times over: whichever commits first, the other one sees it (G5, SPEC 4).

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::follower::Follower;
use crate::support::history::{Conversation, Recorder, Row, check};

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
        while client.held(&room) < Some(last_rev) {
            client.note(&socket.frame("the rest of the events").await);
        }
        for frame in socket.frames_until_pong().await {
            client.note(&frame);
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
