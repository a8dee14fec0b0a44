//! How conversations are created, returned, listed and changed.

use serde_json::{Value, json};

use crate::live_and_replayed::LiveSession;
use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().expect("items").iter().map(|item| text(&item["id"])).collect()
}

#[tokio::test]
async fn two_users_have_one_direct_conversation() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let create = |user: &TestUser, other: &str| {
        let user = user.clone();
        let body = json!({ "type": "direct", "participant_ids": [other] });
        async move { user.post("/conversations", body).await }
    };
    let created = create(&alice, &bob.id).await.expect(201);
    assert_eq!(created["type"], "direct");
    assert_eq!((&created["name"], &created["class"]), (&json!(null), &json!(null)));
    assert_eq!(created["member_count"], 2);
    assert_eq!(created["peer"]["id"], bob.id.as_str());
    assert_eq!((&created["last_seq"], &created["last_message"]), (&json!(0), &json!(null)));
    for (user, other) in [(&alice, bob.id.as_str()), (&bob, alice.id.as_str()), (&bob, "alice"), (&alice, "BOB")] {
        assert_eq!(create(user, other).await.expect(200)["id"], created["id"]);
    }
    assert_eq!(bob.conversation(&text(&created["id"])).await["peer"]["id"], alice.id.as_str());
}

#[tokio::test]
async fn an_invalid_direct_conversation_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let create = |ids: Value| alice.post("/conversations", json!({ "type": "direct", "participant_ids": ids }));
    create(json!([alice.id])).await.refused(400, "self_conversation");
    create(json!(["alice"])).await.refused(400, "self_conversation");
    create(json!([UNKNOWN])).await.refused(404, "user_not_found");
    create(json!(["nobody"])).await.refused(404, "user_not_found");
    create(json!(["alice", alice.id])).await.refused(400, "self_conversation");
    for wrong in [json!([]), json!([bob.id, carol.id]), json!([alice.id, bob.id, "carol"]), json!(null), json!([5])] {
        create(wrong).await.invalid_within("participant_ids");
    }
    // The list may name each of the two users more than once.
    let created = create(json!([alice.id, bob.id, "bob"])).await.expect(201);
    assert_eq!(created["peer"]["id"], bob.id.as_str());
}

#[tokio::test]
async fn the_direct_conversation_with_a_user_has_a_route_of_its_own() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    alice.get("/conversations/with/bob").await.refused(404, "not_found");
    let created = alice.post_empty("/conversations/with/bob").await.expect(201);
    assert_eq!(alice.post_empty("/conversations/with/bob").await.expect(200)["id"], created["id"]);
    assert_eq!(alice.get(&format!("/conversations/with/{}", bob.id)).await.expect(200)["id"], created["id"]);
    assert_eq!(bob.get("/conversations/with/alice").await.expect(200)["id"], created["id"]);
    alice.post_empty("/conversations/with/alice").await.refused(400, "self_conversation");
    alice.post_empty("/conversations/with/nobody").await.refused(404, "user_not_found");
}

#[tokio::test]
async fn a_group_begins_with_a_system_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let body = json!({
        "type": "group",
        "name": "Readers",
        "description": "Books",
        "participant_ids": [bob.id, "BOB"],
    });
    let group = alice.post("/conversations", body).await.expect(201);
    assert_eq!(
        (&group["type"], &group["name"], &group["description"]),
        (&json!("group"), &json!("Readers"), &json!("Books"))
    );
    assert_eq!((&group["member_count"], &group["last_seq"]), (&json!(2), &json!(1)));
    assert_eq!((&group["my"]["role"], &group["created_by"]), (&json!("owner"), &json!(alice.id)));
    assert_eq!((&group["unread_count"], &group["peer"]), (&json!(0), &json!(null)));
    let id = text(&group["id"]);
    assert_eq!(bob.conversation(&id).await["my"]["role"], "member");

    let history = bob.history(&id).await;
    assert_eq!(history.len(), 1);
    let first = &history[0];
    assert_eq!((&first["seq"], &first["type"], &first["sender_id"]), (&json!(1), &json!("system"), &json!(null)));
    assert_eq!((&first["data"]["event"], &first["data"]["actor_id"]), (&json!("group_created"), &json!(alice.id)));
    assert!(!text(&first["content"]).is_empty());
}

#[tokio::test]
async fn a_group_needs_a_name_and_known_members() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let create = |name: Value, ids: Value| {
        alice.post("/conversations", json!({ "type": "group", "name": name, "participant_ids": ids }))
    };
    alice.post("/conversations", json!({ "type": "group", "participant_ids": [] })).await.invalid("name");
    for name in [json!(""), json!("   "), json!("x".repeat(256)), json!("nul\0"), json!(5)] {
        create(name, json!([])).await.invalid("name");
    }
    create(json!("Readers"), json!([UNKNOWN])).await.refused(404, "user_not_found");
    create(json!("x".repeat(255)), json!([])).await.expect(201);
    assert_eq!(ids(&alice.get("/conversations").await.expect(200)).len(), 1, "a refused group is not created");
}

#[tokio::test]
async fn the_list_begins_with_the_conversation_of_the_newest_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let first = alice.group("first", &[&bob]).await;
    let second = alice.group("second", &[]).await;
    for newest in [&first, &direct, &second, &direct] {
        alice.send(newest, "hello").await;
        assert_eq!(&ids(&alice.get("/conversations").await.expect(200))[0], newest);
    }
    let list = alice.get("/conversations").await.expect(200);
    assert_eq!(ids(&list), [direct.clone(), second.clone(), first.clone()]);
    let preview = &list["items"][0]["last_message"];
    assert_eq!(
        (&preview["content"], &preview["seq"], &preview["sender_id"]),
        (&json!("hello"), &json!(2), &json!(alice.id))
    );

    assert_eq!(ids(&alice.get("/conversations?type=direct").await.expect(200)), std::slice::from_ref(&direct));
    assert_eq!(ids(&alice.get("/conversations?type=group").await.expect(200)), [second, first.clone()]);
    assert_eq!(alice.get("/conversations?type=party").await.status, 400);
    assert_eq!(ids(&alice.get("/conversations?unread=true").await.expect(200)), Vec::<String>::new());
    assert_eq!(ids(&bob.get("/conversations?unread=true").await.expect(200)), [direct, first]);
}

#[tokio::test]
async fn a_preview_is_cut_to_a_hundred_characters() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let group = alice.group("Chess", &[]).await;
    alice.send(&group, &"ế".repeat(150)).await;
    let preview = text(&alice.conversation(&group).await["last_message"]["content"]);
    assert!(preview.chars().count() <= 100, "{preview}");
    assert!(preview.starts_with(&"ế".repeat(90)), "{preview}");
}

#[tokio::test]
async fn the_list_is_paged_without_gaps_or_repetitions() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut expected = Vec::new();
    for number in 0..7 {
        expected.insert(0, alice.group(&format!("group {number}"), &[]).await);
    }
    let mut found = Vec::new();
    let mut path = "/conversations?limit=3".to_owned();
    loop {
        let page = alice.get(&path).await.expect(200);
        found.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/conversations?limit=3&cursor={cursor}");
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_detail_contains_the_members() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let detail = bob.conversation(&group).await;
    let members = detail["members"].as_array().unwrap();
    assert_eq!(members.len(), 2);
    for member in members {
        for field in ["role", "presence", "joined_at"] {
            assert!(member[field].is_string(), "a participant has {field}: {member}");
        }
        assert!(member["last_read_seq"].is_i64() && member["user"]["username"].is_string(), "{member}");
    }
    for field in ["muted_until", "archived", "pinned", "notify", "blocked", "last_read_seq", "role"] {
        assert!(detail["my"].get(field).is_some(), "`my` has {field}: {detail}");
    }
}

#[tokio::test]
async fn a_user_who_is_not_a_participant_can_neither_read_nor_write() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let eve = server.user("eve").await;
    let group = alice.group("Chess", &[]).await;
    let message = alice.send(&group, "secret").await;
    let path = format!("/conversations/{group}");
    for path in [
        path.clone(),
        format!("{path}/messages"),
        format!("{path}/members"),
        format!("{path}/members/alice"),
        format!("/messages/{}", text(&message["id"])),
    ] {
        eve.get(&path).await.refused(403, "not_a_participant");
    }
    eve.post(&format!("{path}/messages"), json!({ "content": "hi" })).await.refused(403, "not_a_participant");
    eve.post(&format!("{path}/read"), json!({})).await.refused(403, "not_a_participant");
    eve.post(&format!("{path}/members"), json!({ "user_ids": ["eve"] })).await.refused(403, "not_a_participant");
    eve.delete(&path).await.refused(403, "not_a_participant");
    assert_eq!(ids(&eve.get("/conversations").await.expect(200)), Vec::<String>::new());
    assert_eq!(alice.history(&group).await.len(), 2);
}

#[tokio::test]
async fn a_change_of_a_group_is_sent_live_and_by_sync() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let mut alice_session = LiveSession::new(&alice).await;
    let mut bob_session = LiveSession::new(&bob).await;
    let path = format!("/conversations/{group}");
    let before = alice.conversation(&group).await;
    let change = json!({ "name": " Readers ", "description": "Books", "avatar_url": "https://example.org/a.png" });
    let changed = alice.patch(&path, change).await.expect(200);
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Readers"), &json!("Books")));
    assert_eq!((&changed["avatar_url"], &changed["unread_count"]), (&json!("https://example.org/a.png"), &json!(0)));
    assert!(text(&changed["updated_at"]) > text(&before["updated_at"]), "{changed}");
    assert_eq!((&changed["last_seq"], &changed["last_rev"]), (&json!(2), &json!(3)));
    for session in [&mut alice_session, &mut bob_session] {
        let payload = session.expect_payload("conversation.updated").await;
        let expected = json!({
            "conversation_id": group, "name": "Readers", "description": "Books",
            "avatar_url": "https://example.org/a.png", "class": null, "updated_at": changed["updated_at"],
        });
        assert_eq!(payload, expected);
        let message = session.expect_payload("message.new").await["message"].clone();
        assert_eq!((&message["type"], &message["sender_id"]), (&json!("system"), &json!(null)));
        assert_eq!(message["data"], json!({ "event": "renamed", "actor_id": alice.id, "name": "Readers" }));
    }
    let read_by_bob = bob.conversation(&group).await;
    for field in ["name", "description", "avatar_url", "updated_at", "last_seq", "last_rev"] {
        assert_eq!(read_by_bob[field], changed[field], "{field}");
    }
    // A null clears its field, an absent field keeps its value, and only a new name writes a system message.
    let cleared = alice.put(&path, json!({ "description": null, "avatar_url": null })).await.expect(200);
    assert_eq!((&cleared["name"], &cleared["description"]), (&json!("Readers"), &json!(null)));
    assert_eq!((&cleared["avatar_url"], &cleared["last_seq"]), (&json!(null), &json!(2)));
    assert_eq!(bob_session.expect_payload("conversation.updated").await["description"], json!(null));
    // A call that changes nothing creates no event.
    for body in [json!({}), json!({ "name": "Readers", "description": "  ", "avatar_url": null })] {
        let unchanged = alice.patch(&path, body).await.expect(200);
        assert_eq!((&unchanged["last_rev"], &unchanged["updated_at"]), (&cleared["last_rev"], &cleared["updated_at"]));
    }
    for session in [alice_session, bob_session] {
        assert_eq!(session.compare_with_sync().await, 3);
    }
}

#[tokio::test]
async fn only_the_owner_and_admins_change_a_group() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let eve = server.user("eve").await;
    let group = alice.group("Chess", &[&bob]).await;
    let path = format!("/conversations/{group}");
    for body in [json!({ "name": "mine" }), json!({})] {
        bob.patch(&path, body.clone()).await.refused(403, "forbidden");
        eve.put(&path, body).await.refused(403, "not_a_participant");
    }
    alice.put(&format!("{path}/members/bob/role"), json!({ "role": "admin" })).await.expect(200);
    bob.patch(&path, json!({ "name": "ours" })).await.expect(200);
    let direct = alice.direct(&bob).await;
    alice.patch(&format!("/conversations/{direct}"), json!({ "name": "us" })).await.refused(409, "conflict");
    alice.patch(&format!("/conversations/{UNKNOWN}"), json!({ "name": "us" })).await.refused(404, "not_found");
}

#[tokio::test]
async fn an_invalid_change_is_refused_and_the_field_is_named() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let group = alice.group("Chess", &[]).await;
    let path = format!("/conversations/{group}");
    let long_url = format!("https://example.org/{}", "x".repeat(2048));
    for (field, values) in [
        ("name", vec![json!(""), json!("  "), json!("x".repeat(256)), json!("nul\0"), json!(5), json!(null)]),
        ("description", vec![json!("x".repeat(2001)), json!("nul\0"), json!([])]),
        ("avatar_url", vec![json!("http://example.org/a.png"), json!("picture"), json!(long_url), json!("")]),
        ("avatar_upload_id", vec![json!(UNKNOWN), json!("picture")]),
        ("owner_id", vec![json!(alice.id)]),
    ] {
        for value in values {
            alice.patch(&path, json!({ field: value })).await.invalid(field);
        }
    }
    let both = alice.patch(&path, json!({ "name": "", "avatar_url": "x" })).await.invalid("name");
    assert_eq!(both["errors"].as_array().unwrap().len(), 2, "{both}");
    assert_eq!(alice.conversation(&group).await["name"], "Chess");
    alice.patch(&path, json!({ "name": "x".repeat(255) })).await.expect(200);
}

#[tokio::test]
async fn a_participant_gets_the_users_who_are_online_or_typing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let group = alice.group("Chess", &[&bob, &carol]).await;
    let path = format!("/conversations/{group}");
    assert_eq!(alice.get(&format!("{path}/online")).await.expect(200), json!({ "user_ids": [] }));
    let mut socket = bob.connect().await;
    let mut away_socket = carol.connect().await;
    away_socket.accepted("presence.set", json!({ "status": "away" }), "ack").await;
    eventually("carol is away", async || alice.get("/users/carol").await.expect(200)["presence"] == "away").await;
    let online = alice.get(&format!("{path}/online")).await.expect(200);
    let mut online_ids = vec![&bob.id, &carol.id];
    online_ids.sort_unstable();
    assert_eq!(online, json!({ "user_ids": online_ids }), "a user who is away is in the list");
    assert_eq!(alice.get(&format!("{path}/typing")).await.expect(200), json!({ "user_ids": [] }));
    socket.accepted("typing.start", json!({ "conversation_id": group }), "ack").await;
    assert_eq!(alice.get(&format!("{path}/typing")).await.expect(200), json!({ "user_ids": [bob.id] }));
    assert_eq!(bob.get(&format!("{path}/typing")).await.expect(200), json!({ "user_ids": [] }));
    bob.delete(&path).await.expect(204);
    assert_eq!(alice.get(&format!("{path}/online")).await.expect(200), json!({ "user_ids": [carol.id] }));
    assert_eq!(alice.get(&format!("{path}/typing")).await.expect(200), json!({ "user_ids": [] }));
    for list in ["online", "typing"] {
        bob.get(&format!("{path}/{list}")).await.refused(403, "not_a_participant");
        bob.get(&format!("/conversations/{UNKNOWN}/{list}")).await.refused(404, "not_found");
    }
}
