//! Refusals of clients without a valid token: the server counts them and logs none of them.

use reqwest::Method;
use serde_json::json;

use crate::support::rest::Body;
use crate::support::{TestServer, eventually};

#[tokio::test]
async fn refusals_of_clients_without_a_token_are_not_logged() {
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
    let logged_answers = || -> Vec<String> {
        let log = server.log();
        log.lines().filter(|line| line.contains("answered")).map(str::to_owned).collect()
    };
    eventually("the last answer is in the log", async || {
        logged_answers().iter().any(|line| line.contains("/users/me") && line.contains("status=200"))
    })
    .await;
    let refused: Vec<String> = logged_answers().into_iter().filter(|line| line.contains("status=4")).collect();
    assert!(
        refused.len() == 1 && refused[0].contains("/auth/login"),
        "only the wrong password is logged: {refused:#?}"
    );
    server.stop().await;
}
