//! How often one may try: wrong passwords, registrations, sign-ins and refreshes, by account, login and address, so
//! that a school behind one address lives with it and somebody who guesses does not. Addresses are those that a trusted
//! proxy names.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestServer, TestUser};

/// Where everybody is.
const SCHOOL: &str = "203.0.113.1";
const ELSEWHERE: &str = "198.51.100.1";

thread_local! {
    /// A client that waits for its turn in the queue of passwords, which on a busy machine takes a while.
    static HTTP: reqwest::Client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(3)).build().expect("a client");
}

/// A server with the limits of the contract, behind a proxy that says who comes from where.
async fn server() -> TestServer {
    with_limit("10").await
}

async fn with_limit(per_minute: &str) -> TestServer {
    TestServer::builder()
        .set("GREENROOM_LIMIT_AUTH_PER_MINUTE", per_minute)
        .set("GREENROOM_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await
}

/// What a call from an address met.
#[derive(Debug)]
struct Met {
    status: u16,
    retry_after: Option<u64>,
    body: Value,
}

impl Met {
    #[track_caller]
    fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, &self.body["code"]), (status, &json!(code)), "{}", self.body);
        assert!(self.retry_after.is_some_and(|seconds| (1..=3600).contains(&seconds)), "{self:?}");
    }
}

async fn from(server: &TestServer, address: &str, path: &str, body: Value) -> Met {
    let url = format!("{}/api/v1{path}", server.target().origin);
    let request = HTTP.with(Clone::clone).post(url).header("x-forwarded-for", address);
    let answer = request.json(&body).send().await.expect("an answer");
    let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    Met { status: answer.status().as_u16(), retry_after, body: answer.json().await.unwrap_or(Value::Null) }
}

async fn sign_in(server: &TestServer, address: &str, login: &str, password: &str) -> Met {
    from(server, address, "/auth/login", json!({ "login": login, "password": password })).await
}

async fn register(server: &TestServer, address: &str, name: &str) -> Met {
    let email = format!("{name}@example.org");
    let met =
        from(server, address, "/auth/register", json!({ "username": name, "password": PASSWORD, "email": email }))
            .await;
    assert_eq!(met.status, 201, "{}", met.body);
    met
}

/// How often each status came.
fn counted<'a>(met: impl IntoIterator<Item = &'a Met>) -> BTreeMap<u16, usize> {
    met.into_iter().fold(BTreeMap::new(), |mut counts, met| {
        *counts.entry(met.status).or_default() += 1;
        counts
    })
}

#[tokio::test]
async fn a_thousand_guesses_at_once_get_no_more_answers_than_the_limit() {
    let server = server().await;
    register(&server, ELSEWHERE, "alice").await;
    let guesses: Vec<String> = (0..1000).map(|number| format!("guess number {number}")).collect();
    let met = join_all(guesses.iter().map(|guess| sign_in(&server, SCHOOL, "alice", guess))).await;
    let counts = counted(&met);
    assert_eq!(counts.get(&401), Some(&5), "{counts:?}");
    assert!(counts.keys().all(|status| matches!(status, 401 | 429 | 503)), "{counts:?}");
    for refused in met.iter().filter(|met| met.status == 429) {
        refused.refused(429, "rate_limited");
    }
    for refused in met.iter().filter(|met| met.status == 503) {
        refused.refused(503, "busy");
    }
    // with many names, the address answers
    let names: Vec<String> = (0..200).map(|number| format!("nobody{number}")).collect();
    let met = join_all(names.iter().map(|name| sign_in(&server, SCHOOL, name, "a wrong password"))).await;
    assert_eq!(counted(&met).get(&401), Some(&5), "ten with those of before: {:?}", counted(&met));
    assert_eq!(sign_in(&server, ELSEWHERE, "alice", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_pupil_who_guesses_wrongly_locks_nobody_else_out_behind_the_same_address() {
    let server = server().await;
    for name in ["alice", "bob"] {
        register(&server, SCHOOL, name).await;
    }
    register(&server, ELSEWHERE, "carol").await;
    for number in 0..10 {
        let met = sign_in(&server, SCHOOL, &format!("nobody{number}"), "a wrong password").await;
        assert_eq!(met.status, 401, "{}", met.body);
    }
    sign_in(&server, SCHOOL, "nobody", "a wrong password").await.refused(429, "rate_limited");
    for name in ["alice", "bob@example.org", "Bob"] {
        assert_eq!(sign_in(&server, SCHOOL, name, PASSWORD).await.status, 200, "{name} is known there");
    }
    // one who was never here has to wait, or come from where he is known
    sign_in(&server, SCHOOL, "carol", PASSWORD).await.refused(429, "rate_limited");
    assert_eq!(sign_in(&server, ELSEWHERE, "carol", PASSWORD).await.status, 200);
    // a known account is guessed at no more often for it
    let mut counts = BTreeMap::new();
    for _ in 0..8 {
        *counts.entry(sign_in(&server, SCHOOL, "alice", "a wrong password").await.status).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([(401, 5), (429, 3)]));
}

#[tokio::test]
async fn a_username_and_an_address_of_one_account_are_one_account() {
    let server = server().await;
    register(&server, ELSEWHERE, "alice").await;
    for login in ["alice", "alice@example.org", "ALICE", "Alice@Example.org", " alice "] {
        assert_eq!(sign_in(&server, SCHOOL, login, "a wrong password").await.status, 401, "{login}");
    }
    for login in ["alice", "alice@example.org"] {
        sign_in(&server, SCHOOL, login, PASSWORD).await.refused(429, "rate_limited");
    }
}

#[tokio::test]
async fn right_passwords_cost_nothing_but_sign_ins() {
    let server = server().await;
    register(&server, SCHOOL, "alice").await;
    let met = join_all((0..10).map(|_| sign_in(&server, SCHOOL, "alice", PASSWORD))).await;
    assert_eq!(counted(&met), BTreeMap::from([(200, 10)]), "those beyond five at once wait");
    sign_in(&server, SCHOOL, "alice", PASSWORD).await.refused(429, "rate_limited");
    sign_in(&server, ELSEWHERE, "alice", PASSWORD).await.refused(429, "rate_limited");
    register(&server, SCHOOL, "bob").await;
    assert_eq!(sign_in(&server, SCHOOL, "bob", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn after_a_hundred_wrong_ones_from_anywhere_an_account_is_tried_where_it_is_known() {
    let server = server().await;
    register(&server, SCHOOL, "alice").await;
    register(&server, ELSEWHERE, "bob").await;
    let guess = async |address: usize| {
        let address = format!("2001:db8:0:{address:x}::1");
        sign_in(&server, &address, "alice", "a wrong password").await.status
    };
    let mut met = Vec::new();
    for addresses in (0..25).collect::<Vec<_>>().chunks(5) {
        met.extend(join_all(addresses.iter().flat_map(|address| (0..5).map(|_| guess(*address)))).await);
    }
    assert_eq!(met.iter().filter(|status| **status == 401).count(), 100, "{met:?}");
    sign_in(&server, ELSEWHERE, "alice", PASSWORD).await.refused(429, "rate_limited");
    assert_eq!(sign_in(&server, SCHOOL, "alice", PASSWORD).await.status, 200);
    assert_eq!(sign_in(&server, SCHOOL, "bob", PASSWORD).await.status, 200, "another account");
    // who signed in more than 30 days ago is not known any more
    server.sql("UPDATE logins SET created_at = created_at - 2678400000").await;
    sign_in(&server, SCHOOL, "alice", PASSWORD).await.refused(429, "rate_limited");
}

#[tokio::test]
async fn addresses_of_one_network_of_version_6_are_one() {
    let server = server().await;
    for host in 1..=5 {
        let met = sign_in(&server, &format!("2001:db8::{host}"), "alice", "a wrong password").await;
        assert_eq!(met.status, 401);
    }
    sign_in(&server, "2001:db8:0:0:ffff::1", "alice", "a wrong password").await.refused(429, "rate_limited");
    assert_eq!(sign_in(&server, "2001:db8:0:1::1", "alice", "a wrong password").await.status, 401);
}

#[tokio::test]
async fn thirty_refreshes_at_once_from_one_address_are_all_served() {
    let server = server().await;
    let names: Vec<String> = (0..30).map(|number| format!("pupil{number}")).collect();
    let registered = join_all(names.iter().map(|name| register(&server, SCHOOL, name))).await;
    let refreshes = registered.iter().map(|met| {
        let body = json!({ "refresh_token": met.body["refresh_token"] });
        from(&server, SCHOOL, "/auth/refresh", body)
    });
    let met = join_all(refreshes).await;
    assert_eq!(counted(&met), BTreeMap::from([(200, 30)]));
}

#[tokio::test]
async fn a_login_refreshes_ten_times_a_minute() {
    let server = server().await;
    let mut token = register(&server, SCHOOL, "alice").await.body["refresh_token"].clone();
    let spent = token.clone();
    for _ in 0..10 {
        let met = from(&server, SCHOOL, "/auth/refresh", json!({ "refresh_token": token })).await;
        assert_eq!(met.status, 200, "{}", met.body);
        token = met.body["refresh_token"].clone();
    }
    // in six seconds there is one more; a hundred calls do not take as long, all together
    let tries = (0..100).map(|_| from(&server, ELSEWHERE, "/auth/refresh", json!({ "refresh_token": spent })));
    let met = join_all(tries).await;
    met.iter().find(|met| met.status == 429).expect("a refusal").refused(429, "rate_limited");
    let other = sign_in(&server, SCHOOL, "alice", PASSWORD).await.body["refresh_token"].clone();
    let met = from(&server, SCHOOL, "/auth/refresh", json!({ "refresh_token": other })).await;
    assert_eq!(met.status, 200, "another login of the same user: {}", met.body);
}

#[tokio::test]
async fn sixty_register_at_once_from_an_address_whatever_comes_of_it() {
    let server = server().await;
    let invalid = || from(&server, SCHOOL, "/auth/register", json!({ "username": "a", "password": PASSWORD }));
    let met = join_all((0..60).map(|_| invalid())).await;
    assert_eq!(counted(&met), BTreeMap::from([(422, 60)]));
    let met = join_all((0..100).map(|_| invalid())).await;
    met.iter().find(|met| met.status == 429).expect("a refusal").refused(429, "rate_limited");
    register(&server, ELSEWHERE, "alice").await;
}

#[tokio::test]
async fn the_password_of_a_signed_in_user_is_guessed_no_more_often() {
    let server = server().await;
    let alice = TestUser::signed_in(server.target(), &register(&server, SCHOOL, "alice").await.body);
    let guess = json!({ "current_password": "a wrong password", "new_password": "another password" });
    for _ in 0..5 {
        alice.put("/users/me/password", guess.clone()).await.refused(401, "invalid_credentials");
    }
    alice.put("/users/me/password", guess).await.refused(429, "rate_limited");
    let right = json!({ "current_password": PASSWORD, "new_password": "another password" });
    alice.put("/users/me/password", right).await.refused(429, "rate_limited");
}

#[tokio::test]
async fn changes_of_a_password_count_as_sign_ins_and_one_of_those_at_once_is_made() {
    let server = server().await;
    let alice = TestUser::signed_in(server.target(), &register(&server, SCHOOL, "alice").await.body);
    let change = json!({ "current_password": PASSWORD, "new_password": PASSWORD });
    let met = join_all((0..30).map(|_| alice.put("/users/me/password", change.clone()))).await;
    let statuses: Vec<u16> = met.iter().map(|answer| answer.status).collect();
    let of = |status| statuses.iter().filter(|other| **other == status).count();
    assert_eq!((of(204) + of(409), of(429)), (10, 20), "{statuses:?}");
    assert!(of(204) > 0 && of(409) > 0, "{statuses:?}");
    met.into_iter().find(|answer| answer.status == 409).expect("one that lost").refused(409, "conflict");
    let login = json!({ "login": "alice", "password": PASSWORD });
    from(&server, SCHOOL, "/auth/login", login).await.refused(429, "rate_limited");
    register(&server, SCHOOL, "bob").await;
    let other = from(&server, SCHOOL, "/auth/login", json!({ "login": "bob", "password": PASSWORD }));
    assert_eq!(other.await.status, 200);
}

#[tokio::test]
async fn changes_of_a_password_are_not_counted_where_the_operator_says_so() {
    let server = with_limit("0").await;
    let alice = TestUser::signed_in(server.target(), &register(&server, SCHOOL, "alice").await.body);
    for _ in 0..12 {
        let change = json!({ "current_password": PASSWORD, "new_password": PASSWORD });
        alice.put("/users/me/password", change).await.expect(204);
    }
}

#[tokio::test]
async fn a_full_queue_of_passwords_is_busy() {
    let server = with_limit("0").await;
    register(&server, SCHOOL, "alice").await;
    let met = join_all((0..1000).map(|_| sign_in(&server, SCHOOL, "alice", "a wrong password"))).await;
    let counts = counted(&met);
    assert!(counts.keys().all(|status| matches!(status, 401 | 503)), "{counts:?}");
    assert!(counts.get(&401).is_some_and(|answered| *answered >= 256), "{counts:?}");
    met.iter().find(|met| met.status == 503).expect("a full queue").refused(503, "busy");
    assert_eq!(
        sign_in(&server, SCHOOL, "alice", PASSWORD).await.status,
        200,
        "without limits, nothing is held against it"
    );
}

#[tokio::test]
async fn another_limit_replaces_each_ten_a_minute() {
    let server = with_limit("2").await;
    let token = register(&server, SCHOOL, "alice").await.body["refresh_token"].clone();
    let met =
        join_all((0..50).map(|_| from(&server, SCHOOL, "/auth/refresh", json!({ "refresh_token": token })))).await;
    assert!((2..6).contains(&counted(&met)[&200]), "{:?}", counted(&met));
    for number in 0..2 {
        assert_eq!(sign_in(&server, SCHOOL, &format!("nobody{number}"), PASSWORD).await.status, 401);
    }
    sign_in(&server, SCHOOL, "nobody", PASSWORD).await.refused(429, "rate_limited");
    for _ in 0..2 {
        assert_eq!(sign_in(&server, SCHOOL, "alice", PASSWORD).await.status, 200);
    }
    sign_in(&server, SCHOOL, "alice", PASSWORD).await.refused(429, "rate_limited");
}
