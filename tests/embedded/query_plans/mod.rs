//! No list query grows with the length of the history: each route is called on a database with a long history, every
//! statement that the server sends is recorded with its parameters, and the database returns its plan.
//!
//! The calls are the rows of the authorisation matrix, so a new route is tested as soon as it has its row there. The
//! statements are those that were really sent, so a new query is tested without being named here.
//!
//! The history has 200,000 messages, or as many as `GREENROOM_TEST_HISTORY` says.

mod conversation_list;
mod large_history;
mod misleading_statistics;
mod plan_check;
mod young_database;

use crate::harness::{TestApp, on_each_database};
use crate::support::authorization_table::{self, CALLERS, Row, TABLE};
use actix::prelude::*;
use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use greenroom::domain::ids::Rev;
use greenroom::domain::limits;
use greenroom::domain::stream::Stream;
use greenroom::http::{self, HttpServices, health::Draining};
use greenroom::mailboxes::{OpenRooms, ToPresence, ToRoom};
use greenroom::realtime::session::SessionServices;
use greenroom::store::db::pools::ReadPool;
use greenroom::store::log;
use greenroom::usecases::{logins, sessions};
use large_history::History;
use plan_check::PlanChecker;
use sea_orm::Statement;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// An actor instead of the hub and the presence actor. No socket is opened here.
struct IdleActor;

impl Actor for IdleActor {
    type Context = Context<Self>;
}

impl Handler<OpenRooms> for IdleActor {
    type Result = greenroom::error::Result<Vec<Recipient<ToRoom>>>;

    fn handle(&mut self, _: OpenRooms, _: &mut Self::Context) -> Self::Result {
        Ok(Vec::new())
    }
}

impl Handler<ToPresence> for IdleActor {
    type Result = ();

    fn handle(&mut self, _: ToPresence, _: &mut Self::Context) {}
}

fn messages() -> usize {
    std::env::var("GREENROOM_TEST_HISTORY").map_or(200_000, |count| count.parse().expect("a number of messages"))
}

/// Returns true for a call after which the caller is no owner any more. These calls come last.
fn removes_ownership(row: &Row) -> bool {
    let leaves =
        row.path == "/conversations/{id:room}" || row.path.contains("{ref:me}") || row.path.contains("{ref:owner}");
    row.method == "DELETE" && leaves || row.body.as_deref() == Some(r#"{"role":"owner"}"#)
}

/// The recorded statements and their faults. Each statement text is checked once.
struct StatementChecker {
    plans: PlanChecker,
    recorded: Arc<Mutex<Vec<Statement>>>,
    checked: BTreeSet<String>,
    wrong: Vec<String>,
}

impl StatementChecker {
    /// Checks the statements since the last call of this function, which belong to the named call.
    async fn check(&mut self, call: &str) {
        let statements = std::mem::take(&mut *self.recorded.lock().unwrap());
        for statement in statements {
            if self.checked.insert(statement.sql.clone()) {
                let faults = self.plans.faults(&statement).await;
                self.wrong.extend(faults.into_iter().map(|fault| format!("{call}: {fault}")));
            }
        }
    }
}

/// Signs the owner of the history in.
async fn access_token(test: &TestApp, history: &History) -> String {
    logins::issue_tokens(&test.app, history.owner.user_id, "a test", "127.0.0.1").await.unwrap().access_token
}

/// Calls every route as the owner of the history, and the functions with which a session and a reader of the log read.
/// After each call, `check` gets its name.
async fn make_every_call(
    test: &TestApp,
    history: &History,
    token: &str,
    messages: usize,
    check: &mut impl AsyncFnMut(&str),
) {
    let idle = IdleActor.start();
    let sessions = SessionServices { app: test.app.clone(), hub: idle.clone().recipient(), presence: idle.recipient() };
    let service = init_service(http::service(HttpServices { sessions, draining: Draining::default() })).await;

    let mut rows = authorization_table::rows(TABLE, CALLERS.len());
    rows.retain(|row| !row.path.starts_with("/auth") && !row.path.contains("password") && row.path != "/ws");
    rows.sort_by_key(|row| (row.method != "GET", removes_ownership(row)));
    for row in &rows {
        let named = |name: &str| match name {
            "room" => history.room.to_string(),
            "theirs" => history.theirs.to_string(),
            "mine" => history.mine.to_string(),
            "target" | "target_id" | "peer" => history.target.user_id.to_string(),
            "second-admin" => history.second_admin.user_id.to_string(),
            "guest" | "spammer" => history.guest.user_id.to_string(),
            "me" | "owner" => history.owner.user_id.to_string(),
            "thumb" => "%F0%9F%91%8D".to_owned(),
            other => other.to_owned(),
        };
        let path = format!("/api/v1{}", row.path(named));
        let mut request = TestRequest::with_uri(&path)
            .method(Method::from_bytes(row.method.as_bytes()).unwrap())
            .peer_addr(([127, 0, 0, 1], 1).into())
            .insert_header(("authorization", format!("Bearer {token}")));
        if let Some(body) = row.body(named) {
            request = request.insert_header(("content-type", "application/json")).set_payload(body);
        }
        let answer = call_service(&service, request.to_request()).await;
        let status = answer.status().as_u16();
        if row.method == "GET" {
            let body = read_body(answer).await;
            assert_eq!(status, 200, "{} {path}: {}", row.method, String::from_utf8_lossy(&body));
        }
        assert!(status < 500, "{} {path}: {status}", row.method);
        test.wait_for_transactions().await;
        check(&format!("{} {}", row.method, row.path)).await;
    }
    // The statements of a session at its start and for a sync.
    let conn = test.app.db().read(ReadPool::Ordinary);
    let (room, middle) = (Stream::Conversation(history.room), Rev(messages as i64 / 4));
    sessions::list_likely_conversations(&test.app, &history.target).await.unwrap();
    sessions::check_subscriptions(&test.app, &history.target, &[history.room]).await.unwrap();
    sessions::list_truncated(&test.app, &[(room, middle)]).await.unwrap();
    let replayed = log::list_after(conn, room, middle, limits::REPLAY_PAGE).await.unwrap();
    let is_full = replayed.len() as u64 == limits::REPLAY_PAGE;
    assert!(is_full || messages == 0 && !replayed.is_empty(), "{} events", replayed.len());
    // The statement for rooms that are behind.
    let own = Stream::User(history.target.user_id);
    let repaired = log::list_after_each(conn, &[(room, middle), (own, Rev(0))], 4).await.unwrap();
    assert_eq!(repaired[&room].len(), 4);
    check("a session").await;
    let newest = log::floor::get_newest_id(conn).await.unwrap();
    let page = log::pages::page(conn, newest / 2, newest, 10, 10_000).await.unwrap();
    assert!(!page.rows.is_empty());
    log::pages::stream_page(conn, room, middle, newest, 10, 10_000).await.unwrap();
    log::floor::get_oldest_time_above(conn, newest / 2).await.unwrap();
    log::readers::lease(conn, "a reader").await.unwrap();
    log::readers::list_lags(conn).await.unwrap();
    log::read_tail(conn, newest - 1).await.unwrap();
    check("a reader of the log").await;
}

#[test]
fn no_query_grows_with_the_length_of_the_history() {
    on_each_database(&async |test: &TestApp| {
        let history = History::fill(test, messages()).await;
        let (plans, token) = (PlanChecker::new(test).await, access_token(test, &history).await);
        let mut checker =
            StatementChecker { plans, recorded: Arc::default(), checked: BTreeSet::new(), wrong: Vec::new() };
        let recorded = checker.recorded.clone();
        test.app.db().observe(move |statement, _| recorded.lock().unwrap().push(statement.clone()));
        let mut calls = 0;
        make_every_call(test, &history, &token, messages(), &mut async |call: &str| {
            calls += 1;
            checker.check(call).await;
        })
        .await;
        let StatementChecker { checked, wrong, .. } = checker;
        assert!(checked.len() > calls / 2, "only {} statements were seen", checked.len());
        eprintln!("{} statements on {}", checked.len(), if test.is_postgres() { "PostgreSQL" } else { "SQLite" });
        assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    });
}
