//! A group that is made with a `temp_id` is made once, however often its creator sends it; and the two ways to say
//! until when a conversation is muted.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser};

fn asked(name: &str, with: &[&TestUser], temp_id: &str) -> Value {
    let ids: Vec<&str> = with.iter().map(|user| user.id.as_str()).collect();
    json!({ "type": "group", "name": name, "participant_ids": ids, "temp_id": temp_id })
}

async fn groups(user: &TestUser) -> usize {
    user.get("/conversations?type=group").await.expect(200)["items"].as_array().expect("items").len()
}

#[tokio::test]
async fn a_group_that_is_sent_again_is_the_same_group() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let body = asked("Chess", &[&bob], "one");
    let made = alice.post("/conversations", body.clone()).await.expect(201);
    let id = text(&made["id"]);
    let again = alice.post("/conversations", body.clone()).await.expect(200);
    assert_eq!((&again["id"], &again["last_seq"]), (&made["id"], &json!(1)));

    // as it now is, whatever happened to it and to those who were named
    alice.patch(&format!("/conversations/{id}"), json!({ "name": "Go" })).await.expect(200);
    alice.delete(&format!("/conversations/{id}/members/{}", bob.id)).await.expect(204);
    let again = alice.post("/conversations", body.clone()).await.expect(200);
    assert_eq!((&again["id"], &again["name"], &again["member_count"]), (&made["id"], &json!("Go"), &json!(1)));
    assert_eq!((groups(&alice).await, groups(&bob).await), (1, 0));

    // the name of another creator, and another name of the same one, are other groups
    let of_bob = bob.post("/conversations", asked("Chess", &[&alice], "one")).await.expect(201);
    let second = alice.post("/conversations", asked("Chess", &[&bob], "two")).await.expect(201);
    assert!(of_bob["id"] != made["id"] && second["id"] != made["id"]);
    // and without one every call makes a group
    for _ in 0..2 {
        alice
            .post("/conversations", json!({ "type": "group", "name": "Chess", "participant_ids": [] }))
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn another_body_under_the_same_temp_id_is_a_conflict() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.post("/conversations", asked("Chess", &[&bob], "one")).await.expect(201);
    for other in [asked("Chess ", &[&bob], "one"), asked("Chess", &[], "one"), asked("Go", &[&bob], "one")] {
        alice.post("/conversations", other).await.refused(409, "temp_id_reused");
    }
    let mut described = asked("Chess", &[&bob], "one");
    described["description"] = json!("On Mondays");
    alice.post("/conversations", described).await.refused(409, "temp_id_reused");
    assert_eq!(groups(&alice).await, 1);
}

#[tokio::test]
async fn whoever_left_the_group_is_refused_and_makes_no_second_one() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    // one that lives on without its creator, and one that is gone with the last who left
    for (temp_id, with) in [("one", vec![&bob]), ("two", vec![])] {
        let body = asked("Chess", &with, temp_id);
        let id = text(&alice.post("/conversations", body.clone()).await.expect(201)["id"]);
        alice.delete(&format!("/conversations/{id}")).await.expect(204);
        alice.post("/conversations", body.clone()).await.refused(403, "not_a_participant");
        alice.post("/conversations", asked("Go", &with, temp_id)).await.refused(409, "temp_id_reused");
    }
    assert_eq!(groups(&alice).await, 0);
}

#[tokio::test]
async fn the_same_group_sent_at_once_is_made_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for round in 0..10 {
        let body = asked("Chess", &[&bob], &format!("round {round}"));
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let (alice, body) = (alice.clone(), body.clone());
                tokio::spawn(async move { alice.post("/conversations", body).await })
            })
            .collect();
        let mut made = 0;
        let mut ids = std::collections::BTreeSet::new();
        for call in calls {
            let answer = call.await.unwrap();
            assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.body);
            made += usize::from(answer.status == 201);
            ids.insert(text(&answer.body["id"]));
        }
        assert_eq!((made, ids.len()), (1, 1), "round {round}");
    }
    assert_eq!((groups(&alice).await, groups(&bob).await), (10, 10));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: two servers on one database"]
async fn the_same_group_sent_to_two_nodes_at_once_is_made_once() {
    let secret = "one secret for both nodes, long enough";
    let one = TestServer::builder().set("GREENROOM_JWT_SECRET", secret).start().await;
    let other = TestServer::builder().on(one.database()).set("GREENROOM_JWT_SECRET", secret).start().await;
    let (alice, bob) = (one.user("alice").await, one.user("bob").await);
    let there = alice.on(&other);
    for round in 0..10 {
        let body = asked("Chess", &[&bob], &format!("round {round}"));
        let (here, there) =
            tokio::join!(alice.post("/conversations", body.clone()), there.post("/conversations", body));
        assert_eq!(here.status + there.status, 401, "{} and {}", here.body, there.body);
        assert_eq!(here.body["id"], there.body["id"]);
    }
    assert_eq!(groups(&alice).await, 10);
}

#[tokio::test]
async fn a_temp_id_has_1_to_64_characters_and_a_direct_conversation_needs_none() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for wrong in ["", "a\u{0}", &"x".repeat(65)] {
        alice.post("/conversations", asked("Chess", &[&bob], wrong)).await.invalid("temp_id");
    }
    alice.post("/conversations", asked("Chess", &[&bob], &"ä".repeat(64))).await.expect(201);
    let direct = json!({ "type": "direct", "participant_ids": [bob.id], "temp_id": "one" });
    let made = alice.post("/conversations", direct.clone()).await.expect(201);
    assert_eq!(alice.post("/conversations", direct).await.expect(200)["id"], made["id"]);
}

#[tokio::test]
async fn a_conversation_is_muted_until_a_time_or_for_so_many_seconds() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let path = format!("/conversations/{room}/mute");
    let until = async |body: Value| text(&alice.post(&path, body).await.expect(200)["my"]["muted_until"]);
    let (hour, day) = (until(json!({ "seconds": 3600 })).await, until(json!({ "seconds": 86_400 })).await);
    assert!(hour < day && day.as_str() < "2100", "{hour} {day}");
    assert!(until(json!({ "seconds": 315_360_000 })).await > day);
    assert_eq!(until(json!({ "until": "2100-01-01T00:00:00.000Z" })).await, "2100-01-01T00:00:00.000Z");
    for for_good in [json!({}), json!({ "seconds": null }), json!({ "until": null, "seconds": null })] {
        assert_eq!(until(for_good).await, "9999-12-31T23:59:59.999Z");
    }
    for wrong in [json!(0), json!(-1), json!(315_360_001), json!(i64::MAX), json!(1.5), json!("60"), json!(u64::MAX)] {
        alice.post(&path, json!({ "seconds": wrong })).await.invalid("seconds");
    }
    alice.post(&path, json!({ "until": "2100-01-01T00:00:00Z", "seconds": 60 })).await.invalid("seconds");
    alice.post(&path, json!({ "until": "2000-01-01T00:00:00Z" })).await.invalid("until");
    // it passes by itself
    until(json!({ "seconds": 1 })).await;
    crate::support::eventually("the mute has passed", async || {
        alice.conversation(&room).await["my"]["muted_until"].is_null()
    })
    .await;
}
