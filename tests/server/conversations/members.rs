//! The members of a group: how users are added and removed and how they leave, and the events of each.

use serde_json::{Value, json};

use crate::live_and_replayed::LiveSession;
use crate::support::database::runs_on_postgres;
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

async fn add(caller: &TestUser, group: &str, references: &[&str]) -> crate::support::Answer {
    caller.post(&format!("/conversations/{group}/members"), json!({ "user_ids": references })).await
}

/// Inserts `count` new users and adds them to a group, directly in the database. A thousand registrations would take a
/// minute.
async fn insert_members(server: &TestServer, group: &str, count: usize) {
    let id = |id: &str| {
        if runs_on_postgres() { format!("'{id}'") } else { format!("x'{}'", id.replace('-', "")) }
    };
    let (mut users, mut participants) = (Vec::new(), Vec::new());
    for number in 0..count {
        let user = id(&uuid::Uuid::now_v7().to_string());
        users.push(format!("({user}, 'f{number}', 'f{number}', 'f{number}', 'f{number}', 1, 1)"));
        participants.push(format!("({}, {user}, 'member', 1, 0)", id(group)));
    }
    let statement = format!(
        "INSERT INTO users (id, username, username_key, display_name, search_text, created_at, updated_at) VALUES {};
         INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev) VALUES {};
         UPDATE conversations SET member_count = member_count + {count} WHERE id = {}",
        users.join(", "),
        participants.join(", "),
        id(group)
    );
    server.sql(&statement).await;
}

async fn member_names(user: &TestUser, group: &str) -> Vec<String> {
    let list = user.get(&format!("/conversations/{group}/members")).await.expect(200);
    let mut names: Vec<String> =
        list["items"].as_array().unwrap().iter().map(|member| text(&member["user"]["username"])).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_owner_adds_members_who_get_the_whole_history() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let group = alice.group("Chess", &[]).await;
    alice.send(&group, "before").await;
    let mut owner_socket = alice.connect().await;
    let mut new_socket = bob.connect().await;

    let answer = add(&alice, &group, &["bob", &carol.id]).await.expect(200);
    assert!(answer["items"].as_array().unwrap().len() >= 2, "{answer}");
    assert_eq!(member_names(&alice, &group).await, ["alice", "bob", "carol"]);
    let contents: Vec<Value> = bob.history(&group).await.iter().map(|message| message["content"].clone()).collect();
    assert_eq!(contents[1], "before");
    let system_message = alice.history(&group).await.pop().unwrap();
    assert_eq!(
        (&system_message["type"], &system_message["data"]["event"]),
        (&json!("system"), &json!("members_added"))
    );
    assert_eq!(system_message["data"]["actor_id"], alice.id.as_str());
    assert_eq!(bob.conversation(&group).await["unread_count"], 0, "a new member has read all messages");

    let joined = owner_socket.expect("participant.joined").await;
    assert_eq!(joined["payload"]["conversation_id"], group.as_str());
    let ids: Vec<&str> = joined["payload"]["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|participant| participant["user"]["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&bob.id.as_str()) && ids.contains(&carol.id.as_str()), "{joined}");
    let created = new_socket.expect("conversation.created").await;
    assert_eq!(created["stream"], "user");
    assert_eq!(created["payload"]["conversation"]["id"], group.as_str());
}

#[tokio::test]
async fn adding_a_member_again_changes_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let before = alice.conversation(&group).await;
    add(&alice, &group, &["bob", "alice"]).await.expect(200);
    let after = alice.conversation(&group).await;
    assert_eq!((&after["last_seq"], &after["last_rev"]), (&before["last_seq"], &before["last_rev"]));
    assert_eq!(after["member_count"], 2);
}

#[tokio::test]
async fn only_the_owner_and_admins_add_members_and_only_known_users() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    server.user("carol").await;
    let group = alice.group("Chess", &[&bob]).await;
    add(&bob, &group, &["carol"]).await.refused(403, "forbidden");
    add(&alice, &group, &["carol", "nobody"]).await.refused(404, "user_not_found");
    assert_eq!(member_names(&alice, &group).await, ["alice", "bob"], "no user is added if one is unknown");
    let direct = alice.direct(&bob).await;
    let refused = add(&alice, &direct, &["carol"]).await;
    assert!((400..500).contains(&refused.status), "{}", refused.body);
    assert_eq!(alice.conversation(&direct).await["member_count"], 2);
}

#[tokio::test]
async fn a_removed_member_loses_access_immediately_and_is_informed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let group = alice.group("Chess", &[&bob, &carol]).await;
    let mut bob_socket = bob.connect().await;
    let mut carol_socket = carol.connect().await;
    let path = format!("/conversations/{group}/members/bob");
    alice.delete(&path).await.expect(204);
    bob.get(&format!("/conversations/{group}/messages")).await.refused(403, "not_a_participant");
    for socket in [&mut bob_socket, &mut carol_socket] {
        let left = socket.expect("participant.left").await;
        assert_eq!(left["payload"]["user_id"], bob.id.as_str());
        assert_eq!(left["payload"]["reason"], "removed");
    }
    let removal = bob_socket.expect("conversation.removed").await;
    assert_eq!((&removal["stream"], &removal["payload"]["conversation_id"]), (&json!("user"), &json!(group)));
    assert_eq!(member_names(&alice, &group).await, ["alice", "carol"]);
    alice.get(&path).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_member_can_remove_only_themselves() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let group = alice.group("Chess", &[&bob, &carol]).await;
    bob.delete(&format!("/conversations/{group}/members/carol")).await.refused(403, "forbidden");
    bob.delete(&format!("/conversations/{group}/members/alice")).await.refused(403, "forbidden");
    carol.delete(&format!("/conversations/{group}/members/carol")).await.expect(204);
    assert_eq!(member_names(&alice, &group).await, ["alice", "bob"]);
}

#[tokio::test]
async fn the_others_are_informed_when_a_user_leaves() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let mut alice_socket = alice.connect().await;
    bob.delete(&format!("/conversations/{group}")).await.expect(204);
    let left = alice_socket.expect("participant.left").await;
    assert_eq!((&left["payload"]["user_id"], &left["payload"]["reason"]), (&json!(bob.id), &json!("left")));
    bob.delete(&format!("/conversations/{group}")).await.refused(403, "not_a_participant");
    let system_message = alice.history(&group).await.pop().unwrap();
    assert_eq!((&system_message["type"], &system_message["data"]["event"]), (&json!("system"), &json!("member_left")));
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
async fn a_user_who_is_added_again_gets_the_messages_sent_meanwhile() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let first_join = text(&alice.get(&format!("/conversations/{group}/members/bob")).await.expect(200)["joined_at"]);
    bob.delete(&format!("/conversations/{group}")).await.expect(204);
    alice.send(&group, "meanwhile").await;
    add(&alice, &group, &["bob"]).await.expect(200);
    let history = bob.history(&group).await;
    assert!(history.iter().any(|message| message["content"] == "meanwhile"), "{history:#?}");
    let seqs: Vec<i64> = history.iter().map(|message| message["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>());
    let member = alice.get(&format!("/conversations/{group}/members/bob")).await.expect(200);
    assert!(text(&member["joined_at"]) > first_join);
}

#[tokio::test]
async fn a_session_gets_no_events_after_its_user_was_removed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let direct = alice.direct(&bob).await;
    let mut socket = bob.connect().await;
    alice.send(&group, "before").await;
    alice.delete(&format!("/conversations/{group}/members/bob")).await.expect(204);
    for number in 0..20 {
        alice.send(&group, &format!("after {number}")).await;
    }
    alice.send(&direct, "last").await;
    let is_last = |frame: &Value| frame["payload"]["message"]["content"] == "last";
    let mut frames = socket.frames_until("the last message", is_last).await;
    frames.extend(socket.frames_until_pong().await);
    let left = frames.iter().position(|frame| frame["type"] == "participant.left").expect("the removal is sent");
    assert!(frames[..left].iter().any(|frame| frame["payload"]["message"]["content"] == "before"));
    let later =
        frames[left + 1..].iter().find(|frame| frame["stream"] == "conversation" && frame.to_string().contains(&group));
    assert_eq!(later, None);
    socket.refused("message.send", json!({ "conversation_id": group, "content": "hi" }), "not_a_participant").await;
    let answer = socket.accepted("subscribe", json!({ "conversation_ids": [group] }), "subscribed").await;
    assert_eq!(answer["denied"], json!([{ "id": group, "code": "not_a_participant" }]));
}

#[tokio::test]
async fn a_user_who_is_added_again_gets_the_events_that_follow() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let mut socket = bob.connect().await;
    for round in 0..5 {
        alice.delete(&format!("/conversations/{group}/members/bob")).await.expect(204);
        socket.expect("conversation.removed").await;
        add(&alice, &group, &["bob"]).await.expect(200);
        let created = socket.expect("conversation.created").await;
        let first_rev = created["payload"]["conversation"]["last_rev"].as_i64().unwrap();
        let sent = alice.send(&group, &format!("round {round}")).await;
        let mut expected_rev = first_rev;
        loop {
            let event = socket.wait_for("an event of the group", |frame| {
                frame["stream"] == "conversation" && frame["rev"].as_i64() > Some(first_rev)
            });
            let event = event.await;
            expected_rev += 1;
            assert_eq!(event["rev"], expected_rev, "{event}");
            if event["payload"]["message"]["id"] == sent["id"] {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_group_has_at_most_a_thousand_members() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let group = alice.group("Chess", &[&bob]).await;
    let unknown_users: Vec<String> = (0..1001).map(|number| format!("user-{number}")).collect();
    let references: Vec<&str> = unknown_users.iter().map(String::as_str).collect();
    add(&alice, &group, &references).await.refused(409, "group_full");
    let body = json!({ "type": "group", "name": "Chess", "participant_ids": references });
    alice.post("/conversations", body).await.refused(409, "group_full");

    insert_members(&server, &group, 998).await;
    assert_eq!(alice.conversation(&group).await["member_count"], 1000);
    let before = alice.conversation(&group).await["last_rev"].clone();
    add(&alice, &group, &["carol"]).await.refused(409, "group_full");
    add(&alice, &group, &["bob", "alice"]).await.expect(200);
    assert_eq!(alice.conversation(&group).await["last_rev"], before, "the refused call changes nothing");
    carol.get(&format!("/conversations/{group}")).await.refused(403, "not_a_participant");
    bob.delete(&format!("/conversations/{group}")).await.expect(204);
    add(&alice, &group, &["carol", "bob"]).await.refused(409, "group_full");
    carol.get(&format!("/conversations/{group}")).await.refused(403, "not_a_participant");
    add(&alice, &group, &["carol"]).await.expect(200);
}

#[tokio::test]
async fn when_the_owner_leaves_the_oldest_admin_or_else_the_oldest_member_becomes_owner() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let dave = server.user("dave").await;
    let group = alice.group("Chess", &[]).await;
    for name in ["bob", "carol", "dave"] {
        add(&alice, &group, &[name]).await.expect(200);
    }
    let path = format!("/conversations/{group}");
    alice.put(&format!("{path}/members/carol/role"), json!({ "role": "admin" })).await.expect(200);
    alice.put(&format!("{path}/members/bob/role"), json!({ "role": "observer" })).await.expect(200);
    let mut session = LiveSession::new(&dave).await;
    for (leaver, new_owner) in [(&alice, &carol), (&carol, &dave)] {
        leaver.delete(&path).await.expect(204);
        let left = session.expect_payload("participant.left").await;
        assert_eq!((&left["user_id"], &left["reason"]), (&json!(leaver.id), &json!("left")));
        let updated = session.expect_payload("participant.updated").await;
        assert_eq!(updated, json!({ "conversation_id": group, "user_id": new_owner.id, "role": "owner" }));
        assert_eq!(new_owner.conversation(&group).await["my"]["role"], "owner");
    }
    assert_eq!(session.compare_with_sync().await, 6);
    dave.delete(&path).await.expect(204);
    assert_eq!(
        bob.conversation(&group).await["my"]["role"],
        "owner",
        "the last member becomes owner, even an observer"
    );
}

#[tokio::test]
async fn the_last_user_who_leaves_deletes_the_group() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let message = text(&alice.send(&group, "deleted with the group").await["id"]);
    let path = format!("/conversations/{group}");
    let mut session = LiveSession::new(&bob).await;
    alice.delete(&path).await.expect(204);
    bob.delete(&path).await.expect(204);
    assert_eq!(session.expect_payload("conversation.removed").await, json!({ "conversation_id": group }));
    for user in [&alice, &bob] {
        for resource in ["", "/messages", "/members", "/members/bob", "/online", "/typing"] {
            user.get(&format!("{path}{resource}")).await.refused(404, "not_found");
        }
        user.get(&format!("/messages/{message}")).await.refused(404, "not_found");
        user.post(&format!("{path}/messages"), json!({ "content": "hi" })).await.refused(404, "not_found");
        user.post_empty(&format!("{path}/pin")).await.refused(404, "not_found");
        user.delete(&path).await.refused(404, "not_found");
        let mut socket = user.connect().await;
        let answer = socket.accepted("subscribe", json!({ "conversation_ids": [group] }), "subscribed").await;
        assert_eq!(answer["denied"], json!([{ "id": group, "code": "not_found" }]));
        let count = user.get("/conversations/unread-count").await.expect(200);
        assert_eq!(count["messages"], 0);
    }
    add(&alice, &group, &["bob"]).await.refused(404, "not_found");
}
