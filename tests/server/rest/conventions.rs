//! The conventions of all calls: problem documents, ids, cursors, limits, request ids, times and health.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::rest::Body;
use crate::support::{PASSWORD, TestServer, eventually};

#[tokio::test]
async fn an_unknown_path_or_a_wrong_method_gets_a_problem_document() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.get("/nowhere").await.refused(404, "not_found");
    let wrong = alice.delete("/users/me/password").await;
    assert!(matches!(wrong.status, 404 | 405), "{}", wrong.body);
    assert!(wrong.body["code"].is_string(), "{}", wrong.body);
}

#[tokio::test]
async fn malformed_json_is_an_invalid_request() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let conversation = alice.group("room", &[]).await;
    let path = format!("/conversations/{conversation}/messages");
    let lone = br#"{"content":"\ud800"}"#;
    let malformed: [&[u8]; 6] = [b"{", b"", b"nonsense", b"{\"content\":\"\xff\xfe\"}", lone, b"{\"content\":\"a\"} x"];
    for bytes in malformed {
        let answer = alice.call(Method::POST, &path, Body::Raw(bytes.to_vec())).await;
        answer.refused(400, "invalid_request");
    }
    assert_eq!(alice.history(&conversation).await.len(), 1);
}

#[tokio::test]
async fn a_call_whose_fields_are_all_optional_needs_no_body() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let conversation = alice.group("room", &[]).await;
    for call in ["read", "mute"] {
        for body in [Body::None, Body::Raw(Vec::new()), Body::Json(json!({}))] {
            alice.call(Method::POST, &format!("/conversations/{conversation}/{call}"), body).await.expect(200);
        }
    }
}

#[tokio::test]
async fn an_error_names_an_unknown_field_or_a_field_of_a_wrong_type() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let conversation = alice.group("room", &[]).await;
    let messages = format!("/conversations/{conversation}/messages");
    let register = |body: Value| server.target().post("/auth/register", body);
    register(json!({ "username": "bob", "password": PASSWORD, "colour": 1 })).await.invalid("colour");
    register(json!({ "username": 5, "password": PASSWORD })).await.invalid("username");
    register(json!({ "password": PASSWORD })).await.invalid("username");
    alice.post(&messages, json!({ "content": "a", "colour": 1 })).await.invalid("colour");
    alice.post(&messages, json!({ "content": ["a"] })).await.invalid("content");
    alice.post("/conversations", json!({ "type": "party", "participant_ids": [] })).await.invalid("type");
    alice.post(&format!("/conversations/{conversation}/read"), json!({ "seq": "x" })).await.invalid("seq");
    for body in [json!([]), json!("text"), json!(null), json!(1)] {
        let answer = alice.post(&messages, body).await;
        assert!(matches!(answer.status, 400 | 422), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_bad_id_in_a_path_is_an_invalid_request() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for path in ["/conversations/nonsense", "/conversations/nonsense/messages", "/messages/1", "/conversations/%00"] {
        alice.get(path).await.refused(400, "invalid_request");
    }
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    alice.get(&format!("/conversations/{unknown}")).await.refused(404, "not_found");
    alice.get(&format!("/messages/{unknown}")).await.refused(404, "not_found");
    let message = json!({ "content": "hello" });
    alice.post(&format!("/conversations/{unknown}/messages"), message).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_bad_cursor_or_limit_is_an_invalid_request() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let conversation = alice.group("room", &[]).await;
    let members = format!("/conversations/{conversation}/members");
    for collection in ["/conversations", "/users/search?q=a", "/auth/sessions", &members] {
        let separator = if collection.contains('?') { '&' } else { '?' };
        for wrong in ["cursor=nonsense", "cursor=%00", "limit=0", "limit=101", "limit=-1", "limit=x", "limit="] {
            let answer = alice.get(&format!("{collection}{separator}{wrong}")).await;
            assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid_request")), "{collection} {wrong}");
        }
    }
    for wrong in ["limit=0", "limit=101", "before=x", "after=x", "around=x"] {
        let answer = alice.get(&format!("/conversations/{conversation}/messages?{wrong}")).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid_request")), "{wrong}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_valid_request_id_is_returned_and_an_invalid_one_is_replaced() {
    let server = TestServer::start().await;
    let url = format!("{}/api/v1/users/me", server.target().origin);
    let call = |id: &'static str| server.target().http.get(&url).header("x-request-id", id).send();
    let answer = call("my-request-1").await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "my-request-1");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["request_id"], "my-request-1");
    let answer = call("no spaces or \"quotes\" allowed").await.unwrap();
    assert_ne!(answer.headers()["x-request-id"], "no spaces or \"quotes\" allowed");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let conversation = alice.group("room", &[]).await;
    let body = json!({ "content": "x".repeat(4 * 1024 * 1024) });
    let answer = alice.post(&format!("/conversations/{conversation}/messages"), body).await;
    answer.refused(413, "payload_too_large");
}

#[tokio::test]
async fn times_and_ids_have_the_documented_form() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let conversation = alice.group("room", &[]).await;
    let message = alice.send(&conversation, "hello").await;
    let time = message["created_at"].as_str().unwrap();
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    for id in [message["id"].as_str().unwrap(), conversation.as_str()] {
        assert_eq!(id.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    }
}

#[tokio::test]
async fn health_needs_no_credential() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let _socket = alice.connect().await;
    let get = async |path: &str| {
        let answer = server.target().http.get(format!("{}{path}", server.target().origin)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()
    };
    // The registry counts a session a moment after the session has accepted the token.
    eventually("the session is counted", async || get("/health").await["sessions"] == 1).await;
    for path in ["/health", "/api/v1/health"] {
        let health = get(path).await;
        assert_eq!(health["status"], "healthy");
        assert!(health["database"].is_string());
        assert_eq!((&health["redis"], &health["sessions"]), (&json!("disabled"), &json!(1)));
        assert!(health["version"].is_string());
    }
    let live = server.target().http.get(format!("{}/health/live", server.target().origin)).send().await.unwrap();
    assert_eq!(live.status(), 200);
}

#[tokio::test]
async fn the_openapi_document_has_the_main_routes() {
    let server = TestServer::start().await;
    let answer = server.target().call(Method::GET, "/openapi.json", None, Body::None).await.expect(200);
    assert!(answer["openapi"].as_str().unwrap().starts_with("3.1"), "{}", answer["openapi"]);
    let paths: Vec<&String> = answer["paths"].as_object().unwrap().keys().collect();
    for path in [
        "/auth/register",
        "/auth/login",
        "/auth/refresh",
        "/auth/logout",
        "/auth/sessions",
        "/users/me",
        "/users/search",
        "/conversations",
        "/conversations/unread-count",
        "/conversations/{id}/messages",
        "/conversations/{id}/read",
        "/conversations/{id}/members",
    ] {
        assert!(paths.iter().any(|known| known.ends_with(path)), "{path} is not among {paths:?}");
    }
}

#[tokio::test]
async fn an_orderly_stop_informs_sessions_and_exits_with_zero() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut socket = alice.connect().await;
    let stopping = tokio::spawn(server.stop());
    let draining = socket.expect("server.draining").await;
    assert!(draining["payload"]["reconnect_after_ms"].is_u64(), "{draining}");
    socket.expect_close(1012).await;
    stopping.await.unwrap();
}
