//! The life of a login: refreshes, reuse of a spent token, signing out, revoking, and a change of the password. A login
//! that has ended is refused immediately, and its sockets close.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use greenroom::domain::tokens;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Refusal, TestServer, TestUser};

async fn refresh(user: &TestUser, token: &str) -> crate::support::Answer {
    user.target.post("/auth/refresh", json!({ "refresh_token": token })).await
}

/// Asserts that the server refuses every credential of this login.
async fn assert_ended(user: &TestUser) {
    user.get("/users/me").await.refused(401, "unauthorized");
    let refused = refresh(user, &user.refresh_token).await;
    assert_eq!(refused.status, 401, "{}", refused.body);
    let socket = user.try_connect(crate::support::ConnectOptions::default()).await;
    assert_eq!(socket.expect_err("no session"), Refusal::Closed(Some(4401)));
}

#[tokio::test]
async fn a_refresh_spends_the_token_and_returns_a_successor() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let answer = refresh(&alice, &alice.refresh_token).await.expect(200);
    assert_ne!(answer["refresh_token"], alice.refresh_token.as_str());
    assert_eq!(answer["user"]["id"], alice.id.as_str());
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)));
    let renewed = TestUser::signed_in(&alice.target, &answer);
    renewed.get("/users/me").await.expect(200);
    alice.get("/users/me").await.expect(200);
    refresh(&renewed, &renewed.refresh_token).await.expect(200);
}

#[tokio::test]
async fn a_spent_token_returns_the_same_successor_within_ten_seconds() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let first = refresh(&alice, &alice.refresh_token).await.expect(200);
    let second = refresh(&alice, &alice.refresh_token).await.expect(200);
    assert_eq!(first["refresh_token"], second["refresh_token"]);
    TestUser::signed_in(&alice.target, &second).get("/users/me").await.expect(200);
}

#[tokio::test]
async fn two_concurrent_refreshes_return_the_same_successor() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let (first, second) = tokio::join!(refresh(&alice, &alice.refresh_token), refresh(&alice, &alice.refresh_token));
    assert_eq!(first.expect(200)["refresh_token"], second.expect(200)["refresh_token"]);
}

/// Changes the times of all refreshes as if a minute had passed. That is longer than the ten seconds in which a second
/// tab may send the same token.
async fn let_a_minute_pass(server: &TestServer) {
    server.sql("UPDATE refresh_tokens SET spent_at = spent_at - 60000 WHERE spent_at IS NOT NULL").await;
}

#[tokio::test]
async fn a_spent_token_whose_successor_was_used_ends_its_login_and_closes_its_sockets() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let other_login = alice.login().await;
    let renewed = TestUser::signed_in(&alice.target, &refresh(&alice, &alice.refresh_token).await.expect(200));
    let mut socket = renewed.connect().await;
    let mut other_socket = other_login.connect().await;

    let_a_minute_pass(&server).await;
    refresh(&alice, &alice.refresh_token).await.refused(401, "token_reused");

    let revoked = socket.expect("session.revoked").await;
    assert_eq!(revoked["payload"]["reason"], "token_reused");
    socket.expect_close(4401).await;
    assert_ended(&renewed).await;
    other_socket.assert_alive().await;
    other_login.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_refresh_can_be_repeated_after_a_lost_reply_however_late() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let lost = refresh(&alice, &alice.refresh_token).await.expect(200);
    for _ in 0..2 {
        let_a_minute_pass(&server).await;
        // The client uses the older access token until it expires. That does not show that the reply arrived.
        alice.get("/users/me").await.expect(200);
        let repeated = refresh(&alice, &alice.refresh_token).await.expect(200);
        assert_eq!(repeated["refresh_token"], lost["refresh_token"]);
    }
    let repeated = refresh(&alice, &alice.refresh_token).await.expect(200);
    let renewed = TestUser::signed_in(&alice.target, &repeated);
    renewed.get("/users/me").await.expect(200);
    let next = refresh(&renewed, &renewed.refresh_token).await.expect(200);
    TestUser::signed_in(&alice.target, &next).get("/users/me").await.expect(200);
}

#[tokio::test]
async fn refreshes_can_be_repeated_after_two_lost_replies_in_a_row() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let first = refresh(&alice, &alice.refresh_token).await.expect(200);
    let second = refresh(&alice, first["refresh_token"].as_str().unwrap()).await.expect(200);
    let_a_minute_pass(&server).await;
    assert_eq!(
        refresh(&alice, &alice.refresh_token).await.expect(200)["refresh_token"],
        first["refresh_token"],
        "the same successor, although it is spent too"
    );
    let repeated = refresh(&alice, first["refresh_token"].as_str().unwrap()).await.expect(200);
    assert_eq!(repeated["refresh_token"], second["refresh_token"]);
    TestUser::signed_in(&alice.target, &repeated).get("/users/me").await.expect(200);
    let_a_minute_pass(&server).await;
    refresh(&alice, &alice.refresh_token).await.refused(401, "token_reused");
}

#[tokio::test]
async fn two_holders_of_one_login_who_refresh_in_turns_end_it() {
    let server = TestServer::start().await;
    let owner = server.user("alice").await;
    let thief = owner.clone();
    let owner = TestUser::signed_in(&owner.target, &refresh(&owner, &owner.refresh_token).await.expect(200));
    owner.get("/users/me").await.expect(200);
    let_a_minute_pass(&server).await;
    refresh(&thief, &thief.refresh_token).await.refused(401, "token_reused");
    assert_ended(&owner).await;
    assert_ended(&thief).await;

    // If the thief refreshes first, the owner's refresh ends the login.
    let owner = server.user("bob").await;
    let thief = TestUser::signed_in(&owner.target, &refresh(&owner, &owner.refresh_token).await.expect(200));
    thief.get("/users/me").await.expect(200);
    let_a_minute_pass(&server).await;
    refresh(&owner, &owner.refresh_token).await.refused(401, "token_reused");
    assert_ended(&owner).await;
    assert_ended(&thief).await;
}

#[tokio::test]
async fn an_access_token_names_the_generation_of_its_refresh_token() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let generation = |user: &TestUser| {
        let payload = user.access_token.split('.').nth(1).unwrap();
        serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()["gen"].as_i64().unwrap()
    };
    let first = generation(&alice);
    let renewed = TestUser::signed_in(&alice.target, &refresh(&alice, &alice.refresh_token).await.expect(200));
    assert_eq!(generation(&renewed), first + 1);
    let repeated = TestUser::signed_in(&alice.target, &refresh(&alice, &alice.refresh_token).await.expect(200));
    assert_eq!(generation(&repeated), first + 1, "the same successor has the same generation");
}

#[tokio::test]
async fn signing_out_ends_only_this_login() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let other_login = alice.login().await;
    let mut socket = alice.connect().await;
    let mut other_socket = other_login.connect().await;
    alice.post_empty("/auth/logout").await.expect(204);
    let revoked = socket.expect("session.revoked").await;
    assert_eq!(revoked["stream"], "user");
    assert_eq!(revoked["payload"]["reason"], "logout");
    socket.expect_close(4401).await;
    assert_ended(&alice).await;
    other_socket.assert_alive().await;
    other_login.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_user_lists_their_logins_and_revokes_one() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let second = alice.login().await;
    let mut socket = second.connect().await;

    let list = alice.get("/auth/sessions").await.expect(200);
    let logins = list["items"].as_array().unwrap();
    assert_eq!(logins.len(), 2);
    for login in logins {
        for field in ["id", "device", "ip", "created_at", "last_used_at"] {
            assert!(login.get(field).is_some(), "a login has {field}: {login}");
        }
        assert_eq!(login["ip"], "127.0.0.1");
    }
    let current: Vec<&Value> = logins.iter().filter(|login| login["current"] == true).collect();
    assert_eq!(current.len(), 1, "{list}");
    let list_of_second = second.get("/auth/sessions").await.expect(200);
    let other = list_of_second["items"].as_array().unwrap().iter().find(|login| login["current"] == true).unwrap();
    let path = format!("/auth/sessions/{}", other["id"].as_str().unwrap());

    alice.delete(&path).await.expect(204);
    let revoked = socket.expect("session.revoked").await;
    assert_eq!(revoked["payload"]["login_id"], other["id"]);
    socket.expect_close(4401).await;
    assert_ended(&second).await;
    alice.delete(&path).await.expect(204);
    let left = alice.get("/auth/sessions").await.expect(200);
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn another_users_login_cannot_be_revoked() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let list = bob.get("/auth/sessions").await.expect(200);
    let id = list["items"][0]["id"].as_str().unwrap();
    alice.delete(&format!("/auth/sessions/{id}")).await.refused(404, "not_found");
    alice.delete("/auth/sessions/nonsense").await.refused(400, "invalid_request");
    bob.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_new_password_ends_the_other_logins() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let other_login = alice.login().await;
    let mut socket = alice.connect().await;
    let mut other_socket = other_login.connect().await;

    let wrong = json!({ "current_password": "not the password", "new_password": "another password" });
    let refused = alice.put("/users/me/password", wrong).await;
    assert!((400..500).contains(&refused.status), "{}", refused.body);
    other_socket.assert_alive().await;
    let weak = json!({ "current_password": PASSWORD, "new_password": "short" });
    alice.put("/users/me/password", weak).await.invalid("new_password");

    let change = json!({ "current_password": PASSWORD, "new_password": "another password" });
    alice.put("/users/me/password", change).await.expect(204);
    let revoked = other_socket.expect("session.revoked").await;
    assert_eq!(revoked["payload"]["reason"], "password");
    other_socket.expect_close(4401).await;
    assert_ended(&other_login).await;
    socket.assert_alive().await;
    alice.get("/users/me").await.expect(200);

    let login =
        |password: &'static str| server.target().post("/auth/login", json!({ "login": "alice", "password": password }));
    login(PASSWORD).await.refused(401, "invalid_credentials");
    login("another password").await.expect(200);
}

#[tokio::test]
async fn a_login_survives_a_restart() {
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    server.kill();
    server.restart().await;
    alice.get("/users/me").await.expect(200);
    refresh(&alice, &alice.refresh_token).await.expect(200);
}

/// An older version of the server issued 32 random bytes, without a login or a MAC, and stored their hash.
#[tokio::test]
async fn a_refresh_token_of_an_older_version_is_valid_until_it_is_refreshed() {
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let plain = URL_SAFE_NO_PAD.encode([7; 32]);
    refresh(&alice, &plain).await.refused(401, "unauthorized");
    let hash = tokens::body_hash(plain.as_bytes());
    let literal =
        if crate::support::database::runs_on_postgres() { format!("'\\x{hash}'") } else { format!("x'{hash}'") };
    let (created, expires) = (1, i64::MAX / 2);
    server.kill();
    server
        .sql(&format!(
            "INSERT INTO refresh_tokens (token_hash, login_id, created_at, expires_at)
             SELECT {literal}, id, {created}, {expires} FROM logins"
        ))
        .await;
    // The migration that added logins and MACs writes this row.
    server.sql(&format!("INSERT INTO meta (key, value) VALUES ('plain_tokens_until', '{expires}')")).await;
    server.restart().await;

    let first = refresh(&alice, &plain).await.expect(200);
    let renewed = TestUser::signed_in(&alice.target, &first);
    assert_eq!(refresh(&alice, &plain).await.expect(200)["refresh_token"], first["refresh_token"]);
    assert!(renewed.refresh_token.len() > plain.len());
    renewed.get("/users/me").await.expect(200);
    let_a_minute_pass(&server).await;
    refresh(&alice, &plain).await.refused(401, "token_reused");
}

#[tokio::test]
async fn a_malformed_refresh_token_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for token in ["", "nonsense", alice.access_token.as_str()] {
        let refused = refresh(&alice, token).await;
        assert!(matches!(refused.status, 401 | 422), "{token}: {}", refused.body);
    }
    alice.get("/users/me").await.expect(200);
}
