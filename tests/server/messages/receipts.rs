//! Who has a message and who has read it, and from whom that is hidden.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

async fn receipts(user: &TestUser, room: &str, message: &Value) -> Value {
    user.get(&path(room, message)).await.expect(200)
}

fn path(room: &str, message: &Value) -> String {
    format!("/conversations/{room}/messages/{}/receipts", text(&message["id"]))
}

async fn read(user: &TestUser, room: &str) {
    user.post(&format!("/conversations/{room}/read"), json!({})).await.expect(200);
}

/// Who is in one of the lists.
fn who(receipts: &Value, list: &str) -> Vec<String> {
    let mut who: Vec<String> = receipts[list].as_array().unwrap().iter().map(|one| text(&one["user_id"])).collect();
    who.sort();
    who
}

fn sorted(users: &[&TestUser]) -> Vec<String> {
    let mut ids: Vec<String> = users.iter().map(|user| user.id.clone()).collect();
    ids.sort();
    ids
}

async fn three(server: &TestServer) -> (TestUser, TestUser, TestUser, String) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    (alice, bob, carol, room)
}

#[tokio::test]
async fn receipts_follow_the_marks_of_the_others() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let first = alice.send(&room, "first").await;
    assert_eq!(
        receipts(&alice, &room, &first).await,
        json!({ "delivered": [], "read": [], "member_count": 3, "read_ratio": 0.0 })
    );
    let payload = json!({ "conversation_id": room, "seq": first["seq"] });
    bob.connect().await.accepted("message.delivered", payload, "ack").await;
    eventually("it is delivered to bob", async || {
        who(&receipts(&alice, &room, &first).await, "delivered") == sorted(&[&bob])
    })
    .await;
    let delivered = receipts(&alice, &room, &first).await;
    assert_eq!((&delivered["read"], &delivered["read_ratio"]), (&json!([]), &json!(0.0)));
    assert!(delivered["delivered"][0]["at"].as_str() >= first["created_at"].as_str(), "{delivered}");

    read(&carol, &room).await;
    let half = receipts(&alice, &room, &first).await;
    assert_eq!((who(&half, "delivered"), who(&half, "read")), (sorted(&[&bob, &carol]), sorted(&[&carol])));
    assert_eq!(half["read_ratio"], 0.5);
    assert!(half["read"][0]["at"].as_str() >= first["created_at"].as_str(), "{half}");
    bob.send(&room, "an answer").await;
    let whole = receipts(&alice, &room, &first).await;
    assert_eq!(
        (who(&whole, "read"), &whole["read_ratio"]),
        (sorted(&[&bob, &carol]), &json!(1.0)),
        "who answers has read"
    );

    let second = alice.send(&room, "second").await;
    assert_eq!(who(&receipts(&alice, &room, &second).await, "read"), Vec::<String>::new());
    let of_others = receipts(&carol, &room, &first).await;
    assert_eq!(who(&of_others, "read"), sorted(&[&bob, &carol]), "every participant may ask");
}

#[tokio::test]
async fn the_author_is_none_of_the_readers() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let message = bob.send(&room, "by bob").await;
    read(&alice, &room).await;
    let told = receipts(&bob, &room, &message).await;
    assert_eq!((who(&told, "read"), &told["read_ratio"]), (sorted(&[&alice]), &json!(0.5)));
    let system = alice.history(&room).await.remove(0);
    read(&carol, &room).await;
    let told = receipts(&alice, &room, &system).await;
    assert_eq!((who(&told, "read"), &told["read_ratio"]), (sorted(&[&alice, &bob, &carol]), &json!(1.0)));

    let alone = alice.group("alone", &[]).await;
    let message = alice.send(&alone, "to nobody").await;
    let told = receipts(&alice, &alone, &message).await;
    assert_eq!(told, json!({ "delivered": [], "read": [], "member_count": 1, "read_ratio": 1.0 }));
}

#[tokio::test]
async fn who_joins_later_has_read_nothing_yet() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = three(&server).await;
    let message = alice.send(&room, "before").await;
    let dave = server.user("dave").await;
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["dave"] })).await.expect(200);
    read(&bob, &room).await;
    let told = receipts(&alice, &room, &message).await;
    assert_eq!((who(&told, "read"), who(&told, "delivered")), (sorted(&[&bob]), sorted(&[&bob])));
    assert_eq!(told["member_count"], 4);
    alice.send(&room, "after").await;
    read(&dave, &room).await;
    assert_eq!(who(&receipts(&alice, &room, &message).await, "read"), sorted(&[&bob, &dave]));
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    let told = receipts(&alice, &room, &message).await;
    assert_eq!((who(&told, "read"), &told["member_count"]), (sorted(&[&dave]), &json!(3)), "who left is not counted");
}

#[tokio::test]
async fn reads_are_shown_only_when_both_share_theirs() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let message = alice.send(&room, "hello").await;
    bob.patch("/users/me", json!({ "share_read_receipts": false })).await.expect(200);
    read(&bob, &room).await;
    read(&carol, &room).await;
    let told = receipts(&alice, &room, &message).await;
    assert_eq!((who(&told, "read"), &told["read_ratio"]), (sorted(&[&carol]), &json!(0.5)));
    assert_eq!(who(&told, "delivered"), sorted(&[&bob, &carol]), "that it came is not hidden");
    let told = receipts(&bob, &room, &message).await;
    assert_eq!(who(&told, "read"), sorted(&[&bob]), "who hides theirs sees only their own");
    alice.patch("/users/me", json!({ "share_read_receipts": false })).await.expect(200);
    let told = receipts(&alice, &room, &message).await;
    assert_eq!((&told["read"], &told["read_ratio"]), (&json!([]), &json!(0.0)));
}

#[tokio::test]
async fn a_block_hides_everything() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let message = alice.send(&room, "hello").await;
    read(&bob, &room).await;
    read(&carol, &room).await;
    bob.post("/blocks", json!({ "user": "alice" })).await.expect(201);
    let told = receipts(&alice, &room, &message).await;
    assert_eq!((who(&told, "read"), who(&told, "delivered")), (sorted(&[&carol]), sorted(&[&carol])));
    assert_eq!((&told["member_count"], &told["read_ratio"]), (&json!(3), &json!(0.5)));
    let by_bob = bob.send(&room, "from bob").await;
    read(&alice, &room).await;
    assert_eq!(who(&receipts(&bob, &room, &by_bob).await, "read"), Vec::<String>::new());
    assert_eq!(who(&receipts(&carol, &room, &message).await, "read"), sorted(&[&bob, &carol]));
}

/// Whoever read a message has read it: leaving changes nothing of that, nor does coming back.
#[tokio::test]
async fn what_was_seen_stays_seen_when_the_reader_leaves() {
    let server = TestServer::start().await;
    let (alice, bob, carol, room) = three(&server).await;
    let statuses = async || -> Vec<Value> {
        let own = alice.history(&room).await.into_iter().filter(|message| message["sender_id"] == alice.id.as_str());
        own.map(|message| message["status"].clone()).collect()
    };
    alice.send(&room, "read by bob").await;
    read(&bob, &room).await;
    let second = alice.send(&room, "delivered to bob").await;
    let payload = json!({ "conversation_id": room, "seq": second["seq"] });
    bob.connect().await.accepted("message.delivered", payload, "ack").await;
    eventually("it is delivered", async || statuses().await == ["seen", "delivered"]).await;
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    alice.send(&room, "after bob").await;
    assert_eq!(statuses().await, ["seen", "delivered", "sent"]);
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["bob"] })).await.expect(200);
    assert_eq!(statuses().await, ["seen", "delivered", "sent"], "who comes back has read what was read before");
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    assert_eq!(statuses().await, ["seen", "delivered", "sent"]);
    let second = format!("/conversations/{room}/messages/{}", text(&second["id"]));
    let edited = alice.patch(&second, json!({ "content": "edited" })).await.expect(200);
    assert_eq!(edited["status"], "delivered");
    read(&carol, &room).await;
    assert_eq!(statuses().await, ["seen", "seen", "seen"]);
}

#[tokio::test]
async fn receipts_are_for_participants_who_have_the_message() {
    let server = TestServer::start().await;
    let (alice, bob, _, room) = three(&server).await;
    let message = alice.send(&room, "hello").await;
    server.user("eve").await.get(&path(&room, &message)).await.refused(403, "not_a_participant");
    let elsewhere = bob.group("elsewhere", &[]).await;
    bob.get(&path(&elsewhere, &message)).await.refused(404, "not_found");
    bob.get(&path(&room, &json!({ "id": "x" }))).await.refused(400, "invalid_request");
    bob.delete(&format!("/conversations/{room}/messages/{}?for=me", text(&message["id"]))).await.expect(204);
    bob.get(&path(&room, &message)).await.refused(404, "not_found");
}
