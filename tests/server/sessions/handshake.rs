//! The handshake: each way to send a token, the first frame, and the clients that are refused.

use serde_json::json;

use crate::support::{Auth, ConnectOptions, Refusal, TestServer, TestSocket, TestUser};

fn with_origin(origin: &str) -> ConnectOptions {
    ConnectOptions { origin: Some(origin.to_owned()), ..ConnectOptions::default() }
}

#[tokio::test]
async fn a_token_can_be_sent_in_each_way() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let ticket = alice.ticket().await;
    for auth in [Auth::Subprotocol, Auth::Query, Auth::Header, Auth::FirstFrame, Auth::Ticket(ticket)] {
        let auth_name = format!("{auth:?}");
        let mut socket = alice.connect_with(TestUser::by(auth)).await;
        let payload = &socket.auth_success;
        assert_eq!(payload["user_id"], alice.id.as_str(), "{auth_name}");
        assert_eq!(payload["heartbeat_seconds"], 30, "{auth_name}");
        assert!(payload["session_id"].is_string() && payload["epoch"].is_string(), "{auth_name}: {payload}");
        assert!(payload["file_token"].is_string(), "{auth_name}: {payload}");
        assert!(
            payload["conversations"][&direct].is_i64() && payload["reads"][&direct].is_i64(),
            "{auth_name}: {payload}"
        );
        assert!(payload["user_rev"].is_i64(), "{auth_name}: {payload}");
        let sent = bob.send(&direct, &auth_name).await;
        let event = socket.expect("message.new").await;
        assert_eq!(event["payload"]["message"]["id"], sent["id"], "{auth_name}");
    }
}

#[tokio::test]
async fn a_session_can_begin_without_subscriptions_in_each_way() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    for auth in [Auth::Subprotocol, Auth::Query, Auth::Header, Auth::FirstFrame] {
        let auth_name = format!("{auth:?}");
        let options = ConnectOptions { auth, subscribe_none: true, origin: None };
        let mut socket = alice.connect_with(options).await;
        let first_rev = socket.auth_success["conversations"][&direct].as_i64().expect(&auth_name);
        bob.send(&direct, "before the subscription").await;
        socket.accepted("subscribe", json!({ "conversation_ids": [direct] }), "subscribed").await;
        let sent = bob.send(&direct, "after the subscription").await;
        let event = socket.expect("message.new").await;
        assert_eq!(event["payload"]["message"]["id"], sent["id"], "{auth_name}");
        assert_eq!(event["rev"], first_rev + 2, "{auth_name}");
    }
}

#[tokio::test]
async fn each_session_has_a_different_id() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let one = alice.connect().await;
    let other = alice.connect().await;
    assert_ne!(one.session_id(), other.session_id());
}

#[tokio::test]
async fn an_invalid_token_gets_an_error_and_4401() {
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
async fn a_server_error_during_authentication_is_not_reported_as_an_invalid_credential() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    // Without this table the server cannot check any token.
    server.sql("ALTER TABLE logins RENAME TO renamed_logins").await;
    for auth in [Auth::Header, Auth::Query] {
        let mut socket = TestSocket::handshake(&alice.target, &alice.access_token, TestUser::by(auth))
            .await
            .expect("the upgrade succeeds");
        let error = socket.expect("error").await;
        assert_eq!(error["payload"]["code"], "internal");
        socket.expect_close(1012).await;
    }
    server.sql("ALTER TABLE renamed_logins RENAME TO logins").await;
    alice.connect().await.assert_alive().await;
}

#[tokio::test]
async fn a_first_frame_that_is_not_auth_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let mut socket =
        TestSocket::handshake(&alice.target, "", TestUser::by(Auth::None)).await.expect("the upgrade succeeds");
    socket.start("message.send", json!({ "conversation_id": direct, "content": "hello" }));
    let error = socket.expect("error").await;
    assert_eq!(error["payload"]["code"], "unauthorized");
    assert!(alice.history(&direct).await.is_empty());
}

#[tokio::test]
async fn a_client_that_sends_no_token_is_closed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut socket =
        TestSocket::handshake(&alice.target, "", TestUser::by(Auth::None)).await.expect("the upgrade succeeds");
    socket.expect_close(4401).await;
}

#[tokio::test]
async fn a_session_can_be_extended_but_not_by_a_token_of_another_user() {
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
    let sent = socket.send_message(&direct, "hello").await;
    assert_eq!(sent["message"]["sender_id"], alice.id.as_str());
    assert_eq!(socket.expect("message.new").await["payload"]["message"]["id"], sent["message"]["id"]);
}

#[tokio::test]
async fn a_page_of_an_unknown_origin_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"] {
        let refused = alice.try_connect(with_origin(origin)).await;
        assert_eq!(refused.expect_err(origin), Refusal::Http(403), "{origin}");
    }
    alice.connect_with(with_origin(&alice.target.origin)).await;
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_is_accepted() {
    let server = TestServer::builder().set("GREENROOM_ALLOWED_ORIGINS", "https://app.example.org").start().await;
    let alice = server.user("alice").await;
    alice.connect_with(with_origin("https://app.example.org")).await;
    let refused = alice.try_connect(with_origin("https://evil.example")).await;
    assert_eq!(refused.expect_err("an origin that is not allowed"), Refusal::Http(403));
}

#[tokio::test]
async fn one_session_too_many_closes_the_oldest_session() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut oldest = alice.connect().await;
    let mut others = Vec::new();
    for _ in 0..19 {
        others.push(alice.connect().await);
    }
    oldest.assert_alive().await;
    others.push(alice.connect().await);
    oldest.expect_close(4409).await;
    for socket in &mut others {
        socket.assert_alive().await;
    }
}
