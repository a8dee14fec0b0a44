//! Reading messages and conversations: the statements of a page, and the state of the caller in the first of them.

use crate::harness::{TestApp, TestSend, on_each_database, on_sqlite};
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::{App, HttpResponse, web};
use greenroom::domain::caller::Caller;
use greenroom::domain::ids::ConversationId;
use greenroom::http;
use greenroom::http::access::Access;
use greenroom::http::middleware::edge;
use greenroom::http::route::{Route, resources};
use greenroom::protocol::logins::Tokens;
use greenroom::usecases::{logins, reactions, refresh};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use utoipa::OpenApi;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Signs a user in.
async fn sign_in(test: &TestApp, user: &Caller) -> Tokens {
    logins::issue_tokens(&test.app, user.user_id, "a test", "127.0.0.1").await.unwrap()
}

/// Returns a call with a token.
fn call(path: &str, token: &str) -> actix_http::Request {
    let request = TestRequest::with_uri(path).peer_addr((HERE, 1).into());
    request.insert_header(("authorization", format!("Bearer {token}"))).to_request()
}

/// Makes a call, and returns the status and the body of the answer.
macro_rules! get {
    ($server:expr, $path:expr, $token:expr) => {{
        let answer = call_service($server, call($path, $token)).await;
        (answer.status().as_u16(), read_body_json::<Value, _>(answer).await)
    }};
}

/// Records all statements from now on.
fn record_statements(test: &TestApp) -> Arc<Mutex<Vec<String>>> {
    let statements: Arc<Mutex<Vec<String>>> = Arc::default();
    let recorded = statements.clone();
    test.app.db().observe(move |statement, _| recorded.lock().unwrap().push(statement.sql.clone()));
    statements
}

/// Returns the path of the history of a conversation, and the path of the list of conversations.
fn paths(conversation: ConversationId) -> [String; 2] {
    [format!("/api/v1/conversations/{conversation}/messages"), "/api/v1/conversations".to_owned()]
}

#[test]
fn a_page_takes_at_most_two_statements_whatever_belongs_to_its_messages() {
    on_each_database(&async |test: &TestApp| {
        let [anne, beno, carl] = test.users(3).await.try_into().unwrap();
        let group = test.group(&[anne, beno, carl]).await;
        let query = format!("SELECT username FROM users WHERE id = {}", test.id_literal(beno.user_id));
        let username: String = test.rows(&query).await[0].try_get("", "username").unwrap();
        let first = test.send(TestSend::new(group, &anne, format!("hello @{username}"))).await.unwrap().message;
        let answer = TestSend { reply_to: Some(first.id), ..TestSend::new(group, &beno, "an answer") };
        let second = test.send(answer).await.unwrap().message;
        let sticker = json!({ "pack": "cats", "id": "1" });
        test.send(TestSend { data: Some(sticker.clone()), ..TestSend::new(group, &carl, "") }).await.unwrap();
        for (user, emoji) in [(&beno, "👍"), (&carl, "🎉"), (&anne, "👍")] {
            reactions::add(&test.app, user, group, first.id, emoji).await.unwrap();
        }
        // The send of this user has moved the read mark.
        let read = format!("UPDATE participants SET read_at = 1 WHERE user_id = {}", test.id_literal(carl.user_id));
        test.run(&read).await;
        let server = init_service(http::service(test.http_services())).await;
        let token = sign_in(test, &anne).await.access_token;
        let statements = record_statements(test);
        let mut counts = [usize::MAX; 2];
        let mut pages = [Value::Null, Value::Null];
        // Tasks of the server read at the same time, so the least number of several calls counts.
        for _ in 0..5 {
            for (number, path) in paths(group).iter().enumerate() {
                test.wait_for_transactions().await;
                statements.lock().unwrap().clear();
                let (status, page) = get!(&server, path, &token);
                assert_eq!(status, 200, "{page}");
                counts[number] = counts[number].min(statements.lock().unwrap().len());
                pages[number] = page;
            }
        }
        assert_eq!(counts, [2, 1]);
        let [page, list] = pages;
        let shown: Vec<&Value> = page["items"].as_array().unwrap().iter().filter(|m| m["type"] != "system").collect();
        let brief = |message: &Value| message["sender"]["id"].clone();
        assert_eq!(shown[0]["mentions"], json!([beno.user_id]));
        assert_eq!(
            shown[0]["reactions"],
            json!([{ "emoji": "👍", "count": 2, "me": true }, { "emoji": "🎉", "count": 1, "me": false }])
        );
        assert_eq!((&shown[0]["status"], brief(shown[0])), (&json!("seen"), json!(anne.user_id)));
        assert_eq!(shown[1]["reply_to"]["content"], json!(format!("hello @{username}")));
        assert_eq!((&shown[1]["id"], brief(shown[1])), (&json!(second.id), json!(beno.user_id)));
        assert_eq!((shown[1].get("status"), &shown[2]["data"]), (None, &sticker));
        assert_eq!((&page["has_more_before"], &page["has_more_after"]), (&json!(false), &json!(false)));
        assert_eq!(page["rev"], list["items"][0]["last_rev"]);
    });
}

#[test]
fn a_caller_who_may_not_act_any_more_is_shown_nothing() {
    on_each_database(&async |test: &TestApp| {
        let server = init_service(http::service(test.http_services())).await;
        let statements = record_statements(test);
        let user_in = |user: &Caller| format!("id = {}", test.id_literal(user.user_id));
        for (name, refusal) in
            [("suspended", (403, "suspended")), ("deleted", (401, "unauthorized")), ("revoked", (401, "unauthorized"))]
        {
            for number in 0..4 {
                // The node remembers an ended login, so each call has a login of its own.
                let user = test.user().await;
                let group = test.group(&[user, test.user().await]).await;
                let (other, paths) = (test.user().await, paths(group));
                let token = sign_in(test, &user).await.access_token;
                assert_eq!(get!(&server, &paths[number % 2], &token).0, 200);
                if name == "revoked" {
                    let login = test.app.keys().verify_access_token(&token).unwrap().sid;
                    logins::revoke(&test.app, user, login).await.unwrap();
                } else {
                    let deleted_at = if name == "deleted" { "1" } else { "NULL" };
                    let set = format!("status = '{name}', deleted_at = {deleted_at}");
                    test.run(&format!("UPDATE users SET {set} WHERE {}", user_in(&user))).await;
                }
                // A call with a wrong parameter, or for the conversation of others, gets the same refusal.
                let hidden = test.group(&[other, test.user().await]).await;
                let path = match number {
                    0 | 1 => paths[number].clone(),
                    2 => format!("{}?limit=x", paths[1]),
                    _ => format!("/api/v1/conversations/{hidden}/messages"),
                };
                let (status, answer) = get!(&server, &path, &token);
                assert_eq!((status, answer["code"].as_str().unwrap()), refusal, "{name} {path}");
                assert!(answer.get("items").is_none());
                test.wait_for_transactions().await;
                statements.lock().unwrap().clear();
                let (status, _) = get!(&server, &path, &token);
                assert_eq!(status, refusal.0);
                let reads = statements.lock().unwrap().iter().filter(|sql| sql.contains("logins")).count();
                assert_eq!(reads, usize::from(name == "suspended"), "{name}: the node remembers an ended login");
            }
        }
    });
}

#[test]
fn the_first_read_with_a_new_token_is_recorded_before_it_is_answered() {
    on_each_database(&async |test: &TestApp| {
        let server = init_service(http::service(test.http_services())).await;
        let user = test.user().await;
        let group = test.group(&[user, test.user().await]).await;
        let mut issued = sign_in(test, &user).await;
        for (generation, path) in (1..).zip(paths(group)) {
            issued = refresh::refresh(&test.app, &issued.refresh_token, HERE).await.unwrap();
            assert_eq!(get!(&server, &path, &issued.access_token).0, 200);
            let rows = test.rows("SELECT seen_generation FROM logins").await;
            assert_eq!(rows[0].try_get::<i64>("", "seen_generation").unwrap(), generation, "{path}");
        }
    });
}

/// A route for the test below, whose handler does not decide.
#[utoipa::path(get, path = "/forgotten", responses((status = 200)))]
async fn forgotten() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "items": ["a secret"] }))
}

#[derive(OpenApi)]
#[openapi(paths(forgotten))]
struct Forgotten;

#[test]
fn no_answer_passes_without_a_decision() {
    on_sqlite(&async |test: &TestApp| {
        let routes = Route::all_of(Access::UserInRead, 1, || web::to(forgotten), Forgotten::openapi);
        let with_routes = resources(&routes).into_iter().fold(App::new(), App::service);
        let server = init_service(with_routes.app_data(web::Data::new(test.app.clone())).wrap(from_fn(edge))).await;
        let user = test.user().await;
        let token = sign_in(test, &user).await.access_token;
        assert_eq!(get!(&server, "/forgotten", &token).0, 200);
        test.run(&format!("UPDATE users SET status = 'suspended' WHERE id = {}", test.id_literal(user.user_id))).await;
        let (status, answer) = get!(&server, "/forgotten", &token);
        assert_eq!((status, &answer["code"]), (403, &json!("suspended")));
        assert!(answer.get("items").is_none());
    });
}
