//! Access tokens that are not what they seem, and tickets: refused over REST by 401, over WebSocket by an
//! error and 4401, and nobody else is disturbed.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Auth, ConnectOptions, Refusal, TestServer, TestUser};

const SECRET: &str = "a secret of more than thirty-two bytes";

async fn server() -> TestServer {
    TestServer::builder().set("GREENROOM_JWT_SECRET", SECRET).start().await
}

/// The claims of a real token, to alter.
fn claims(user: &TestUser) -> Value {
    let payload = user.access_token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn sign(algorithm: Algorithm, claims: &Value, secret: &str) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The token opens nothing, in no way.
async fn is_refused(user: &TestUser, why: &str, token: &str) {
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
    let server = server().await;
    let alice = server.user("alice").await;
    let claims = claims(&alice);
    assert_eq!(claims["iss"], "greenroom");
    assert_eq!(claims["sub"], alice.id.as_str());
    assert_eq!(claims["role"], "user");
    assert!(claims["jti"].is_string() && claims["sid"].is_string(), "{claims}");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 900);
    // Signed by us in the same way it is accepted: what follows is refused for what was altered, not for the signing.
    let same = TestUser { access_token: sign(Algorithm::HS256, &claims, SECRET), ..alice };
    same.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let server = server().await;
    let alice = server.user("alice").await;
    let mut claims = claims(&alice);
    claims["iat"] = json!(now() - 1_000);
    claims["exp"] = json!(now() - 100);
    is_refused(&alice, "expired", &sign(Algorithm::HS256, &claims, SECRET)).await;
    alice.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let server = server().await;
    let alice = server.user("alice").await;
    let claims = claims(&alice);
    is_refused(&alice, "another secret", &sign(Algorithm::HS256, &claims, "another secret of thirty-two bytes!")).await;
    is_refused(&alice, "another algorithm", &sign(Algorithm::HS384, &claims, SECRET)).await;
    is_refused(&alice, "no token at all", "nonsense").await;

    let parts: Vec<&str> = alice.access_token.split('.').collect();
    let unsigned = URL_SAFE_NO_PAD.encode(json!({ "alg": "none", "typ": "JWT" }).to_string());
    is_refused(&alice, "no signature", &format!("{unsigned}.{}.", parts[1])).await;
    let mut altered = claims.clone();
    altered["role"] = json!("admin");
    let altered = URL_SAFE_NO_PAD.encode(altered.to_string());
    is_refused(&alice, "altered claims", &format!("{}.{altered}.{}", parts[0], parts[2])).await;

    for (claim, value) in [("iss", json!("elsewhere")), ("sid", json!("01890a5d-ac96-774b-bcce-b302099a8057"))] {
        let mut altered = claims.clone();
        altered[claim] = value;
        is_refused(&alice, claim, &sign(Algorithm::HS256, &altered, SECRET)).await;
    }
    alice.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_token_of_another_user_with_this_login_is_refused() {
    let server = server().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let mut claims = claims(&alice);
    claims["sub"] = json!(bob.id);
    is_refused(&alice, "another subject", &sign(Algorithm::HS256, &claims, SECRET)).await;
}

#[tokio::test]
async fn calls_without_a_token_are_refused() {
    let server = server().await;
    for path in ["/users/me", "/conversations", "/auth/sessions", "/users/search?q=a"] {
        let answer = server.target().call(reqwest::Method::GET, path, None, crate::support::rest::Body::None).await;
        answer.refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_short_secret_stops_the_start_with_a_line_that_names_it() {
    let server = server().await;
    let folder = server.folder().join("second");
    std::fs::create_dir(&folder).unwrap();
    let environment = [
        ("GREENROOM_JWT_SECRET".to_owned(), "too short".to_owned()),
        ("GREENROOM_DATA_DIR".to_owned(), folder.display().to_string()),
        ("GREENROOM_PORT".to_owned(), crate::support::process::free_port().to_string()),
    ];
    let output = crate::support::process::program(&folder, &environment).arg("serve").output().unwrap();
    assert!(!output.status.success());
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("JWT_SECRET") || told.contains("jwt_secret"), "{told}");
}

#[tokio::test]
async fn a_ticket_opens_one_socket() {
    let server = server().await;
    let alice = server.user("alice").await;
    let answer = alice.post_nothing("/ws/ticket").await;
    assert_eq!(answer.body["expires_in"], 30);
    let ticket = answer.body["ticket"].as_str().unwrap().to_owned();
    let options = || ConnectOptions { auth: Auth::Ticket(ticket.clone()), ..ConnectOptions::default() };
    let mut socket = alice.connect_with(options()).await;
    assert_eq!(socket.welcome["user_id"], alice.id.as_str());
    assert_eq!(alice.try_connect(options()).await.expect_err("spent"), Refusal::Closed(Some(4401)));
    socket.is_alive().await;
    let nonsense = TestUser::by(Auth::Ticket("nonsense".to_owned()));
    assert_eq!(alice.try_connect(nonsense).await.expect_err("nonsense"), Refusal::Closed(Some(4401)));
}

/// Every look at it would be a transaction that writes.
#[tokio::test]
async fn a_spent_ticket_costs_its_owner_a_handshake() {
    let server = TestServer::builder().set("GREENROOM_LIMIT_API_PER_SECOND", "100").start().await;
    let alice = server.user("alice").await;
    let ticket = alice.ticket().await;
    let tries = (0..200).map(|_| alice.try_connect(TestUser::by(Auth::Ticket(ticket.clone()))));
    let met = futures_util::future::join_all(tries).await;
    let closed =
        |code| met.iter().filter(|met| matches!(met, Err(Refusal::Closed(Some(with))) if *with == code)).count();
    assert_eq!(met.iter().filter(|met| met.is_ok()).count(), 1, "one socket");
    assert!(closed(4401) > 0 && closed(4429) > 0, "{} unknown, {} too many", closed(4401), closed(4429));
    assert_eq!(closed(4401) + closed(4429) + 1, 200);
}

#[tokio::test]
async fn a_ticket_of_a_login_that_ended_opens_nothing() {
    let server = server().await;
    let alice = server.user("alice").await;
    let ticket = alice.ticket().await;
    alice.post_nothing("/auth/logout").await.expect(204);
    let refused = alice.try_connect(TestUser::by(Auth::Ticket(ticket))).await;
    assert_eq!(refused.expect_err("signed out"), Refusal::Closed(Some(4401)));
}
