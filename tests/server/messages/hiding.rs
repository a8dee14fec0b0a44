//! Deletion of a message for oneself: the message is hidden from one user.

use serde_json::{Value, json};

use crate::messages::deletions::{hide, last_rev, path, seqs};
use crate::support::user::text;
use crate::support::{TestServer, TestSocket};

async fn expect_hidden(socket: &mut TestSocket) -> Value {
    let frame = socket.expect("message.hidden").await;
    assert_eq!(frame["stream"], "user");
    frame["payload"].clone()
}

#[tokio::test]
async fn a_message_that_a_user_hides_remains_visible_to_others() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let mut messages = vec![Value::Null];
    for number in 2..=6 {
        messages.push(alice.send(&room, &format!("number {number}")).await);
    }
    alice.put(&format!("{}/pin", path(&room, &messages[2])), json!({})).await.expect(200);
    let before = last_rev(&alice, &room).await;
    let phone = bob.login().await;
    let mut sockets = [bob.connect().await, phone.connect().await];
    let mut author = alice.connect().await;

    for message in [&messages[2], &messages[4], &messages[5]] {
        hide(&bob, &room, message).await.expect(204);
        for socket in &mut sockets {
            assert_eq!(expect_hidden(socket).await, json!({ "conversation_id": room, "message_id": message["id"] }));
        }
        hide(&phone, &room, message).await.expect(204);
    }
    for socket in &mut sockets {
        assert!(
            !format!("{:?}", socket.frames_until_pong().await).contains("message.hidden"),
            "a repeated deletion appends no event"
        );
    }
    assert!(!format!("{:?}", author.frames_until_pong().await).contains("message.hidden"), "other users get no event");
    assert_eq!(last_rev(&alice, &room).await, before);

    let page = async |query: &str| bob.get(&format!("/conversations/{room}/messages{query}")).await.expect(200);
    let more = |page: &Value| (page["has_more_before"] == true, page["has_more_after"] == true);
    for (query, expected, flags) in [
        ("", vec![1, 2, 4], (false, false)),
        ("?before=7&limit=2", vec![2, 4], (true, false)),
        ("?before=5", vec![1, 2, 4], (false, false)),
        ("?before=4", vec![1, 2], (false, true)),
        ("?after=2", vec![4], (true, false)),
        ("?after=1&limit=1", vec![2], (true, true)),
        ("?after=4", vec![], (true, false)),
        ("?around=3&limit=2", vec![4], (true, false)),
        ("?around=100&limit=5", vec![2, 4], (true, false)),
    ] {
        let page = page(query).await;
        assert_eq!((seqs(&page["items"]), more(&page)), (expected, flags), "{query}");
    }
    bob.get(&format!("/messages/{}", text(&messages[2]["id"]))).await.refused(404, "not_found");
    bob.get(&format!("/messages/{}/context", text(&messages[2]["id"]))).await.refused(404, "not_found");
    bob.get(&format!("{}/history", path(&room, &messages[2]))).await.refused(404, "not_found");
    let context = bob.get(&format!("/messages/{}/context", text(&messages[3]["id"]))).await.expect(200);
    assert_eq!((seqs(&context["before"]), seqs(&context["after"])), (vec![1, 2], vec![]));
    let pins = bob.get(&format!("/conversations/{room}/pins")).await.expect(200);
    assert_eq!(pins["items"], json!([]));
    assert_eq!(bob.conversation(&room).await["last_message"]["id"], messages[3]["id"]);
    let listed = bob.get("/conversations").await.expect(200);
    assert_eq!(listed["items"][0]["last_message"]["id"], messages[3]["id"]);
    assert_eq!(bob.conversation(&room).await["unread_count"], 2, "a hidden message is not unread");

    assert_eq!(alice.history(&room).await.len(), 6);
    assert_eq!(alice.conversation(&room).await["last_message"]["id"], messages[5]["id"]);
    let next = alice.send(&room, "next").await;
    assert_eq!(bob.conversation(&room).await["last_message"]["id"], next["id"]);
    let user_rev = bob.connect_unsubscribed().await.auth_success["user_rev"].as_i64().expect("user_rev");
    let mut socket = bob.connect_unsubscribed().await;
    socket.start("sync", json!({ "conversations": {}, "user_rev": user_rev - 3 }));
    for message in [&messages[2], &messages[4], &messages[5]] {
        assert_eq!(expect_hidden(&mut socket).await["message_id"], message["id"], "a sync replays the event");
    }
}

#[tokio::test]
async fn a_message_that_is_hidden_over_the_socket_can_be_deleted_for_everyone() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "text").await;
    let system = alice.history(&room).await.remove(0);
    let mut socket = alice.connect().await;
    for hidden in [&message, &system] {
        let payload = json!({ "conversation_id": room, "message_id": hidden["id"], "for": "me" });
        assert_eq!(socket.accepted("message.delete", payload, "ack").await, json!({}));
    }
    assert_eq!(alice.history(&room).await, Vec::<Value>::new());
    assert_eq!(alice.conversation(&room).await["last_message"], json!(null));
    let payload = json!({ "conversation_id": room, "message_id": message["id"] });
    assert_eq!(socket.accepted("message.delete", payload, "ack").await, json!({}));
    assert_eq!(socket.expect("message.deleted").await["payload"]["message_id"], message["id"]);
    assert_eq!(alice.history(&room).await, Vec::<Value>::new(), "the message stays hidden");
}
