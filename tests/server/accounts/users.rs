//! Registration, signing in, profiles, and the search for users.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::json;

use crate::support::{PASSWORD, TestServer, TestUser};

#[tokio::test]
async fn a_registration_returns_the_user_and_tokens() {
    let server = TestServer::start().await;
    let body = json!({
        "username": "Alice.B-1_x",
        "password": PASSWORD,
        "email": "alice@example.org",
        "display_name": "Alice Ängström",
    });
    let answer = server.target().post("/auth/register", body).await.expect(201);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 900);
    assert!(answer["access_token"].is_string() && answer["refresh_token"].is_string(), "{answer}");
    let user = &answer["user"];
    assert_eq!(user["username"], "Alice.B-1_x");
    assert_eq!(user["display_name"], "Alice Ängström");
    assert_eq!(user["email"], "alice@example.org");
    assert_eq!(user["role"], "user");
    assert_eq!(user["external_id"], json!(null));
    for field in ["avatar_url", "presence", "last_seen_at", "created_at", "locale", "status", "share_read_receipts"] {
        assert!(user.get(field).is_some(), "the user's own profile has {field}: {user}");
    }
    let id: uuid::Uuid = user["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
}

#[tokio::test]
async fn a_username_is_unique_in_any_case() {
    let server = TestServer::start().await;
    server.user("Alice").await;
    let body = json!({ "username": "aLICE", "password": PASSWORD });
    server.target().post("/auth/register", body).await.refused(409, "username_taken");
}

#[tokio::test]
async fn an_email_address_is_unique() {
    let server = TestServer::start().await;
    let body = |name: &str| json!({ "username": name, "password": PASSWORD, "email": "shared@example.org" });
    server.target().post("/auth/register", body("alice")).await.expect(201);
    server.target().post("/auth/register", body("bobby")).await.refused(409, "email_taken");
}

#[tokio::test]
async fn two_concurrent_registrations_of_one_name_create_one_user() {
    let server = TestServer::start().await;
    let body = || json!({ "username": "alice", "password": PASSWORD });
    let (first, second) =
        tokio::join!(server.target().post("/auth/register", body()), server.target().post("/auth/register", body()));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn an_invalid_username_is_refused_and_the_field_is_named() {
    let server = TestServer::start().await;
    let long = "x".repeat(33);
    let reserved = ["me", "all", "here", "everyone", "search", "system", "presence", "ext", "SYSTEM", "Everyone"];
    for name in ["ab", &long, "with space", "höhe", "a/b", "", "nul\0nul"].into_iter().chain(reserved) {
        let body = json!({ "username": name, "password": PASSWORD });
        server.target().post("/auth/register", body).await.invalid("username");
    }
}

#[tokio::test]
async fn a_password_has_8_to_128_characters() {
    let server = TestServer::start().await;
    let register = |name: &'static str, password: String| {
        server.target().post("/auth/register", json!({ "username": name, "password": password }))
    };
    register("short", "1234567".to_owned()).await.invalid("password");
    register("long", "x".repeat(129)).await.invalid("password");
    register("shortest", "ünïcödé1".to_owned()).await.expect(201);
    register("longest", "é".repeat(128)).await.expect(201);
}

#[tokio::test]
async fn all_invalid_fields_are_named_together() {
    let server = TestServer::start().await;
    let body = json!({ "username": "x", "password": "short", "email": "nobody" });
    let answer = server.target().post("/auth/register", body).await;
    answer.clone().invalid("username");
    answer.clone().invalid("password");
    answer.invalid("email");
}

#[tokio::test]
async fn a_user_signs_in_by_username_or_email_address() {
    let server = TestServer::start().await;
    let body = json!({ "username": "alice", "password": PASSWORD, "email": "alice@example.org" });
    let registered = server.target().post("/auth/register", body).await.expect(201);
    for login in ["alice", "alice@example.org"] {
        let body = json!({ "login": login, "password": PASSWORD });
        let answer = server.target().post("/auth/login", body).await.expect(200);
        assert_eq!(answer["user"]["id"], registered["user"]["id"]);
        assert_ne!(answer["refresh_token"], registered["refresh_token"]);
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let login = |name: &'static str| {
        server.target().post("/auth/login", json!({ "login": name, "password": "not the password" }))
    };
    let wrong = login("alice").await.refused(401, "invalid_credentials");
    let unknown = login("nobody").await.refused(401, "invalid_credentials");
    assert_eq!(wrong["detail"], unknown["detail"]);
    assert_eq!(wrong["title"], unknown["title"]);
}

#[tokio::test]
async fn registration_can_be_closed() {
    let server = TestServer::builder().set("GREENROOM_REGISTRATION", "closed").start().await;
    let body = json!({ "username": "alice", "password": PASSWORD });
    server.target().post("/auth/register", body).await.refused(403, "registration_closed");
}

#[tokio::test]
async fn a_change_of_a_profile_leaves_the_other_fields() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let changed = alice.patch("/users/me", json!({ "display_name": "Alice A.", "locale": "vi" })).await.expect(200);
    assert_eq!((&changed["display_name"], &changed["locale"]), (&json!("Alice A."), &json!("vi")));
    let avatar = json!({ "avatar_url": "https://example.org/a.png" });
    let changed = alice.patch("/users/me", avatar).await.expect(200);
    assert_eq!(changed["avatar_url"], "https://example.org/a.png");
    assert_eq!(changed["display_name"], "Alice A.");
    let changed = alice.patch("/users/me", json!({ "share_read_receipts": false })).await.expect(200);
    assert_eq!(changed["share_read_receipts"], false);
    let me = alice.get("/users/me").await.expect(200);
    assert_eq!(alice.get("/users/alice").await.expect(200), me);
    assert_eq!(alice.get(&format!("/users/{}", alice.id)).await.expect(200), me);
    assert_eq!(me, changed);
}

#[tokio::test]
async fn an_invalid_change_of_a_profile_is_refused_and_the_field_is_named() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let long = format!("https://example.org/{}", "x".repeat(2048));
    for (field, value) in [
        ("avatar_url", json!("http://example.org/a.png")),
        ("avatar_url", json!("javascript:alert(1)")),
        ("avatar_url", json!(long)),
        ("email", json!("nobody")),
        ("share_read_receipts", json!("yes")),
        ("display_name", json!("x".repeat(256))),
        ("display_name", json!("nul\0")),
        ("role", json!("admin")),
        ("username", json!("another")),
    ] {
        alice.patch("/users/me", json!({ field: value })).await.invalid(field);
    }
}

#[tokio::test]
async fn a_user_cannot_take_the_email_address_of_another_user() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    alice.patch("/users/me", json!({ "email": "a@example.org" })).await.expect(200);
    bob.patch("/users/me", json!({ "email": "a@example.org" })).await.refused(409, "email_taken");
    alice.patch("/users/me", json!({ "email": "a@example.org" })).await.expect(200);
}

#[tokio::test]
async fn a_user_is_found_by_id_and_by_username() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("Bob").await;
    for reference in [bob.id.as_str(), "Bob", "bob"] {
        let user = alice.get(&format!("/users/{reference}")).await.expect(200);
        assert_eq!(user["id"], bob.id.as_str());
        for own in ["email", "locale", "status", "share_read_receipts"] {
            assert!(user.get(own).is_none_or(serde_json::Value::is_null), "other users do not see {own}: {user}");
        }
    }
    alice.get("/users/nobody").await.refused(404, "not_found");
    alice.get("/users/ext:nobody").await.refused(404, "not_found");
    alice.get("/users/01890a5d-ac96-774b-bcce-b302099a8057").await.refused(404, "not_found");
}

#[tokio::test]
async fn search_finds_prefixes_and_substrings_with_accents_folded() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let rename = |user: TestUser, name: &'static str| async move {
        user.patch("/users/me", json!({ "display_name": name })).await.expect(200);
        user.id
    };
    let ha = rename(server.user("dth").await, "Đặng Thị Hà").await;
    let jose = rename(server.user("peperoni").await, "José Øster").await;
    for (query, expected) in [
        ("dang", &ha),
        ("thi h", &ha),
        ("%C4%90%E1%BA%B7ng", &ha),
        ("pepe", &jose),
        ("roni", &jose),
        ("JOSE", &jose),
        ("oster", &jose),
    ] {
        let found = alice.get(&format!("/users/search?q={}", query.replace(' ', "%20"))).await.expect(200);
        let ids: Vec<&str> = found["items"].as_array().unwrap().iter().filter_map(|user| user["id"].as_str()).collect();
        assert_eq!(ids, [expected.as_str()], "{query}");
        assert_eq!(found["next_cursor"], json!(null));
    }
    for operator in ["%25", "_", "*", "%5C"] {
        let found = alice.get(&format!("/users/search?q={operator}")).await.expect(200);
        assert_eq!(found["items"], json!([]), "{operator} has no special meaning");
    }
}

#[tokio::test]
async fn search_is_paged_without_gaps_or_repetitions() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut expected = Vec::new();
    for number in 0..7 {
        expected.push(server.user(&format!("member-{number}")).await.id);
    }
    let mut found = Vec::new();
    let mut path = "/users/search?q=member&limit=3".to_owned();
    loop {
        let page = alice.get(&path).await.expect(200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        found.extend(items.iter().map(|user| user["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/users/search?q=member&limit=3&cursor={cursor}");
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_password_is_the_same_however_a_keyboard_composes_it() {
    let server = TestServer::start().await;
    let (composed, decomposed) = ("Mot de pass\u{E9}", "Mot de passe\u{301}");
    let body = json!({ "username": "rene", "password": decomposed });
    server.target().post("/auth/register", body).await.expect(201);
    let sign_in =
        |password: &'static str| server.target().post("/auth/login", json!({ "login": "rene", "password": password }));
    for password in [composed, decomposed, "Mot\u{A0}de\u{3000}pass\u{E9}"] {
        sign_in(password).await.expect(200);
    }
    for wrong in ["Mot de passe", "Mot de pass\u{E9} ", "mot de pass\u{E9}"] {
        sign_in(wrong).await.refused(401, "invalid_credentials");
    }
    // No account has a password with such a character, so the sign-in fails like any other and is not a 422.
    sign_in("Mot de pass\u{7}").await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn a_password_has_characters_that_can_be_typed_and_is_counted_in_its_normal_form() {
    let server = TestServer::start().await;
    let register = async |name: &str, password: &str| {
        server.target().post("/auth/register", json!({ "username": name, "password": password })).await
    };
    for bad in ["pass\u{7}word", "pass\u{200B}word", "pass\u{E000}word", "pass\u{FFFF}word", "e\u{301}234567"] {
        register("alice", bad).await.invalid("password");
    }
    for (number, good) in
        ["пароль и пароль", "合言葉は八文字以上です", "🥳🥳🥳🥳🥳🥳🥳🥳", &"e\u{301}".repeat(128)].iter().enumerate()
    {
        register(&format!("user{number}"), good).await.expect(201);
    }
}

/// An older version of the server hashed the bytes as the client sent them.
#[tokio::test]
async fn a_hash_of_an_older_version_is_valid_and_is_replaced() {
    let server = TestServer::start().await;
    let (composed, decomposed) = ("Mot de pass\u{E9}", "Mot de passe\u{301}");
    server.target().post("/auth/register", json!({ "username": "rene", "password": composed })).await.expect(201);
    let (salt, mut hash) = ([7; 16], [0; 32]);
    argon2::Argon2::default().hash_password_into(decomposed.as_bytes(), &salt, &mut hash).unwrap();
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    server.sql(&format!("UPDATE users SET password_hash = '$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}'")).await;
    let sign_in =
        |password: &'static str| server.target().post("/auth/login", json!({ "login": "rene", "password": password }));
    sign_in(composed).await.refused(401, "invalid_credentials");
    sign_in(decomposed).await.expect(200);
    sign_in(composed).await.expect(200);
    sign_in(decomposed).await.expect(200);
}

#[tokio::test]
async fn an_email_address_is_the_same_however_it_is_composed() {
    let server = TestServer::start().await;
    let register = async |name: &str, email: &str| {
        let body = json!({ "username": name, "password": PASSWORD, "email": email });
        server.target().post("/auth/register", body).await
    };
    register("rene", "ren\u{E9}@example.org").await.expect(201);
    register("other", "rene\u{301}@example.org").await.refused(409, "email_taken");
    register("other", "RENE\u{301}@Example.org").await.refused(409, "email_taken");
    for login in ["rene\u{301}@example.org", "REN\u{C9}@example.org"] {
        server.target().post("/auth/login", json!({ "login": login, "password": PASSWORD })).await.expect(200);
    }
}

#[tokio::test]
async fn an_account_that_lost_its_email_address_is_logged_at_the_start() {
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    server.kill();
    for user in [&alice, &bob] {
        let (key, email) = (format!("email_lost/{}", user.id.replace('-', "")), "ren\u{E9}@example.org");
        server.sql(&format!("INSERT INTO meta (key, value) VALUES ('{key}', '{email}')")).await;
    }
    server.sql("UPDATE users SET email = 'b@example.org', email_key = 'b@example.org' WHERE username = 'bob'").await;
    server.restart().await;
    let lines: Vec<String> =
        server.log().lines().filter(|line| line.contains("lost its e-mail")).map(str::to_owned).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("alice") && lines[0].contains("@example.org"), "{lines:?}");
}
