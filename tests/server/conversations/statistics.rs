//! The statistics of one conversation, and of all conversations of a user. They include a message within a second.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

async fn get_statistics(user: &TestUser, group: &str) -> Value {
    user.get(&format!("/conversations/{group}/stats")).await.expect(200)
}

async fn get_own_statistics(user: &TestUser) -> Value {
    user.get("/conversations/stats").await.expect(200)
}

fn messages_by_member(statistics: &Value) -> Vec<(String, i64)> {
    let members = statistics["messages_by_member"].as_array().unwrap();
    members.iter().map(|member| (text(&member["user_id"]), member["count"].as_i64().unwrap())).collect()
}

#[tokio::test]
async fn a_conversation_counts_its_messages_and_links() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let group = alice.group("Chess", &[&bob]).await;
    let empty = json!({
        "messages": 0, "attachments": 0, "links": 0, "members": 2, "messages_by_member": [], "first_message_at": null
    });
    assert_eq!(get_statistics(&alice, &group).await, empty, "system messages are not counted");

    let first = alice.send(&group, "see https://a.example/x and http://b.example").await;
    let second = bob.send(&group, "nothing to see").await;
    bob.send(&group, "https://c.example").await;
    eventually("three messages are counted", async || get_statistics(&alice, &group).await["messages"] == 3).await;
    let counted = get_statistics(&bob, &group).await;
    assert_eq!((&counted["links"], &counted["members"]), (&json!(3), &json!(2)));
    assert_eq!(counted["first_message_at"], first["created_at"]);
    assert_eq!(
        messages_by_member(&counted),
        [(bob.id.clone(), 2), (alice.id.clone(), 1)],
        "the user with the most messages is the first"
    );

    let path = |message: &Value| format!("/conversations/{group}/messages/{}", text(&message["id"]));
    bob.patch(&path(&second), json!({ "content": "see https://d.example after all" })).await.expect(200);
    eventually("the new link is counted", async || get_statistics(&alice, &group).await["links"] == 4).await;
    assert_eq!(alice.delete(&path(&first)).await.status, 204);
    eventually("the links of the deleted message do not count", async || {
        get_statistics(&alice, &group).await["links"] == 2
    })
    .await;
    let counted = get_statistics(&alice, &group).await;
    assert_eq!(counted["messages"], 3, "a deleted message keeps its seq and counts");
    assert_eq!(messages_by_member(&counted), [(bob.id.clone(), 2), (alice.id.clone(), 1)]);

    bob.delete(&format!("/conversations/{group}")).await;
    let counted = get_statistics(&alice, &group).await;
    assert_eq!(counted["members"], 1);
    assert_eq!(messages_by_member(&counted)[0], (bob.id.clone(), 2), "the messages of a user who left still count");
}

#[tokio::test]
async fn no_link_is_stored_if_the_message_is_deleted_before_it_is_counted() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let group = alice.group("Chess", &[]).await;
    let message = alice.send(&group, "https://deleted.example").await;
    eventually("the message is counted", async || get_statistics(&alice, &group).await["links"] == 1).await;
    // Keep the log row as it was, so that the reader processes it after the deletion.
    let row = "stream_kind, message_id AS stream_id, rev, event_type, payload, created_at";
    server
        .sql(&format!("CREATE TABLE kept AS SELECT {row} FROM outbox WHERE message_id IS NOT NULL AND rev > 1"))
        .await;
    alice.delete(&format!("/conversations/{group}/messages/{}", text(&message["id"]))).await.expect(204);
    let row = "stream_kind, stream_id, rev, event_type, payload, created_at";
    server.sql(&format!("INSERT INTO outbox ({row}) SELECT {row} FROM kept")).await;
    alice.send(&group, "https://a.example").await;
    eventually("the later message is counted", async || get_statistics(&alice, &group).await["messages"] == 3).await;
    assert_eq!(get_statistics(&alice, &group).await["links"], 1, "only the link of the other message is counted");
    server.sql("DELETE FROM outbox WHERE payload LIKE '%deleted.example%'").await;
    server.sql("DROP TABLE kept").await;
    assert_eq!(server.rows_with("deleted.example").await, Vec::<String>::new());
}

#[tokio::test]
async fn only_participants_get_the_statistics() {
    let server = TestServer::start().await;
    let (alice, bob, carol) = (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let group = alice.group("Chess", &[&bob]).await;
    let path = format!("/conversations/{group}/stats");
    carol.get(&path).await.refused(403, "not_a_participant");
    bob.delete(&format!("/conversations/{group}")).await;
    bob.get(&path).await.refused(403, "not_a_participant");
    alice.get("/conversations/01890000-0000-7000-8000-000000000000/stats").await.refused(404, "not_found");
    alice.get("/conversations/nothing/stats").await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_user_gets_the_statistics_of_their_own_conversations() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let empty = json!({
        "total": 0, "direct": 0, "group": 0, "class": 0, "archived": 0, "muted": 0,
        "unread_conversations": 0, "unread_messages": 0, "messages_sent": 0
    });
    assert_eq!(get_own_statistics(&alice).await, empty);
    let direct = alice.direct(&bob).await;
    let (muted, archived) = (alice.group("muted", &[&bob]).await, alice.group("archived", &[&bob]).await);
    for conversation in [&direct, &muted, &muted] {
        bob.send(conversation, "hello").await;
    }
    alice.send(&archived, "hello").await;
    alice.post(&format!("/conversations/{archived}/archive"), json!({})).await.expect(200);
    alice.post(&format!("/conversations/{muted}/mute"), json!({})).await.expect(200);
    eventually("alice's message is counted", async || get_own_statistics(&alice).await["messages_sent"] == 1).await;
    let counted = json!({
        "total": 3, "direct": 1, "group": 2, "class": 0, "archived": 1, "muted": 1,
        "unread_conversations": 1, "unread_messages": 1, "messages_sent": 1
    });
    assert_eq!(get_own_statistics(&alice).await, counted);
    eventually("bob's three messages are counted", async || get_own_statistics(&bob).await["messages_sent"] == 3).await;
    bob.delete(&format!("/conversations/{muted}")).await;
    let after = get_own_statistics(&bob).await;
    assert_eq!(
        (&after["total"], &after["messages_sent"]),
        (&json!(2), &json!(3)),
        "messages in a group that the user left still count"
    );
    bob.send(&archived, "hello").await;
    assert_eq!(get_own_statistics(&alice).await["archived"], 0, "a later message moves it out of the archive");
}
