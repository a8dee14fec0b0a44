//! Pinned messages: who can pin, which events clients get, and the list of pins.

use reqwest::Method;
use serde_json::{Value, json};

use crate::live_and_replayed::LiveSession;
use crate::support::rest::{Answer, Body};
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

fn path(room: &str, message: &Value) -> String {
    format!("/conversations/{room}/messages/{}", text(&message["id"]))
}

async fn pin(user: &TestUser, room: &str, message: &Value) -> Answer {
    user.call(Method::PUT, &format!("{}/pin", path(room, message)), Body::None).await
}

async fn unpin(user: &TestUser, room: &str, message: &Value) -> Answer {
    user.delete(&format!("{}/pin", path(room, message))).await
}

/// Returns the texts of the pinned messages.
async fn pinned_texts(user: &TestUser, room: &str) -> Vec<String> {
    let page = user.get(&format!("/conversations/{room}/pins")).await.expect(200);
    assert_eq!(page["next_cursor"], json!(null));
    page["items"].as_array().unwrap().iter().map(|message| text(&message["content"])).collect()
}

async fn group_with_three_messages(server: &TestServer) -> (TestUser, TestUser, String, Vec<Value>) {
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let room = alice.group("room", &[&bob]).await;
    let mut messages = Vec::new();
    for content in ["one", "two", "three"] {
        messages.push(alice.send(&room, content).await);
    }
    (alice, bob, room, messages)
}

async fn last_rev(user: &TestUser, room: &str) -> i64 {
    user.conversation(room).await["last_rev"].as_i64().unwrap()
}

#[tokio::test]
async fn a_pin_is_in_the_live_event_the_sync_and_the_list() {
    let server = TestServer::start().await;
    let (alice, bob, room, messages) = group_with_three_messages(&server).await;
    let mut devices = [LiveSession::new(&alice).await, LiveSession::new(&alice).await, LiveSession::new(&bob).await];
    let answer = pin(&alice, &room, &messages[0]).await.expect(200);
    let mut expected = messages[0].clone();
    expected["pinned"] = json!(true);
    assert_eq!(answer, expected);
    pin(&alice, &room, &messages[2]).await.expect(200);
    assert_eq!(pinned_texts(&bob, &room).await, ["three", "one"], "the newest pin is first");
    unpin(&alice, &room, &messages[0]).await.expect(204);
    for device in &mut devices {
        for (kind, message) in
            [("message.pinned", &messages[0]), ("message.pinned", &messages[2]), ("message.unpinned", &messages[0])]
        {
            let expected = json!({ "conversation_id": room, "message_id": message["id"], "user_id": alice.id });
            assert_eq!(device.expect_payload(kind).await, expected);
        }
    }
    assert_eq!(pinned_texts(&bob, &room).await, ["three"]);
    let flags: Vec<Value> = bob.history(&room).await.iter().map(|message| message["pinned"].clone()).collect();
    assert_eq!(flags, [false, false, false, true]);
    for device in devices {
        assert_eq!(device.compare_with_sync().await, 3);
    }
}

#[tokio::test]
async fn a_repeated_pin_changes_nothing_and_appends_no_event() {
    let server = TestServer::start().await;
    let (alice, _, room, messages) = group_with_three_messages(&server).await;
    unpin(&alice, &room, &messages[0]).await.expect(204);
    pin(&alice, &room, &messages[0]).await.expect(200);
    pin(&alice, &room, &messages[1]).await.expect(200);
    let before = last_rev(&alice, &room).await;
    assert_eq!(pin(&alice, &room, &messages[0]).await.expect(200)["pinned"], true);
    unpin(&alice, &room, &messages[2]).await.expect(204);
    assert_eq!(last_rev(&alice, &room).await, before);
    assert_eq!(pinned_texts(&alice, &room).await, ["two", "one"], "a repeated pin keeps the order");
}

#[tokio::test]
async fn owners_admins_and_both_users_of_a_direct_conversation_can_pin() {
    let server = TestServer::start().await;
    let (alice, bob, room, messages) = group_with_three_messages(&server).await;
    let (olga, eve) = (server.user("olga").await, server.user("eve").await);
    let body = json!({ "user_ids": ["olga"], "role": "observer" });
    alice.post(&format!("/conversations/{room}/members"), body).await.expect(200);
    pin(&alice, &room, &messages[0]).await.expect(200);
    for (user, code) in [(&bob, "forbidden"), (&olga, "forbidden"), (&eve, "not_a_participant")] {
        pin(user, &room, &messages[1]).await.refused(403, code);
        unpin(user, &room, &messages[0]).await.refused(403, code);
    }
    assert_eq!(pinned_texts(&olga, &room).await, ["one"]);
    eve.get(&format!("/conversations/{room}/pins")).await.refused(403, "not_a_participant");
    alice.put(&format!("/conversations/{room}/members/bob/role"), json!({ "role": "admin" })).await.expect(200);
    pin(&bob, &room, &messages[1]).await.expect(200);
    unpin(&bob, &room, &messages[0]).await.expect(204);

    let direct = alice.direct(&bob).await;
    let hello = alice.send(&direct, "hello").await;
    pin(&bob, &direct, &hello).await.expect(200);
    assert_eq!(pinned_texts(&alice, &direct).await, ["hello"]);
    alice.post("/blocks", json!({ "user": "bob" })).await.expect(201);
    unpin(&alice, &direct, &hello).await.refused(403, "blocked");
    pin(&bob, &direct, &hello).await.refused(403, "blocked");
}

#[tokio::test]
async fn only_existing_messages_of_the_conversation_are_pinned() {
    let server = TestServer::start().await;
    let (alice, bob, room, messages) = group_with_three_messages(&server).await;
    for message in &messages {
        pin(&alice, &room, message).await.expect(200);
    }
    alice.delete(&path(&room, &messages[0])).await.expect(204);
    pin(&alice, &room, &messages[0]).await.refused(409, "conflict");
    unpin(&alice, &room, &messages[0]).await.expect(204);
    assert_eq!(pinned_texts(&bob, &room).await, ["three", "two"]);
    bob.delete(&format!("{}?for=me", path(&room, &messages[1]))).await.expect(204);
    assert_eq!(pinned_texts(&bob, &room).await, ["three"], "hidden messages are left out");
    assert_eq!(pinned_texts(&alice, &room).await, ["three", "two"]);

    let elsewhere = alice.group("elsewhere", &[]).await;
    pin(&alice, &elsewhere, &messages[2]).await.refused(404, "not_found");
    unpin(&alice, &elsewhere, &messages[2]).await.refused(404, "not_found");
    pin(&alice, &room, &json!({ "id": "01890a5d-ac96-774b-bcce-b302099a8057" })).await.refused(404, "not_found");
    pin(&alice, &room, &json!({ "id": "x" })).await.refused(400, "invalid_request");
    alice.get("/conversations/x/pins").await.refused(400, "invalid_request");
}

#[tokio::test]
async fn pins_are_listed_in_pages_as_the_caller_sees_them() {
    let server = TestServer::start().await;
    let (alice, bob, room, messages) = group_with_three_messages(&server).await;
    for message in [&messages[1], &messages[0], &messages[2]] {
        pin(&alice, &room, message).await.expect(200);
    }
    alice
        .call(Method::PUT, &format!("{}/reactions/%F0%9F%91%8D", path(&room, &messages[0])), Body::None)
        .await
        .expect(200);
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = alice.get(&format!("/conversations/{room}/pins?limit=1{cursor}")).await.expect(200);
        listed.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let contents: Vec<&Value> = listed.iter().map(|message| &message["content"]).collect();
    assert_eq!(contents, ["three", "one", "two"]);
    assert_eq!((&listed[1]["reactions"][0]["me"], &listed[1]["status"]), (&json!(true), &json!("sent")));
    let page = bob.get(&format!("/conversations/{room}/pins")).await.expect(200);
    assert_eq!((&page["items"][1]["reactions"][0]["me"], &page["items"][1]["status"]), (&json!(false), &json!(null)));
    bob.get(&format!("/conversations/{room}/pins?cursor=x")).await.refused(400, "invalid_request");
    bob.get(&format!("/conversations/{room}/pins?limit=101")).await.refused(400, "invalid_request");
}
