//! No list query grows with the length of the history: every route is called on a database with a long one, every statement
//! that the server sends for it is written down with its parameters, and the database is asked what it does for each.
//!
//! The calls are those of the authorisation matrix, so a new route is in this test as soon as it has its row there; and the
//! statements are those that were really sent, so a new query is in it without being named anywhere.
//!
//! On SQLite always, on PostgreSQL where `GREENROOM_TEST_POSTGRES` names a server. The history has 200,000 messages, or as
//! many as `GREENROOM_TEST_HISTORY` says.

// A test stops by panicking.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "plans/history.rs"]
mod history;
#[path = "inside/mod.rs"]
mod inside;
#[path = "plans/judge.rs"]
mod judge;
#[path = "api/matrix/table.rs"]
#[allow(dead_code)]
mod table;

use actix::prelude::*;
use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use greenroom::http::{self, Services, health::Draining};
use greenroom::messages::{OpenRooms, ToPresence, ToRoom};
use greenroom::realtime::session::Surroundings;
use greenroom::usecases::logins;
use history::History;
use inside::{Inside, on_each_database};
use judge::Judge;
use sea_orm::Statement;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use table::{CALLERS, Row, TABLE};

/// Stands where the hub and the presence registry stand; no socket is opened here.
struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<OpenRooms> for Nobody {
    type Result = Vec<Recipient<ToRoom>>;

    fn handle(&mut self, _: OpenRooms, _: &mut Self::Context) -> Self::Result {
        Vec::new()
    }
}

impl Handler<ToPresence> for Nobody {
    type Result = ();

    fn handle(&mut self, _: ToPresence, _: &mut Self::Context) {}
}

fn messages() -> usize {
    std::env::var("GREENROOM_TEST_HISTORY").map_or(200_000, |count| count.parse().expect("a number of messages"))
}

/// Calls after which the owner is none any more; they come last.
fn ends(row: &Row) -> bool {
    let leaves =
        row.path == "/conversations/{id:room}" || row.path.contains("{ref:me}") || row.path.contains("{ref:owner}");
    row.method == "DELETE" && leaves || row.body.as_deref() == Some(r#"{"role":"owner"}"#)
}

#[test]
fn no_query_grows_with_the_length_of_the_history() {
    on_each_database(&async |inside: &Inside| {
        let history = History::fill(inside, messages()).await;
        let judge = Judge::new(inside).await;
        let token =
            logins::issue(&inside.app, history.owner.user_id, "a test", "127.0.0.1").await.unwrap().access_token;
        let nobody = Nobody.start();
        let around =
            Surroundings { app: inside.app.clone(), hub: nobody.clone().recipient(), presence: nobody.recipient() };
        let service = init_service(http::service(Services { around, draining: Draining::default() })).await;
        let said: Arc<Mutex<Vec<Statement>>> = Arc::default();
        let heard = said.clone();
        inside.app.db().observe(move |statement, _| heard.lock().unwrap().push(statement.clone()));

        let mut rows = table::rows(TABLE, CALLERS.len());
        rows.retain(|row| !row.path.starts_with("/auth") && !row.path.contains("password") && row.path != "/ws");
        rows.sort_by_key(|row| (row.method != "GET", ends(row)));
        let mut judged: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in &rows {
            let named = |name: &str| match name {
                "room" => history.room.to_string(),
                "said" => history.said.to_string(),
                "mine" => history.mine.to_string(),
                "target" | "target_id" | "peer" => history.target.user_id.to_string(),
                "deputy" => history.deputy.user_id.to_string(),
                "guest" | "foe" => history.guest.user_id.to_string(),
                "me" | "owner" => history.owner.user_id.to_string(),
                "thumb" => "%F0%9F%91%8D".to_owned(),
                other => other.to_owned(),
            };
            let path = format!("/api/v1{}", row.path(named));
            let request = TestRequest::with_uri(&path)
                .method(Method::from_bytes(row.method.as_bytes()).unwrap())
                .peer_addr(([127, 0, 0, 1], 1).into())
                .insert_header(("authorization", format!("Bearer {token}")))
                .insert_header(("content-type", "application/json"));
            let request = match row.body(named) {
                Some(body) => request.set_payload(body),
                None => TestRequest::with_uri(&path)
                    .method(Method::from_bytes(row.method.as_bytes()).unwrap())
                    .peer_addr(([127, 0, 0, 1], 1).into())
                    .insert_header(("authorization", format!("Bearer {token}"))),
            };
            said.lock().unwrap().clear();
            let answer = call_service(&service, request.to_request()).await;
            let status = answer.status().as_u16();
            if row.method == "GET" {
                let body = read_body(answer).await;
                assert_eq!(status, 200, "{} {path}: {}", row.method, String::from_utf8_lossy(&body));
            }
            assert!(status < 500, "{} {path}: {status}", row.method);
            inside.settled().await;
            let statements = std::mem::take(&mut *said.lock().unwrap());
            for statement in statements {
                if !judged.contains_key(&statement.sql) {
                    let faults = judge.faults(&statement).await;
                    let faults = faults.into_iter().map(|fault| format!("{} {}: {fault}", row.method, row.path));
                    judged.insert(statement.sql, faults.collect());
                }
            }
        }
        let wrong: Vec<String> = judged.values().flatten().cloned().collect();
        assert!(judged.len() > rows.len() / 2, "only {} statements were seen", judged.len());
        eprintln!("{} statements on {}", judged.len(), if inside.is_postgres() { "PostgreSQL" } else { "SQLite" });
        assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    });
}
