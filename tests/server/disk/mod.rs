//! Acknowledged data is stored, whatever the disk under SQLite does: it is full, it refuses writes, or another process
//! locks the file. Meanwhile writes are refused and `/health` reports it; afterwards the server recovers by itself.

mod deleted_texts;
mod single_faults;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::database::{rows_with, runs_on_postgres};
use crate::support::disk::{LIMITED, limit_files};
use crate::support::{Answer, TestServer, TestUser, eventually};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};

/// Sends a text and returns the answer, whatever it is.
async fn say(user: &TestUser, room: &str, content: &str) -> Answer {
    user.post(&format!("/conversations/{room}/messages"), json!({ "content": content })).await
}

/// Sends a text that is acknowledged, and reads it from the file at once as another process would.
async fn stored(file: &Path, user: &TestUser, room: &str, content: &str) {
    say(user, room, content).await.expect(201);
    let tables = rows_with(&format!("sqlite://{}", file.display()), content).await;
    assert!(tables.iter().any(|table| table == "messages"), "{content:?} was acknowledged and is not stored");
}

async fn health(server: &TestServer) -> (u16, Value) {
    let answer =
        server.target().http.get(format!("{}/health", server.target().origin)).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

/// Waits until the server says that it takes no writes, and sees that it reads all the same.
async fn takes_no_writes(server: &TestServer, user: &TestUser, room: &str) {
    eventually("health tells that writes fail", async || health(server).await.0 == 503).await;
    let (_, told) = health(server).await;
    assert_eq!((&told["status"], &told["database"]), (&json!("unhealthy"), &json!("read_only")), "{told}");
    assert!(!server.target().is_ready().await, "a server that takes no writes is not ready");
    user.get(&format!("/conversations/{room}/messages")).await.expect(200);
    say(user, room, "refused").await.refused(503, "unavailable");
    user.post_nothing(&format!("/conversations/{room}/read")).await.refused(503, "unavailable");
    let login = json!({ "login": user.username, "password": crate::support::PASSWORD });
    server.target().post("/auth/login", login).await.refused(503, "unavailable");
}

async fn takes_writes_again(server: &TestServer) {
    eventually("health tells that writes succeed", async || health(server).await.0 == 200).await;
    // what works beside the writer, as the checkpointer, may have to try once more
    eventually("all is well", async || health(server).await.1["status"] == "healthy").await;
    let (_, told) = health(server).await;
    assert_eq!((&told["database"], &told["failing"]), (&json!("ok"), &json!([])), "{told}");
    assert!(server.target().is_ready().await);
}

/// The database of a server that keeps it in its own folder.
fn file_of(server: &TestServer) -> PathBuf {
    server.folder().join("data/greenroom.db")
}

#[tokio::test]
async fn after_a_commit_that_the_disk_refused_nothing_acknowledged_is_lost() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::builder().through(LIMITED).start().await;
    let [ann, bob] = [server.user("ann").await, server.user("bob").await];
    let room = ann.group("room", &[&bob]).await;
    for number in 0..3 {
        stored(&file_of(&server), &ann, &room, &format!("before {number}")).await;
    }

    limit_files(&server, "4096");
    say(&ann, &room, &"x".repeat(9000)).await.refused(503, "unavailable");
    takes_no_writes(&server, &ann, &room).await;

    limit_files(&server, "unlimited");
    takes_writes_again(&server).await;
    for number in 0..3 {
        stored(&file_of(&server), &ann, &room, &format!("after {number}")).await;
    }
    bob.post_nothing(&format!("/conversations/{room}/read")).await.expect(200);
    bob.login().await;
    let told = ann.history(&room).await;
    server.kill_nine();
    server.restart().await;
    assert_eq!(ann.history(&room).await, told, "nothing is lost");
    server.stop().await;
}

/// A small file system in memory, gone when dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// None where nothing may be mounted.
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::TempDir::with_prefix("greenroom-full-").expect("a folder");
        let options = format!("size={megabytes}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.path().join("filler")).expect("a file");
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("the file goes");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test]
async fn after_a_disk_was_full_nothing_acknowledged_is_lost() {
    if runs_on_postgres() {
        return;
    }
    let Some(disk) = Tmpfs::mount(8) else {
        crate::support::leave_out("a full disk: nothing may be mounted here");
        return;
    };
    let data = disk.path().join("data");
    let file = data.join("greenroom.db");
    let mut server = TestServer::builder().set("GREENROOM_DATA_DIR", data.display().to_string()).start().await;
    let [ann, bob] = [server.user("ann").await, server.user("bob").await];
    let room = ann.group("room", &[&bob]).await;
    stored(&file, &ann, &room, "before").await;

    disk.fill();
    // a commit fits into what the log already has, until it has to grow
    eventually("a send is refused", async || say(&ann, &room, &"x".repeat(9000)).await.status == 503).await;
    takes_no_writes(&server, &ann, &room).await;

    disk.make_room();
    takes_writes_again(&server).await;
    for number in 0..3 {
        stored(&file, &ann, &room, &format!("after {number}")).await;
    }
    let told = ann.history(&room).await;
    server.kill_nine();
    server.restart().await;
    assert_eq!(ann.history(&room).await, told, "nothing is lost");
    server.stop().await;
}

async fn beside(file: &Path) -> DatabaseConnection {
    let mut options = ConnectOptions::new(format!("sqlite://{}", file.display()));
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("the file opens")
}

#[tokio::test]
async fn a_file_that_somebody_else_locks_takes_no_writes_until_it_is_released() {
    if runs_on_postgres() {
        return;
    }
    let server = TestServer::start().await;
    let [ann, bob] = [server.user("ann").await, server.user("bob").await];
    let room = ann.group("room", &[&bob]).await;
    for lock in ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"] {
        let other = beside(&file_of(&server)).await;
        other.execute_unprepared(lock).await.expect("the lock");
        // within 6 seconds, and then at once
        let patience = std::time::Duration::from_secs(8);
        let refused = tokio::time::timeout(patience, say(&ann, &room, "locked out")).await;
        refused.expect("an answer in time").refused(503, "unavailable");
        takes_no_writes(&server, &ann, &room).await;
        other.execute_unprepared("ROLLBACK").await.expect("the lock is released");
        takes_writes_again(&server).await;
        stored(&file_of(&server), &ann, &room, &format!("after {lock}")).await;
    }
    assert!(ann.history(&room).await.iter().all(|message| message["content"] != "locked out"));
    server.stop().await;
}

#[tokio::test]
async fn an_outage_is_told_once_whatever_comes_meanwhile() {
    if runs_on_postgres() {
        return;
    }
    let server = TestServer::start().await;
    let [ann, bob] = [server.user("ann").await, server.user("bob").await];
    let room = ann.group("room", &[&bob]).await;
    let mut socket = ann.connect().await;
    let before = troubles(&server);
    assert_eq!(before, [""; 0]);
    let other = beside(&file_of(&server)).await;
    other.execute_unprepared("BEGIN EXCLUSIVE").await.expect("the lock");
    say(&ann, &room, "locked out").await.refused(503, "unavailable");
    for _ in 0..100 {
        say(&ann, &room, "locked out").await.refused(503, "unavailable");
        ann.post_nothing(&format!("/conversations/{room}/read")).await.refused(503, "unavailable");
        ann.patch("/users/me", json!({ "display_name": "Ann" })).await.refused(503, "unavailable");
        let send = json!({ "conversation_id": room, "content": "locked out" });
        socket.refused("message.send", send, "unavailable").await;
        socket.refused("message.read", json!({ "conversation_id": room }), "unavailable").await;
    }
    let told = troubles(&server);
    assert!(told.iter().any(|line| line.contains("the database failed")), "{told:#?}");
    // that it failed, what it said to the probe, and one line of each task that is tried again and again
    assert!(told.len() <= 8, "{told:#?}");
    assert!(told.iter().all(|line| !line.contains("ERROR")), "{told:#?}");
    other.execute_unprepared("ROLLBACK").await.expect("the lock is released");
    takes_writes_again(&server).await;
    assert!(troubles(&server).iter().any(|line| line.contains("found=Ok")), "that it is over is told too");
}

/// What the operator is told at WARN and ERROR.
fn troubles(server: &TestServer) -> Vec<String> {
    server.log().lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_first_start_that_the_disk_refuses_is_done_by_the_next() {
    if runs_on_postgres() {
        return;
    }
    for blocks in [1, 8, 40, 100, 200] {
        let folder = tempfile::TempDir::new().expect("a folder");
        let port = crate::support::process::free_port().to_string();
        let environment: Vec<(String, String)> = [
            ("GREENROOM_HOST", "127.0.0.1"),
            ("GREENROOM_PORT", &port),
            ("GREENROOM_DATA_DIR", &folder.path().join("data").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let migrate = |limit: &str| {
            let program = crate::support::process::program(folder.path(), &environment);
            let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\" migrate up");
            let mut shell = Command::new("bash");
            shell.args(["-c", &script, "limited"]).arg(program.get_program()).current_dir(folder.path());
            shell.envs(environment.iter().map(|(name, value)| (name, value)));
            shell.output().expect("the program runs")
        };
        let refused = migrate(&blocks.to_string());
        assert_eq!(refused.status.code(), Some(1), "{blocks} KiB are too little for the schema");
        let again = migrate("unlimited");
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(again.status.success(), "after {blocks} KiB: {said}");
    }
}
