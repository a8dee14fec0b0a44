//! Making, finding and listing conversations.

use serde_json::{Value, json};

use crate::live_and_replayed::Witness;
use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().expect("items").iter().map(|item| text(&item["id"])).collect()
}

#[tokio::test]
async fn a_direct_conversation_is_one_per_pair() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let create = |user: &TestUser, other: &str| {
        let user = user.clone();
        let body = json!({ "type": "direct", "participant_ids": [other] });
        async move { user.post("/conversations", body).await }
    };
    let made = create(&alice, &bob.id).await.expect(201);
    assert_eq!(made["type"], "direct");
    assert_eq!((&made["name"], &made["class"]), (&json!(null), &json!(null)));
    assert_eq!(made["member_count"], 2);
    assert_eq!(made["peer"]["id"], bob.id.as_str());
    assert_eq!((&made["last_seq"], &made["last_message"]), (&json!(0), &json!(null)));
    for (user, other) in [(&alice, bob.id.as_str()), (&bob, alice.id.as_str()), (&bob, "alice"), (&alice, "BOB")] {
        assert_eq!(create(user, other).await.expect(200)["id"], made["id"]);
    }
    assert_eq!(bob.conversation(&text(&made["id"])).await["peer"]["id"], alice.id.as_str());
}

#[tokio::test]
async fn a_direct_conversation_that_cannot_be_is_refused() {
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
        create(wrong).await.invalid_somewhere("participant_ids");
    }
    // one other user, however often the two are named
    let made = create(json!([alice.id, bob.id, "bob"])).await.expect(201);
    assert_eq!(made["peer"]["id"], bob.id.as_str());
}

#[tokio::test]
async fn the_direct_conversation_with_somebody_has_a_short_way() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    alice.get("/conversations/with/bob").await.refused(404, "not_found");
    let made = alice.post_nothing("/conversations/with/bob").await.expect(201);
    assert_eq!(alice.post_nothing("/conversations/with/bob").await.expect(200)["id"], made["id"]);
    assert_eq!(alice.get(&format!("/conversations/with/{}", bob.id)).await.expect(200)["id"], made["id"]);
    assert_eq!(bob.get("/conversations/with/alice").await.expect(200)["id"], made["id"]);
    alice.post_nothing("/conversations/with/alice").await.refused(400, "self_conversation");
    alice.post_nothing("/conversations/with/nobody").await.refused(404, "user_not_found");
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
    assert_eq!(ids(&alice.get("/conversations").await.expect(200)).len(), 1, "a refused group leaves nothing behind");
}

#[tokio::test]
async fn the_list_has_the_newest_message_first() {
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
    let shown = &list["items"][0]["last_message"];
    assert_eq!((&shown["content"], &shown["seq"], &shown["sender_id"]), (&json!("hello"), &json!(2), &json!(alice.id)));

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
    let room = alice.group("room", &[]).await;
    alice.send(&room, &"ế".repeat(150)).await;
    let shown = text(&alice.conversation(&room).await["last_message"]["content"]);
    assert!(shown.chars().count() <= 100, "{shown}");
    assert!(shown.starts_with(&"ế".repeat(90)), "{shown}");
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
async fn the_detail_shows_the_members() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let detail = bob.conversation(&room).await;
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
async fn whoever_is_out_sees_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let eve = server.user("eve").await;
    let room = alice.group("room", &[]).await;
    let message = alice.send(&room, "secret").await;
    let path = format!("/conversations/{room}");
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
    assert_eq!(alice.history(&room).await.len(), 2);
}

#[tokio::test]
async fn a_change_of_a_group_is_told_live_and_by_sync() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let mut device = Witness::of(&alice).await;
    let mut other = Witness::of(&bob).await;
    let path = format!("/conversations/{room}");
    let before = alice.conversation(&room).await;
    let look = json!({ "name": " Readers ", "description": "Books", "avatar_url": "https://example.org/a.png" });
    let changed = alice.patch(&path, look).await.expect(200);
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Readers"), &json!("Books")));
    assert_eq!((&changed["avatar_url"], &changed["unread_count"]), (&json!("https://example.org/a.png"), &json!(0)));
    assert!(text(&changed["updated_at"]) > text(&before["updated_at"]), "{changed}");
    assert_eq!((&changed["last_seq"], &changed["last_rev"]), (&json!(2), &json!(3)));
    for witness in [&mut device, &mut other] {
        let told = witness.sees("conversation.updated").await;
        let expected = json!({
            "conversation_id": room, "name": "Readers", "description": "Books",
            "avatar_url": "https://example.org/a.png", "class": null, "updated_at": changed["updated_at"],
        });
        assert_eq!(told, expected);
        let said = witness.sees("message.new").await["message"].clone();
        assert_eq!((&said["type"], &said["sender_id"]), (&json!("system"), &json!(null)));
        assert_eq!(said["data"], json!({ "event": "renamed", "actor_id": alice.id, "name": "Readers" }));
    }
    let shown = bob.conversation(&room).await;
    for field in ["name", "description", "avatar_url", "updated_at", "last_seq", "last_rev"] {
        assert_eq!(shown[field], changed[field], "{field}");
    }
    // null clears, what is absent stays, and only a name is worth a message
    let cleared = alice.put(&path, json!({ "description": null, "avatar_url": null })).await.expect(200);
    assert_eq!((&cleared["name"], &cleared["description"]), (&json!("Readers"), &json!(null)));
    assert_eq!((&cleared["avatar_url"], &cleared["last_seq"]), (&json!(null), &json!(2)));
    assert_eq!(other.sees("conversation.updated").await["description"], json!(null));
    // what changes nothing is told to nobody
    for body in [json!({}), json!({ "name": "Readers", "description": "  ", "avatar_url": null })] {
        let same = alice.patch(&path, body).await.expect(200);
        assert_eq!((&same["last_rev"], &same["updated_at"]), (&cleared["last_rev"], &cleared["updated_at"]));
    }
    for witness in [device, other] {
        assert_eq!(witness.agrees_with_sync().await, 3);
    }
}

#[tokio::test]
async fn changing_a_group_is_for_owner_and_admins() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let eve = server.user("eve").await;
    let room = alice.group("room", &[&bob]).await;
    let path = format!("/conversations/{room}");
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
async fn a_change_that_cannot_be_is_refused_by_field() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let path = format!("/conversations/{room}");
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
    assert_eq!(alice.conversation(&room).await["name"], "room");
    alice.patch(&path, json!({ "name": "x".repeat(255) })).await.expect(200);
}

#[tokio::test]
async fn who_is_online_and_who_types_can_be_asked() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let carol = server.user("carol").await;
    let room = alice.group("room", &[&bob, &carol]).await;
    let path = format!("/conversations/{room}");
    assert_eq!(alice.get(&format!("{path}/online")).await.expect(200), json!({ "user_ids": [] }));
    let mut socket = bob.connect().await;
    let mut away = carol.connect().await;
    away.accepted("presence.set", json!({ "status": "away" }), "ack").await;
    eventually("carol is away", async || alice.get("/users/carol").await.expect(200)["presence"] == "away").await;
    let online = alice.get(&format!("{path}/online")).await.expect(200);
    let mut there = vec![&bob.id, &carol.id];
    there.sort_unstable();
    assert_eq!(online, json!({ "user_ids": there }), "who is away is there too");
    assert_eq!(alice.get(&format!("{path}/typing")).await.expect(200), json!({ "user_ids": [] }));
    socket.accepted("typing.start", json!({ "conversation_id": room }), "ack").await;
    assert_eq!(alice.get(&format!("{path}/typing")).await.expect(200), json!({ "user_ids": [bob.id] }));
    assert_eq!(bob.get(&format!("{path}/typing")).await.expect(200), json!({ "user_ids": [] }));
    bob.delete(&path).await.expect(204);
    assert_eq!(alice.get(&format!("{path}/online")).await.expect(200), json!({ "user_ids": [carol.id] }));
    assert_eq!(alice.get(&format!("{path}/typing")).await.expect(200), json!({ "user_ids": [] }));
    for what in ["online", "typing"] {
        bob.get(&format!("{path}/{what}")).await.refused(403, "not_a_participant");
        bob.get(&format!("/conversations/{UNKNOWN}/{what}")).await.refused(404, "not_found");
    }
}
