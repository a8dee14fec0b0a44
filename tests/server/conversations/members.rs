//! Who is in a group: adding, removing, leaving, and what each of them tells whom.

use serde_json::{Value, json};

use crate::live_and_replayed::Witness;
use crate::support::database::runs_on_postgres;
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

async fn add(owner: &TestUser, room: &str, references: &[&str]) -> crate::support::Answer {
    owner.post(&format!("/conversations/{room}/members"), json!({ "user_ids": references })).await
}

/// Puts `count` users whom nobody registered into a group, beside the server: a thousand registrations would take a
/// minute.
async fn fill(server: &TestServer, room: &str, count: usize) {
    let id = |id: &str| {
        if runs_on_postgres() { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) }
    };
    let (mut users, mut participants) = (Vec::new(), Vec::new());
    for number in 0..count {
        let user = id(&uuid::Uuid::now_v7().to_string());
        users.push(format!("({user}, 'f{number}', 'f{number}', 'f{number}', 'f{number}', 1, 1)"));
        participants.push(format!("({}, {user}, 'member', 1, 0)", id(room)));
    }
    let statement = format!(
        "INSERT INTO users (id, username, username_key, display_name, search_text, created_at, updated_at) VALUES {};
         INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev) VALUES {};
         UPDATE conversations SET member_count = member_count + {count} WHERE id = {}",
        users.join(", "),
        participants.join(", "),
        id(room)
    );
    server.sql(&statement).await;
}

async fn members(user: &TestUser, room: &str) -> Vec<String> {
    let list = user.get(&format!("/conversations/{room}/members")).await.expect(200);
    let mut names: Vec<String> =
        list["items"].as_array().unwrap().iter().map(|member| text(&member["user"]["username"])).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_owner_adds_members_who_see_the_whole_history() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "before").await;
    let mut owner_socket = alice.connect().await;
    let mut new_socket = bob.connect().await;

    let answer = add(&alice, &room, &["bob", &carol.id]).await.expect(200);
    assert!(answer["items"].as_array().unwrap().len() >= 2, "{answer}");
    assert_eq!(members(&alice, &room).await, ["alice", "bob", "carol"]);
    let contents: Vec<Value> = bob.history(&room).await.iter().map(|message| message["content"].clone()).collect();
    assert_eq!(contents[1], "before");
    let told = alice.history(&room).await.pop().unwrap();
    assert_eq!((&told["type"], &told["data"]["event"]), (&json!("system"), &json!("members_added")));
    assert_eq!(told["data"]["actor_id"], alice.id.as_str());
    assert_eq!(bob.conversation(&room).await["unread_count"], 0, "joining puts the mark at the end");

    let joined = owner_socket.expect("participant.joined").await;
    assert_eq!(joined["payload"]["conversation_id"], room.as_str());
    let ids: Vec<&str> = joined["payload"]["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|participant| participant["user"]["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&bob.id.as_str()) && ids.contains(&carol.id.as_str()), "{joined}");
    let created = new_socket.expect("conversation.created").await;
    assert_eq!(created["stream"], "user");
    assert_eq!(created["payload"]["conversation"]["id"], room.as_str());
}

#[tokio::test]
async fn adding_somebody_who_is_in_changes_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let before = alice.conversation(&room).await;
    add(&alice, &room, &["bob", "alice"]).await.expect(200);
    let after = alice.conversation(&room).await;
    assert_eq!((&after["last_seq"], &after["last_rev"]), (&before["last_seq"], &before["last_rev"]));
    assert_eq!(after["member_count"], 2);
}

#[tokio::test]
async fn adding_is_for_owner_and_admins_and_known_users() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    server.user("carol").await;
    let room = alice.group("room", &[&bob]).await;
    add(&bob, &room, &["carol"]).await.refused(403, "forbidden");
    add(&alice, &room, &["carol", "nobody"]).await.refused(404, "user_not_found");
    assert_eq!(members(&alice, &room).await, ["alice", "bob"], "all in one transaction");
    let direct = alice.direct(&bob).await;
    let refused = add(&alice, &direct, &["carol"]).await;
    assert!((400..500).contains(&refused.status), "{}", refused.body);
    assert_eq!(alice.conversation(&direct).await["member_count"], 2);
}

#[tokio::test]
async fn a_removed_member_is_out_at_once_and_hears_of_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    let mut removed = bob.connect().await;
    let mut witness = carol.connect().await;
    let path = format!("/conversations/{room}/members/bob");
    alice.delete(&path).await.expect(204);
    bob.get(&format!("/conversations/{room}/messages")).await.refused(403, "not_a_participant");
    for socket in [&mut removed, &mut witness] {
        let left = socket.expect("participant.left").await;
        assert_eq!(left["payload"]["user_id"], bob.id.as_str());
        assert_eq!(left["payload"]["reason"], "removed");
    }
    let gone = removed.expect("conversation.removed").await;
    assert_eq!((&gone["stream"], &gone["payload"]["conversation_id"]), (&json!("user"), &json!(room)));
    assert_eq!(members(&alice, &room).await, ["alice", "carol"]);
    alice.get(&path).await.refused(404, "not_found");
}

#[tokio::test]
async fn removing_is_for_those_above() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    bob.delete(&format!("/conversations/{room}/members/carol")).await.refused(403, "forbidden");
    bob.delete(&format!("/conversations/{room}/members/alice")).await.refused(403, "forbidden");
    carol.delete(&format!("/conversations/{room}/members/carol")).await.expect(204);
    assert_eq!(members(&alice, &room).await, ["alice", "bob"]);
}

#[tokio::test]
async fn leaving_is_told_to_the_others() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let mut witness = alice.connect().await;
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    let left = witness.expect("participant.left").await;
    assert_eq!((&left["payload"]["user_id"], &left["payload"]["reason"]), (&json!(bob.id), &json!("left")));
    bob.delete(&format!("/conversations/{room}")).await.refused(403, "not_a_participant");
    let told = alice.history(&room).await.pop().unwrap();
    assert_eq!((&told["type"], &told["data"]["event"]), (&json!("system"), &json!("member_left")));
    assert!(bob.get("/conversations").await.expect(200)["items"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_direct_conversation_cannot_be_left() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    alice.delete(&format!("/conversations/{direct}")).await.refused(409, "cannot_leave_direct");
}

#[tokio::test]
async fn whoever_returns_sees_what_was_said_meanwhile() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let first_join = text(&alice.get(&format!("/conversations/{room}/members/bob")).await.expect(200)["joined_at"]);
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    alice.send(&room, "meanwhile").await;
    add(&alice, &room, &["bob"]).await.expect(200);
    let history = bob.history(&room).await;
    assert!(history.iter().any(|message| message["content"] == "meanwhile"), "{history:#?}");
    let seqs: Vec<i64> = history.iter().map(|message| message["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>());
    let again = alice.get(&format!("/conversations/{room}/members/bob")).await.expect(200);
    assert!(text(&again["joined_at"]) > first_join);
}

#[tokio::test]
async fn nothing_reaches_a_session_after_its_user_was_removed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let direct = alice.direct(&bob).await;
    let mut socket = bob.connect().await;
    alice.send(&room, "before").await;
    alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
    for number in 0..20 {
        alice.send(&room, &format!("after {number}")).await;
    }
    alice.send(&direct, "the end").await;
    let is_end = |frame: &Value| frame["payload"]["message"]["content"] == "the end";
    let mut frames = socket.frames_until("the marker", is_end).await;
    frames.extend(socket.frames_until_pong().await);
    let left = frames.iter().position(|frame| frame["type"] == "participant.left").expect("it was told");
    assert!(frames[..left].iter().any(|frame| frame["payload"]["message"]["content"] == "before"));
    let later =
        frames[left + 1..].iter().find(|frame| frame["stream"] == "conversation" && frame.to_string().contains(&room));
    assert_eq!(later, None);
    socket.refused("message.send", json!({ "conversation_id": room, "content": "hi" }), "not_a_participant").await;
    let answer = socket.accepted("subscribe", json!({ "conversation_ids": [room] }), "subscribed").await;
    assert_eq!(answer["denied"], json!([{ "id": room, "code": "not_a_participant" }]));
}

#[tokio::test]
async fn whoever_is_added_again_hears_of_it_and_of_what_follows() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let mut socket = bob.connect().await;
    for round in 0..5 {
        alice.delete(&format!("/conversations/{room}/members/bob")).await.expect(204);
        socket.expect("conversation.removed").await;
        add(&alice, &room, &["bob"]).await.expect(200);
        let created = socket.expect("conversation.created").await;
        let from = created["payload"]["conversation"]["last_rev"].as_i64().unwrap();
        let sent = alice.send(&room, &format!("round {round}")).await;
        let mut expected = from;
        loop {
            let event = socket.wait_for("an event of the room", |frame| {
                frame["stream"] == "conversation" && frame["rev"].as_i64() > Some(from)
            });
            let event = event.await;
            expected += 1;
            assert_eq!(event["rev"], expected, "{event}");
            if event["payload"]["message"]["id"] == sent["id"] {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_group_has_a_thousand_members_and_not_one_more() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob]).await;
    let nobodies: Vec<String> = (0..1001).map(|number| format!("user-{number}")).collect();
    let references: Vec<&str> = nobodies.iter().map(String::as_str).collect();
    add(&alice, &room, &references).await.refused(409, "group_full");
    let body = json!({ "type": "group", "name": "crowd", "participant_ids": references });
    alice.post("/conversations", body).await.refused(409, "group_full");

    fill(&server, &room, 998).await;
    assert_eq!(alice.conversation(&room).await["member_count"], 1000);
    let before = alice.conversation(&room).await["last_rev"].clone();
    add(&alice, &room, &["carol"]).await.refused(409, "group_full");
    add(&alice, &room, &["bob", "alice"]).await.expect(200);
    assert_eq!(alice.conversation(&room).await["last_rev"], before, "nothing half done");
    carol.get(&format!("/conversations/{room}")).await.refused(403, "not_a_participant");
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    add(&alice, &room, &["carol", "bob"]).await.refused(409, "group_full");
    carol.get(&format!("/conversations/{room}")).await.refused(403, "not_a_participant");
    add(&alice, &room, &["carol"]).await.expect(200);
}

#[tokio::test]
async fn the_owners_role_passes_to_the_oldest_admin_and_then_to_the_oldest_member() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let dave = server.user("dave").await;
    let room = alice.group("room", &[]).await;
    for name in ["bob", "carol", "dave"] {
        add(&alice, &room, &[name]).await.expect(200);
    }
    let path = format!("/conversations/{room}");
    alice.put(&format!("{path}/members/carol/role"), json!({ "role": "admin" })).await.expect(200);
    alice.put(&format!("{path}/members/bob/role"), json!({ "role": "observer" })).await.expect(200);
    let mut witness = Witness::of(&dave).await;
    for (leaver, heir) in [(&alice, &carol), (&carol, &dave)] {
        leaver.delete(&path).await.expect(204);
        let told = witness.sees("participant.left").await;
        assert_eq!((&told["user_id"], &told["reason"]), (&json!(leaver.id), &json!("left")));
        let told = witness.sees("participant.updated").await;
        assert_eq!(told, json!({ "conversation_id": room, "user_id": heir.id, "role": "owner" }));
        assert_eq!(heir.conversation(&room).await["my"]["role"], "owner");
    }
    assert_eq!(witness.agrees_with_sync().await, 6);
    dave.delete(&path).await.expect(204);
    assert_eq!(bob.conversation(&room).await["my"]["role"], "owner", "whoever is left inherits");
}

#[tokio::test]
async fn the_last_one_out_deletes_the_group_for_everybody() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let message = text(&alice.send(&room, "gone with the group").await["id"]);
    let path = format!("/conversations/{room}");
    let mut witness = Witness::of(&bob).await;
    alice.delete(&path).await.expect(204);
    bob.delete(&path).await.expect(204);
    assert_eq!(witness.sees("conversation.removed").await, json!({ "conversation_id": room }));
    for user in [&alice, &bob] {
        for what in ["", "/messages", "/members", "/members/bob", "/online", "/typing"] {
            user.get(&format!("{path}{what}")).await.refused(404, "not_found");
        }
        user.get(&format!("/messages/{message}")).await.refused(404, "not_found");
        user.post(&format!("{path}/messages"), json!({ "content": "hi" })).await.refused(404, "not_found");
        user.post_nothing(&format!("{path}/pin")).await.refused(404, "not_found");
        user.delete(&path).await.refused(404, "not_found");
        let mut socket = user.connect().await;
        let answer = socket.accepted("subscribe", json!({ "conversation_ids": [room] }), "subscribed").await;
        assert_eq!(answer["denied"], json!([{ "id": room, "code": "not_found" }]));
        let count = user.get("/conversations/unread-count").await.expect(200);
        assert_eq!(count["messages"], 0);
    }
    add(&alice, &room, &["bob"]).await.refused(404, "not_found");
}
