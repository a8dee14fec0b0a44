//! Roles in a group: who gives them to whom, and how ownership passes.

use serde_json::{Value, json};

use crate::live_and_replayed::Witness;
use crate::support::{Answer, TestServer, TestUser};

async fn give(giver: &TestUser, room: &str, user: &str, role: &str) -> Answer {
    giver.put(&format!("/conversations/{room}/members/{user}/role"), json!({ "role": role })).await
}

async fn role_of(user: &TestUser, room: &str) -> Value {
    user.conversation(room).await["my"]["role"].clone()
}

#[tokio::test]
async fn the_owner_gives_roles_and_everybody_hears_of_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let mut witness = Witness::of(&bob).await;
    for role in ["admin", "observer", "member"] {
        let changed = give(&alice, &room, "bob", role).await.expect(200);
        assert_eq!((&changed["user"]["id"], &changed["role"]), (&json!(bob.id), &json!(role)));
        assert_eq!(role_of(&bob, &room).await, role);
        let told = witness.sees("participant.updated").await;
        assert_eq!(told, json!({ "conversation_id": room, "user_id": bob.id, "role": role }));
    }
    give(&alice, &room, &bob.id, "member").await.expect(200);
    assert_eq!(witness.agrees_with_sync().await, 3, "the same role again is no event");
}

#[tokio::test]
async fn an_observer_reads_and_does_not_write() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let mut socket = bob.connect().await;
    give(&alice, &room, "bob", "observer").await.expect(200);
    socket.expect("participant.updated").await;
    socket.refused("message.send", json!({ "conversation_id": room, "content": "hi" }), "forbidden").await;
    socket.refused("typing.start", json!({ "conversation_id": room }), "forbidden").await;
    alice.send(&room, "read this").await;
    assert_eq!(bob.history(&room).await.len(), 2);
    give(&alice, &room, "bob", "member").await.expect(200);
    socket.expect("participant.updated").await;
    socket.say(&room, "hi").await;
}

#[tokio::test]
async fn ownership_passes_by_giving_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let mut witness = Witness::of(&alice).await;
    assert_eq!(give(&alice, &room, "bob", "owner").await.expect(200)["role"], "owner");
    let first = witness.sees("participant.updated").await;
    assert_eq!((&first["user_id"], &first["role"]), (&json!(bob.id), &json!("owner")));
    let second = witness.sees("participant.updated").await;
    assert_eq!((&second["user_id"], &second["role"]), (&json!(alice.id), &json!("admin")));
    assert_eq!((role_of(&alice, &room).await, role_of(&bob, &room).await), (json!("admin"), json!("owner")));
    give(&alice, &room, "bob", "member").await.refused(403, "forbidden");
    give(&bob, &room, "alice", "member").await.expect(200);
    assert_eq!(witness.agrees_with_sync().await, 3);
}

#[tokio::test]
async fn an_admin_gives_roles_to_those_below_and_below_their_own() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let dave = server.user("dave").await;
    let room = alice.group("room", &[&bob, &carol, &dave]).await;
    give(&alice, &room, "bob", "admin").await.expect(200);
    give(&alice, &room, "dave", "admin").await.expect(200);
    give(&bob, &room, "carol", "observer").await.expect(200);
    give(&bob, &room, "carol", "member").await.expect(200);
    for (user, role) in [("carol", "admin"), ("carol", "owner"), ("dave", "member"), ("alice", "member")] {
        give(&bob, &room, user, role).await.refused(403, "forbidden");
    }
    for (user, role) in [("dave", "member"), ("alice", "observer"), ("bob", "member")] {
        give(&carol, &room, user, role).await.refused(403, "forbidden");
    }
    let add = |role: &str| {
        let body = json!({ "user_ids": ["erin"], "role": role });
        let (bob, room) = (bob.clone(), room.clone());
        async move { bob.post(&format!("/conversations/{room}/members"), body).await }
    };
    server.user("erin").await;
    add("admin").await.refused(403, "forbidden");
    add("owner").await.invalid("role");
    add("observer").await.expect(200);
}

#[tokio::test]
async fn one_may_lower_ones_own_role_and_not_raise_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    give(&alice, &room, "bob", "admin").await.expect(200);
    let mut witness = Witness::of(&alice).await;
    give(&bob, &room, "bob", "owner").await.refused(403, "forbidden");
    let before = alice.conversation(&room).await["last_rev"].clone();
    assert_eq!(give(&bob, &room, "bob", "admin").await.expect(200)["role"], "admin");
    assert_eq!(alice.conversation(&room).await["last_rev"], before, "the same role again is no event");
    for role in ["member", "observer"] {
        let changed = give(&bob, &room, &bob.id, role).await.expect(200);
        assert_eq!((&changed["user"]["id"], &changed["role"]), (&json!(bob.id), &json!(role)));
        assert_eq!(role_of(&bob, &room).await, role);
        let told = witness.sees("participant.updated").await;
        assert_eq!(told, json!({ "conversation_id": room, "user_id": bob.id, "role": role }));
        give(&bob, &room, "bob", "admin").await.refused(403, "forbidden");
    }
    give(&bob, &room, "bob", "member").await.refused(403, "forbidden");
    assert_eq!(witness.agrees_with_sync().await, 2);
}

#[tokio::test]
async fn a_role_that_cannot_be_given_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let eve = server.user("eve").await;
    let room = alice.group("room", &[&bob]).await;
    let before = alice.conversation(&room).await["last_rev"].clone();
    for role in ["owner", "admin", "member"] {
        give(&alice, &room, "alice", role).await.refused(403, "forbidden");
    }
    give(&bob, &room, "bob", "admin").await.refused(403, "forbidden");
    give(&bob, &bob.direct(&alice).await, "bob", "observer").await.refused(409, "conflict");
    give(&alice, &room, "bob", "king").await.invalid("role");
    let path = format!("/conversations/{room}/members/bob/role");
    alice.put(&path, json!({})).await.invalid("role");
    alice.put(&path, json!({ "role": "admin", "until": 5 })).await.invalid("until");
    give(&alice, &room, "eve", "admin").await.refused(404, "not_found");
    give(&alice, &room, "nobody", "admin").await.refused(404, "not_found");
    give(&eve, &room, "bob", "admin").await.refused(403, "not_a_participant");
    give(&alice, &alice.id, "bob", "admin").await.refused(404, "not_found");
    let direct = alice.direct(&bob).await;
    give(&alice, &direct, "bob", "admin").await.refused(409, "conflict");
    assert_eq!(alice.conversation(&room).await["last_rev"], before);
}
