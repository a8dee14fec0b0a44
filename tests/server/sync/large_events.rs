//! Large events and large syncs: no event, and no permitted `sync`, is more than a client can receive.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::database::runs_on_postgres;
use crate::support::user::text;
use crate::support::{TestServer, TestSocket, TestUser};

/// Returns an id as a literal of SQL.
fn literal(id: &str) -> String {
    if runs_on_postgres() { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) }
}

/// Inserts users into the database directly, with the longest possible `avatar_url`. Returns their ids.
async fn insert_users(server: &TestServer, count: usize) -> Vec<String> {
    let avatar_url = format!("https://cdn.example.org/{}", "a".repeat(2_000));
    let ids: Vec<String> = (0..count).map(|_| Uuid::now_v7().to_string()).collect();
    let row = |(number, id): (usize, &String)| {
        format!("({}, 'c{number}', 'c{number}', 'c{number}', 'c{number}', '{avatar_url}', 1, 1)", literal(id))
    };
    let rows: Vec<String> = ids.iter().enumerate().map(row).collect();
    let columns = "id, username, username_key, display_name, search_text, avatar_url, created_at, updated_at";
    server.sql(&format!("INSERT INTO users ({columns}) VALUES {}", rows.join(", "))).await;
    ids
}

/// Inserts groups of one user into the database directly, each with some events in the log. Returns their ids.
async fn insert_groups(server: &TestServer, user: &TestUser, count: usize, logged: usize) -> Vec<String> {
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
        // PostgreSQL does this itself soon after so many new rows. Until then it plans as if the tables were empty.
        server.sql("ANALYZE").await;
    }
    ids
}

/// Sends a `sync` of all these conversations from `rev`, in parts, and returns the id of the last one.
fn sync(socket: &mut TestSocket, conversations: &[String], rev: i64) -> String {
    let user_rev = socket.auth_success["user_rev"].clone();
    let mut id = String::new();
    let last = conversations.len().div_ceil(1_000) - 1;
    for (number, part) in conversations.chunks(1_000).enumerate() {
        let revs: serde_json::Map<_, _> = part.iter().map(|id| (id.clone(), json!(rev))).collect();
        let payload = json!({ "conversations": revs, "user_rev": user_rev, "more": number < last });
        id = socket.start("sync", payload);
    }
    id
}

/// Covers a commit of 2.3 MB in one stream: 998 users with long fields join together.
#[tokio::test]
async fn many_users_who_join_together_come_in_events_that_a_client_can_receive() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let ids = insert_users(&server, 998).await;
    let mut live = bob.connect().await;
    let known_rev = live.auth_success["conversations"][&room].as_i64().unwrap();
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ids })).await.expect(200);
    let mut reconnected = bob.connect_unsubscribed().await;
    sync(&mut reconnected, std::slice::from_ref(&room), known_rev);
    for socket in [&mut live, &mut reconnected] {
        let (mut rev, mut joined) = (known_rev, Vec::new());
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
        socket.assert_alive().await;
    }
    let done = reconnected.expect("sync.done").await;
    assert_eq!(done["payload"]["conversations"][&room], alice.conversation(&room).await["last_rev"]);
}

/// Covers the largest possible message: each of its characters takes six bytes, and it replies to another such message.
#[tokio::test]
async fn the_largest_message_is_far_less_than_a_client_may_leave_unread() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.direct(&bob).await;
    let avatar_url = format!("https://x/{}", "a".repeat(2_038));
    alice.patch("/users/me", json!({ "avatar_url": avatar_url, "display_name": "🎉".repeat(255) })).await.expect(200);
    let mut socket = bob.connect().await;
    let content = "\u{1}".repeat(9_500) + &"@bob ".repeat(100);
    let mut reply_to = Value::Null;
    for _ in 0..2 {
        let body = json!({ "content": content, "reply_to_id": reply_to });
        reply_to = alice.post(&format!("/conversations/{room}/messages"), body).await.expect(201)["id"].clone();
        let frame = socket.expect("message.new").await;
        assert!(frame.to_string().len() < 128 * 1024, "{} bytes", frame.to_string().len());
    }
    socket.assert_alive().await;
}

/// Covers an event that an older version wrote and that is larger than what a client may leave unread.
#[tokio::test]
async fn a_too_large_event_of_an_older_version_closes_no_session() {
    let mut server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let known_rev = alice.conversation(&room).await["last_rev"].as_i64().unwrap();
    for content in ["small", "needle", "small again"] {
        alice.send(&room, content).await;
    }
    // The room keeps recent events in memory. After a restart it reads them from the log.
    server.stop_for_restart().await;
    let large = "x".repeat(1_400_000);
    server.sql(&format!("UPDATE outbox SET payload = REPLACE(payload, 'needle', '{large}')")).await;
    server.restart().await;
    let mut socket = bob.connect_unsubscribed().await;
    sync(&mut socket, std::slice::from_ref(&room), known_rev);
    let done = socket.expect("sync.done").await;
    assert_eq!(done["payload"]["conversations"][&room], known_rev + 3);
    let contents: Vec<_> = socket
        .unread_frames()
        .filter(|frame| frame["type"] == "message.new")
        .map(|frame| frame["payload"]["message"]["content"].as_str().unwrap().len())
        .collect();
    assert_eq!(contents, [5, 1_400_000, 11]);
    socket.assert_alive().await;
}

/// Covers a client that must load all its conversations again.
#[tokio::test]
async fn a_sync_that_resets_ten_thousand_conversations_ends() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let ids = insert_groups(&server, &alice, 10_000, 1).await;
    let mut socket = alice.connect_unsubscribed().await;
    let id = sync(&mut socket, &ids, 999);
    let done = socket.wait_for("the end of the sync", |frame| frame["id"] == id.as_str()).await;
    assert_eq!(done["type"], "sync.done", "{}", done["payload"]["code"]);
    let resets = socket.unread_frames().filter(|frame| frame["type"] == "sync.reset");
    let mut reset_ids: Vec<String> = resets.map(|frame| text(&frame["payload"]["conversation_id"])).collect();
    reset_ids.sort();
    assert_eq!(reset_ids, ids, "each once");
    assert!(done["payload"]["conversations"].as_object().is_some_and(|revs| revs.values().all(|rev| rev == 1)));
}

/// Covers three sessions that sync together and missed events in seven thousand conversations each: more than 20,000
/// pages.
#[tokio::test]
async fn sessions_that_missed_events_in_thousands_of_conversations_sync_together() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let ids = insert_groups(&server, &alice, 7_000, 2).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = alice.connect_unsubscribed().await;
        let id = sync(&mut socket, &ids, 0);
        sockets.push((socket, id));
    }
    bob.connect().await.assert_alive().await;
    for (socket, id) in &mut sockets {
        let done = socket.wait_for("the end of the sync", |frame| frame["id"] == id.as_str()).await;
        assert_eq!(done["type"], "sync.done", "{}", done["payload"]["code"]);
        let events: Vec<&Value> = socket.unread_frames().filter(|frame| frame["stream"] == "conversation").collect();
        assert_eq!(events.len(), 2 * ids.len(), "each event once");
        socket.assert_alive().await;
    }
}
