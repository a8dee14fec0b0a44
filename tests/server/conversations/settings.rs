//! One's own view of a conversation: archived, muted, pinned, notify level.

use reqwest::Method;
use serde_json::{Value, json};

use crate::live_and_replayed::Witness;
use crate::support::rest::Body;
use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

const FOR_GOOD: &str = "9999-12-31T23:59:59.999Z";

async fn set(user: &TestUser, room: &str, what: &str) -> Value {
    user.post_nothing(&format!("/conversations/{room}/{what}")).await.expect(200)["my"].clone()
}

async fn unset(user: &TestUser, room: &str, what: &str) {
    user.delete(&format!("/conversations/{room}/{what}")).await.expect(204);
}

async fn listed(user: &TestUser, query: &str) -> Vec<String> {
    let list = user.get(&format!("/conversations{query}")).await.expect(200);
    list["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect()
}

#[tokio::test]
async fn each_change_reaches_ones_other_devices_and_nobody_else() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let mut device = Witness::of(&alice).await;
    let mut other = Witness::of(&bob).await;
    let path = |what: &str| format!("/conversations/{room}/{what}");

    alice.post_nothing(&path("archive")).await.expect(200);
    alice.post(&path("mute"), json!({ "until": "2099-01-02T03:04:05Z" })).await.expect(200);
    alice.post_nothing(&path("pin")).await.expect(200);
    alice.put(&path("notify"), json!({ "level": "mentions" })).await.expect(200);
    for what in ["archive", "mute", "pin"] {
        alice.delete(&path(what)).await.expect(204);
    }
    let mut expected = alice.conversation(&room).await["my"].clone();
    expected["notify"] = json!("all");
    for (field, value) in [
        ("archived", json!(true)),
        ("muted_until", json!("2099-01-02T03:04:05.000Z")),
        ("pinned", json!(true)),
        ("notify", json!("mentions")),
        ("archived", json!(false)),
        ("muted_until", json!(null)),
        ("pinned", json!(false)),
    ] {
        expected[field] = value;
        let told = device.sees("conversation.settings").await;
        assert_eq!(told, json!({ "conversation_id": room, "my": expected }));
    }
    assert_eq!(alice.conversation(&room).await["my"], expected);
    assert_eq!(device.agrees_with_sync().await, 7);
    assert_eq!(other.rest().await, Vec::<Value>::new());
    assert_eq!(bob.conversation(&room).await["my"]["notify"], "all");
}

#[tokio::test]
async fn what_changes_nothing_is_told_to_nobody() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let path = |what: &str| format!("/conversations/{room}/{what}");
    let until = json!({ "until": "2099-01-01T00:00:00Z" });
    for what in ["archive", "mute", "pin"] {
        unset(&alice, &room, what).await;
    }
    alice.put(&path("notify"), json!({ "level": "all" })).await.expect(200);
    let before = alice.connect_unsubscribed().await.welcome["user_rev"].as_i64().unwrap();
    for _ in 0..2 {
        set(&alice, &room, "archive").await;
        set(&alice, &room, "pin").await;
        alice.post(&path("mute"), until.clone()).await.expect(200);
        alice.put(&path("notify"), json!({ "level": "none" })).await.expect(200);
    }
    let after = alice.connect_unsubscribed().await.welcome["user_rev"].as_i64().unwrap();
    assert_eq!(after - before, 4);
}

#[tokio::test]
async fn an_archived_conversation_comes_back_with_a_message_unless_it_is_muted() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    assert_eq!(set(&alice, &direct, "archive").await["archived"], true);
    assert_eq!((listed(&alice, "").await, listed(&alice, "?archived=true").await), (vec![], vec![direct.clone()]));
    assert_eq!(listed(&bob, "").await, std::slice::from_ref(&direct));
    bob.send(&direct, "hello").await;
    assert_eq!(alice.conversation(&direct).await["my"]["archived"], false);
    assert_eq!((listed(&alice, "").await, listed(&alice, "?archived=true").await), (vec![direct.clone()], vec![]));

    set(&alice, &direct, "archive").await;
    assert_eq!(set(&alice, &direct, "mute").await["muted_until"], FOR_GOOD);
    bob.send(&direct, "hello?").await;
    assert_eq!(alice.conversation(&direct).await["my"]["archived"], true);
    assert_eq!(listed(&alice, "?archived=true").await, [direct.as_str()]);
    // archived again, it holds from here on, with or without the mute; which one's other devices have to hear
    let mut device = Witness::of(&alice).await;
    set(&alice, &direct, "archive").await;
    assert_eq!(device.sees("conversation.settings").await["my"]["archived"], true);
    unset(&alice, &direct, "mute").await;
    assert_eq!(device.sees("conversation.settings").await["my"]["archived"], true);
    bob.send(&direct, "hello!").await;
    assert_eq!(alice.conversation(&direct).await["my"]["archived"], false);
    // the message ended it, and muting now does not bring it back
    assert_eq!(set(&alice, &direct, "mute").await["archived"], false);
    assert_eq!(device.sees("conversation.settings").await["my"]["archived"], false);
    assert_eq!(listed(&alice, "").await, [direct.as_str()]);
}

#[tokio::test]
async fn a_mute_ends_by_itself() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let path = format!("/conversations/{room}/mute");
    eventually("the rest of this second is taken", async || {
        let now = text(&alice.send(&room, "now").await["created_at"]);
        alice.post(&path, json!({ "until": now })).await.invalid("until");
        let second = now.split('.').next().unwrap().to_owned();
        alice.post(&path, json!({ "until": format!("{second}.999Z") })).await.status == 200
    })
    .await;
    eventually("the mute is over", async || alice.conversation(&room).await["my"]["muted_until"] == json!(null)).await;
}

#[tokio::test]
async fn pinned_conversations_come_first() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let first = alice.group("first", &[]).await;
    let second = alice.group("second", &[]).await;
    alice.send(&first, "older").await;
    alice.send(&second, "newer").await;
    assert_eq!(listed(&alice, "").await, [second.clone(), first.clone()]);
    assert_eq!(set(&alice, &first, "pin").await["pinned"], true);
    assert_eq!(listed(&alice, "").await, [first.clone(), second.clone()]);
    unset(&alice, &first, "pin").await;
    assert_eq!(listed(&alice, "").await, [second, first]);
}

#[tokio::test]
async fn a_view_that_cannot_be_is_refused_by_field() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let eve = server.user("eve").await;
    let room = alice.group("room", &[]).await;
    let path = |what: &str| format!("/conversations/{room}/{what}");
    for until in [json!("yesterday"), json!("2020-01-01T00:00:00Z"), json!(5), json!(""), json!("2099-13-01T00:00:00Z")]
    {
        alice.post(&path("mute"), json!({ "until": until })).await.invalid("until");
    }
    // an offset that leads beyond the last year is the last moment there is
    let far = alice.post(&path("mute"), json!({ "until": "9999-12-31T23:59:59-23:00" })).await.expect(200);
    assert_eq!(far["my"]["muted_until"], FOR_GOOD);
    alice.post(&path("mute"), json!({ "until": null })).await.expect(200);
    alice.post(&path("mute"), json!({ "for": "ever" })).await.invalid("for");
    alice.put(&path("notify"), json!({ "level": "loud" })).await.invalid("level");
    alice.put(&path("notify"), json!({})).await.invalid("level");
    alice.put(&path("notify"), json!({ "level": "all", "loud": true })).await.invalid("loud");
    let calls = [
        (Method::POST, "archive"),
        (Method::DELETE, "archive"),
        (Method::POST, "mute"),
        (Method::DELETE, "mute"),
        (Method::POST, "pin"),
        (Method::DELETE, "pin"),
        (Method::PUT, "notify"),
    ];
    for (method, what) in calls {
        let body = || if what == "notify" { Body::Json(json!({ "level": "none" })) } else { Body::None };
        eve.call(method.clone(), &path(what), body()).await.refused(403, "not_a_participant");
        let unknown = format!("/conversations/{}/{what}", alice.id);
        alice.call(method.clone(), &unknown, body()).await.refused(404, "not_found");
        let bad = format!("/conversations/room/{what}");
        alice.call(method, &bad, body()).await.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn whoever_comes_back_has_a_new_view() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    for what in ["archive", "mute", "pin"] {
        set(&bob, &room, what).await;
    }
    bob.put(&format!("/conversations/{room}/notify"), json!({ "level": "none" })).await.expect(200);
    let mut socket = bob.connect().await;
    bob.delete(&format!("/conversations/{room}")).await.expect(204);
    alice.post(&format!("/conversations/{room}/members"), json!({ "user_ids": ["bob"] })).await.expect(200);
    let created = socket.expect("conversation.created").await;
    for my in [&bob.conversation(&room).await["my"], &created["payload"]["conversation"]["my"]] {
        assert_eq!((&my["archived"], &my["pinned"]), (&json!(false), &json!(false)), "{my}");
        assert_eq!((&my["muted_until"], &my["notify"]), (&json!(null), &json!("all")), "{my}");
    }
}
