//! What is refused to somebody whom nobody can charge: it is counted, and makes no line in the log.

use reqwest::Method;
use serde_json::json;

use crate::support::rest::Body;
use crate::support::{TestServer, eventually};

#[tokio::test]
async fn what_is_refused_without_a_token_has_no_line_in_the_log() {
    let server = TestServer::start().await;
    let ada = server.user("ada").await;
    let target = server.target();
    for _ in 0..10 {
        for token in [None, Some("a.b.c")] {
            target.call(Method::GET, "/users/me", token, Body::None).await.refused(401, "unauthorized");
        }
        let large = Body::Raw(vec![b' '; 9000]);
        target.call(Method::POST, "/auth/login", None, large).await.refused(413, "payload_too_large");
        let no_json = Body::Raw(b"{".to_vec());
        target.call(Method::POST, "/auth/login", None, no_json).await.refused(400, "invalid_request");
        target.post("/auth/login", json!({ "login": 5 })).await.refused(422, "validation_failed");
    }
    let wrong = json!({ "login": "ada", "password": "not hers at all" });
    target.post("/auth/login", wrong).await.refused(401, "invalid_credentials");
    ada.get("/users/me").await.expect(200);
    let answered = || -> Vec<String> {
        let log = server.log();
        log.lines().filter(|line| line.contains("answered")).map(str::to_owned).collect()
    };
    eventually("the last answer is in the log", async || {
        answered().iter().any(|line| line.contains("/users/me") && line.contains("status=200"))
    })
    .await;
    let refused: Vec<String> = answered().into_iter().filter(|line| line.contains("status=4")).collect();
    assert!(refused.len() == 1 && refused[0].contains("/auth/login"), "the wrong password alone: {refused:#?}");
    server.stop().await;
}
