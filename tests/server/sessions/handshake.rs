//! Opening a session: every way to present a token, what comes first, and who is turned away.

use serde_json::json;

use crate::support::{Auth, ConnectOptions, Refusal, TestServer, TestSocket, TestUser};

fn from_page(origin: &str) -> ConnectOptions {
    ConnectOptions { origin: Some(origin.to_owned()), ..ConnectOptions::default() }
}

#[tokio::test]
async fn a_token_is_taken_in_every_way() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let ticket = alice.ticket().await;
    for auth in [Auth::Subprotocol, Auth::Query, Auth::Header, Auth::FirstFrame, Auth::Ticket(ticket)] {
        let way = format!("{auth:?}");
        let mut socket = alice.connect_with(TestUser::by(auth)).await;
        let welcome = &socket.welcome;
        assert_eq!(welcome["user_id"], alice.id.as_str(), "{way}");
        assert_eq!(welcome["heartbeat_seconds"], 30, "{way}");
        assert!(welcome["session_id"].is_string() && welcome["epoch"].is_string(), "{way}: {welcome}");
        assert!(welcome["file_token"].is_string(), "{way}: {welcome}");
        assert!(welcome["conversations"][&direct].is_i64() && welcome["reads"][&direct].is_i64(), "{way}: {welcome}");
        assert!(welcome["user_rev"].is_i64(), "{way}: {welcome}");
        let sent = bob.send(&direct, &way).await;
        let event = socket.expect("message.new").await;
        assert_eq!(event["payload"]["message"]["id"], sent["id"], "{way}");
    }
}

#[tokio::test]
async fn a_session_may_start_without_subscriptions_in_every_way() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    for auth in [Auth::Subprotocol, Auth::Query, Auth::Header, Auth::FirstFrame] {
        let way = format!("{auth:?}");
        let options = ConnectOptions { auth, subscribe_none: true, origin: None };
        let mut socket = alice.connect_with(options).await;
        let from = socket.welcome["conversations"][&direct].as_i64().expect(&way);
        bob.send(&direct, "unheard").await;
        socket.accepted("subscribe", json!({ "conversation_ids": [direct] }), "subscribed").await;
        let heard = bob.send(&direct, "heard").await;
        let event = socket.expect("message.new").await;
        assert_eq!(event["payload"]["message"]["id"], heard["id"], "{way}");
        assert_eq!(event["rev"], from + 2, "{way}");
    }
}

#[tokio::test]
async fn every_session_has_an_id_of_its_own() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let one = alice.connect().await;
    let other = alice.connect().await;
    assert_ne!(one.session_id(), other.session_id());
}

#[tokio::test]
async fn a_bad_token_gets_an_error_and_4401() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut socket = TestSocket::handshake(&alice.target, "nonsense", ConnectOptions::default())
        .await
        .expect("the upgrade succeeds");
    let error = socket.expect("error").await;
    assert_eq!(error["payload"]["code"], "unauthorized");
    socket.expect_close(4401).await;
}

#[tokio::test]
async fn a_fault_of_the_server_turns_nobody_away_for_the_credential() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    // no token can be checked any more, which is no fault of the token's
    server.sql("ALTER TABLE logins RENAME TO elsewhere").await;
    for auth in [Auth::Header, Auth::Query] {
        let mut socket = TestSocket::handshake(&alice.target, &alice.access_token, TestUser::by(auth))
            .await
            .expect("the upgrade succeeds");
        let error = socket.expect("error").await;
        assert_eq!(error["payload"]["code"], "internal");
        socket.expect_close(1012).await;
    }
    server.sql("ALTER TABLE elsewhere RENAME TO logins").await;
    alice.connect().await.is_alive().await;
}

#[tokio::test]
async fn a_first_frame_that_is_not_auth_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let mut socket = TestSocket::handshake(&alice.target, "", TestUser::by(Auth::Nothing)).await.expect("an upgrade");
    socket.start("message.send", json!({ "conversation_id": direct, "content": "hello" }));
    let error = socket.expect("error").await;
    assert_eq!(error["payload"]["code"], "unauthorized");
    assert!(alice.history(&direct).await.is_empty());
}

#[tokio::test]
async fn who_says_nothing_is_turned_away() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut socket = TestSocket::handshake(&alice.target, "", TestUser::by(Auth::Nothing)).await.expect("an upgrade");
    socket.expect_close(4401).await;
}

#[tokio::test]
async fn a_session_may_be_extended_but_never_become_another_users() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let mut socket = alice.connect().await;
    let session = socket.session_id();

    let renewed = alice.login().await;
    let answer = socket.accepted("auth", json!({ "token": renewed.access_token }), "auth.success").await;
    assert_eq!((&answer["user_id"], &answer["session_id"]), (&json!(alice.id), &json!(session)));

    for token in [bob.access_token.as_str(), "nonsense", ""] {
        let frame = socket.command("auth", json!({ "token": token })).await;
        assert_eq!(frame["type"], "error", "{frame}");
        let code = frame["payload"]["code"].as_str().unwrap_or_default();
        assert!(["unauthorized", "forbidden"].contains(&code), "{frame}");
    }
    let sent = socket.say(&direct, "still me").await;
    assert_eq!(sent["message"]["sender_id"], alice.id.as_str());
    assert_eq!(socket.expect("message.new").await["payload"]["message"]["id"], sent["message"]["id"]);
}

#[tokio::test]
async fn a_foreign_page_is_turned_away() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"] {
        let refused = alice.try_connect(from_page(origin)).await;
        assert_eq!(refused.expect_err(origin), Refusal::Http(403), "{origin}");
    }
    alice.connect_with(from_page(&alice.target.origin)).await;
}

#[tokio::test]
async fn an_allowed_page_is_let_in() {
    let server = TestServer::builder().set("GREENROOM_ALLOWED_ORIGINS", "https://app.example.org").start().await;
    let alice = server.user("alice").await;
    alice.connect_with(from_page("https://app.example.org")).await;
    let refused = alice.try_connect(from_page("https://evil.example")).await;
    assert_eq!(refused.expect_err("a foreign page"), Refusal::Http(403));
}

#[tokio::test]
async fn of_too_many_sessions_the_oldest_goes() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut oldest = alice.connect().await;
    let mut others = Vec::new();
    for _ in 0..19 {
        others.push(alice.connect().await);
    }
    oldest.is_alive().await;
    others.push(alice.connect().await);
    oldest.expect_close(4409).await;
    for socket in &mut others {
        socket.is_alive().await;
    }
}
