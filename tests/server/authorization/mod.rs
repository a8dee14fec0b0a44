//! The authorisation tests: every route of the server and every command of a session with every kind of caller. The
//! expected answers are in tables, `tests/support/authorization_table.rs` and `commands.rs`, and the tests compare them
//! with a real server. The first test names each route without a row. A command without a row does not compile.

mod commands;
pub mod fixture;

use crate::support::authorization_table::{self, CALLERS, DIRECT, DIRECT_CALLERS, Row, TABLE};
use fixture::{Fixture, TestConversation};

use crate::support::rest::Answer;

/// Returns the cell that stands for this answer.
fn cell(answer: &Answer) -> String {
    let Some(code) = answer.body["code"].as_str() else { return answer.status.to_string() };
    assert_eq!(answer.body["status"], answer.status, "{}", answer.body);
    abbreviate(code).to_owned()
}

/// Returns the short form of a code that cells contain.
fn abbreviate(code: &str) -> &str {
    match code {
        "invalid_request" => "bad",
        "unauthorized" => "401",
        "not_found" => "404",
        "invalid_credentials" => "cred",
        "suspended" => "sus",
        "not_a_participant" => "out",
        "forbidden" => "no",
        other => other,
    }
}

/// Returns whether a call may have changed the conversation.
fn may_have_changed(row: &Row, answer: &Answer) -> bool {
    row.method != "GET" && answer.status < 300
}

/// Adds a line to `wrong` if the answer is not the expected one.
fn check(row: &Row, caller: &str, expected: &str, found: &str, body: &serde_json::Value, wrong: &mut Vec<String>) {
    if found != expected {
        let sent = row.body.as_deref().unwrap_or_default();
        wrong.push(format!("{} {} {sent} as {caller}: {found}, not {expected}: {body}", row.method, row.path));
    }
}

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let (rows, routes) = (authorization_table::rows(TABLE, CALLERS.len()), authorization_table::routes());
    let missing: Vec<&String> = routes.iter().filter(|route| rows.iter().all(|row| row.route() != **route)).collect();
    assert!(missing.is_empty(), "no row in tests/support/authorization_table.rs calls {missing:#?}");
    let direct = authorization_table::rows(DIRECT, DIRECT_CALLERS.len());
    let stale: Vec<String> = rows.iter().chain(&direct).map(Row::route).filter(|row| !routes.contains(row)).collect();
    assert!(stale.is_empty(), "these rows call no route: {stale:#?}");
}

#[tokio::test]
async fn every_route_answers_each_caller_as_the_table_says() {
    let fixture = Fixture::new(&CALLERS).await;
    let rows = authorization_table::rows(TABLE, CALLERS.len());
    let mut wrong = Vec::new();
    let mut conversation = fixture.create_group().await;
    for row in &rows {
        for (&caller, expected) in CALLERS.iter().zip(&row.cells).filter(|(caller, _)| **caller != "suspended") {
            let answer = fixture.call(row, caller, &conversation).await;
            check(row, caller, expected, &cell(&answer), &answer.body, &mut wrong);
            if may_have_changed(row, &answer) && row.path.contains("{id:room}") {
                conversation = fixture.create_group().await;
            }
        }
    }
    fixture.server.sql("UPDATE users SET status = 'suspended' WHERE username = 'suspended'").await;
    let column = CALLERS.iter().position(|caller| *caller == "suspended").unwrap();
    for row in &rows {
        let answer = fixture.call(row, "suspended", &conversation).await;
        check(row, "suspended", &row.cells[column], &cell(&answer), &answer.body, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_direct_conversation_answers_each_caller_as_the_table_says() {
    let fixture = Fixture::new(&DIRECT_CALLERS).await;
    let mut conversations = Vec::new();
    for caller in ["member", "blocked", "blocker"] {
        conversations.push((caller, fixture.create_direct(caller).await));
    }
    let block = |user: &str| serde_json::json!({ "user": user });
    fixture.user("target").post("/blocks", block("blocked")).await.expect(201);
    fixture.user("blocker").post("/blocks", block("target")).await.expect(201);
    let conversation_of = |caller: &str| -> &TestConversation {
        let own = conversations.iter().find(|(name, _)| *name == caller);
        &own.unwrap_or(&conversations[0]).1
    };
    let mut wrong = Vec::new();
    for row in authorization_table::rows(DIRECT, DIRECT_CALLERS.len()) {
        for (&caller, expected) in DIRECT_CALLERS.iter().zip(&row.cells) {
            let answer = fixture.call(&row, caller, conversation_of(caller)).await;
            check(&row, caller, expected, &cell(&answer), &answer.body, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}
