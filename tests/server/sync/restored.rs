//! A database with another history: a backup was restored, or a database server took over that lacks the last commits.
//! The server begins a new epoch, and clients load everything again, so that none of them keeps rows that are lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use crate::support::database::{execute, runs_on_postgres};
use crate::support::{ConnectOptions, TestServer, TestSocket, TestUser, eventually};

/// The greatest id that a log row can have in the first epoch.
pub const FIRST_IDS: i64 = 1 << 32;

fn data_path(server: &TestServer, name: &str) -> PathBuf {
    server.folder().join("data").join(name)
}

/// The revisions of a client and their epoch, from before a restore.
pub struct ClientState {
    epoch: Value,
    rev: Value,
    user_rev: Value,
}

impl ClientState {
    pub async fn new(user: &TestUser, room: &str) -> Self {
        let socket = user.connect().await;
        let rev = user.conversation(room).await["last_rev"].clone();
        Self { epoch: socket.auth_success["epoch"].clone(), rev, user_rev: socket.auth_success["user_rev"].clone() }
    }

    /// Reconnects and syncs. Repeats this while the server still finds its connections to the database broken. Returns
    /// the frames before `sync.done`, and the session.
    pub async fn sync(&self, user: &TestUser, room: &str) -> (Vec<Value>, TestSocket) {
        let mut result = None;
        eventually("a session is opened and syncs", async || {
            let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
            let Ok(mut socket) = user.try_connect(options).await else { return false };
            let payload =
                json!({ "conversations": { room: self.rev }, "user_rev": self.user_rev, "epoch": self.epoch });
            let id = socket.start("sync", payload);
            let mut frames = Vec::new();
            while let Ok(frame) = socket.try_frame().await {
                if frame["type"] == "sync.done" {
                    result = Some((frames, socket));
                    return true;
                }
                if frame["type"] == "error" && frame["id"] == id.as_str() {
                    return false;
                }
                frames.push(frame);
            }
            false
        })
        .await;
        result.expect("the sync ended")
    }

    /// Reconnects, and checks that the server has another history and resets the client.
    pub async fn assert_reset(&self, user: &TestUser, room: &str) -> TestSocket {
        let (frames, socket) = self.sync(user, room).await;
        assert_ne!(socket.auth_success["epoch"], self.epoch, "a new epoch");
        let reset = frames.iter().find(|frame| frame["type"] == "sync.reset").expect("sync.reset");
        assert_eq!(reset["payload"], json!({ "conversation_id": null, "last_rev": null }), "{frames:?}");
        socket
    }

    /// Reconnects, and checks that the server has the same history.
    pub async fn assert_continues(&self, user: &TestUser, room: &str) {
        let (frames, socket) = self.sync(user, room).await;
        assert_eq!(socket.auth_success["epoch"], self.epoch);
        assert!(frames.iter().all(|frame| frame["type"] != "sync.reset"), "{frames:?}");
    }
}

pub async fn contents(user: &TestUser, room: &str) -> Vec<String> {
    let text_of =
        |message: &Value| (message["type"] != "system").then(|| message["content"].as_str().unwrap().to_owned());
    user.history(room).await.iter().filter_map(text_of).collect()
}

/// Returns the greatest id in the log.
pub async fn newest_id(url: &str) -> i64 {
    let connection = Database::connect(url).await.unwrap();
    let query = Statement::from_string(connection.get_database_backend(), "SELECT max(id) AS id FROM outbox");
    let id = connection.query_one_raw(query).await.unwrap().unwrap().try_get("", "id").unwrap();
    connection.close().await.unwrap();
    id
}

fn file_url(server: &TestServer) -> String {
    format!("sqlite://{}", data_path(server, "greenroom.db").display())
}

#[tokio::test]
async fn a_restored_older_copy_begins_a_new_epoch() {
    if runs_on_postgres() {
        return;
    }
    for is_killed in [false, true] {
        let mut server = TestServer::start().await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.group("room", &[&bob]).await;
        alice.send(&room, "kept").await;
        server.stop_for_restart().await;
        fs::copy(data_path(&server, "greenroom.db"), data_path(&server, "copy")).unwrap();
        server.restart().await;
        let mut live = bob.connect().await;
        for number in 0..3 {
            alice.send(&room, &format!("lost {number}")).await;
        }
        live.expect("message.new").await;
        let client_state = ClientState::new(&bob, &room).await;
        if is_killed {
            // The server writes the file `history` once a second.
            eventually("the file `history` has the newest row", async || {
                let text = fs::read_to_string(data_path(&server, "history")).unwrap();
                text.starts_with(&format!("{} ", newest_id(&file_url(&server)).await))
            })
            .await;
            server.kill();
        } else {
            server.stop_for_restart().await;
        }
        for name in ["greenroom.db-wal", "greenroom.db-shm"] {
            let _ = fs::remove_file(data_path(&server, name));
        }
        fs::rename(data_path(&server, "copy"), data_path(&server, "greenroom.db")).unwrap();
        server.restart().await;

        let mut reconnected = client_state.assert_reset(&bob, &room).await;
        assert_eq!(contents(&bob, &room).await, ["kept"]);
        let sent = alice.send(&room, "after").await;
        assert_eq!(reconnected.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
        assert_eq!(contents(&alice, &room).await, ["kept", "after"]);
        assert!(newest_id(&file_url(&server)).await > FIRST_IDS, "no position is used twice");

        // A restart without a restore keeps the epoch.
        let client_state = ClientState::new(&bob, &room).await;
        server.stop_for_restart().await;
        server.restart().await;
        client_state.assert_continues(&bob, &room).await;
        let mode = fs::metadata(data_path(&server, "history")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn no_send_is_acknowledged_after_another_file_replaced_the_database() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    server.stop_for_restart().await;
    fs::copy(data_path(&server, "greenroom.db"), data_path(&server, "copy")).unwrap();
    server.restart().await;
    alice.send(&room, "lost").await;
    let client_state = ClientState::new(&alice, &room).await;
    let mut socket = alice.connect().await;
    let before = fs::read_to_string(data_path(&server, "history")).unwrap();
    eventually("the file `history` has the last send", async || {
        fs::read_to_string(data_path(&server, "history")).unwrap() != before || before.len() > 70
    })
    .await;

    fs::rename(data_path(&server, "copy"), data_path(&server, "greenroom.db")).unwrap();
    let answer = alice.post(&format!("/conversations/{room}/messages"), json!({ "content": "refused" })).await;
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("unavailable")), "{}", answer.body);
    let payload = json!({ "conversation_id": room, "content": "refused", "temp_id": "one" });
    socket.refused("message.send", payload, "unavailable").await;
    let health = alice.target.http.get(format!("{}/health", alice.target.origin)).send().await.unwrap();
    assert_eq!(health.status(), 503);
    let health: Value = serde_json::from_str(&health.text().await.unwrap()).unwrap();
    assert_eq!(health["status"], "unhealthy");

    server.kill();
    for name in ["greenroom.db-wal", "greenroom.db-shm"] {
        let _ = fs::remove_file(data_path(&server, name));
    }
    server.restart().await;
    client_state.assert_reset(&alice, &room).await;
    assert_eq!(contents(&alice, &room).await, ["kept"]);
    alice.send(&room, "after").await;
}

/// Returns whether the newest log row is in the database file itself. The file is read without its write-ahead log, and
/// during a checkpoint the read can fail.
async fn is_log_in_file(server: &TestServer) -> bool {
    let newest = newest_id(&file_url(server)).await;
    let file_only = Database::connect(format!("{}?mode=ro&immutable=true", file_url(server))).await.unwrap();
    let query = Statement::from_string(file_only.get_database_backend(), "SELECT max(id) AS id FROM outbox");
    let found = file_only.query_one_raw(query).await.ok().flatten();
    let found = found.and_then(|row| row.try_get::<i64>("", "id").ok());
    file_only.close().await.unwrap();
    found == Some(newest)
}

#[tokio::test]
async fn no_send_is_acknowledged_after_an_older_copy_was_written_over_the_open_database() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    server.stop_for_restart().await;
    let (file, copy) = (data_path(&server, "greenroom.db"), data_path(&server, "copy"));
    fs::copy(&file, &copy).unwrap();
    server.restart().await;
    for _ in 0..20 {
        alice.send(&room, "lost").await;
    }
    let client_state = ClientState::new(&alice, &room).await;
    eventually("the database file has all rows", async || is_log_in_file(&server).await).await;

    // The command `cp` does the same: the open file stays the same file and gets the older content.
    fs::copy(&copy, &file).unwrap();
    let send = async || alice.post(&format!("/conversations/{room}/messages"), json!({ "content": "refused" })).await;
    send().await.refused(503, "unavailable");
    eventually("the log tells the operator what to do", async || server.log().contains("wrote over the database"))
        .await;
    send().await.refused(503, "unavailable");
    let health = alice.target.http.get(format!("{}/health", alice.target.origin)).send().await.unwrap();
    assert_eq!(health.status(), 503);
    assert!(fs::read(&file).unwrap() == fs::read(&copy).unwrap(), "the server wrote no row into the copy");

    server.stop_for_restart().await;
    for name in ["greenroom.db-wal", "greenroom.db-shm"] {
        let _ = fs::remove_file(data_path(&server, name));
    }
    fs::copy(&copy, &file).unwrap();
    server.restart().await;
    client_state.assert_reset(&alice, &room).await;
    assert_eq!(contents(&alice, &room).await, ["kept"]);
    alice.send(&room, "after").await;
}

/// The program `sqlite3` makes such a checkpoint after large changes.
#[tokio::test]
async fn the_server_continues_after_another_process_makes_a_checkpoint() {
    if runs_on_postgres() {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    for _ in 0..5 {
        alice.send(&room, "before").await;
        server.sql("PRAGMA wal_checkpoint(PASSIVE)").await;
        alice.send(&room, "after").await;
    }
    assert!(server.target().is_ready().await);
    assert!(!server.log().contains("wrote over the database"), "{}", server.log());
    server.stop().await;
}

#[tokio::test]
async fn a_missing_or_unreadable_history_file_begins_a_new_epoch_and_loses_no_message() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    for text in [None, Some("17 not a digest")] {
        let client_state = ClientState::new(&alice, &room).await;
        server.stop_for_restart().await;
        match text {
            None => fs::remove_file(data_path(&server, "history")).unwrap(),
            Some(text) => fs::write(data_path(&server, "history"), text).unwrap(),
        }
        server.restart().await;
        client_state.assert_reset(&alice, &room).await;
        assert_eq!(contents(&alice, &room).await, ["kept"]);
    }
}

#[tokio::test]
async fn the_epoch_survives_a_copy_a_move_a_vacuum_and_a_complete_backup() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    let client_state = ClientState::new(&alice, &room).await;
    let backup = data_path(&server, "backup.db");
    // An operator makes a backup while the server runs.
    execute(&file_url(&server), &format!("VACUUM INTO '{}'", backup.display())).await;
    client_state.assert_continues(&alice, &room).await;
    server.stop_for_restart().await;
    execute(&file_url(&server), "VACUUM").await;
    server.restart().await;
    client_state.assert_continues(&alice, &room).await;
    server.stop_for_restart().await;
    let (original, moved) = (server.folder().join("data"), server.folder().join("moved"));
    fs::rename(&original, &moved).unwrap();
    fs::create_dir(&original).unwrap();
    for entry in fs::read_dir(&moved).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), original.join(entry.file_name())).unwrap();
    }
    server.restart().await;
    client_state.assert_continues(&alice, &room).await;
    server.stop_for_restart().await;
    // The backup has all rows that a client received, so it is the same history.
    fs::rename(&backup, data_path(&server, "greenroom.db")).unwrap();
    server.restart().await;
    client_state.assert_continues(&alice, &room).await;
    // A command that runs beside the server does not change the epoch.
    assert!(server.run(&["user", "list"]).status.success());
    client_state.assert_continues(&alice, &room).await;
}

/// Removes the messages "lost" with their events and counts, in one transaction, so that the database is in an earlier
/// state.
pub async fn remove_lost_sends(server: &TestServer, count: usize) {
    let statements = format!(
        "BEGIN;
         DELETE FROM outbox WHERE payload LIKE '%lost%';
         DELETE FROM messages WHERE content = 'lost';
         UPDATE participants SET last_read_seq = 0, last_read_count = 0;
         UPDATE conversations SET last_rev = last_rev - {count}, last_seq = last_seq - {count},
                last_count = last_count - {count} WHERE name = 'room';
         COMMIT"
    );
    server.sql(&statements).await;
}

#[tokio::test]
async fn rows_that_disappear_under_a_running_server_begin_a_new_epoch() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    for _ in 0..3 {
        alice.send(&room, "lost").await;
    }
    let client_state = ClientState::new(&alice, &room).await;
    let mut live = alice.connect().await;
    remove_lost_sends(&server, 3).await;
    alice.send(&room, "after").await;
    live.expect("sync.reset").await;
    live.expect_close(1012).await;
    let mut reconnected = client_state.assert_reset(&alice, &room).await;
    let sent = alice.send(&room, "after the reset").await;
    assert_eq!(reconnected.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
    assert_eq!(contents(&alice, &room).await, ["kept", "after", "after the reset"]);
}
