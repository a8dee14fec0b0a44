//! The roles in a group: which members may change which roles, and how the owner changes.

use serde_json::{Value, json};

use crate::live_and_replayed::LiveSession;
use crate::support::{Answer, TestServer, TestUser};

async fn set_role(caller: &TestUser, group: &str, user: &str, role: &str) -> Answer {
    caller.put(&format!("/conversations/{group}/members/{user}/role"), json!({ "role": role })).await
}

async fn role_of(user: &TestUser, group: &str) -> Value {
    user.conversation(group).await["my"]["role"].clone()
}

#[tokio::test]
async fn the_owner_sets_roles_and_all_members_are_informed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let mut session = LiveSession::new(&bob).await;
    for role in ["admin", "observer", "member"] {
        let changed = set_role(&alice, &group, "bob", role).await.expect(200);
        assert_eq!((&changed["user"]["id"], &changed["role"]), (&json!(bob.id), &json!(role)));
        assert_eq!(role_of(&bob, &group).await, role);
        let payload = session.expect_payload("participant.updated").await;
        assert_eq!(payload, json!({ "conversation_id": group, "user_id": bob.id, "role": role }));
    }
    set_role(&alice, &group, &bob.id, "member").await.expect(200);
    assert_eq!(session.compare_with_sync().await, 3, "setting the same role again creates no event");
}

#[tokio::test]
async fn an_observer_can_read_but_not_write() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let mut socket = bob.connect().await;
    set_role(&alice, &group, "bob", "observer").await.expect(200);
    socket.expect("participant.updated").await;
    socket.refused("message.send", json!({ "conversation_id": group, "content": "hi" }), "forbidden").await;
    socket.refused("typing.start", json!({ "conversation_id": group }), "forbidden").await;
    alice.send(&group, "read this").await;
    assert_eq!(bob.history(&group).await.len(), 2);
    set_role(&alice, &group, "bob", "member").await.expect(200);
    socket.expect("participant.updated").await;
    socket.send_message(&group, "hi").await;
}

#[tokio::test]
async fn an_owner_can_make_another_member_the_owner() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let mut session = LiveSession::new(&alice).await;
    assert_eq!(set_role(&alice, &group, "bob", "owner").await.expect(200)["role"], "owner");
    let first = session.expect_payload("participant.updated").await;
    assert_eq!((&first["user_id"], &first["role"]), (&json!(bob.id), &json!("owner")));
    let second = session.expect_payload("participant.updated").await;
    assert_eq!((&second["user_id"], &second["role"]), (&json!(alice.id), &json!("admin")));
    assert_eq!((role_of(&alice, &group).await, role_of(&bob, &group).await), (json!("admin"), json!("owner")));
    set_role(&alice, &group, "bob", "member").await.refused(403, "forbidden");
    set_role(&bob, &group, "alice", "member").await.expect(200);
    assert_eq!(session.compare_with_sync().await, 3);
}

#[tokio::test]
async fn an_admin_sets_only_roles_below_admin_and_only_of_members_below_admin() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let dave = server.user("dave").await;
    let group = alice.group("Chess", &[&bob, &carol, &dave]).await;
    set_role(&alice, &group, "bob", "admin").await.expect(200);
    set_role(&alice, &group, "dave", "admin").await.expect(200);
    set_role(&bob, &group, "carol", "observer").await.expect(200);
    set_role(&bob, &group, "carol", "member").await.expect(200);
    for (user, role) in [("carol", "admin"), ("carol", "owner"), ("dave", "member"), ("alice", "member")] {
        set_role(&bob, &group, user, role).await.refused(403, "forbidden");
    }
    for (user, role) in [("dave", "member"), ("alice", "observer"), ("bob", "member")] {
        set_role(&carol, &group, user, role).await.refused(403, "forbidden");
    }
    let add = |role: &str| {
        let body = json!({ "user_ids": ["erin"], "role": role });
        let (bob, group) = (bob.clone(), group.clone());
        async move { bob.post(&format!("/conversations/{group}/members"), body).await }
    };
    server.user("erin").await;
    add("admin").await.refused(403, "forbidden");
    add("owner").await.invalid("role");
    add("observer").await.expect(200);
}

#[tokio::test]
async fn a_member_can_lower_their_own_role_but_not_raise_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    set_role(&alice, &group, "bob", "admin").await.expect(200);
    let mut session = LiveSession::new(&alice).await;
    set_role(&bob, &group, "bob", "owner").await.refused(403, "forbidden");
    let before = alice.conversation(&group).await["last_rev"].clone();
    assert_eq!(set_role(&bob, &group, "bob", "admin").await.expect(200)["role"], "admin");
    assert_eq!(alice.conversation(&group).await["last_rev"], before, "setting the same role again creates no event");
    for role in ["member", "observer"] {
        let changed = set_role(&bob, &group, &bob.id, role).await.expect(200);
        assert_eq!((&changed["user"]["id"], &changed["role"]), (&json!(bob.id), &json!(role)));
        assert_eq!(role_of(&bob, &group).await, role);
        let payload = session.expect_payload("participant.updated").await;
        assert_eq!(payload, json!({ "conversation_id": group, "user_id": bob.id, "role": role }));
        set_role(&bob, &group, "bob", "admin").await.refused(403, "forbidden");
    }
    set_role(&bob, &group, "bob", "member").await.refused(403, "forbidden");
    assert_eq!(session.compare_with_sync().await, 2);
}

#[tokio::test]
async fn an_invalid_change_of_a_role_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let eve = server.user("eve").await;
    let group = alice.group("Chess", &[&bob]).await;
    let before = alice.conversation(&group).await["last_rev"].clone();
    for role in ["owner", "admin", "member"] {
        set_role(&alice, &group, "alice", role).await.refused(403, "forbidden");
    }
    set_role(&bob, &group, "bob", "admin").await.refused(403, "forbidden");
    set_role(&bob, &bob.direct(&alice).await, "bob", "observer").await.refused(409, "conflict");
    set_role(&alice, &group, "bob", "king").await.invalid("role");
    let path = format!("/conversations/{group}/members/bob/role");
    alice.put(&path, json!({})).await.invalid("role");
    alice.put(&path, json!({ "role": "admin", "until": 5 })).await.invalid("until");
    set_role(&alice, &group, "eve", "admin").await.refused(404, "not_found");
    set_role(&alice, &group, "nobody", "admin").await.refused(404, "not_found");
    set_role(&eve, &group, "bob", "admin").await.refused(403, "not_a_participant");
    set_role(&alice, &alice.id, "bob", "admin").await.refused(404, "not_found");
    let direct = alice.direct(&bob).await;
    set_role(&alice, &direct, "bob", "admin").await.refused(409, "conflict");
    assert_eq!(alice.conversation(&group).await["last_rev"], before);
}
