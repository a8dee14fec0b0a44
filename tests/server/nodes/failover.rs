//! Two nodes on one PostgreSQL database that suddenly has another history: it was created anew from a backup, another
//! server took over, or rows are missing. Both nodes begin the same new epoch and reset all their clients.

use serde_json::{Value, json};

use crate::support::cluster::{self, Cluster};
use crate::support::database::{execute, runs_on_postgres};
use crate::support::{TestServer, TestSocket, TestUser, eventually};
use crate::sync::restored::{ClientState, FIRST_IDS, contents, newest_id, remove_lost_sends};

/// Starts two nodes with one secret.
async fn start_nodes() -> (TestServer, TestServer) {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let secret = "one secret for both nodes, long enough";
    let one = TestServer::builder().set("GREENROOM_JWT_SECRET", secret).start().await;
    let other = TestServer::builder().on(one.database()).set("GREENROOM_JWT_SECRET", secret).start().await;
    (one, other)
}

/// Sends a message, and repeats it as a client does while the node finds that its connections are broken.
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

/// Waits until the node has replaced all its broken connections.
async fn wait_for_connections(user: &TestUser) {
    let mut successes = 0;
    eventually("the node has only good connections", async || {
        successes = if user.get("/users/me").await.status == 200 { successes + 1 } else { 0 };
        successes >= 40
    })
    .await;
}

/// Checks that live sessions are reset, that clients reconnect to the same new epoch on each node, and that they get
/// later messages.
async fn check_new_epoch(users: (&TestUser, &TestUser), held: &ClientState, sockets: [TestSocket; 2], room: &str) {
    let (here, there) = users;
    for mut socket in sockets {
        socket.expect("sync.reset").await;
        socket.expect_close(1012).await;
    }
    wait_for_connections(here).await;
    wait_for_connections(there).await;
    let mut reconnected = [held.assert_reset(here, room).await, held.assert_reset(there, room).await];
    assert_eq!(reconnected[0].auth_success["epoch"], reconnected[1].auth_success["epoch"], "both nodes agree");
    for sender in [here, there] {
        let sent = send(sender, room, "after").await;
        for socket in &mut reconnected {
            assert_eq!(socket.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_created_anew_from_an_older_backup_begins_a_new_epoch_on_both_nodes() {
    let (one, other) = start_nodes().await;
    let here = one.user("alice").await;
    let there = here.on(&other);
    let room = here.group("room", &[]).await;
    send(&here, &room, "kept").await;
    let url = one.database().url().unwrap();
    let (admin, name) = url.rsplit_once('/').unwrap();
    let (admin, copy) = (format!("{admin}/postgres"), format!("{name}_copy"));
    // PostgreSQL copies a database only while it has no connections. The nodes reconnect by themselves.
    execute(&admin, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    let end = format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'");
    execute(&admin, &end).await;
    execute(&admin, &format!("CREATE DATABASE {copy} TEMPLATE {name}")).await;
    execute(&admin, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    wait_for_connections(&here).await;
    wait_for_connections(&there).await;
    send(&here, &room, "lost").await;
    send(&there, &room, "lost").await;
    let held = ClientState::new(&here, &room).await;
    let sockets = [here.connect().await, there.connect().await];

    execute(&admin, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    execute(&admin, &format!("ALTER DATABASE {copy} RENAME TO {name}")).await;
    execute(&admin, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    check_new_epoch((&here, &there), &held, sockets, &room).await;
    assert_eq!(contents(&here, &room).await, ["kept", "after", "after"]);
    assert!(newest_id(&url).await > FIRST_IDS, "no position is used twice");
}

#[tokio::test]
#[ignore = "long: needs PostgreSQL, makes two servers"]
async fn long_a_standby_that_takes_over_and_lacks_rows_begins_a_new_epoch() {
    let folder = cluster::cluster_folder();
    let mut cluster = Cluster::start(folder.path(), &[]);
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
    let copy = cluster.copy(folder.path());
    here.send(&room, "lost").await;
    let held = ClientState::new(&here, &room).await;
    let sockets = [here.connect().await, there.connect().await];
    cluster.fail_over(copy);
    check_new_epoch((&here, &there), &held, sockets, &room).await;
    assert_eq!(contents(&here, &room).await, ["kept", "after", "after"]);
    assert!(newest_id(&url).await > FIRST_IDS, "no position is used twice");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn rows_that_are_removed_under_two_running_nodes_begin_a_new_epoch_on_both() {
    let (one, other) = start_nodes().await;
    let here = one.user("alice").await;
    let there = here.on(&other);
    let room = here.group("room", &[]).await;
    here.send(&room, "kept").await;
    for _ in 0..3 {
        here.send(&room, "lost").await;
    }
    let held = ClientState::new(&here, &room).await;
    let sockets = [here.connect().await, there.connect().await];
    remove_lost_sends(&one, 3).await;
    // A room that knows a greater revision detects the loss, even if no node has read the log in between.
    here.send(&room, "first").await;
    check_new_epoch((&here, &there), &held, sockets, &room).await;
    assert_eq!(contents(&here, &room).await, ["kept", "first", "after", "after"]);
}
