//! The limits on wrong passwords, registrations, sign-ins and refreshes, by account, login and address. They let a
//! whole school use one address, and still stop a client that guesses passwords. The addresses are those that a trusted
//! proxy names.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestServer, TestUser};

/// The address of most users here.
const SCHOOL: &str = "203.0.113.1";
const ELSEWHERE: &str = "198.51.100.1";

thread_local! {
    /// A client that waits long enough for the queue of passwords on a busy machine.
    static HTTP: reqwest::Client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(3)).build().expect("a client");
}

/// Starts a server with the limits of the contract, behind a proxy that names the address of each client.
async fn start_server() -> TestServer {
    start_with_limit("10").await
}

async fn start_with_limit(per_minute: &str) -> TestServer {
    TestServer::builder()
        .set("GREENROOM_LIMIT_AUTH_PER_MINUTE", per_minute)
        .set("GREENROOM_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await
}

/// The answer to a call from an address.
#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: Value,
}

impl Answer {
    #[track_caller]
    fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, &self.body["code"]), (status, &json!(code)), "{}", self.body);
        assert!(self.retry_after.is_some_and(|seconds| (1..=3600).contains(&seconds)), "{self:?}");
    }
}

async fn post_from(server: &TestServer, address: &str, path: &str, body: Value) -> Answer {
    let url = format!("{}/api/v1{path}", server.target().origin);
    let request = HTTP.with(Clone::clone).post(url).header("x-forwarded-for", address);
    let response = request.json(&body).send().await.expect("an answer");
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    Answer { status: response.status().as_u16(), retry_after, body: response.json().await.unwrap_or(Value::Null) }
}

async fn sign_in(server: &TestServer, address: &str, login: &str, password: &str) -> Answer {
    post_from(server, address, "/auth/login", json!({ "login": login, "password": password })).await
}

async fn register(server: &TestServer, address: &str, name: &str) -> Answer {
    let email = format!("{name}@example.org");
    let body = json!({ "username": name, "password": PASSWORD, "email": email });
    let answer = post_from(server, address, "/auth/register", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer
}

/// Returns the number of answers by status.
fn count_by_status<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> BTreeMap<u16, usize> {
    answers.into_iter().fold(BTreeMap::new(), |mut counts, answer| {
        *counts.entry(answer.status).or_default() += 1;
        counts
    })
}

#[tokio::test]
async fn a_thousand_concurrent_guesses_get_no_more_answers_than_the_limit() {
    let server = start_server().await;
    register(&server, ELSEWHERE, "alice").await;
    let guesses: Vec<String> = (0..1000).map(|number| format!("guess number {number}")).collect();
    let answers = join_all(guesses.iter().map(|guess| sign_in(&server, SCHOOL, "alice", guess))).await;
    let counts = count_by_status(&answers);
    assert_eq!(counts.get(&401), Some(&5), "{counts:?}");
    assert!(counts.keys().all(|status| matches!(status, 401 | 429 | 503)), "{counts:?}");
    for answer in answers.iter().filter(|answer| answer.status == 429) {
        answer.refused(429, "rate_limited");
    }
    for answer in answers.iter().filter(|answer| answer.status == 503) {
        answer.refused(503, "busy");
    }
    // Guesses at many names count against the address.
    let names: Vec<String> = (0..200).map(|number| format!("unknown{number}")).collect();
    let answers = join_all(names.iter().map(|name| sign_in(&server, SCHOOL, name, "a wrong password"))).await;
    let counts = count_by_status(&answers);
    assert_eq!(counts.get(&401), Some(&5), "ten guesses with the five above: {counts:?}");
    assert_eq!(sign_in(&server, ELSEWHERE, "alice", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn wrong_guesses_of_a_pupil_lock_out_no_other_user_at_the_same_address() {
    let server = start_server().await;
    for name in ["alice", "bob"] {
        register(&server, SCHOOL, name).await;
    }
    register(&server, ELSEWHERE, "carol").await;
    for number in 0..10 {
        let answer = sign_in(&server, SCHOOL, &format!("unknown{number}"), "a wrong password").await;
        assert_eq!(answer.status, 401, "{}", answer.body);
    }
    sign_in(&server, SCHOOL, "unknown", "a wrong password").await.refused(429, "rate_limited");
    for name in ["alice", "bob@example.org", "Bob"] {
        assert_eq!(sign_in(&server, SCHOOL, name, PASSWORD).await.status, 200, "{name} is known at this address");
    }
    // A user who never signed in at this address has to wait, or to use an address where they are known.
    sign_in(&server, SCHOOL, "carol", PASSWORD).await.refused(429, "rate_limited");
    assert_eq!(sign_in(&server, ELSEWHERE, "carol", PASSWORD).await.status, 200);
    // Guesses at a known account are still limited.
    let mut counts = BTreeMap::new();
    for _ in 0..8 {
        *counts.entry(sign_in(&server, SCHOOL, "alice", "a wrong password").await.status).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([(401, 5), (429, 3)]));
}

#[tokio::test]
async fn a_username_and_an_email_address_of_one_account_share_one_limit() {
    let server = start_server().await;
    register(&server, ELSEWHERE, "alice").await;
    for login in ["alice", "alice@example.org", "ALICE", "Alice@Example.org", " alice "] {
        assert_eq!(sign_in(&server, SCHOOL, login, "a wrong password").await.status, 401, "{login}");
    }
    for login in ["alice", "alice@example.org"] {
        sign_in(&server, SCHOOL, login, PASSWORD).await.refused(429, "rate_limited");
    }
}

#[tokio::test]
async fn right_passwords_count_only_as_sign_ins() {
    let server = start_server().await;
    register(&server, SCHOOL, "alice").await;
    let answers = join_all((0..10).map(|_| sign_in(&server, SCHOOL, "alice", PASSWORD))).await;
    assert_eq!(count_by_status(&answers), BTreeMap::from([(200, 10)]), "sign-ins wait while five are under way");
    sign_in(&server, SCHOOL, "alice", PASSWORD).await.refused(429, "rate_limited");
    sign_in(&server, ELSEWHERE, "alice", PASSWORD).await.refused(429, "rate_limited");
    register(&server, SCHOOL, "bob").await;
    assert_eq!(sign_in(&server, SCHOOL, "bob", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn after_a_hundred_wrong_passwords_an_account_accepts_sign_ins_only_from_known_addresses() {
    let server = start_server().await;
    register(&server, SCHOOL, "alice").await;
    register(&server, ELSEWHERE, "bob").await;
    let guess = async |address: usize| {
        let address = format!("2001:db8:0:{address:x}::1");
        sign_in(&server, &address, "alice", "a wrong password").await.status
    };
    let mut statuses = Vec::new();
    for addresses in (0..25).collect::<Vec<_>>().chunks(5) {
        statuses.extend(join_all(addresses.iter().flat_map(|address| (0..5).map(|_| guess(*address)))).await);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 100, "{statuses:?}");
    sign_in(&server, ELSEWHERE, "alice", PASSWORD).await.refused(429, "rate_limited");
    assert_eq!(sign_in(&server, SCHOOL, "alice", PASSWORD).await.status, 200);
    assert_eq!(sign_in(&server, SCHOOL, "bob", PASSWORD).await.status, 200, "another account is not limited");
    // An address is known for 30 days after a sign-in.
    server.sql("UPDATE logins SET created_at = created_at - 2678400000").await;
    sign_in(&server, SCHOOL, "alice", PASSWORD).await.refused(429, "rate_limited");
}

#[tokio::test]
async fn all_addresses_of_an_ipv6_network_count_as_one() {
    let server = start_server().await;
    for host in 1..=5 {
        let answer = sign_in(&server, &format!("2001:db8::{host}"), "alice", "a wrong password").await;
        assert_eq!(answer.status, 401);
    }
    sign_in(&server, "2001:db8:0:0:ffff::1", "alice", "a wrong password").await.refused(429, "rate_limited");
    assert_eq!(sign_in(&server, "2001:db8:0:1::1", "alice", "a wrong password").await.status, 401);
}

#[tokio::test]
async fn thirty_concurrent_refreshes_from_one_address_all_succeed() {
    let server = start_server().await;
    let names: Vec<String> = (0..30).map(|number| format!("pupil{number}")).collect();
    let registered = join_all(names.iter().map(|name| register(&server, SCHOOL, name))).await;
    let refreshes = registered.iter().map(|answer| {
        let body = json!({ "refresh_token": answer.body["refresh_token"] });
        post_from(&server, SCHOOL, "/auth/refresh", body)
    });
    let answers = join_all(refreshes).await;
    assert_eq!(count_by_status(&answers), BTreeMap::from([(200, 30)]));
}

#[tokio::test]
async fn a_login_can_refresh_ten_times_a_minute() {
    let server = start_server().await;
    let mut token = register(&server, SCHOOL, "alice").await.body["refresh_token"].clone();
    let spent = token.clone();
    for _ in 0..10 {
        let answer = post_from(&server, SCHOOL, "/auth/refresh", json!({ "refresh_token": token })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        token = answer.body["refresh_token"].clone();
    }
    // The limit allows one more refresh every six seconds. The hundred calls together do not take long enough for all.
    let refreshes = (0..100).map(|_| post_from(&server, ELSEWHERE, "/auth/refresh", json!({ "refresh_token": spent })));
    let answers = join_all(refreshes).await;
    answers.iter().find(|answer| answer.status == 429).expect("a refusal").refused(429, "rate_limited");
    let other = sign_in(&server, SCHOOL, "alice", PASSWORD).await.body["refresh_token"].clone();
    let answer = post_from(&server, SCHOOL, "/auth/refresh", json!({ "refresh_token": other })).await;
    assert_eq!(answer.status, 200, "another login of the same user is not limited: {}", answer.body);
}

#[tokio::test]
async fn an_address_can_try_sixty_registrations_together_even_if_all_fail() {
    let server = start_server().await;
    let register_invalid =
        || post_from(&server, SCHOOL, "/auth/register", json!({ "username": "a", "password": PASSWORD }));
    let answers = join_all((0..60).map(|_| register_invalid())).await;
    assert_eq!(count_by_status(&answers), BTreeMap::from([(422, 60)]));
    let answers = join_all((0..100).map(|_| register_invalid())).await;
    answers.iter().find(|answer| answer.status == 429).expect("a refusal").refused(429, "rate_limited");
    register(&server, ELSEWHERE, "alice").await;
}

#[tokio::test]
async fn guesses_at_the_password_of_a_signed_in_user_are_limited_too() {
    let server = start_server().await;
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
async fn changes_of_a_password_count_as_sign_ins_and_concurrent_changes_conflict() {
    let server = start_server().await;
    let alice = TestUser::signed_in(server.target(), &register(&server, SCHOOL, "alice").await.body);
    let change = json!({ "current_password": PASSWORD, "new_password": PASSWORD });
    let answers = join_all((0..30).map(|_| alice.put("/users/me/password", change.clone()))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let count = |status| statuses.iter().filter(|other| **other == status).count();
    assert_eq!((count(204) + count(409), count(429)), (10, 20), "{statuses:?}");
    assert!(count(204) > 0 && count(409) > 0, "{statuses:?}");
    answers.into_iter().find(|answer| answer.status == 409).expect("a conflict").refused(409, "conflict");
    let login = json!({ "login": "alice", "password": PASSWORD });
    post_from(&server, SCHOOL, "/auth/login", login).await.refused(429, "rate_limited");
    register(&server, SCHOOL, "bob").await;
    let other = post_from(&server, SCHOOL, "/auth/login", json!({ "login": "bob", "password": PASSWORD }));
    assert_eq!(other.await.status, 200);
}

#[tokio::test]
async fn changes_of_a_password_are_not_limited_if_the_operator_turns_the_limit_off() {
    let server = start_with_limit("0").await;
    let alice = TestUser::signed_in(server.target(), &register(&server, SCHOOL, "alice").await.body);
    for _ in 0..12 {
        let change = json!({ "current_password": PASSWORD, "new_password": PASSWORD });
        alice.put("/users/me/password", change).await.expect(204);
    }
}

#[tokio::test]
async fn a_full_queue_of_passwords_is_busy() {
    let server = start_with_limit("0").await;
    register(&server, SCHOOL, "alice").await;
    let answers = join_all((0..1000).map(|_| sign_in(&server, SCHOOL, "alice", "a wrong password"))).await;
    let counts = count_by_status(&answers);
    assert!(counts.keys().all(|status| matches!(status, 401 | 503)), "{counts:?}");
    assert!(counts.get(&401).is_some_and(|answered| *answered >= 256), "{counts:?}");
    answers.iter().find(|answer| answer.status == 503).expect("a full queue").refused(503, "busy");
    assert_eq!(
        sign_in(&server, SCHOOL, "alice", PASSWORD).await.status,
        200,
        "without limits, wrong passwords do not count"
    );
}

#[tokio::test]
async fn a_configured_limit_replaces_each_limit_of_ten_a_minute() {
    let server = start_with_limit("2").await;
    let token = register(&server, SCHOOL, "alice").await.body["refresh_token"].clone();
    let answers =
        join_all((0..50).map(|_| post_from(&server, SCHOOL, "/auth/refresh", json!({ "refresh_token": token })))).await;
    assert!((2..6).contains(&count_by_status(&answers)[&200]), "{:?}", count_by_status(&answers));
    for number in 0..2 {
        assert_eq!(sign_in(&server, SCHOOL, &format!("unknown{number}"), PASSWORD).await.status, 401);
    }
    sign_in(&server, SCHOOL, "unknown", PASSWORD).await.refused(429, "rate_limited");
    for _ in 0..2 {
        assert_eq!(sign_in(&server, SCHOOL, "alice", PASSWORD).await.status, 200);
    }
    sign_in(&server, SCHOOL, "alice", PASSWORD).await.refused(429, "rate_limited");
}
