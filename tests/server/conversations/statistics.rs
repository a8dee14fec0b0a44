//! What is counted: in a conversation, and over one's own. The counts follow the messages within a second.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

async fn stats(user: &TestUser, room: &str) -> Value {
    user.get(&format!("/conversations/{room}/stats")).await.expect(200)
}

async fn own(user: &TestUser) -> Value {
    user.get("/conversations/stats").await.expect(200)
}

fn by_member(stats: &Value) -> Vec<(String, i64)> {
    let members = stats["messages_by_member"].as_array().unwrap();
    members.iter().map(|member| (text(&member["user_id"]), member["count"].as_i64().unwrap())).collect()
}

#[tokio::test]
async fn a_conversation_counts_what_was_said_in_it() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let empty = json!({
        "messages": 0, "attachments": 0, "links": 0, "members": 2, "messages_by_member": [], "first_message_at": null
    });
    assert_eq!(stats(&alice, &room).await, empty, "the system's own message is not counted");

    let first = alice.send(&room, "see https://a.example/x and http://b.example").await;
    let second = bob.send(&room, "nothing to see").await;
    bob.send(&room, "https://c.example").await;
    eventually("three are counted", async || stats(&alice, &room).await["messages"] == 3).await;
    let counted = stats(&bob, &room).await;
    assert_eq!((&counted["links"], &counted["members"]), (&json!(3), &json!(2)));
    assert_eq!(counted["first_message_at"], first["created_at"]);
    assert_eq!(by_member(&counted), [(bob.id.clone(), 2), (alice.id.clone(), 1)], "who sent most comes first");

    let path = |message: &Value| format!("/conversations/{room}/messages/{}", text(&message["id"]));
    bob.patch(&path(&second), json!({ "content": "see https://d.example after all" })).await.expect(200);
    eventually("the new link is counted", async || stats(&alice, &room).await["links"] == 4).await;
    assert_eq!(alice.delete(&path(&first)).await.status, 204);
    eventually("its links are gone", async || stats(&alice, &room).await["links"] == 2).await;
    let counted = stats(&alice, &room).await;
    assert_eq!(counted["messages"], 3, "a deleted message keeps its place and counts");
    assert_eq!(by_member(&counted), [(bob.id.clone(), 2), (alice.id.clone(), 1)]);

    bob.delete(&format!("/conversations/{room}")).await;
    let counted = stats(&alice, &room).await;
    assert_eq!(counted["members"], 1);
    assert_eq!(by_member(&counted)[0], (bob.id.clone(), 2), "what was said stays said");
}

#[tokio::test]
async fn no_link_is_stored_of_a_message_that_was_deleted_meanwhile() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "https://gone.example").await;
    eventually("it is counted", async || stats(&alice, &room).await["links"] == 1).await;
    // the row as it was, for the reader to come upon after the deletion
    let row = "stream_kind, message_id AS stream_id, rev, event_type, payload, created_at";
    server
        .sql(&format!("CREATE TABLE kept AS SELECT {row} FROM outbox WHERE message_id IS NOT NULL AND rev > 1"))
        .await;
    alice.delete(&format!("/conversations/{room}/messages/{}", text(&message["id"]))).await.expect(204);
    let row = "stream_kind, stream_id, rev, event_type, payload, created_at";
    server.sql(&format!("INSERT INTO outbox ({row}) SELECT {row} FROM kept")).await;
    alice.send(&room, "https://a.example").await;
    eventually("what came after is counted", async || stats(&alice, &room).await["messages"] == 3).await;
    assert_eq!(stats(&alice, &room).await["links"], 1, "the other one's");
    server.sql("DELETE FROM outbox WHERE payload LIKE '%gone.example%'").await;
    server.sql("DROP TABLE kept").await;
    assert_eq!(server.rows_with("gone.example").await, Vec::<String>::new());
}

#[tokio::test]
async fn only_participants_see_what_is_counted() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let room = alice.group("room", &[&bob]).await;
    let path = format!("/conversations/{room}/stats");
    carol.get(&path).await.refused(403, "not_a_participant");
    bob.delete(&format!("/conversations/{room}")).await;
    bob.get(&path).await.refused(403, "not_a_participant");
    alice.get("/conversations/01890000-0000-7000-8000-000000000000/stats").await.refused(404, "not_found");
    alice.get("/conversations/nothing/stats").await.refused(400, "invalid_request");
}

#[tokio::test]
async fn ones_own_conversations_are_counted() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let nothing = json!({
        "total": 0, "direct": 0, "group": 0, "class": 0, "archived": 0, "muted": 0,
        "unread_conversations": 0, "unread_messages": 0, "messages_sent": 0
    });
    assert_eq!(own(&alice).await, nothing);
    let direct = alice.direct(&bob).await;
    let (loud, quiet) = (alice.group("loud", &[&bob]).await, alice.group("quiet", &[&bob]).await);
    for room in [&direct, &loud, &loud] {
        bob.send(room, "hello").await;
    }
    alice.send(&quiet, "hello").await;
    alice.post(&format!("/conversations/{quiet}/archive"), json!({})).await.expect(200);
    alice.post(&format!("/conversations/{loud}/mute"), json!({})).await.expect(200);
    eventually("what was sent is counted", async || own(&alice).await["messages_sent"] == 1).await;
    let counted = json!({
        "total": 3, "direct": 1, "group": 2, "class": 0, "archived": 1, "muted": 1,
        "unread_conversations": 1, "unread_messages": 1, "messages_sent": 1
    });
    assert_eq!(own(&alice).await, counted);
    eventually("bob's three", async || own(&bob).await["messages_sent"] == 3).await;
    bob.delete(&format!("/conversations/{loud}")).await;
    let after = own(&bob).await;
    assert_eq!((&after["total"], &after["messages_sent"]), (&json!(2), &json!(3)), "what was sent was sent");
    bob.send(&quiet, "hello").await;
    assert_eq!(own(&alice).await["archived"], 0, "a later message brings it back");
}
