//! The authorisation matrix: every route of the server and every command of a session with every kind of caller. The
//! expected answers are in the tables (`tests/support/authorization_table.rs` and `commands.rs`); these tests compare
//! them with a real server. A route without a row fails the first test by name; a command without a row does not
//! compile.

mod commands;
pub mod fixture;

use crate::support::authorization_table::{self, CALLERS, DIRECT, DIRECT_CALLERS, Row, TABLE};
use fixture::{People, Room};

use crate::support::rest::Answer;

/// What a cell says of this answer.
fn cell(answer: &Answer) -> String {
    let Some(code) = answer.body["code"].as_str() else { return answer.status.to_string() };
    assert_eq!(answer.body["status"], answer.status, "{}", answer.body);
    abbreviated(code).to_owned()
}

/// A code as cells write it.
fn abbreviated(code: &str) -> &str {
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

/// A call that may have changed something.
fn changed(row: &Row, answer: &Answer) -> bool {
    row.method != "GET" && answer.status < 300
}

/// One line for each cell that does not hold.
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
    assert!(stale.is_empty(), "no route is called by the rows {stale:#?}");
}

#[tokio::test]
async fn every_route_answers_each_caller_as_the_table_says() {
    let people = People::gather(&CALLERS).await;
    let rows = authorization_table::rows(TABLE, CALLERS.len());
    let mut wrong = Vec::new();
    let mut room = people.room().await;
    for row in &rows {
        for (&caller, expected) in CALLERS.iter().zip(&row.cells).filter(|(caller, _)| **caller != "suspended") {
            let answer = people.call(row, caller, &room).await;
            check(row, caller, expected, &cell(&answer), &answer.body, &mut wrong);
            if changed(row, &answer) && row.path.contains("{id:room}") {
                room = people.room().await;
            }
        }
    }
    people.server.sql("UPDATE users SET status = 'suspended' WHERE username = 'suspended'").await;
    let column = CALLERS.iter().position(|caller| *caller == "suspended").unwrap();
    for row in &rows {
        let answer = people.call(row, "suspended", &room).await;
        check(row, "suspended", &row.cells[column], &cell(&answer), &answer.body, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_direct_conversation_answers_each_caller_as_the_table_says() {
    let people = People::gather(&DIRECT_CALLERS).await;
    let mut rooms = Vec::new();
    for caller in ["member", "blocked", "blocker"] {
        rooms.push((caller, people.direct(caller).await));
    }
    let block = |whom: &str| serde_json::json!({ "user": whom });
    people.user("target").post("/blocks", block("blocked")).await.expect(201);
    people.user("blocker").post("/blocks", block("target")).await.expect(201);
    let room_of = |caller: &str| -> &Room {
        let own = rooms.iter().find(|(whose, _)| *whose == caller);
        &own.unwrap_or(&rooms[0]).1
    };
    let mut wrong = Vec::new();
    for row in authorization_table::rows(DIRECT, DIRECT_CALLERS.len()) {
        for (&caller, expected) in DIRECT_CALLERS.iter().zip(&row.cells) {
            let answer = people.call(&row, caller, room_of(caller)).await;
            check(&row, caller, expected, &cell(&answer), &answer.body, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}
