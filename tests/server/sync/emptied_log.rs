//! Retention has removed every row of an idle server's log. It still knows which history it had.

use std::fs;
use std::path::PathBuf;

use crate::support::database::runs_on_postgres;
use crate::support::{TestServer, TestUser, eventually};
use crate::sync::restored::{FIRST_IDS, Held, contents, newest_id};

/// A stopped server on SQLite that had more to say than the copy of its database beside it, and what a client holds.
struct Idle {
    server: TestServer,
    alice: TestUser,
    room: String,
    held: Held,
}

impl Idle {
    async fn new() -> Self {
        let mut server = TestServer::start().await;
        let alice = server.user("alice").await;
        let room = alice.group("room", &[]).await;
        alice.send(&room, "kept").await;
        server.halt().await;
        fs::copy(data(&server, "greenroom.db"), data(&server, "copy")).unwrap();
        server.restart().await;
        for number in 0..3 {
            alice.send(&room, &format!("lost {number}")).await;
        }
        let held = Held::new(&alice, &room).await;
        let newest = format!("{} ", newest_id(&server.database_url()).await);
        eventually("the newest row is written down", async || {
            fs::read_to_string(data(&server, "history")).unwrap().starts_with(&newest)
        })
        .await;
        // what retention does to a log whose rows are all older than it keeps them
        server.sql("DELETE FROM outbox").await;
        server.halt().await;
        Self { server, alice, room, held }
    }

    async fn put_the_copy_back(&mut self) {
        for name in ["greenroom.db-wal", "greenroom.db-shm"] {
            let _ = fs::remove_file(data(&self.server, name));
        }
        fs::rename(data(&self.server, "copy"), data(&self.server, "greenroom.db")).unwrap();
        self.server.restart().await;
    }
}

fn data(server: &TestServer, name: &str) -> PathBuf {
    server.folder().join("data").join(name)
}

#[tokio::test]
async fn an_older_copy_is_noticed_though_retention_had_emptied_the_log() {
    if runs_on_postgres() {
        return;
    }
    for restarts in [0, 1] {
        let mut idle = Idle::new().await;
        for _ in 0..restarts {
            idle.server.restart().await;
            idle.held.goes_on(&idle.alice, &idle.room).await;
            idle.server.halt().await;
        }
        idle.put_the_copy_back().await;
        let mut back = idle.held.is_reset(&idle.alice, &idle.room).await;
        let sent = idle.alice.send(&idle.room, "after").await;
        assert_eq!(back.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
        assert_eq!(contents(&idle.alice, &idle.room).await, ["kept", "after"]);
        assert!(newest_id(&idle.server.database_url()).await > FIRST_IDS, "no position is used twice");
    }
}

#[tokio::test]
async fn an_older_copy_is_noticed_though_its_epoch_ended_over_an_empty_log() {
    if runs_on_postgres() {
        return;
    }
    let mut idle = Idle::new().await;
    fs::remove_file(data(&idle.server, "history")).unwrap();
    idle.server.restart().await;
    idle.held.is_reset(&idle.alice, &idle.room).await;
    idle.server.halt().await;
    // its epoch is that of the client, which has seen more of it
    idle.put_the_copy_back().await;
    idle.held.is_reset(&idle.alice, &idle.room).await;
    idle.alice.send(&idle.room, "after").await;
    assert_eq!(contents(&idle.alice, &idle.room).await, ["kept", "after"]);
}
