//! A group with a `temp_id` is created once, however often its creator repeats the call.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser};

fn group_body(name: &str, members: &[&TestUser], temp_id: &str) -> Value {
    let ids: Vec<&str> = members.iter().map(|user| user.id.as_str()).collect();
    json!({ "type": "group", "name": name, "participant_ids": ids, "temp_id": temp_id })
}

async fn count_groups(user: &TestUser) -> usize {
    user.get("/conversations?type=group").await.expect(200)["items"].as_array().expect("items").len()
}

#[tokio::test]
async fn a_repeated_creation_returns_the_same_group() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let body = group_body("Chess", &[&bob], "one");
    let created = alice.post("/conversations", body.clone()).await.expect(201);
    let id = text(&created["id"]);
    let repeated = alice.post("/conversations", body.clone()).await.expect(200);
    assert_eq!((&repeated["id"], &repeated["last_seq"]), (&created["id"], &json!(1)));

    // The answer contains the group as it is now, also after changes of the group and of its members.
    alice.patch(&format!("/conversations/{id}"), json!({ "name": "Go" })).await.expect(200);
    alice.delete(&format!("/conversations/{id}/members/{}", bob.id)).await.expect(204);
    let repeated = alice.post("/conversations", body.clone()).await.expect(200);
    assert_eq!(
        (&repeated["id"], &repeated["name"], &repeated["member_count"]),
        (&created["id"], &json!("Go"), &json!(1))
    );
    assert_eq!((count_groups(&alice).await, count_groups(&bob).await), (1, 0));

    // The same `temp_id` of another creator, or another `temp_id` of the same creator, stands for another group.
    let bobs_group = bob.post("/conversations", group_body("Chess", &[&alice], "one")).await.expect(201);
    let second_group = alice.post("/conversations", group_body("Chess", &[&bob], "two")).await.expect(201);
    assert!(bobs_group["id"] != created["id"] && second_group["id"] != created["id"]);
    // Without a `temp_id`, every call creates a group.
    for _ in 0..2 {
        alice
            .post("/conversations", json!({ "type": "group", "name": "Chess", "participant_ids": [] }))
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn another_body_with_the_same_temp_id_is_a_conflict() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.post("/conversations", group_body("Chess", &[&bob], "one")).await.expect(201);
    for other in
        [group_body("Chess ", &[&bob], "one"), group_body("Chess", &[], "one"), group_body("Go", &[&bob], "one")]
    {
        alice.post("/conversations", other).await.refused(409, "temp_id_reused");
    }
    let mut described = group_body("Chess", &[&bob], "one");
    described["description"] = json!("On Mondays");
    alice.post("/conversations", described).await.refused(409, "temp_id_reused");
    assert_eq!(count_groups(&alice).await, 1);
}

#[tokio::test]
async fn a_creator_who_left_the_group_is_refused_and_creates_no_second_one() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    // The first group still exists without its creator. The second one was deleted when its last member left.
    for (temp_id, members) in [("one", vec![&bob]), ("two", vec![])] {
        let body = group_body("Chess", &members, temp_id);
        let id = text(&alice.post("/conversations", body.clone()).await.expect(201)["id"]);
        alice.delete(&format!("/conversations/{id}")).await.expect(204);
        alice.post("/conversations", body.clone()).await.refused(403, "not_a_participant");
        alice.post("/conversations", group_body("Go", &members, temp_id)).await.refused(409, "temp_id_reused");
    }
    assert_eq!(count_groups(&alice).await, 0);
}

#[tokio::test]
async fn concurrent_creations_create_one_group() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for round in 0..10 {
        let body = group_body("Chess", &[&bob], &format!("round {round}"));
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let (alice, body) = (alice.clone(), body.clone());
                tokio::spawn(async move { alice.post("/conversations", body).await })
            })
            .collect();
        let mut creations = 0;
        let mut ids = std::collections::BTreeSet::new();
        for call in calls {
            let answer = call.await.unwrap();
            assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.body);
            creations += usize::from(answer.status == 201);
            ids.insert(text(&answer.body["id"]));
        }
        assert_eq!((creations, ids.len()), (1, 1), "round {round}");
    }
    assert_eq!((count_groups(&alice).await, count_groups(&bob).await), (10, 10));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: two servers on one database"]
async fn concurrent_creations_on_two_nodes_create_one_group() {
    let secret = "one secret for both nodes, long enough";
    let first_node = TestServer::builder().set("GREENROOM_JWT_SECRET", secret).start().await;
    let second_node = TestServer::builder().on(first_node.database()).set("GREENROOM_JWT_SECRET", secret).start().await;
    let (alice, bob) = (first_node.user("alice").await, first_node.user("bob").await);
    let alice_on_second = alice.on(&second_node);
    for round in 0..10 {
        let body = group_body("Chess", &[&bob], &format!("round {round}"));
        let (first, second) =
            tokio::join!(alice.post("/conversations", body.clone()), alice_on_second.post("/conversations", body));
        assert_eq!(first.status + second.status, 401, "one 200 and one 201: {} and {}", first.body, second.body);
        assert_eq!(first.body["id"], second.body["id"]);
    }
    assert_eq!(count_groups(&alice).await, 10);
}

#[tokio::test]
async fn a_temp_id_has_1_to_64_characters_and_a_direct_conversation_needs_none() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for wrong in ["", "a\u{0}", &"x".repeat(65)] {
        alice.post("/conversations", group_body("Chess", &[&bob], wrong)).await.invalid("temp_id");
    }
    alice.post("/conversations", group_body("Chess", &[&bob], &"ä".repeat(64))).await.expect(201);
    let direct = json!({ "type": "direct", "participant_ids": [bob.id], "temp_id": "one" });
    let created = alice.post("/conversations", direct.clone()).await.expect(201);
    assert_eq!(alice.post("/conversations", direct).await.expect(200)["id"], created["id"]);
}
