//! The database turns out to hold another history: a backup was put back, or a server took over that lacks what was
//! committed last. Clients learn it, and nobody is left with rows that are no more.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use crate::support::database::{execute, runs_on_postgres};
use crate::support::{ConnectOptions, TestServer, TestSocket, TestUser, eventually};

/// The greatest id that a log in its first epoch has.
pub const FIRST_IDS: i64 = 1 << 32;

fn data(server: &TestServer, name: &str) -> PathBuf {
    server.folder().join("data").join(name)
}

/// What a client holds that was there before.
pub struct Held {
    epoch: Value,
    rev: Value,
    user_rev: Value,
}

impl Held {
    pub async fn new(user: &TestUser, room: &str) -> Self {
        let socket = user.connect().await;
        let rev = user.conversation(room).await["last_rev"].clone();
        Self { epoch: socket.welcome["epoch"].clone(), rev, user_rev: socket.welcome["user_rev"].clone() }
    }

    /// Comes back, again and again while the node finds one after another of its connections broken; the frames before
    /// `sync.done`, and the session.
    pub async fn sync(&self, user: &TestUser, room: &str) -> (Vec<Value>, TestSocket) {
        let mut came = None;
        eventually("a session is opened and syncs", async || {
            let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
            let Ok(mut socket) = user.try_connect(options).await else { return false };
            let payload =
                json!({ "conversations": { room: self.rev }, "user_rev": self.user_rev, "epoch": self.epoch });
            let id = socket.start("sync", payload);
            let mut frames = Vec::new();
            while let Ok(frame) = socket.try_frame().await {
                if frame["type"] == "sync.done" {
                    came = Some((frames, socket));
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
        came.expect("it came")
    }

    /// Comes back to another history, and is told.
    pub async fn is_reset(&self, user: &TestUser, room: &str) -> TestSocket {
        let (frames, socket) = self.sync(user, room).await;
        assert_ne!(socket.welcome["epoch"], self.epoch, "a new epoch");
        let reset = frames.iter().find(|frame| frame["type"] == "sync.reset").expect("sync.reset");
        assert_eq!(reset["payload"], json!({ "conversation_id": null, "last_rev": null }), "{frames:?}");
        socket
    }

    /// Comes back to the same history.
    pub async fn goes_on(&self, user: &TestUser, room: &str) {
        let (frames, socket) = self.sync(user, room).await;
        assert_eq!(socket.welcome["epoch"], self.epoch);
        assert!(frames.iter().all(|frame| frame["type"] != "sync.reset"), "{frames:?}");
    }
}

pub async fn contents(user: &TestUser, room: &str) -> Vec<String> {
    let said = |message: &Value| (message["type"] != "system").then(|| message["content"].as_str().unwrap().to_owned());
    user.history(room).await.iter().filter_map(said).collect()
}

/// The greatest id of the log.
pub async fn newest_id(url: &str) -> i64 {
    let connection = Database::connect(url).await.unwrap();
    let query = Statement::from_string(connection.get_database_backend(), "SELECT max(id) AS id FROM outbox");
    let id = connection.query_one_raw(query).await.unwrap().unwrap().try_get("", "id").unwrap();
    connection.close().await.unwrap();
    id
}

fn file_url(server: &TestServer) -> String {
    format!("sqlite://{}", data(server, "greenroom.db").display())
}

#[tokio::test]
async fn an_older_copy_put_back_begins_a_new_epoch() {
    if runs_on_postgres() {
        return;
    }
    for killed in [false, true] {
        let mut server = TestServer::start().await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.group("room", &[&bob]).await;
        alice.send(&room, "kept").await;
        server.halt().await;
        fs::copy(data(&server, "greenroom.db"), data(&server, "copy")).unwrap();
        server.restart().await;
        let mut live = bob.connect().await;
        for number in 0..3 {
            alice.send(&room, &format!("lost {number}")).await;
        }
        live.expect("message.new").await;
        let held = Held::new(&bob, &room).await;
        if killed {
            // the file `history` is written once a second
            eventually("the newest row is written down", async || {
                let text = fs::read_to_string(data(&server, "history")).unwrap();
                text.starts_with(&format!("{} ", newest_id(&file_url(&server)).await))
            })
            .await;
            server.kill_nine();
        } else {
            server.halt().await;
        }
        for name in ["greenroom.db-wal", "greenroom.db-shm"] {
            let _ = fs::remove_file(data(&server, name));
        }
        fs::rename(data(&server, "copy"), data(&server, "greenroom.db")).unwrap();
        server.restart().await;

        let mut back = held.is_reset(&bob, &room).await;
        assert_eq!(contents(&bob, &room).await, ["kept"]);
        let sent = alice.send(&room, "after").await;
        assert_eq!(back.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
        assert_eq!(contents(&alice, &room).await, ["kept", "after"]);
        assert!(newest_id(&file_url(&server)).await > FIRST_IDS, "no position is used twice");

        // and from here on it is one history
        let held = Held::new(&bob, &room).await;
        server.halt().await;
        server.restart().await;
        held.goes_on(&bob, &room).await;
        let mode = fs::metadata(data(&server, "history")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_once_another_file_is_in_the_place_of_the_database() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    server.halt().await;
    fs::copy(data(&server, "greenroom.db"), data(&server, "copy")).unwrap();
    server.restart().await;
    alice.send(&room, "lost").await;
    let held = Held::new(&alice, &room).await;
    let mut socket = alice.connect().await;
    let told = fs::read_to_string(data(&server, "history")).unwrap();
    eventually("what was sent is written down", async || {
        fs::read_to_string(data(&server, "history")).unwrap() != told || told.len() > 70
    })
    .await;

    fs::rename(data(&server, "copy"), data(&server, "greenroom.db")).unwrap();
    let answer = alice.post(&format!("/conversations/{room}/messages"), json!({ "content": "nowhere" })).await;
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("unavailable")), "{}", answer.body);
    let payload = json!({ "conversation_id": room, "content": "nowhere", "temp_id": "one" });
    socket.refused("message.send", payload, "unavailable").await;
    let health = alice.target.http.get(format!("{}/health", alice.target.origin)).send().await.unwrap();
    assert_eq!(health.status(), 503);
    let health: Value = serde_json::from_str(&health.text().await.unwrap()).unwrap();
    assert_eq!(health["status"], "unhealthy");

    server.kill_nine();
    for name in ["greenroom.db-wal", "greenroom.db-shm"] {
        let _ = fs::remove_file(data(&server, name));
    }
    server.restart().await;
    held.is_reset(&alice, &room).await;
    assert_eq!(contents(&alice, &room).await, ["kept"]);
    alice.send(&room, "after").await;
}

/// Whether the newest row of the log is in the file of the database, read without the write-ahead log beside it. While
/// that is copied, the file may look like anything.
async fn is_all_in_the_file(server: &TestServer) -> bool {
    let newest = newest_id(&file_url(server)).await;
    let alone = Database::connect(format!("{}?mode=ro&immutable=true", file_url(server))).await.unwrap();
    let query = Statement::from_string(alone.get_database_backend(), "SELECT max(id) AS id FROM outbox");
    let found = alone.query_one_raw(query).await.ok().flatten();
    let found = found.and_then(|row| row.try_get::<i64>("", "id").ok());
    alone.close().await.unwrap();
    found == Some(newest)
}

#[tokio::test]
async fn nothing_is_acknowledged_once_an_older_copy_is_written_over_the_open_database() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    server.halt().await;
    let (file, copy) = (data(&server, "greenroom.db"), data(&server, "copy"));
    fs::copy(&file, &copy).unwrap();
    server.restart().await;
    for _ in 0..20 {
        alice.send(&room, "lost").await;
    }
    let held = Held::new(&alice, &room).await;
    eventually("all of it is in the file", async || is_all_in_the_file(&server).await).await;

    // as `cp` does it: the open file, which stays the same, now has the older content
    fs::copy(&copy, &file).unwrap();
    let say = async || alice.post(&format!("/conversations/{room}/messages"), json!({ "content": "nowhere" })).await;
    say().await.refused(503, "unavailable");
    eventually("the log says what to do", async || server.log().contains("wrote over the database")).await;
    say().await.refused(503, "unavailable");
    let health = alice.target.http.get(format!("{}/health", alice.target.origin)).send().await.unwrap();
    assert_eq!(health.status(), 503);
    assert!(fs::read(&file).unwrap() == fs::read(&copy).unwrap(), "nothing was mixed into the copy");

    server.halt().await;
    for name in ["greenroom.db-wal", "greenroom.db-shm"] {
        let _ = fs::remove_file(data(&server, name));
    }
    fs::copy(&copy, &file).unwrap();
    server.restart().await;
    held.is_reset(&alice, &room).await;
    assert_eq!(contents(&alice, &room).await, ["kept"]);
    alice.send(&room, "after").await;
}

/// As `sqlite3` does after large changes.
#[tokio::test]
async fn when_another_process_copies_the_log_into_the_file_the_server_goes_on() {
    if runs_on_postgres() {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    for _ in 0..5 {
        alice.send(&room, "on").await;
        server.sql("PRAGMA wal_checkpoint(PASSIVE)").await;
        alice.send(&room, "and on").await;
    }
    assert!(server.target().is_ready().await);
    assert!(!server.log().contains("wrote over the database"), "{}", server.log());
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_is_missing_or_unreadable_begins_a_new_epoch_and_loses_nothing() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    for text in [None, Some("17 not a digest")] {
        let held = Held::new(&alice, &room).await;
        server.halt().await;
        match text {
            None => fs::remove_file(data(&server, "history")).unwrap(),
            Some(text) => fs::write(data(&server, "history"), text).unwrap(),
        }
        server.restart().await;
        held.is_reset(&alice, &room).await;
        assert_eq!(contents(&alice, &room).await, ["kept"]);
    }
}

#[tokio::test]
async fn copying_moving_vacuum_and_a_backup_change_nothing() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    let held = Held::new(&alice, &room).await;
    let backup = data(&server, "backup.db");
    // while it runs, as an operator does
    execute(&file_url(&server), &format!("VACUUM INTO '{}'", backup.display())).await;
    held.goes_on(&alice, &room).await;
    server.halt().await;
    execute(&file_url(&server), "VACUUM").await;
    server.restart().await;
    held.goes_on(&alice, &room).await;
    server.halt().await;
    let (here, there) = (server.folder().join("data"), server.folder().join("moved"));
    fs::rename(&here, &there).unwrap();
    fs::create_dir(&here).unwrap();
    for entry in fs::read_dir(&there).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), here.join(entry.file_name())).unwrap();
    }
    server.restart().await;
    held.goes_on(&alice, &room).await;
    server.halt().await;
    // the backup has every row that was seen, so it is the same history
    fs::rename(&backup, data(&server, "greenroom.db")).unwrap();
    server.restart().await;
    held.goes_on(&alice, &room).await;
    // a command beside the server, and a database that a command made
    assert!(server.run(&["user", "list"]).status.success());
    held.goes_on(&alice, &room).await;
}

/// Takes back what was sent as "lost", with all that counts it, as a database does that returns to an earlier state: at
/// once.
pub async fn take_back(server: &TestServer, count: usize) {
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
async fn rows_that_vanish_under_a_running_server_begin_a_new_epoch() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    alice.send(&room, "kept").await;
    for _ in 0..3 {
        alice.send(&room, "lost").await;
    }
    let held = Held::new(&alice, &room).await;
    let mut live = alice.connect().await;
    take_back(&server, 3).await;
    alice.send(&room, "after").await;
    live.expect("sync.reset").await;
    live.expect_close(1012).await;
    let mut back = held.is_reset(&alice, &room).await;
    let sent = alice.send(&room, "and on").await;
    assert_eq!(back.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
    assert_eq!(contents(&alice, &room).await, ["kept", "after", "and on"]);
}
