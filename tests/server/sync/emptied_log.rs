//! A server whose log retention has emptied: it still detects that its database has another history.

use std::fs;
use std::path::PathBuf;

use crate::support::database::runs_on_postgres;
use crate::support::{TestServer, TestUser, eventually};
use crate::sync::restored::{ClientState, FIRST_IDS, contents, newest_id};

/// A stopped server on SQLite, whose database is newer than the copy beside it, and the state of a client.
struct StoppedServer {
    server: TestServer,
    alice: TestUser,
    room: String,
    client_state: ClientState,
}

impl StoppedServer {
    async fn new() -> Self {
        let mut server = TestServer::start().await;
        let alice = server.user("alice").await;
        let room = alice.group("room", &[]).await;
        alice.send(&room, "kept").await;
        server.stop_for_restart().await;
        fs::copy(data_path(&server, "greenroom.db"), data_path(&server, "copy")).unwrap();
        server.restart().await;
        for number in 0..3 {
            alice.send(&room, &format!("lost {number}")).await;
        }
        let client_state = ClientState::new(&alice, &room).await;
        let newest = format!("{} ", newest_id(&server.database_url()).await);
        eventually("the file `history` has the newest row", async || {
            fs::read_to_string(data_path(&server, "history")).unwrap().starts_with(&newest)
        })
        .await;
        // Retention empties a log like this when all its rows are old enough.
        server.sql("DELETE FROM outbox").await;
        server.stop_for_restart().await;
        Self { server, alice, room, client_state }
    }

    async fn restore_copy(&mut self) {
        for name in ["greenroom.db-wal", "greenroom.db-shm"] {
            let _ = fs::remove_file(data_path(&self.server, name));
        }
        fs::rename(data_path(&self.server, "copy"), data_path(&self.server, "greenroom.db")).unwrap();
        self.server.restart().await;
    }
}

fn data_path(server: &TestServer, name: &str) -> PathBuf {
    server.folder().join("data").join(name)
}

#[tokio::test]
async fn an_older_copy_is_detected_although_retention_emptied_the_log() {
    if runs_on_postgres() {
        return;
    }
    for restarts in [0, 1] {
        let mut stopped = StoppedServer::new().await;
        for _ in 0..restarts {
            stopped.server.restart().await;
            stopped.client_state.assert_continues(&stopped.alice, &stopped.room).await;
            stopped.server.stop_for_restart().await;
        }
        stopped.restore_copy().await;
        let mut reconnected = stopped.client_state.assert_reset(&stopped.alice, &stopped.room).await;
        let sent = stopped.alice.send(&stopped.room, "after").await;
        assert_eq!(reconnected.expect("message.new").await["payload"]["message"]["id"], sent["id"]);
        assert_eq!(contents(&stopped.alice, &stopped.room).await, ["kept", "after"]);
        assert!(newest_id(&stopped.server.database_url()).await > FIRST_IDS, "no position is used twice");
    }
}

#[tokio::test]
async fn an_older_copy_is_detected_although_its_epoch_ended_with_an_empty_log() {
    if runs_on_postgres() {
        return;
    }
    let mut stopped = StoppedServer::new().await;
    fs::remove_file(data_path(&stopped.server, "history")).unwrap();
    stopped.server.restart().await;
    stopped.client_state.assert_reset(&stopped.alice, &stopped.room).await;
    stopped.server.stop_for_restart().await;
    // The copy has the epoch of the client, and the client has newer revisions of it.
    stopped.restore_copy().await;
    stopped.client_state.assert_reset(&stopped.alice, &stopped.room).await;
    stopped.alice.send(&stopped.room, "after").await;
    assert_eq!(contents(&stopped.alice, &stopped.room).await, ["kept", "after"]);
}
