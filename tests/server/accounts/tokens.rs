//! Invalid access tokens and tickets. REST refuses them with 401, and a socket with an error and the close code 4401.
//! The valid credentials of the same user keep working.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Auth, ConnectOptions, Refusal, TestServer, TestUser};

const SECRET: &str = "a secret of more than thirty-two bytes";

async fn start_server() -> TestServer {
    TestServer::builder().set("GREENROOM_JWT_SECRET", SECRET).start().await
}

/// Returns the claims of the user's valid token.
fn claims_of(user: &TestUser) -> Value {
    let payload = user.access_token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn sign(algorithm: Algorithm, claims: &Value, secret: &str) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Asserts that the server refuses the token over REST, and over sockets in each way to send it.
async fn assert_refused(user: &TestUser, why: &str, token: &str) {
    let forger = TestUser { access_token: token.to_owned(), ..user.clone() };
    let answer = forger.get("/users/me").await;
    assert_eq!((answer.status, &answer.body["code"]), (401, &json!("unauthorized")), "{why}: {}", answer.body);
    for auth in [Auth::Subprotocol, Auth::Query, Auth::Header, Auth::FirstFrame] {
        let refused = forger.try_connect(TestUser::by(auth.clone())).await;
        assert_eq!(refused.expect_err(why), Refusal::Closed(Some(4401)), "{why}, {auth:?}");
    }
}

#[tokio::test]
async fn the_claims_are_those_of_the_contract() {
    let server = start_server().await;
    let alice = server.user("alice").await;
    let claims = claims_of(&alice);
    assert_eq!(claims["iss"], "greenroom");
    assert_eq!(claims["sub"], alice.id.as_str());
    assert_eq!(claims["role"], "user");
    assert!(claims["jti"].is_string() && claims["sid"].is_string(), "{claims}");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 900);
    // The server accepts what this test signs. So it refuses the tokens of the other tests because of their changes,
    // and not because of how they are signed.
    let signed_here = TestUser { access_token: sign(Algorithm::HS256, &claims, SECRET), ..alice };
    signed_here.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let server = start_server().await;
    let alice = server.user("alice").await;
    let mut claims = claims_of(&alice);
    claims["iat"] = json!(now() - 1_000);
    claims["exp"] = json!(now() - 100);
    assert_refused(&alice, "expired", &sign(Algorithm::HS256, &claims, SECRET)).await;
    alice.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let server = start_server().await;
    let alice = server.user("alice").await;
    let claims = claims_of(&alice);
    assert_refused(&alice, "another secret", &sign(Algorithm::HS256, &claims, "another secret of thirty-two bytes!"))
        .await;
    assert_refused(&alice, "another algorithm", &sign(Algorithm::HS384, &claims, SECRET)).await;
    assert_refused(&alice, "no token at all", "nonsense").await;

    let parts: Vec<&str> = alice.access_token.split('.').collect();
    let unsigned = URL_SAFE_NO_PAD.encode(json!({ "alg": "none", "typ": "JWT" }).to_string());
    assert_refused(&alice, "no signature", &format!("{unsigned}.{}.", parts[1])).await;
    let mut altered = claims.clone();
    altered["role"] = json!("admin");
    let altered = URL_SAFE_NO_PAD.encode(altered.to_string());
    assert_refused(&alice, "altered claims", &format!("{}.{altered}.{}", parts[0], parts[2])).await;

    for (claim, value) in [("iss", json!("elsewhere")), ("sid", json!("01890a5d-ac96-774b-bcce-b302099a8057"))] {
        let mut altered = claims.clone();
        altered[claim] = value;
        assert_refused(&alice, claim, &sign(Algorithm::HS256, &altered, SECRET)).await;
    }
    alice.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_token_of_another_user_with_this_login_is_refused() {
    let server = start_server().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let mut claims = claims_of(&alice);
    claims["sub"] = json!(bob.id);
    assert_refused(&alice, "another subject", &sign(Algorithm::HS256, &claims, SECRET)).await;
}

#[tokio::test]
async fn calls_without_a_token_are_refused() {
    let server = start_server().await;
    for path in ["/users/me", "/conversations", "/auth/sessions", "/users/search?q=a"] {
        let answer = server.target().call(reqwest::Method::GET, path, None, crate::support::rest::Body::None).await;
        answer.refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn the_server_does_not_start_with_a_short_secret_and_names_the_setting() {
    let server = start_server().await;
    let folder = server.folder().join("second");
    std::fs::create_dir(&folder).unwrap();
    let environment = [
        ("GREENROOM_JWT_SECRET".to_owned(), "too short".to_owned()),
        ("GREENROOM_DATA_DIR".to_owned(), folder.display().to_string()),
        ("GREENROOM_PORT".to_owned(), crate::support::process::free_port().to_string()),
    ];
    let output = crate::support::process::program(&folder, &environment).arg("serve").output().unwrap();
    assert!(!output.status.success());
    let output = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.contains("JWT_SECRET") || output.contains("jwt_secret"), "{output}");
}

#[tokio::test]
async fn a_ticket_opens_one_socket() {
    let server = start_server().await;
    let alice = server.user("alice").await;
    let answer = alice.post_empty("/ws/ticket").await;
    assert_eq!(answer.body["expires_in"], 30);
    let ticket = answer.body["ticket"].as_str().unwrap().to_owned();
    let options = || ConnectOptions { auth: Auth::Ticket(ticket.clone()), ..ConnectOptions::default() };
    let mut socket = alice.connect_with(options()).await;
    assert_eq!(socket.auth_success["user_id"], alice.id.as_str());
    assert_eq!(alice.try_connect(options()).await.expect_err("spent"), Refusal::Closed(Some(4401)));
    socket.assert_alive().await;
    let nonsense = TestUser::by(Auth::Ticket("nonsense".to_owned()));
    assert_eq!(alice.try_connect(nonsense).await.expect_err("nonsense"), Refusal::Closed(Some(4401)));
}

/// Each check of a spent ticket would be a transaction that writes, so handshakes with it are limited.
#[tokio::test]
async fn a_spent_ticket_costs_a_handshake_of_its_user() {
    let server = TestServer::builder().set("GREENROOM_LIMIT_API_PER_SECOND", "100").start().await;
    let alice = server.user("alice").await;
    let ticket = alice.ticket().await;
    let attempts = (0..200).map(|_| alice.try_connect(TestUser::by(Auth::Ticket(ticket.clone()))));
    let results = futures_util::future::join_all(attempts).await;
    let closed = |code| {
        results.iter().filter(|result| matches!(result, Err(Refusal::Closed(Some(found))) if *found == code)).count()
    };
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "one socket");
    assert!(closed(4401) > 0 && closed(4429) > 0, "{} unknown, {} too many", closed(4401), closed(4429));
    assert_eq!(closed(4401) + closed(4429) + 1, 200);
}

#[tokio::test]
async fn a_ticket_of_a_login_that_ended_is_refused() {
    let server = start_server().await;
    let alice = server.user("alice").await;
    let ticket = alice.ticket().await;
    alice.post_empty("/auth/logout").await.expect(204);
    let refused = alice.try_connect(TestUser::by(Auth::Ticket(ticket))).await;
    assert_eq!(refused.expect_err("signed out"), Refusal::Closed(Some(4401)));
}
