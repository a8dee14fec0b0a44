//! A user's own settings of a conversation: archived, muted, pinned, and the notify level.

use reqwest::Method;
use serde_json::{Value, json};

use crate::live_and_replayed::LiveSession;
use crate::support::rest::Body;
use crate::support::user::text;
use crate::support::{TestServer, TestUser, eventually};

/// The end of a mute without an end.
const FOREVER: &str = "9999-12-31T23:59:59.999Z";

/// Turns a setting on, and returns all settings of the user.
async fn turn_on(user: &TestUser, conversation: &str, setting: &str) -> Value {
    user.post_empty(&format!("/conversations/{conversation}/{setting}")).await.expect(200)["my"].clone()
}

async fn turn_off(user: &TestUser, conversation: &str, setting: &str) {
    user.delete(&format!("/conversations/{conversation}/{setting}")).await.expect(204);
}

async fn list_ids(user: &TestUser, query: &str) -> Vec<String> {
    let list = user.get(&format!("/conversations{query}")).await.expect(200);
    list["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect()
}

#[tokio::test]
async fn each_change_reaches_only_the_other_devices_of_the_user() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    let mut second_session = LiveSession::new(&alice).await;
    let mut bob_session = LiveSession::new(&bob).await;
    let path = |setting: &str| format!("/conversations/{group}/{setting}");

    alice.post_empty(&path("archive")).await.expect(200);
    alice.post(&path("mute"), json!({ "until": "2099-01-02T03:04:05Z" })).await.expect(200);
    alice.post_empty(&path("pin")).await.expect(200);
    alice.put(&path("notify"), json!({ "level": "mentions" })).await.expect(200);
    for setting in ["archive", "mute", "pin"] {
        alice.delete(&path(setting)).await.expect(204);
    }
    let mut expected = alice.conversation(&group).await["my"].clone();
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
        let payload = second_session.expect_payload("conversation.settings").await;
        assert_eq!(payload, json!({ "conversation_id": group, "my": expected }));
    }
    assert_eq!(alice.conversation(&group).await["my"], expected);
    assert_eq!(second_session.compare_with_sync().await, 7);
    assert_eq!(bob_session.frames_until_pong().await, Vec::<Value>::new());
    assert_eq!(bob.conversation(&group).await["my"]["notify"], "all");
}

#[tokio::test]
async fn a_call_that_changes_nothing_creates_no_event() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let group = alice.group("Chess", &[]).await;
    let path = |setting: &str| format!("/conversations/{group}/{setting}");
    let until = json!({ "until": "2099-01-01T00:00:00Z" });
    for setting in ["archive", "mute", "pin"] {
        turn_off(&alice, &group, setting).await;
    }
    alice.put(&path("notify"), json!({ "level": "all" })).await.expect(200);
    let before = alice.connect_unsubscribed().await.auth_success["user_rev"].as_i64().unwrap();
    for _ in 0..2 {
        turn_on(&alice, &group, "archive").await;
        turn_on(&alice, &group, "pin").await;
        alice.post(&path("mute"), until.clone()).await.expect(200);
        alice.put(&path("notify"), json!({ "level": "none" })).await.expect(200);
    }
    let after = alice.connect_unsubscribed().await.auth_success["user_rev"].as_i64().unwrap();
    assert_eq!(after - before, 4);
}

#[tokio::test]
async fn a_message_ends_the_archiving_unless_the_conversation_is_muted() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    assert_eq!(turn_on(&alice, &direct, "archive").await["archived"], true);
    assert_eq!((list_ids(&alice, "").await, list_ids(&alice, "?archived=true").await), (vec![], vec![direct.clone()]));
    assert_eq!(list_ids(&bob, "").await, std::slice::from_ref(&direct));
    bob.send(&direct, "hello").await;
    assert_eq!(alice.conversation(&direct).await["my"]["archived"], false);
    assert_eq!((list_ids(&alice, "").await, list_ids(&alice, "?archived=true").await), (vec![direct.clone()], vec![]));

    turn_on(&alice, &direct, "archive").await;
    assert_eq!(turn_on(&alice, &direct, "mute").await["muted_until"], FOREVER);
    bob.send(&direct, "hello?").await;
    assert_eq!(alice.conversation(&direct).await["my"]["archived"], true);
    assert_eq!(list_ids(&alice, "?archived=true").await, [direct.as_str()]);
    // Archive the conversation again. Without the mute it is still archived, and the user's other devices get both
    // events.
    let mut second_session = LiveSession::new(&alice).await;
    turn_on(&alice, &direct, "archive").await;
    assert_eq!(second_session.expect_payload("conversation.settings").await["my"]["archived"], true);
    turn_off(&alice, &direct, "mute").await;
    assert_eq!(second_session.expect_payload("conversation.settings").await["my"]["archived"], true);
    bob.send(&direct, "hello!").await;
    assert_eq!(alice.conversation(&direct).await["my"]["archived"], false);
    // The message has ended the archiving, and a mute does not archive the conversation again.
    assert_eq!(turn_on(&alice, &direct, "mute").await["archived"], false);
    assert_eq!(second_session.expect_payload("conversation.settings").await["my"]["archived"], false);
    assert_eq!(list_ids(&alice, "").await, [direct.as_str()]);
}

#[tokio::test]
async fn a_mute_ends_by_itself() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let group = alice.group("Chess", &[]).await;
    let path = format!("/conversations/{group}/mute");
    eventually("the end of this second is accepted", async || {
        let now = text(&alice.send(&group, "now").await["created_at"]);
        alice.post(&path, json!({ "until": now })).await.invalid("until");
        let second = now.split('.').next().unwrap().to_owned();
        alice.post(&path, json!({ "until": format!("{second}.999Z") })).await.status == 200
    })
    .await;
    eventually("the mute is over", async || alice.conversation(&group).await["my"]["muted_until"] == json!(null)).await;
}

#[tokio::test]
async fn pinned_conversations_come_first() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let first = alice.group("first", &[]).await;
    let second = alice.group("second", &[]).await;
    alice.send(&first, "older").await;
    alice.send(&second, "newer").await;
    assert_eq!(list_ids(&alice, "").await, [second.clone(), first.clone()]);
    assert_eq!(turn_on(&alice, &first, "pin").await["pinned"], true);
    assert_eq!(list_ids(&alice, "").await, [first.clone(), second.clone()]);
    turn_off(&alice, &first, "pin").await;
    assert_eq!(list_ids(&alice, "").await, [second, first]);
}

#[tokio::test]
async fn an_invalid_setting_is_refused_and_the_field_is_named() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let eve = server.user("eve").await;
    let group = alice.group("Chess", &[]).await;
    let path = |setting: &str| format!("/conversations/{group}/{setting}");
    for until in [json!("yesterday"), json!("2020-01-01T00:00:00Z"), json!(5), json!(""), json!("2099-13-01T00:00:00Z")]
    {
        alice.post(&path("mute"), json!({ "until": until })).await.invalid("until");
    }
    // A time that its offset moves beyond the year 9999 counts as the last possible time.
    let latest = alice.post(&path("mute"), json!({ "until": "9999-12-31T23:59:59-23:00" })).await.expect(200);
    assert_eq!(latest["my"]["muted_until"], FOREVER);
    alice.post(&path("mute"), json!({ "until": null })).await.expect(200);
    alice.post(&path("mute"), json!({ "for": "ever" })).await.invalid("for");
    alice.put(&path("notify"), json!({ "level": "unknown" })).await.invalid("level");
    alice.put(&path("notify"), json!({})).await.invalid("level");
    alice.put(&path("notify"), json!({ "level": "all", "unknown": true })).await.invalid("unknown");
    let calls = [
        (Method::POST, "archive"),
        (Method::DELETE, "archive"),
        (Method::POST, "mute"),
        (Method::DELETE, "mute"),
        (Method::POST, "pin"),
        (Method::DELETE, "pin"),
        (Method::PUT, "notify"),
    ];
    for (method, setting) in calls {
        let body = || if setting == "notify" { Body::Json(json!({ "level": "none" })) } else { Body::None };
        eve.call(method.clone(), &path(setting), body()).await.refused(403, "not_a_participant");
        let unknown = format!("/conversations/{}/{setting}", alice.id);
        alice.call(method.clone(), &unknown, body()).await.refused(404, "not_found");
        let bad = format!("/conversations/malformed/{setting}");
        alice.call(method, &bad, body()).await.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_user_who_is_added_again_has_new_settings() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let group = alice.group("Chess", &[&bob]).await;
    for setting in ["archive", "mute", "pin"] {
        turn_on(&bob, &group, setting).await;
    }
    bob.put(&format!("/conversations/{group}/notify"), json!({ "level": "none" })).await.expect(200);
    let mut socket = bob.connect().await;
    bob.delete(&format!("/conversations/{group}")).await.expect(204);
    alice.post(&format!("/conversations/{group}/members"), json!({ "user_ids": ["bob"] })).await.expect(200);
    let created = socket.expect("conversation.created").await;
    for my in [&bob.conversation(&group).await["my"], &created["payload"]["conversation"]["my"]] {
        assert_eq!((&my["archived"], &my["pinned"]), (&json!(false), &json!(false)), "{my}");
        assert_eq!((&my["muted_until"], &my["notify"]), (&json!(null), &json!("all")), "{my}");
    }
}

#[tokio::test]
async fn a_conversation_is_muted_until_a_time_or_for_a_number_of_seconds() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let group = alice.group("Chess", &[]).await;
    let path = format!("/conversations/{group}/mute");
    let until = async |body: Value| text(&alice.post(&path, body).await.expect(200)["my"]["muted_until"]);
    let (hour, day) = (until(json!({ "seconds": 3600 })).await, until(json!({ "seconds": 86_400 })).await);
    assert!(hour < day && day.as_str() < "2100", "{hour} {day}");
    assert!(until(json!({ "seconds": 315_360_000 })).await > day);
    assert_eq!(until(json!({ "until": "2100-01-01T00:00:00.000Z" })).await, "2100-01-01T00:00:00.000Z");
    for body in [json!({}), json!({ "seconds": null }), json!({ "until": null, "seconds": null })] {
        assert_eq!(until(body).await, FOREVER);
    }
    for wrong in [json!(0), json!(-1), json!(315_360_001), json!(i64::MAX), json!(1.5), json!("60"), json!(u64::MAX)] {
        alice.post(&path, json!({ "seconds": wrong })).await.invalid("seconds");
    }
    alice.post(&path, json!({ "until": "2100-01-01T00:00:00Z", "seconds": 60 })).await.invalid("seconds");
    alice.post(&path, json!({ "until": "2000-01-01T00:00:00Z" })).await.invalid("until");
    // A mute of one second ends by itself.
    until(json!({ "seconds": 1 })).await;
    eventually("the mute is over", async || alice.conversation(&group).await["my"]["muted_until"].is_null()).await;
}
