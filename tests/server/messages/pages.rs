//! Pages of the messages of a conversation.

use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser};

/// Creates a group with 120 messages. The first is a system message.
async fn long_conversation(server: &TestServer) -> (TestUser, String) {
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let mut socket = alice.connect().await;
    for number in 2..=120 {
        socket.start("message.send", json!({ "conversation_id": room, "content": format!("number {number}") }));
    }
    for _ in 2..=120 {
        socket.expect("message.sent").await;
    }
    (alice, room)
}

async fn page(user: &TestUser, room: &str, query: &str) -> Value {
    user.get(&format!("/conversations/{room}/messages?{query}")).await.expect(200)
}

#[track_caller]
fn assert_page(page: &Value, seqs: std::ops::RangeInclusive<i64>, before: bool, after: bool) {
    let received: Vec<i64> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|message| message["seq"].as_i64().expect("a seq"))
        .collect();
    assert_eq!(received, seqs.collect::<Vec<_>>());
    assert_eq!((&page["has_more_before"], &page["has_more_after"]), (&json!(before), &json!(after)));
}

#[tokio::test]
async fn pages_are_listed_from_the_end_before_a_seq_and_after_a_seq() {
    let server = TestServer::start().await;
    let (alice, room) = long_conversation(&server).await;
    assert_page(&page(&alice, &room, "").await, 71..=120, true, false);
    assert_page(&page(&alice, &room, "limit=100").await, 21..=120, true, false);
    assert_page(&page(&alice, &room, "limit=1").await, 120..=120, true, false);
    assert_page(&page(&alice, &room, "before=71").await, 21..=70, true, true);
    assert_page(&page(&alice, &room, "before=11&limit=10").await, 1..=10, false, true);
    assert_page(&page(&alice, &room, "after=0&limit=10").await, 1..=10, false, true);
    assert_page(&page(&alice, &room, "after=110&limit=10").await, 111..=120, true, false);
    assert_page(&page(&alice, &room, "after=115").await, 116..=120, true, false);
    assert_eq!(page(&alice, &room, "after=120").await["items"], json!([]));
    assert_eq!(page(&alice, &room, "before=1").await["items"], json!([]));
}

#[tokio::test]
async fn a_page_around_a_seq_has_the_messages_on_both_sides() {
    let server = TestServer::start().await;
    let (alice, room) = long_conversation(&server).await;
    for around in [1, 60, 120] {
        let page = page(&alice, &room, &format!("around={around}&limit=11")).await;
        let items = page["items"].as_array().unwrap();
        let seqs: Vec<i64> = items.iter().map(|message| message["seq"].as_i64().unwrap()).collect();
        assert!(seqs.contains(&around), "{seqs:?}");
        assert!(seqs.len() <= 11 && seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
        assert_eq!(page["has_more_before"], seqs[0] > 1);
        assert_eq!(page["has_more_after"], seqs[seqs.len() - 1] < 120);
    }
    let middle = page(&alice, &room, "around=60&limit=11").await;
    let seqs: Vec<i64> =
        middle["items"].as_array().unwrap().iter().map(|message| message["seq"].as_i64().unwrap()).collect();
    assert!(seqs[0] < 60 && seqs[seqs.len() - 1] > 60, "{seqs:?}");
}

#[tokio::test]
async fn a_page_names_the_revision_at_which_it_was_read() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let mut socket = alice.connect().await;
    let first = page(&alice, &room, "").await["rev"].as_i64().unwrap();
    let sent = socket.send_message(&room, "hello").await;
    assert_eq!(sent["rev"], first + 1);
    let second = page(&alice, &room, "").await;
    assert_eq!(second["rev"], first + 1);
    assert_eq!(alice.conversation(&room).await["last_rev"], first + 1);
}

#[tokio::test]
async fn one_message_is_read_by_its_id() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "hello").await;
    let read = alice.get(&format!("/messages/{}", text(&message["id"]))).await.expect(200);
    assert_eq!(read, message);
}
