//! Deleting a message for oneself alone.

use serde_json::{Value, json};

use crate::messages::deletions::{hide, last_rev, path, seqs};
use crate::support::user::text;
use crate::support::{TestServer, TestSocket};

async fn hidden(socket: &mut TestSocket) -> Value {
    let frame = socket.expect("message.hidden").await;
    assert_eq!(frame["stream"], "user");
    frame["payload"].clone()
}

#[tokio::test]
async fn what_one_deletes_for_oneself_others_still_see() {
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
            assert_eq!(hidden(socket).await, json!({ "conversation_id": room, "message_id": message["id"] }));
        }
        hide(&phone, &room, message).await.expect(204);
    }
    for socket in &mut sockets {
        assert!(!format!("{:?}", socket.frames_until_pong().await).contains("message.hidden"), "told once");
    }
    assert!(!format!("{:?}", author.frames_until_pong().await).contains("message.hidden"), "nobody else is told");
    assert_eq!(last_rev(&alice, &room).await, before);

    let page = async |query: &str| bob.get(&format!("/conversations/{room}/messages{query}")).await.expect(200);
    let more = |page: &Value| (page["has_more_before"] == true, page["has_more_after"] == true);
    for (query, seen, flags) in [
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
        assert_eq!((seqs(&page["items"]), more(&page)), (seen, flags), "{query}");
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
    assert_eq!(bob.conversation(&room).await["unread_count"], 2, "what is hidden is not unread");

    assert_eq!(alice.history(&room).await.len(), 6);
    assert_eq!(alice.conversation(&room).await["last_message"]["id"], messages[5]["id"]);
    let next = alice.send(&room, "next").await;
    assert_eq!(bob.conversation(&room).await["last_message"]["id"], next["id"]);
    let late = bob.connect_unsubscribed().await.welcome["user_rev"].as_i64().expect("user_rev");
    let mut socket = bob.connect_unsubscribed().await;
    socket.start("sync", json!({ "conversations": {}, "user_rev": late - 3 }));
    for message in [&messages[2], &messages[4], &messages[5]] {
        assert_eq!(hidden(&mut socket).await["message_id"], message["id"], "and after coming back");
    }
}

#[tokio::test]
async fn a_message_is_hidden_over_the_socket_and_deleted_after_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "text").await;
    let told = alice.history(&room).await.remove(0);
    let mut socket = alice.connect().await;
    for hide in [&message, &told] {
        let payload = json!({ "conversation_id": room, "message_id": hide["id"], "for": "me" });
        assert_eq!(socket.accepted("message.delete", payload, "ack").await, json!({}));
    }
    assert_eq!(alice.history(&room).await, Vec::<Value>::new());
    assert_eq!(alice.conversation(&room).await["last_message"], json!(null));
    let payload = json!({ "conversation_id": room, "message_id": message["id"] });
    assert_eq!(socket.accepted("message.delete", payload, "ack").await, json!({}));
    assert_eq!(socket.expect("message.deleted").await["payload"]["message_id"], message["id"]);
    assert_eq!(alice.history(&room).await, Vec::<Value>::new(), "it stays out of sight");
}
