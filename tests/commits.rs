//! What was acknowledged is stored (G1), whatever the disk under SQLite does: it is full, it refuses, somebody else locks
//! the file. Writes are refused meanwhile, `/health` says so, and they are taken again by themselves.

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::database::runs_on_postgres;
use support::{Answer, TestServer, TestUser, eventually};

/// Ignores the signal of a file that grows beyond its limit, as a service manager does, so that the write fails instead.
/// What the server prints goes through a pipe, which has no limit.
const LIMITED: &str = r#"trap '' XFSZ; exec "$@" > >(exec cat) 2>&1"#;

/// Sends a text and returns the answer, whatever it is.
async fn say(user: &TestUser, room: &str, content: &str) -> Answer {
    user.post(&format!("/conversations/{room}/messages"), json!({ "content": content })).await
}

/// Sends a text that is acknowledged, and has another process read it from the file at once.
async fn stored(server: &TestServer, user: &TestUser, room: &str, content: &str) {
    say(user, room, content).await.expect(201);
    let tables = server.rows_with(content).await;
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
    let login = json!({ "login": user.username, "password": support::PASSWORD });
    server.target().post("/auth/login", login).await.refused(503, "unavailable");
}

async fn takes_writes_again(server: &TestServer) {
    eventually("health tells that writes succeed", async || health(server).await.0 == 200).await;
    let (_, told) = health(server).await;
    assert_eq!((&told["status"], &told["database"]), (&json!("healthy"), &json!("ok")), "{told}");
    assert!(server.target().is_ready().await);
}

fn limit_files(server: &TestServer, bytes: &str) {
    let (id, limit) = (server.process().id().to_string(), format!("--fsize={bytes}:unlimited"));
    let set = Command::new("prlimit").args(["--pid", &id, &limit]).status().expect("prlimit runs");
    assert!(set.success(), "the limit is set");
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
        stored(&server, &ann, &room, &format!("before {number}")).await;
    }

    limit_files(&server, "4096");
    say(&ann, &room, &"x".repeat(9000)).await.refused(503, "unavailable");
    takes_no_writes(&server, &ann, &room).await;

    limit_files(&server, "unlimited");
    takes_writes_again(&server).await;
    for number in 0..3 {
        stored(&server, &ann, &room, &format!("after {number}")).await;
    }
    bob.post_nothing(&format!("/conversations/{room}/read")).await.expect(200);
    bob.login().await;
    let told = ann.history(&room).await;
    server.kill_nine();
    server.restart().await;
    assert_eq!(ann.history(&room).await, told, "nothing is lost");
    server.stop().await;
}
