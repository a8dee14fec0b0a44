//! Two nodes on one PostgreSQL database without Redis: events reach the other node through the log, and both agree on
//! the order.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::follower::Follower;
use crate::support::history::{Conversation, Recorder, Row, check};
use crate::support::{Random, TestServer, TestUser, eventually};

/// Starts two nodes with the same secret, so that each accepts the tokens of the other.
async fn start_nodes() -> (TestServer, TestServer) {
    assert!(crate::support::database::runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let secret = "one secret for both nodes, long enough";
    let one = TestServer::builder().set("GREENROOM_JWT_SECRET", secret).start().await;
    let other = TestServer::builder().on(one.database()).set("GREENROOM_JWT_SECRET", secret).start().await;
    (one, other)
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_message_sent_on_one_node_arrives_on_the_other() {
    let (one, other) = start_nodes().await;
    let alice = one.user("alice").await;
    let bob = one.user("bob").await.on(&other);
    let direct = alice.direct(&bob).await;
    let mut here = alice.connect().await;
    let mut there = bob.connect().await;
    for round in 0..5 {
        let sent = here.send_message(&direct, &format!("from here {round}")).await;
        let event = there.expect("message.new").await;
        assert_eq!((&event["rev"], &event["payload"]["message"]["id"]), (&sent["rev"], &sent["message"]["id"]));
        here.expect("message.new").await;
        let sent = there.send_message(&direct, &format!("from there {round}")).await;
        let event = here.expect("message.new").await;
        assert_eq!((&event["rev"], &event["payload"]["message"]["id"]), (&sent["rev"], &sent["message"]["id"]));
        there.expect("message.new").await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_conversation_created_on_one_node_appears_on_the_other() {
    let (one, other) = start_nodes().await;
    let alice = one.user("alice").await;
    let bob = one.user("bob").await.on(&other);
    let mut there = bob.connect().await;
    let room = alice.group("room", &[&bob]).await;
    let created = there.expect("conversation.created").await;
    assert_eq!(created["payload"]["conversation"]["id"], room.as_str());
    let sent = alice.send(&room, "hello").await;
    assert_eq!(there.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    there.expect("participant.left").await;
    there.expect("conversation.removed").await;
}

/// Events of the user stream can arrive before events of the conversation. After the event that the user joined again,
/// no earlier event of the conversation may arrive.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_user_who_joins_again_gets_no_earlier_events_on_the_other_node() {
    let (one, other) = start_nodes().await;
    let alice = one.user("alice").await;
    let bob = one.user("bob").await.on(&other);
    let room = alice.group("room", &[&bob]).await;
    let mut there = bob.connect().await;
    for round in 0..4 {
        alice.send(&room, &format!("before {round}")).await;
        alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
        alice.send(&room, &format!("without {round}")).await;
        let members = json!({ "user_ids": ["bob"] });
        alice.post(&format!("/conversations/{room}/members"), members).await.expect(200);
        alice.send(&room, &format!("after {round}")).await;
        let mut joined_rev = None;
        let last = format!("after {round}");
        let frames = there
            .frames_until("the last message of the round", |frame| {
                frame["payload"]["message"]["content"] == last.as_str()
            })
            .await;
        for frame in frames {
            if frame["type"] == "conversation.created" {
                joined_rev = frame["payload"]["conversation"]["last_rev"].as_i64();
            } else if frame["stream"] == "conversation" {
                assert!(
                    joined_rev.is_none_or(|joined_rev| frame["rev"].as_i64() > Some(joined_rev)),
                    "an event from before {joined_rev:?}: {frame}"
                );
            }
        }
        assert!(joined_rev.is_some(), "bob gets an event that he joined again, round {round}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_same_temp_id_on_two_nodes_concurrently_is_one_message() {
    let (one, other) = start_nodes().await;
    let here = one.user("alice").await;
    let there = here.on(&other);
    let room = here.group("room", &[]).await;
    let path = format!("/conversations/{room}/messages");
    for round in 0..100 {
        let body = json!({ "content": "hello", "temp_id": format!("round-{round}") });
        let (one, other) = tokio::join!(here.post(&path, body.clone()), there.post(&path, body));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 201], "{} {}", one.body, other.body);
        assert_eq!(one.body["id"], other.body["id"]);
    }
    let seqs: Vec<i64> = here.history(&room).await.iter().map(|message| message["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=101).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_login_that_ends_on_one_node_ends_on_the_other() {
    let (one, other) = start_nodes().await;
    let alice = one.user("alice").await;
    let there = alice.on(&other);
    let mut socket = there.connect().await;
    alice.post_empty("/auth/logout").await.expect(204);
    socket.expect_close(4401).await;
    eventually("the other node refuses the token", async || there.get("/users/me").await.status == 401).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_text_deleted_on_one_node_is_in_no_later_sync_on_the_other() {
    let (one, other) = start_nodes().await;
    let alice = one.user("alice").await;
    let bob = one.user("bob").await;
    let direct = alice.direct(&bob).await;
    let mut there = bob.on(&other).connect().await;
    for round in 0..20 {
        let rev_before = alice.conversation(&direct).await["last_rev"].as_i64().expect("a rev");
        let content = format!("the secret of round {round}");
        // The message is sent on the other node, whose room keeps it in its ring.
        let sent = there.send_message(&direct, &content).await;
        there.expect("message.new").await;
        let path = format!(
            "/conversations/{direct}/messages/{}?for=everyone",
            crate::support::user::text(&sent["message"]["id"])
        );
        bob.delete(&path).await.expect(204);
        let mut later = bob.on(&other).connect_unsubscribed().await;
        let id = later.start("sync", json!({ "conversations": { &direct: rev_before } }));
        let frames = later.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
        let revs: Vec<&Value> = frames.iter().map(|frame| &frame["rev"]).filter(|rev| !rev.is_null()).collect();
        assert_eq!(revs, [rev_before + 1, rev_before + 2], "{frames:?}");
        assert!(frames.iter().all(|frame| !frame.to_string().contains(&content)), "round {round}: {frames:?}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_client_reconnects_to_the_other_node_when_its_node_is_killed() {
    let (mut one, other) = start_nodes().await;
    let alice = one.user("alice").await;
    let bob = one.user("bob").await;
    let direct = alice.direct(&bob).await;
    let mut socket = alice.connect().await;
    let sent = socket.send_message(&direct, "before").await;
    one.kill();
    socket.wait_for_close().await;
    let there = alice.on(&other);
    bob.on(&other).send(&direct, "meanwhile").await;
    let mut socket = there.connect_unsubscribed().await;
    let id = socket.start("sync", json!({ "conversations": { &direct: sent["rev"] } }));
    let frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    assert!(frames.iter().all(|frame| frame["type"] != "sync.reset"), "{frames:?}");
    let messages: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "message.new").collect();
    assert_eq!(messages.len(), 1, "{frames:?}");
    assert_eq!(messages[0]["payload"]["message"]["content"], "meanwhile");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn both_nodes_agree_on_the_order_under_load() {
    let mut random = Random::from_environment();
    let (one, other) = start_nodes().await;
    let alice = one.user("alice").await;
    let bob = one.user("bob").await;
    let mut rooms = Vec::new();
    for number in 0..3 {
        rooms.push(alice.group(&format!("room {number}"), &[&bob]).await);
    }
    let recorder = Recorder::default();
    let mut before = BTreeMap::new();
    for room in &rooms {
        before.insert(room.clone(), alice.conversation(room).await);
    }
    let users: Vec<TestUser> = [&alice, &bob].iter().flat_map(|user| [user.on(&one), user.on(&other)]).collect();
    let mut followers = Vec::new();
    for (index, user) in users.iter().enumerate() {
        let mut follower = Follower::new(user, &format!("{} {index}", user.username), &recorder).await;
        let socket = follower.connect(&mut random).await;
        followers.push((follower, socket));
    }
    let mut writers = Vec::new();
    for (index, user) in users.into_iter().enumerate() {
        let (rooms, recorder, mut random) = (rooms.clone(), recorder.clone(), random.fork());
        writers.push(tokio::spawn(async move {
            let mut socket = user.connect_unsubscribed().await;
            for number in 0..100 {
                let room = random.pick(&rooms).clone();
                let temp_id = format!("{index}-{number}");
                let send = recorder.add_send(&room, &user.id, &temp_id);
                let payload = json!({ "conversation_id": room, "content": "hello", "temp_id": temp_id });
                let answer = socket.accepted("message.send", payload, "message.sent").await;
                recorder.add_acknowledgement(send, &answer["message"], answer["rev"].as_i64());
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mut last = BTreeMap::new();
    for room in &rooms {
        let after = alice.conversation(room).await;
        let number = |value: &Value, name: &str| value[name].as_i64().unwrap();
        let first_seq = number(&before[room], "last_seq");
        let rows = alice.history(room).await.iter().map(Row::from_message).filter(|row| row.seq > first_seq).collect();
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

/// What one node accepted counts on the other immediately: no node may use an older read.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_other_node_detects_the_reuse_of_a_token_after_one_node_accepted_its_successor() {
    let (one, other) = start_nodes().await;
    let alice = one.user("alice").await;
    let spent = serde_json::json!({ "refresh_token": alice.refresh_token });
    let renewed = one.target().post("/auth/refresh", spent.clone()).await.expect(200);
    one.sql("UPDATE refresh_tokens SET spent_at = spent_at - 60000 WHERE spent_at IS NOT NULL").await;
    let repeated = other.target().post("/auth/refresh", spent.clone()).await.expect(200);
    assert_eq!(repeated["refresh_token"], renewed["refresh_token"]);
    TestUser::signed_in(one.target(), &renewed).get("/users/me").await.expect(200);
    other.target().post("/auth/refresh", spent).await.refused(401, "token_reused");
}
