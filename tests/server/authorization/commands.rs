//! The commands of a session against every kind of caller. The table is made from the command enum: a command without a
//! row does not compile. Cells are as in `authorization_table.rs`, with `ok` for whatever answer the command has;
//! `denied` where a `subscribed` or `sync.done` denies the room, and `none` where a `presence.state` does not show the
//! user.
//!
//! Somebody without a token has a session that never said who it is. A suspended user gets none.

use greenroom::protocol::client::{self, Command};
use serde_json::{Value, json};

use super::fixture::{People, Room};
use super::{abbreviated, check};
use crate::support::authorization_table::{CALLERS, Row, rows};
use crate::support::{Auth, ConnectOptions, TestSocket};

macro_rules! commands {
    ($($command:pat => $rows:literal)*) => {
        /// The rows of all commands.
        const TABLES: &[&str] = &[$($rows),*];

        /// The rows of a command.
        fn rows_of(command: &Command) -> &'static str {
            match command {
                $($command => $rows,)*
            }
        }
    };
}

commands! {
    //                                                                                            nobody stra ex susp memb obse admi owne
    Command::Auth(_) => r#"
AUTH auth {"token":"$token"}                                                                        401    ok  ok  sus ok  ok  ok  ok
"#
    Command::Subscribe(_) => r#"
ROOM subscribe {"conversation_ids":["$room"]}                                                       401    denied denied sus ok ok ok ok
"#
    Command::Unsubscribe(_) => r#"
ROOM unsubscribe {"conversation_ids":["$room"]}                                                     401    ok  ok  sus ok  ok  ok  ok
"#
    Command::Sync(_) => r#"
ROOM sync {"conversations":{"$room":1}}                                                             401    denied denied sus ok ok ok ok
"#
    Command::Send(_) => r#"
ROOM message.send {"conversation_id":"$room","content":"hello"}                                     401    out out sus ok  no  ok  ok
"#
    Command::Edit(_) => r#"
ROOM message.edit {"conversation_id":"$room","message_id":"$mine","content":"better"}               401    out out sus ok  no  ok  ok
ROOM message.edit {"conversation_id":"$room","message_id":"$said","content":"better"}               401    out out sus no  no  no  no
"#
    Command::Delete(_) => r#"
ROOM message.delete {"conversation_id":"$room","message_id":"$mine"}                                401    out out sus ok  ok  ok  ok
ROOM message.delete {"conversation_id":"$room","message_id":"$said","for":"everyone"}               401    out out sus no  no  ok  ok
ROOM message.delete {"conversation_id":"$room","message_id":"$said","for":"me"}                     401    out out sus ok  ok  ok  ok
"#
    Command::Read(_) => r#"
ROOM message.read {"conversation_id":"$room","seq":1}                                               401    out out sus ok  ok  ok  ok
"#
    Command::Delivered(_) => r#"
ROOM message.delivered {"conversation_id":"$room","seq":1}                                          401    out out sus ok  ok  ok  ok
"#
    Command::React(_) => r#"
ROOM reaction.add {"conversation_id":"$room","message_id":"$said","emoji":"👍"}                     401    out out sus ok  no  ok  ok
"#
    Command::Unreact(_) => r#"
ROOM reaction.remove {"conversation_id":"$room","message_id":"$said","emoji":"👍"}                  401    out out sus ok  no  ok  ok
"#
    Command::TypingStart(_) => r#"
ROOM typing.start {"conversation_id":"$room"}                                                       401    out out sus ok  no  ok  ok
ROOM typing {"conversation_id":"$room"}                                                             401    out out sus ok  no  ok  ok
"#
    Command::TypingStop(_) => r#"
ROOM typing.stop {"conversation_id":"$room"}                                                        401    out out sus ok  ok  ok  ok
"#
    Command::SetPresence(_) => r#"
SELF presence.set {"status":"away"}                                                                 401    ok  ok  sus ok  ok  ok  ok
"#
    Command::WatchPresence(_) => r#"
SELF presence.subscribe {"user_ids":["$target_id"]}                                                 401    none none sus ok ok ok ok
"#
    Command::UnwatchPresence(_) => r#"
SELF presence.unsubscribe {"user_ids":["$target_id"]}                                               401    none none sus none none none none
"#
    Command::Ping => r"
SELF ping {}                                                                                        ok     ok  ok  sus ok  ok  ok  ok
"
}

fn all() -> Vec<Row> {
    TABLES.iter().flat_map(|table| rows(table, CALLERS.len())).collect()
}

/// What a cell says of the answer to a command.
fn cell(answer: &Value) -> &str {
    let payload = &answer["payload"];
    match answer["type"].as_str().expect("a type") {
        "error" => abbreviated(payload["code"].as_str().expect("a code")),
        "subscribed" | "sync.done" if payload["denied"] != json!([]) => "denied",
        "presence.state" if payload["users"] == json!({}) => "none",
        _ => "ok",
    }
}

/// A session of this caller, or the frame with which it was refused.
async fn session(people: &People, caller: &str) -> Result<TestSocket, Value> {
    let target = people.server.target();
    if caller == "nobody" {
        let options = ConnectOptions { auth: Auth::Nothing, ..ConnectOptions::default() };
        return Ok(TestSocket::handshake(target, "", options).await.expect("an upgrade"));
    }
    let token = &people.user(caller).access_token;
    let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
    let mut socket = TestSocket::handshake(target, token, options).await.expect("an upgrade");
    match socket.frame("auth.success").await {
        refused if refused["type"] == "error" => {
            socket.expect_close(4403).await;
            Err(refused)
        }
        _ => Ok(socket),
    }
}

async fn call(people: &People, row: &Row, caller: &'static str, room: &Room) -> Value {
    match session(people, caller).await {
        Ok(mut socket) => {
            let payload = row.body(|name| people.named(name, caller, room)).expect("a payload");
            socket.command(&row.path, serde_json::from_str(&payload).expect("JSON")).await
        }
        Err(refused) => refused,
    }
}

#[test]
fn every_command_has_rows_that_are_this_command() {
    for row in all() {
        let payload: Value = serde_json::from_str(&row.body(|_| uuid::Uuid::nil().to_string()).unwrap()).unwrap();
        let frame = json!({ "type": row.path, "payload": payload }).to_string();
        let command = client::read(&frame).command.unwrap_or_else(|error| panic!("{frame}: {error:?}"));
        assert!(rows_of(&command).contains(&format!(" {} ", row.path)), "{} stands beside {command:?}", row.path);
    }
}

#[tokio::test]
async fn every_command_answers_each_caller_as_the_table_says() {
    let people = People::gather(&CALLERS).await;
    let mut wrong = Vec::new();
    let mut room = people.room().await;
    for row in all() {
        for (&caller, expected) in CALLERS.iter().zip(&row.cells).filter(|(caller, _)| **caller != "suspended") {
            let answer = call(&people, &row, caller, &room).await;
            check(&row, caller, expected, cell(&answer), &answer, &mut wrong);
            if answer["type"] == "ack" && row.path.starts_with("message.") {
                room = people.room().await;
            }
        }
    }
    // a session that was there before is refused by each transaction that would act
    let mut before = people.user("suspended").connect().await;
    people.server.sql("UPDATE users SET status = 'suspended' WHERE username = 'suspended'").await;
    let acts = ["message.send", "message.edit", "message.delete", "reaction.add", "reaction.remove"];
    for row in all().iter().filter(|row| acts.contains(&row.path.as_str())) {
        let payload = row.body(|name| people.named(name, "suspended", &room)).expect("a payload");
        before.refused(&row.path, serde_json::from_str(&payload).unwrap(), "suspended").await;
    }
    for row in all() {
        let column = CALLERS.iter().position(|caller| *caller == "suspended").unwrap();
        let answer = call(&people, &row, "suspended", &room).await;
        check(&row, "suspended", &row.cells[column], cell(&answer), &answer, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}
