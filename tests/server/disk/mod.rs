//! Faults of the disk under SQLite: it is full, it refuses writes, or another process locks the file. No acknowledged
//! data is lost. Meanwhile the server refuses writes and `/health` reports it, and afterwards it recovers by itself.

mod deleted_texts;
mod single_faults;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::database::{rows_with, runs_on_postgres};
use crate::support::disk::{LIMITED, limit_files};
use crate::support::{Answer, TestServer, TestUser, eventually};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};

/// Sends a text and returns the answer, which may be an error.
async fn try_send(user: &TestUser, group: &str, content: &str) -> Answer {
    user.post(&format!("/conversations/{group}/messages"), json!({ "content": content })).await
}

/// Sends a text, which must be acknowledged, and asserts that another connection to the file finds it immediately.
async fn send_and_assert_stored(file: &Path, user: &TestUser, group: &str, content: &str) {
    try_send(user, group, content).await.expect(201);
    let tables = rows_with(&format!("sqlite://{}", file.display()), content).await;
    assert!(tables.iter().any(|table| table == "messages"), "{content:?} was acknowledged and is not stored");
}

async fn get_health(server: &TestServer) -> (u16, Value) {
    let answer =
        server.target().http.get(format!("{}/health", server.target().origin)).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

/// Waits until `/health` reports that writes fail, and asserts that reads work and writes are refused.
async fn wait_until_read_only(server: &TestServer, user: &TestUser, group: &str) {
    eventually("health reports that writes fail", async || get_health(server).await.0 == 503).await;
    let (_, health) = get_health(server).await;
    assert_eq!((&health["status"], &health["database"]), (&json!("unhealthy"), &json!("read_only")), "{health}");
    assert!(!server.target().is_ready().await, "a server that refuses writes is not ready");
    user.get(&format!("/conversations/{group}/messages")).await.expect(200);
    try_send(user, group, "refused").await.refused(503, "unavailable");
    user.post_empty(&format!("/conversations/{group}/read")).await.refused(503, "unavailable");
    let login = json!({ "login": user.username, "password": crate::support::PASSWORD });
    server.target().post("/auth/login", login).await.refused(503, "unavailable");
}

/// Waits until `/health` reports that writes succeed and that no part of the server fails.
async fn wait_until_recovered(server: &TestServer) {
    eventually("health reports that writes succeed", async || get_health(server).await.0 == 200).await;
    // Other parts than the writer, for example the checkpointer, may have to try again.
    eventually("all parts are healthy", async || get_health(server).await.1["status"] == "healthy").await;
    let (_, health) = get_health(server).await;
    assert_eq!((&health["database"], &health["failing"]), (&json!("ok"), &json!([])), "{health}");
    assert!(server.target().is_ready().await);
}

/// Returns the database file of a server that keeps it in its own folder.
fn database_file(server: &TestServer) -> PathBuf {
    server.folder().join("data/greenroom.db")
}

#[tokio::test]
async fn after_a_commit_that_the_disk_refused_nothing_acknowledged_is_lost() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::builder().with_launcher(LIMITED).start().await;
    let [ann, bob] = [server.user("ann").await, server.user("bob").await];
    let group = ann.group("Chess", &[&bob]).await;
    for number in 0..3 {
        send_and_assert_stored(&database_file(&server), &ann, &group, &format!("before {number}")).await;
    }

    limit_files(&server, "4096");
    try_send(&ann, &group, &"x".repeat(9000)).await.refused(503, "unavailable");
    wait_until_read_only(&server, &ann, &group).await;

    limit_files(&server, "unlimited");
    wait_until_recovered(&server).await;
    for number in 0..3 {
        send_and_assert_stored(&database_file(&server), &ann, &group, &format!("after {number}")).await;
    }
    bob.post_empty(&format!("/conversations/{group}/read")).await.expect(200);
    bob.login().await;
    let history = ann.history(&group).await;
    server.kill();
    server.restart().await;
    assert_eq!(ann.history(&group).await, history, "nothing is lost");
    server.stop().await;
}

/// A small file system in memory, which is unmounted when this value is dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// Mounts a file system of this size, or returns `None` if this process may not mount.
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::TempDir::with_prefix("greenroom-full-").expect("a folder");
        let options = format!("size={megabytes}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Uses all free space.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.path().join("filler")).expect("a file");
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    }

    fn free_space(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("the file is removed");
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
        crate::support::report_skipped("a full disk: this process may not mount");
        return;
    };
    let data = disk.path().join("data");
    let file = data.join("greenroom.db");
    let mut server = TestServer::builder().set("GREENROOM_DATA_DIR", data.display().to_string()).start().await;
    let [ann, bob] = [server.user("ann").await, server.user("bob").await];
    let group = ann.group("Chess", &[&bob]).await;
    send_and_assert_stored(&file, &ann, &group, "before").await;

    disk.fill();
    // A commit fits into the file of the write-ahead log, until the file has to grow.
    eventually("a send is refused", async || try_send(&ann, &group, &"x".repeat(9000)).await.status == 503).await;
    wait_until_read_only(&server, &ann, &group).await;

    disk.free_space();
    wait_until_recovered(&server).await;
    for number in 0..3 {
        send_and_assert_stored(&file, &ann, &group, &format!("after {number}")).await;
    }
    let history = ann.history(&group).await;
    server.kill();
    server.restart().await;
    assert_eq!(ann.history(&group).await, history, "nothing is lost");
    server.stop().await;
}

/// Opens another connection to a database file, as another process would.
async fn open_second_connection(file: &Path) -> DatabaseConnection {
    let mut options = ConnectOptions::new(format!("sqlite://{}", file.display()));
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("the file opens")
}

#[tokio::test]
async fn writes_are_refused_while_another_process_locks_the_file() {
    if runs_on_postgres() {
        return;
    }
    let server = TestServer::start().await;
    let [ann, bob] = [server.user("ann").await, server.user("bob").await];
    let group = ann.group("Chess", &[&bob]).await;
    for lock in ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"] {
        let other = open_second_connection(&database_file(&server)).await;
        other.execute_unprepared(lock).await.expect("the lock");
        // The first refusal comes within 6 seconds, and later ones immediately.
        let deadline = std::time::Duration::from_secs(8);
        let refused = tokio::time::timeout(deadline, try_send(&ann, &group, "locked out")).await;
        refused.expect("an answer in time").refused(503, "unavailable");
        wait_until_read_only(&server, &ann, &group).await;
        other.execute_unprepared("ROLLBACK").await.expect("the lock is released");
        wait_until_recovered(&server).await;
        send_and_assert_stored(&database_file(&server), &ann, &group, &format!("after {lock}")).await;
    }
    assert!(ann.history(&group).await.iter().all(|message| message["content"] != "locked out"));
    server.stop().await;
}

#[tokio::test]
async fn an_outage_is_logged_once_however_many_writes_are_refused() {
    if runs_on_postgres() {
        return;
    }
    let server = TestServer::start().await;
    let [ann, bob] = [server.user("ann").await, server.user("bob").await];
    let group = ann.group("Chess", &[&bob]).await;
    let mut socket = ann.connect().await;
    let before = logged_warnings(&server);
    assert_eq!(before, [""; 0]);
    let other = open_second_connection(&database_file(&server)).await;
    other.execute_unprepared("BEGIN EXCLUSIVE").await.expect("the lock");
    try_send(&ann, &group, "locked out").await.refused(503, "unavailable");
    for _ in 0..100 {
        try_send(&ann, &group, "locked out").await.refused(503, "unavailable");
        ann.post_empty(&format!("/conversations/{group}/read")).await.refused(503, "unavailable");
        ann.patch("/users/me", json!({ "display_name": "Ann" })).await.refused(503, "unavailable");
        let send = json!({ "conversation_id": group, "content": "locked out" });
        socket.refused("message.send", send, "unavailable").await;
        socket.refused("message.read", json!({ "conversation_id": group }), "unavailable").await;
    }
    let warnings = logged_warnings(&server);
    assert!(warnings.iter().any(|line| line.contains("the database failed")), "{warnings:#?}");
    // There is a line for the failure, one for the error of the probe, and one for each task that is repeated.
    assert!(warnings.len() <= 8, "{warnings:#?}");
    assert!(warnings.iter().all(|line| !line.contains("ERROR")), "{warnings:#?}");
    other.execute_unprepared("ROLLBACK").await.expect("the lock is released");
    wait_until_recovered(&server).await;
    assert!(logged_warnings(&server).iter().any(|line| line.contains("found=Ok")), "the recovery is logged too");
}

/// Returns the lines of the log at WARN and ERROR.
fn logged_warnings(server: &TestServer) -> Vec<String> {
    server.log().lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_first_start_that_the_disk_refuses_is_completed_by_the_next_start() {
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
        let completed = migrate("unlimited");
        let output = String::from_utf8_lossy(&completed.stderr).into_owned();
        assert!(completed.status.success(), "after {blocks} KiB: {output}");
    }
}
