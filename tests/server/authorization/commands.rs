//! The commands of a session with every kind of caller. The rows belong to the variants of the enum of commands, so a
//! command without a row does not compile. Cells are as in `authorization_table.rs`, and also: `ok` for the answer of a
//! successful command, `denied` if a `subscribed` or `sync.done` denies the conversation, and `none` if a
//! `presence.state` does not contain the user.
//!
//! A client without a token has a session that has not authenticated. A suspended user gets no session.

use greenroom::protocol::client::{self, Command};
use serde_json::{Value, json};

use super::fixture::{Fixture, TestConversation};
use super::{abbreviate, check};
use crate::support::authorization_table::{CALLERS, Row, rows};
use crate::support::{Auth, ConnectOptions, TestSocket};

macro_rules! commands {
    ($($command:pat => $rows:literal)*) => {
        /// The rows of all commands.
        const TABLES: &[&str] = &[$($rows),*];

        /// Returns the rows of a command.
        fn rows_of(command: &Command) -> &'static str {
            match command {
                $($command => $rows,)*
            }
        }
    };
}

commands! {
    //                                                                                  no- non ex- sus mem obs adm own
    Command::Auth(_) => r#"
AUTH auth {"token":"$token"}                                                            401 ok  ok  sus ok  ok  ok  ok
"#
    Command::Subscribe(_) => r#"
ROOM subscribe {"conversation_ids":["$room"]}                                       401 denied denied sus ok  ok  ok  ok
"#
    Command::Unsubscribe(_) => r#"
ROOM unsubscribe {"conversation_ids":["$room"]}                                         401 ok  ok  sus ok  ok  ok  ok
"#
    Command::Sync(_) => r#"
ROOM sync {"conversations":{"$room":1}}                                             401 denied denied sus ok  ok  ok  ok
"#
    Command::Send(_) => r#"
ROOM message.send {"conversation_id":"$room","content":"hello"}                         401 out out sus ok  no  ok  ok
"#
    Command::Edit(_) => r#"
ROOM message.edit {"conversation_id":"$room","message_id":"$mine","content":"better"}   401 out out sus ok  no  ok  ok
ROOM message.edit {"conversation_id":"$room","message_id":"$theirs","content":"better"} 401 out out sus no  no  no  no
"#
    Command::Delete(_) => r#"
ROOM message.delete {"conversation_id":"$room","message_id":"$mine"}                    401 out out sus ok  ok  ok  ok
ROOM message.delete {"conversation_id":"$room","message_id":"$theirs","for":"everyone"} 401 out out sus no  no  ok  ok
ROOM message.delete {"conversation_id":"$room","message_id":"$theirs","for":"me"}       401 out out sus ok  ok  ok  ok
"#
    Command::Read(_) => r#"
ROOM message.read {"conversation_id":"$room","seq":1}                                   401 out out sus ok  ok  ok  ok
"#
    Command::Delivered(_) => r#"
ROOM message.delivered {"conversation_id":"$room","seq":1}                              401 out out sus ok  ok  ok  ok
"#
    Command::React(_) => r#"
ROOM reaction.add {"conversation_id":"$room","message_id":"$theirs","emoji":"👍"}        401 out out sus ok  no  ok  ok
"#
    Command::Unreact(_) => r#"
ROOM reaction.remove {"conversation_id":"$room","message_id":"$theirs","emoji":"👍"}     401 out out sus ok  no  ok  ok
"#
    Command::TypingStart(_) => r#"
ROOM typing.start {"conversation_id":"$room"}                                           401 out out sus ok  no  ok  ok
ROOM typing {"conversation_id":"$room"}                                                 401 out out sus ok  no  ok  ok
"#
    Command::TypingStop(_) => r#"
ROOM typing.stop {"conversation_id":"$room"}                                            401 out out sus ok  ok  ok  ok
"#
    Command::SetPresence(_) => r#"
SELF presence.set {"status":"away"}                                                     401 ok  ok  sus ok  ok  ok  ok
"#
    Command::WatchPresence(_) => r#"
SELF presence.subscribe {"user_ids":["$target_id"]}                                     401 none none sus ok  ok  ok  ok
"#
    Command::UnwatchPresence(_) => r#"
SELF presence.unsubscribe {"user_ids":["$target_id"]}                              401 none none sus none none none none
"#
    Command::Ping => r"
SELF ping {}                                                                            ok  ok  ok  sus ok  ok  ok  ok
"
}

fn all_rows() -> Vec<Row> {
    TABLES.iter().flat_map(|table| rows(table, CALLERS.len())).collect()
}

/// Returns the cell that stands for the answer to a command.
fn cell(answer: &Value) -> &str {
    let payload = &answer["payload"];
    match answer["type"].as_str().expect("a type") {
        "error" => abbreviate(payload["code"].as_str().expect("a code")),
        "subscribed" | "sync.done" if payload["denied"] != json!([]) => "denied",
        "presence.state" if payload["users"] == json!({}) => "none",
        _ => "ok",
    }
}

/// Opens a session of this caller, or returns the frame that refused it.
async fn open_session(fixture: &Fixture, caller: &str) -> Result<TestSocket, Value> {
    let target = fixture.server.target();
    if caller == "no-token" {
        let options = ConnectOptions { auth: Auth::None, ..ConnectOptions::default() };
        return Ok(TestSocket::handshake(target, "", options).await.expect("an upgrade"));
    }
    let token = &fixture.user(caller).access_token;
    let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
    let mut socket = TestSocket::handshake(target, token, options).await.expect("an upgrade");
    match socket.frame("auth.success").await {
        error if error["type"] == "error" => {
            socket.expect_close(4403).await;
            Err(error)
        }
        _ => Ok(socket),
    }
}

/// Sends the command of a row as this caller, and returns the answer.
async fn send_command(fixture: &Fixture, row: &Row, caller: &'static str, conversation: &TestConversation) -> Value {
    match open_session(fixture, caller).await {
        Ok(mut socket) => {
            let payload = row.body(|name| fixture.value_of(name, caller, conversation)).expect("a payload");
            socket.command(&row.path, serde_json::from_str(&payload).expect("JSON")).await
        }
        Err(error) => error,
    }
}

#[test]
fn the_rows_of_each_command_parse_as_this_command() {
    for row in all_rows() {
        let payload: Value = serde_json::from_str(&row.body(|_| uuid::Uuid::nil().to_string()).unwrap()).unwrap();
        let frame = json!({ "type": row.path, "payload": payload }).to_string();
        let command = client::read(&frame).command.unwrap_or_else(|error| panic!("{frame}: {error:?}"));
        assert!(rows_of(&command).contains(&format!(" {} ", row.path)), "{} is no row of {command:?}", row.path);
    }
}

#[tokio::test]
async fn every_command_answers_each_caller_as_the_table_says() {
    let fixture = Fixture::new(&CALLERS).await;
    let mut wrong = Vec::new();
    let mut conversation = fixture.create_group().await;
    for row in all_rows() {
        for (&caller, expected) in CALLERS.iter().zip(&row.cells).filter(|(caller, _)| **caller != "suspended") {
            let answer = send_command(&fixture, &row, caller, &conversation).await;
            check(&row, caller, expected, cell(&answer), &answer, &mut wrong);
            if answer["type"] == "ack" && row.path.starts_with("message.") {
                conversation = fixture.create_group().await;
            }
        }
    }
    // A session that began before the suspension is refused by each transaction that would write.
    let mut earlier_session = fixture.user("suspended").connect().await;
    fixture.server.sql("UPDATE users SET status = 'suspended' WHERE username = 'suspended'").await;
    let writes = ["message.send", "message.edit", "message.delete", "reaction.add", "reaction.remove"];
    for row in all_rows().iter().filter(|row| writes.contains(&row.path.as_str())) {
        let payload = row.body(|name| fixture.value_of(name, "suspended", &conversation)).expect("a payload");
        earlier_session.refused(&row.path, serde_json::from_str(&payload).unwrap(), "suspended").await;
    }
    for row in all_rows() {
        let column = CALLERS.iter().position(|caller| *caller == "suspended").unwrap();
        let answer = send_command(&fixture, &row, "suspended", &conversation).await;
        check(&row, "suspended", &row.cells[column], cell(&answer), &answer, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}
