//! Users who do not share their read marks.

use serde_json::{Value, json};

use crate::support::{TestServer, eventually};

#[tokio::test]
async fn a_user_who_hides_their_read_mark_does_not_get_those_of_others() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let group = alice.group("Chess", &[&bob, &carol]).await;
    alice.patch("/users/me", json!({ "share_read_receipts": false })).await.expect(200);
    let last = alice.send(&group, "hello").await["seq"].clone();
    let mut alice_socket = alice.connect().await;
    let mut second_socket = alice.connect().await;
    let mut carol_socket = carol.connect().await;
    let mut bob_socket = bob.connect().await;
    bob_socket.accepted("message.read", json!({ "conversation_id": group }), "ack").await;
    carol_socket.wait_for("bob's mark", |frame| frame["payload"]["status"] == "seen").await;
    let member = alice.get(&format!("/conversations/{group}/members/bob")).await.expect(200);
    assert_eq!(member["last_read_seq"], json!(null));
    assert_ne!(alice.history(&group).await.last().unwrap()["status"], "seen");
    let own = alice.get(&format!("/conversations/{group}/members/alice")).await.expect(200);
    assert_eq!(own["last_read_seq"], last, "the user's own mark is visible");

    // The other devices of the user get the user's read mark, and other users do not.
    bob.send(&group, "an answer").await;
    alice_socket.accepted("message.read", json!({ "conversation_id": group }), "ack").await;
    let own = second_socket.expect("conversation.read").await;
    assert_eq!(own["payload"]["conversation_id"], group.as_str());
    bob_socket.accepted("message.delivered", json!({ "conversation_id": group, "seq": 3 }), "ack").await;
    carol.post(&format!("/conversations/{group}/read"), json!({})).await.expect(200);
    let of_carol = |frame: &Value| frame["payload"]["user_id"] == carol.id.as_str();
    let frames =
        bob_socket.frames_until("carol's mark", |frame| frame["payload"]["status"] == "seen" && of_carol(frame));
    for frame in frames.await {
        let is_own = frame["payload"]["last_read_seq"] == last;
        assert!(frame["type"] != "conversation.read" || is_own, "{frame}");
        assert!(frame["type"] != "message.status" || of_carol(&frame), "{frame}");
    }
    for frame in alice_socket.frames_until_pong().await {
        assert!(frame["payload"]["status"] != "seen", "{frame}");
    }
    eventually("the delivered mark is visible nevertheless", async || {
        alice.history(&group).await[1]["status"] == "delivered"
    })
    .await;
}
