//! Two nodes on one PostgreSQL whose database turns out to hold another history: it was made anew from a backup,
//! another server took over, or rows are gone. Both begin the same new epoch, and nobody is left behind.

use serde_json::{Value, json};

use crate::support::cluster::{self, Cluster};
use crate::support::database::{execute, runs_on_postgres};
use crate::support::{TestServer, TestSocket, TestUser, eventually};
use crate::sync::restored::{FIRST_IDS, Held, contents, newest_id, take_back};

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
    let place = cluster::cluster_folder();
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

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn rows_that_vanish_under_two_running_nodes_begin_a_new_epoch_on_both() {
    let (one, other) = nodes().await;
    let here = one.user("alice").await;
    let there = here.on(&other);
    let room = here.group("room", &[]).await;
    here.send(&room, "kept").await;
    for _ in 0..3 {
        here.send(&room, "lost").await;
    }
    let held = Held::new(&here, &room).await;
    let sockets = [here.connect().await, there.connect().await];
    take_back(&one, 3).await;
    // a room that was further on already doubts, even if nobody had looked at the log in between
    here.send(&room, "first").await;
    both_begin_anew((&here, &there), &held, sockets, &room).await;
    assert_eq!(contents(&here, &room).await, ["kept", "first", "after", "after"]);
}
