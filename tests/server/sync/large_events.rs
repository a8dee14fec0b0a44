//! What is large in itself or by its number: no one event, and no lawful `sync`, is more than a client can take.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::database::runs_on_postgres;
use crate::support::user::text;
use crate::support::{TestServer, TestSocket, TestUser};

/// A literal for an id in a statement.
fn literal(id: &str) -> String {
    if runs_on_postgres() { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) }
}

/// Users whom nobody registered, put beside the server, with pictures whose addresses are as long as they may be.
async fn crowd(server: &TestServer, count: usize) -> Vec<String> {
    let picture = format!("https://cdn.example.org/{}", "a".repeat(2_000));
    let ids: Vec<String> = (0..count).map(|_| Uuid::now_v7().to_string()).collect();
    let row = |(number, id): (usize, &String)| {
        format!("({}, 'c{number}', 'c{number}', 'c{number}', 'c{number}', '{picture}', 1, 1)", literal(id))
    };
    let rows: Vec<String> = ids.iter().enumerate().map(row).collect();
    let columns = "id, username, username_key, display_name, search_text, avatar_url, created_at, updated_at";
    server.sql(&format!("INSERT INTO users ({columns}) VALUES {}", rows.join(", "))).await;
    ids
}

/// So many groups of one user, each with a few events in the log, put beside the server.
async fn groups(server: &TestServer, user: &TestUser, count: usize, logged: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|_| Uuid::now_v7().to_string()).collect();
    for part in ids.chunks(1_000) {
        let (mut conversations, mut participants, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for id in part {
            let (literal, user) = (literal(id), literal(&user.id));
            conversations.push(format!("({literal}, 'group', 'many', 1, 1, 0, 0, {logged}, 1)"));
            participants.push(format!("({literal}, {user}, 'owner', 1, 0)"));
            for rev in 1..=logged {
                let payload = json!({ "stream": "conversation", "rev": rev, "type": "conversation.updated",
                    "payload": { "conversation_id": id, "name": "many" } });
                events.push(format!("(0, {literal}, {rev}, 'conversation.updated', '{payload}', 1)"));
            }
        }
        server
            .sql(&format!(
                "INSERT INTO conversations (id, kind, name, created_at, updated_at, last_seq, last_count, last_rev,
                                            member_count)
                 VALUES {};
                 INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev) VALUES {};
                 INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at) VALUES {}",
                conversations.join(", "),
                participants.join(", "),
                events.join(", ")
            ))
            .await;
    }
    if runs_on_postgres() {
        // as it does by itself soon after so many rows: until then it takes the tables for empty
        server.sql("ANALYZE").await;
    }
    ids
}

/// Sends a `sync` of all these conversations from `rev`, in parts, and returns the id of the last one.
fn sync(socket: &mut TestSocket, conversations: &[String], rev: i64) -> String {
    let user_rev = socket.welcome["user_rev"].clone();
    let mut id = String::new();
    let last = conversations.len().div_ceil(1_000) - 1;
    for (number, part) in conversations.chunks(1_000).enumerate() {
        let revs: serde_json::Map<_, _> = part.iter().map(|id| (id.clone(), json!(rev))).collect();
        let payload = json!({ "conversations": revs, "user_rev": user_rev, "more": number < last });
        id = socket.start("sync", payload);
    }
    id
}

/// A commit of 2.3 MB in one stream: 998 people with pictures join at once.
#[tokio::test]
async fn many_who_join_at_once_are_told_in_events_that_a_client_can_take() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let ids = crowd(&server, 998).await;
    let mut live = bob.connect().await;
    let held = live.welcome["conversations"][&room].as_i64().unwrap();
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ids })).await.expect(200);
    let mut back = bob.connect_unsubscribed().await;
    sync(&mut back, std::slice::from_ref(&room), held);
    for socket in [&mut live, &mut back] {
        let (mut rev, mut joined) = (held, Vec::new());
        loop {
            let frame = socket.wait_for("an event", |frame| frame["stream"] == "conversation").await;
            rev += 1;
            assert_eq!(frame["rev"], rev);
            assert!(frame.to_string().len() < 64 * 1024, "{} bytes", frame.to_string().len());
            if frame["type"] != "participant.joined" {
                let data = &frame["payload"]["message"]["data"];
                assert_eq!((&data["event"], &data["user_ids"]), (&json!("members_added"), &json!(ids)));
                break;
            }
            let participants = frame["payload"]["participants"].as_array().unwrap();
            joined.extend(participants.iter().map(|joined| text(&joined["user"]["id"])));
        }
        joined.sort();
        assert_eq!(joined, ids, "each once");
        socket.is_alive().await;
    }
    let done = back.expect("sync.done").await;
    assert_eq!(done["payload"]["conversations"][&room], alice.conversation(&room).await["last_rev"]);
}

/// As large as a message can be: each character takes six bytes, and it answers another such message.
#[tokio::test]
async fn the_largest_message_is_far_less_than_a_client_may_leave_unread() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.direct(&bob).await;
    let picture = format!("https://x/{}", "a".repeat(2_038));
    alice.patch("/users/me", json!({ "avatar_url": picture, "display_name": "🎉".repeat(255) })).await.expect(200);
    let mut socket = bob.connect().await;
    let content = "\u{1}".repeat(9_500) + &"@bob ".repeat(100);
    let mut reply_to = Value::Null;
    for _ in 0..2 {
        let body = json!({ "content": content, "reply_to_id": reply_to });
        reply_to = alice.post(&format!("/conversations/{room}/messages"), body).await.expect(201)["id"].clone();
        let frame = socket.expect("message.new").await;
        assert!(frame.to_string().len() < 128 * 1024, "{} bytes", frame.to_string().len());
    }
    socket.is_alive().await;
}

/// An event that an older version wrote, in which more people joined at once than a client may leave unread.
#[tokio::test]
async fn one_event_of_before_that_is_too_large_locks_nobody_out() {
    let mut server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let held = alice.conversation(&room).await["last_rev"].as_i64().unwrap();
    for content in ["small", "needle", "small again"] {
        alice.send(&room, content).await;
    }
    // what the room remembers of its recent events is of before; after a restart the log is read
    server.halt().await;
    let large = "x".repeat(1_400_000);
    server.sql(&format!("UPDATE outbox SET payload = REPLACE(payload, 'needle', '{large}')")).await;
    server.restart().await;
    let mut socket = bob.connect_unsubscribed().await;
    sync(&mut socket, std::slice::from_ref(&room), held);
    let done = socket.expect("sync.done").await;
    assert_eq!(done["payload"]["conversations"][&room], held + 3);
    let contents: Vec<_> = socket
        .kept()
        .filter(|frame| frame["type"] == "message.new")
        .map(|frame| frame["payload"]["message"]["content"].as_str().unwrap().len())
        .collect();
    assert_eq!(contents, [5, 1_400_000, 11]);
    socket.is_alive().await;
}

/// Ten thousand conversations that all must be read anew: as many resets, and their end.
#[tokio::test]
async fn a_sync_that_resets_ten_thousand_conversations_ends() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let ids = groups(&server, &alice, 10_000, 1).await;
    let mut socket = alice.connect_unsubscribed().await;
    let id = sync(&mut socket, &ids, 999);
    let done = socket.wait_for("the end", |frame| frame["id"] == id.as_str()).await;
    assert_eq!(done["type"], "sync.done", "{}", done["payload"]["code"]);
    let resets = socket.kept().filter(|frame| frame["type"] == "sync.reset");
    let mut reset: Vec<String> = resets.map(|frame| text(&frame["payload"]["conversation_id"])).collect();
    reset.sort();
    assert_eq!(reset, ids, "each once");
    assert!(done["payload"]["conversations"].as_object().is_some_and(|revs| revs.values().all(|rev| rev == 1)));
}

/// Three sessions that missed something in each of seven thousand conversations, all at once: more than 20,000 pages.
#[tokio::test]
async fn sessions_that_missed_something_in_thousands_of_conversations_sync_at_once() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let ids = groups(&server, &alice, 7_000, 2).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = alice.connect_unsubscribed().await;
        let id = sync(&mut socket, &ids, 0);
        sockets.push((socket, id));
    }
    bob.connect().await.is_alive().await;
    for (socket, id) in &mut sockets {
        let done = socket.wait_for("the end", |frame| frame["id"] == id.as_str()).await;
        assert_eq!(done["type"], "sync.done", "{}", done["payload"]["code"]);
        let events: Vec<&Value> = socket.kept().filter(|frame| frame["stream"] == "conversation").collect();
        assert_eq!(events.len(), 2 * ids.len(), "each event once");
        socket.is_alive().await;
    }
}
