//! Receipts: who received a message, who read it, and from whom this is hidden.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

async fn get_receipts(user: &TestUser, room: &str, message: &Value) -> Value {
    user.get(&path(room, message)).await.expect(200)
}

fn path(room: &str, message: &Value) -> String {
    format!("/conversations/{room}/messages/{}/receipts", text(&message["id"]))
}

async fn mark_read(user: &TestUser, room: &str) {
    user.post(&format!("/conversations/{room}/read"), json!({})).await.expect(200);
}

/// Returns the sorted ids of the users in one of the lists.
fn user_ids(receipts: &Value, list: &str) -> Vec<String> {
    let mut ids: Vec<String> = receipts[list].as_array().unwrap().iter().map(|entry| text(&entry["user_id"])).collect();
    ids.sort();
    ids
}

fn sorted_ids(users: &[&TestUser]) -> Vec<String> {
    let mut ids: Vec<String> = users.iter().map(|user| user.id.clone()).collect();
    ids.sort();
    ids
}

async fn group_of_three(server: &TestServer) -> (TestUser, TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    (alice, bob, carol, room)
}

#[tokio::test]
async fn receipts_follow_the_marks_of_the_other_participants() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let first = alice.send(&room, "first").await;
    assert_eq!(
        get_receipts(&alice, &room, &first).await,
        json!({ "delivered": [], "read": [], "member_count": 3, "read_ratio": 0.0 })
    );
    let payload = json!({ "conversation_id": room, "seq": first["seq"] });
    bob.connect().await.accepted("message.delivered", payload, "ack").await;
    eventually("it is delivered to bob", async || {
        user_ids(&get_receipts(&alice, &room, &first).await, "delivered") == sorted_ids(&[&bob])
    })
    .await;
    let delivered = get_receipts(&alice, &room, &first).await;
    assert_eq!((&delivered["read"], &delivered["read_ratio"]), (&json!([]), &json!(0.0)));
    assert!(delivered["delivered"][0]["at"].as_str() >= first["created_at"].as_str(), "{delivered}");

    mark_read(&carol, &room).await;
    let half = get_receipts(&alice, &room, &first).await;
    assert_eq!(
        (user_ids(&half, "delivered"), user_ids(&half, "read")),
        (sorted_ids(&[&bob, &carol]), sorted_ids(&[&carol]))
    );
    assert_eq!(half["read_ratio"], 0.5);
    assert!(half["read"][0]["at"].as_str() >= first["created_at"].as_str(), "{half}");
    bob.send(&room, "an answer").await;
    let whole = get_receipts(&alice, &room, &first).await;
    assert_eq!(
        (user_ids(&whole, "read"), &whole["read_ratio"]),
        (sorted_ids(&[&bob, &carol]), &json!(1.0)),
        "a user who sends has read"
    );

    let second = alice.send(&room, "second").await;
    assert_eq!(user_ids(&get_receipts(&alice, &room, &second).await, "read"), Vec::<String>::new());
    let of_others = get_receipts(&carol, &room, &first).await;
    assert_eq!(user_ids(&of_others, "read"), sorted_ids(&[&bob, &carol]), "every participant can get the receipts");
}

#[tokio::test]
async fn the_author_is_not_one_of_the_readers() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let message = bob.send(&room, "by bob").await;
    mark_read(&alice, &room).await;
    let receipts = get_receipts(&bob, &room, &message).await;
    assert_eq!((user_ids(&receipts, "read"), &receipts["read_ratio"]), (sorted_ids(&[&alice]), &json!(0.5)));
    let system = alice.history(&room).await.remove(0);
    mark_read(&carol, &room).await;
    let receipts = get_receipts(&alice, &room, &system).await;
    assert_eq!(
        (user_ids(&receipts, "read"), &receipts["read_ratio"]),
        (sorted_ids(&[&alice, &bob, &carol]), &json!(1.0))
    );

    let alone = alice.group("alone", &[]).await;
    let message = alice.send(&alone, "to nobody").await;
    let receipts = get_receipts(&alice, &alone, &message).await;
    assert_eq!(receipts, json!({ "delivered": [], "read": [], "member_count": 1, "read_ratio": 1.0 }));
}

#[tokio::test]
async fn a_user_who_joins_later_has_read_no_message_yet() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = group_of_three(&server).await;
    let message = alice.send(&room, "before").await;
    let dave = server.user("dave").await;
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["dave"] })).await.expect(200);
    mark_read(&bob, &room).await;
    let receipts = get_receipts(&alice, &room, &message).await;
    assert_eq!(
        (user_ids(&receipts, "read"), user_ids(&receipts, "delivered")),
        (sorted_ids(&[&bob]), sorted_ids(&[&bob]))
    );
    assert_eq!(receipts["member_count"], 4);
    alice.send(&room, "after").await;
    mark_read(&dave, &room).await;
    assert_eq!(user_ids(&get_receipts(&alice, &room, &message).await, "read"), sorted_ids(&[&bob, &dave]));
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    let receipts = get_receipts(&alice, &room, &message).await;
    assert_eq!(
        (user_ids(&receipts, "read"), &receipts["member_count"]),
        (sorted_ids(&[&dave]), &json!(3)),
        "a user who left is not counted"
    );
}

#[tokio::test]
async fn reads_are_shown_only_when_both_users_share_them() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let message = alice.send(&room, "hello").await;
    bob.patch("/users/me", json!({ "share_read_receipts": false })).await.expect(200);
    mark_read(&bob, &room).await;
    mark_read(&carol, &room).await;
    let receipts = get_receipts(&alice, &room, &message).await;
    assert_eq!((user_ids(&receipts, "read"), &receipts["read_ratio"]), (sorted_ids(&[&carol]), &json!(0.5)));
    assert_eq!(user_ids(&receipts, "delivered"), sorted_ids(&[&bob, &carol]), "the delivery is not hidden");
    let receipts = get_receipts(&bob, &room, &message).await;
    assert_eq!(user_ids(&receipts, "read"), sorted_ids(&[&bob]), "a user who hides reads sees no reads of others");
    alice.patch("/users/me", json!({ "share_read_receipts": false })).await.expect(200);
    let receipts = get_receipts(&alice, &room, &message).await;
    assert_eq!((&receipts["read"], &receipts["read_ratio"]), (&json!([]), &json!(0.0)));
}

#[tokio::test]
async fn a_block_hides_all_receipts_between_two_users() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let message = alice.send(&room, "hello").await;
    mark_read(&bob, &room).await;
    mark_read(&carol, &room).await;
    bob.post("/blocks", json!({ "user": "alice" })).await.expect(201);
    let receipts = get_receipts(&alice, &room, &message).await;
    assert_eq!(
        (user_ids(&receipts, "read"), user_ids(&receipts, "delivered")),
        (sorted_ids(&[&carol]), sorted_ids(&[&carol]))
    );
    assert_eq!((&receipts["member_count"], &receipts["read_ratio"]), (&json!(3), &json!(0.5)));
    let by_bob = bob.send(&room, "from bob").await;
    mark_read(&alice, &room).await;
    assert_eq!(user_ids(&get_receipts(&bob, &room, &by_bob).await, "read"), Vec::<String>::new());
    assert_eq!(user_ids(&get_receipts(&carol, &room, &message).await, "read"), sorted_ids(&[&bob, &carol]));
}

/// A message that was read stays read: neither leaving nor joining again changes it.
#[tokio::test]
async fn a_read_message_stays_read_when_the_reader_leaves() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = group_of_three(&server).await;
    let statuses = async || -> Vec<Value> {
        let own = alice.history(&room).await.into_iter().filter(|message| message["sender_id"] == alice.id.as_str());
        own.map(|message| message["status"].clone()).collect()
    };
    alice.send(&room, "read by bob").await;
    mark_read(&bob, &room).await;
    let second = alice.send(&room, "delivered to bob").await;
    let payload = json!({ "conversation_id": room, "seq": second["seq"] });
    bob.connect().await.accepted("message.delivered", payload, "ack").await;
    eventually("it is delivered", async || statuses().await == ["seen", "delivered"]).await;
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    alice.send(&room, "after bob").await;
    assert_eq!(statuses().await, ["seen", "delivered", "sent"]);
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["bob"] })).await.expect(200);
    assert_eq!(statuses().await, ["seen", "delivered", "sent"], "a user who joins again has the earlier marks");
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    assert_eq!(statuses().await, ["seen", "delivered", "sent"]);
    let second = format!("/conversations/{room}/messages/{}", text(&second["id"]));
    let edited = alice.patch(&second, json!({ "content": "edited" })).await.expect(200);
    assert_eq!(edited["status"], "delivered");
    mark_read(&carol, &room).await;
    assert_eq!(statuses().await, ["seen", "seen", "seen"]);
}

#[tokio::test]
async fn only_participants_who_see_the_message_get_its_receipts() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = group_of_three(&server).await;
    let message = alice.send(&room, "hello").await;
    server.user("eve").await.get(&path(&room, &message)).await.refused(403, "not_a_participant");
    let elsewhere = bob.group("elsewhere", &[]).await;
    bob.get(&path(&elsewhere, &message)).await.refused(404, "not_found");
    bob.get(&path(&room, &json!({ "id": "x" }))).await.refused(400, "invalid_request");
    bob.delete(&format!("/conversations/{room}/messages/{}?for=me", text(&message["id"]))).await.expect(204);
    bob.get(&path(&room, &message)).await.refused(404, "not_found");
}
