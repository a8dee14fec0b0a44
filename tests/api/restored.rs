//! The database turns out to hold another history: a backup was put back, or a server took over that lacks what was
//! committed last. Clients learn it, and nobody is left with rows that are no more (SPEC 12, G1, G3).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use crate::support::cluster::{self, Cluster};
use crate::support::database::{execute, runs_on_postgres};
use crate::support::{ConnectOptions, TestServer, TestSocket, TestUser, eventually};

/// The greatest id that a log in its first epoch has.
const FIRST_IDS: i64 = 1 << 32;

fn data(server: &TestServer, name: &str) -> PathBuf {
    server.folder().join("data").join(name)
}

/// What a client holds that was there before.
struct Held {
    epoch: Value,
    rev: Value,
    user_rev: Value,
}

impl Held {
    async fn new(user: &TestUser, room: &str) -> Self {
        let socket = user.connect().await;
        let rev = user.conversation(room).await["last_rev"].clone();
        Self { epoch: socket.welcome["epoch"].clone(), rev, user_rev: socket.welcome["user_rev"].clone() }
    }

    /// Comes back, again and again while the node finds one after another of its connections broken; the frames before
    /// `sync.done`, and the session.
    async fn sync(&self, user: &TestUser, room: &str) -> (Vec<Value>, TestSocket) {
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
    async fn is_reset(&self, user: &TestUser, room: &str) -> TestSocket {
        let (frames, socket) = self.sync(user, room).await;
        assert_ne!(socket.welcome["epoch"], self.epoch, "a new epoch");
        let reset = frames.iter().find(|frame| frame["type"] == "sync.reset").expect("sync.reset");
        assert_eq!(reset["payload"], json!({ "conversation_id": null, "last_rev": null }), "{frames:?}");
        socket
    }

    /// Comes back to the same history.
    async fn goes_on(&self, user: &TestUser, room: &str) {
        let (frames, socket) = self.sync(user, room).await;
        assert_eq!(socket.welcome["epoch"], self.epoch);
        assert!(frames.iter().all(|frame| frame["type"] != "sync.reset"), "{frames:?}");
    }
}

async fn contents(user: &TestUser, room: &str) -> Vec<String> {
    let said = |message: &Value| (message["type"] != "system").then(|| message["content"].as_str().unwrap().to_owned());
    user.history(room).await.iter().filter_map(said).collect()
}

/// The greatest id of the log.
async fn newest_id(url: &str) -> i64 {
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

/// Two nodes with one secret.
async fn nodes() -> (TestServer, TestServer) {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let secret = "one secret for both nodes, long enough";
    let one = TestServer::builder().set("GREENROOM_JWT_SECRET", secret).start().await;
    let other = TestServer::builder().on(one.database()).set("GREENROOM_JWT_SECRET", secret).start().await;
    (one, other)
}

/// Sends as a client does, again and again while the node finds one after another of its connections broken.
async fn send(user: &TestUser, room: &str, content: &str) -> Value {
    let body = json!({ "content": content, "temp_id": format!("{content} {}", user.target.origin) });
    let mut sent = Value::Null;
    eventually("the node stores a message", async || {
        let answer = user.post(&format!("/conversations/{room}/messages"), body.clone()).await;
        assert!(matches!(answer.status, 200 | 201 | 503), "{}", answer.body);
        sent = answer.body;
        sent["id"].is_string()
    })
    .await;
    sent
}

/// Waits until the node has found every one of its broken connections.
async fn is_back(user: &TestUser) {
    let mut well = 0;
    eventually("the node has good connections alone", async || {
        well = if user.get("/users/me").await.status == 200 { well + 1 } else { 0 };
        well >= 40
    })
    .await;
}

/// Whoever was live is told, comes back to the same new epoch on each node, and gets what is sent from then on.
async fn both_begin_anew(rooms: (&TestUser, &TestUser), held: &Held, sockets: [TestSocket; 2], room: &str) {
    let (here, there) = rooms;
    for mut socket in sockets {
        socket.expect("sync.reset").await;
        socket.expect_close(1012).await;
    }
    is_back(here).await;
    is_back(there).await;
    let mut back = [held.is_reset(here, room).await, held.is_reset(there, room).await];
    assert_eq!(back[0].welcome["epoch"], back[1].welcome["epoch"], "both nodes agree");
    for sender in [here, there] {
        let sent = send(sender, room, "after").await;
        for socket in &mut back {
            assert_eq!(socket.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_made_anew_from_an_older_backup_begins_a_new_epoch_on_both_nodes() {
    let (one, other) = nodes().await;
    let here = one.user("alice").await;
    let there = here.on(&other);
    let room = here.group("room", &[]).await;
    send(&here, &room, "kept").await;
    let url = one.database().url().unwrap();
    let (admin, name) = url.rsplit_once('/').unwrap();
    let (admin, copy) = (format!("{admin}/postgres"), format!("{name}_copy"));
    // a copy is made while nobody is connected; the nodes come back by themselves
    execute(&admin, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    let end = format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'");
    execute(&admin, &end).await;
    execute(&admin, &format!("CREATE DATABASE {copy} TEMPLATE {name}")).await;
    execute(&admin, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    is_back(&here).await;
    is_back(&there).await;
    send(&here, &room, "lost").await;
    send(&there, &room, "lost").await;
    let held = Held::new(&here, &room).await;
    let sockets = [here.connect().await, there.connect().await];

    execute(&admin, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    execute(&admin, &format!("ALTER DATABASE {copy} RENAME TO {name}")).await;
    execute(&admin, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    both_begin_anew((&here, &there), &held, sockets, &room).await;
    assert_eq!(contents(&here, &room).await, ["kept", "after", "after"]);
    assert!(newest_id(&url).await > FIRST_IDS, "no position is used twice");
}

#[tokio::test]
#[ignore = "long: needs PostgreSQL, makes two servers"]
async fn long_a_standby_that_takes_over_and_lacks_rows_begins_a_new_epoch() {
    let place = cluster::place();
    let mut cluster = Cluster::start(place.path(), &[]);
    execute(&cluster.url("postgres"), "CREATE DATABASE greenroom").await;
    let url = cluster.url("greenroom");
    let start = async || {
        let builder = TestServer::builder().set("DATABASE_URL", &url).set("GREENROOM_AUTO_MIGRATE", "true");
        builder.set("GREENROOM_JWT_SECRET", "one secret for both nodes, long enough").start().await
    };
    let (one, other) = (start().await, start().await);
    let here = one.user("alice").await;
    let there = here.on(&other);
    let room = here.group("room", &[]).await;
    here.send(&room, "kept").await;
    let copy = cluster.copy(place.path());
    here.send(&room, "lost").await;
    let held = Held::new(&here, &room).await;
    let sockets = [here.connect().await, there.connect().await];
    cluster.take_over(copy);
    both_begin_anew((&here, &there), &held, sockets, &room).await;
    assert_eq!(contents(&here, &room).await, ["kept", "after", "after"]);
    assert!(newest_id(&url).await > FIRST_IDS, "no position is used twice");
}
