//! Two servers on one PostgreSQL database without Redis: events reach the other node through the log, and both agree
//! on the order.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::follower::Follower;
use crate::support::history::{Conversation, Recorder, Row, check};
use crate::support::{Random, TestServer, TestUser, eventually};

/// Tokens of one node must be good on the other: both have the same secret, as an operator would set it.
async fn with_one_secret() -> (TestServer, TestServer) {
    assert!(crate::support::database::runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let secret = "one secret for both nodes, long enough";
    let one = TestServer::builder().set("GREENROOM_JWT_SECRET", secret).start().await;
    let other = TestServer::builder().on(one.database()).set("GREENROOM_JWT_SECRET", secret).start().await;
    (one, other)
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_message_sent_on_one_node_arrives_on_the_other() {
    let (one, other) = with_one_secret().await;
    let alice = one.user("alice").await;
    let bob = one.user("bob").await.on(&other);
    let direct = alice.direct(&bob).await;
    let mut here = alice.connect().await;
    let mut there = bob.connect().await;
    for round in 0..5 {
        let sent = here.say(&direct, &format!("from here {round}")).await;
        let event = there.expect("message.new").await;
        assert_eq!((&event["rev"], &event["payload"]["message"]["id"]), (&sent["rev"], &sent["message"]["id"]));
        here.expect("message.new").await;
        let sent = there.say(&direct, &format!("from there {round}")).await;
        let event = here.expect("message.new").await;
        assert_eq!((&event["rev"], &event["payload"]["message"]["id"]), (&sent["rev"], &sent["message"]["id"]));
        there.expect("message.new").await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_conversation_made_on_one_node_is_heard_on_the_other() {
    let (one, other) = with_one_secret().await;
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

/// Through the log the user's stream can arrive before the conversation's: after the word that one is in again, nothing
/// comes from before it.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn who_is_removed_and_comes_back_on_the_other_node_sees_nothing_out_of_order() {
    let (one, other) = with_one_secret().await;
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
        let mut began = None;
        let last = format!("after {round}");
        let frames = there
            .frames_until("the last message of the round", |frame| {
                frame["payload"]["message"]["content"] == last.as_str()
            })
            .await;
        for frame in frames {
            if frame["type"] == "conversation.created" {
                began = frame["payload"]["conversation"]["last_rev"].as_i64();
            } else if frame["stream"] == "conversation" {
                assert!(
                    began.is_none_or(|began| frame["rev"].as_i64() > Some(began)),
                    "from before {began:?}: {frame}"
                );
            }
        }
        assert!(began.is_some(), "round {round} tells that bob is in again");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_same_temp_id_on_two_nodes_at_once_is_one_message() {
    let (one, other) = with_one_secret().await;
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
    let (one, other) = with_one_secret().await;
    let alice = one.user("alice").await;
    let there = alice.on(&other);
    let mut socket = there.connect().await;
    alice.post_nothing("/auth/logout").await.expect(204);
    socket.expect_close(4401).await;
    eventually("the other node refuses the token", async || there.get("/users/me").await.status == 401).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_text_deleted_on_one_node_is_in_no_later_sync_on_the_other() {
    let (one, other) = with_one_secret().await;
    let alice = one.user("alice").await;
    let bob = one.user("bob").await;
    let direct = alice.direct(&bob).await;
    let mut there = bob.on(&other).connect().await;
    for round in 0..20 {
        let held = alice.conversation(&direct).await["last_rev"].as_i64().expect("a rev");
        let words = format!("the secret of round {round}");
        // said on the other node, whose room keeps it among its recent events
        let sent = there.say(&direct, &words).await;
        there.expect("message.new").await;
        let path = format!(
            "/conversations/{direct}/messages/{}?for=everyone",
            crate::support::user::text(&sent["message"]["id"])
        );
        bob.delete(&path).await.expect(204);
        let mut late = bob.on(&other).connect_unsubscribed().await;
        let id = late.start("sync", json!({ "conversations": { &direct: held } }));
        let frames = late.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
        let revs: Vec<&Value> = frames.iter().map(|frame| &frame["rev"]).filter(|rev| !rev.is_null()).collect();
        assert_eq!(revs, [held + 1, held + 2], "{frames:?}");
        assert!(frames.iter().all(|frame| !frame.to_string().contains(&words)), "round {round}: {frames:?}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_session_moves_to_the_other_node_when_its_own_dies() {
    let (mut one, other) = with_one_secret().await;
    let alice = one.user("alice").await;
    let bob = one.user("bob").await;
    let direct = alice.direct(&bob).await;
    let mut socket = alice.connect().await;
    let sent = socket.say(&direct, "before").await;
    one.kill_nine();
    socket.until_closed().await;
    let there = alice.on(&other);
    bob.on(&other).send(&direct, "meanwhile").await;
    let mut socket = there.connect_unsubscribed().await;
    let id = socket.start("sync", json!({ "conversations": { &direct: sent["rev"] } }));
    let frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    assert!(frames.iter().all(|frame| frame["type"] != "sync.reset"), "{frames:?}");
    let news: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "message.new").collect();
    assert_eq!(news.len(), 1, "{frames:?}");
    assert_eq!(news[0]["payload"]["message"]["content"], "meanwhile");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn both_nodes_agree_on_the_order_under_load() {
    let mut random = Random::from_environment();
    let (one, other) = with_one_secret().await;
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
    let everywhere: Vec<TestUser> = [&alice, &bob].iter().flat_map(|user| [user.on(&one), user.on(&other)]).collect();
    let mut followers = Vec::new();
    for (index, user) in everywhere.iter().enumerate() {
        let mut follower = Follower::new(user, &format!("{} {index}", user.username), &recorder).await;
        let socket = follower.connect(&mut random).await;
        followers.push((follower, socket));
    }
    let mut writers = Vec::new();
    for (index, user) in everywhere.into_iter().enumerate() {
        let (rooms, recorder, mut random) = (rooms.clone(), recorder.clone(), random.fork());
        writers.push(tokio::spawn(async move {
            let mut socket = user.connect_unsubscribed().await;
            for number in 0..100 {
                let room = random.pick(&rooms).clone();
                let temp_id = format!("{index}-{number}");
                let send = recorder.invoke(&room, &user.id, &temp_id);
                let payload = json!({ "conversation_id": room, "content": "hello", "temp_id": temp_id });
                let answer = socket.accepted("message.send", payload, "message.sent").await;
                recorder.stored(send, &answer["message"], answer["rev"].as_i64());
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
        recorder.conversation(
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

/// What one node accepted counts on the other at once: no read of it may come too early.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_token_accepted_on_one_node_makes_its_predecessor_a_theft_on_the_other() {
    let (one, other) = with_one_secret().await;
    let alice = one.user("alice").await;
    let spent = serde_json::json!({ "refresh_token": alice.refresh_token });
    let renewed = one.target().post("/auth/refresh", spent.clone()).await.expect(200);
    one.sql("UPDATE refresh_tokens SET spent_at = spent_at - 60000 WHERE spent_at IS NOT NULL").await;
    let lost = other.target().post("/auth/refresh", spent.clone()).await.expect(200);
    assert_eq!(lost["refresh_token"], renewed["refresh_token"]);
    TestUser::signed_in(one.target(), &renewed).get("/users/me").await.expect(200);
    other.target().post("/auth/refresh", spent).await.refused(401, "token_reused");
}
