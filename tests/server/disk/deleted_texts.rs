//! A text that was deleted for everyone is removed from all files of the database.

use std::process::Command;

use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{database_file, open_second_connection, try_send};
use crate::support::database::runs_on_postgres;
use crate::support::user::text;
use crate::support::{TestServer, eventually};

/// Returns the files of the database that contain `word`. Another process reads them, because a process that closes a
/// file loses the locks of all its connections to that file.
pub fn files_with(server: &TestServer, word: &str) -> Vec<String> {
    let file = database_file(server).display().to_string();
    let files = ["", "-wal", "-shm"].map(|suffix| format!("{file}{suffix}"));
    let found =
        Command::new("grep").args(["-s", "-l", "-a", "-F", "-e", word]).args(files).output().expect("grep runs");
    String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_text_that_was_deleted_for_everyone_is_in_no_file() {
    if runs_on_postgres() {
        return;
    }
    let server = TestServer::start().await;
    let [ann, bob] = [server.user("ann").await, server.user("bob").await];
    let group = ann.group("Chess", &[&bob]).await;
    // The texts are short ones and one that fills pages of its own. Other messages before and after them make SQLite
    // fill and divide its pages.
    let words = ["wanderlust".to_owned(), "kaleidoscope".repeat(3), "bittersweet".repeat(800)];
    let mut deleted = Vec::new();
    for round in 0..40 {
        for filler in 0..3 {
            ann.send(&group, &format!("filler {round} {filler} {}", "y".repeat(round * 7))).await;
        }
        if round % 10 == 5 {
            for word in &words {
                deleted.push(ann.send(&group, word).await);
            }
        }
    }
    let quoted = text(&deleted[0]["id"]);
    let reply = json!({ "content": "indeed", "reply_to_id": quoted });
    bob.post(&format!("/conversations/{group}/messages"), reply).await.expect(201);
    let edit = json!({ "content": "edelweiss" });
    ann.patch(&format!("/conversations/{group}/messages/{quoted}"), edit).await.expect(200);
    // SQLite stores a long text in parts, each as long as a page.
    let parts = ["wanderlust".to_owned(), "kaleidoscope".repeat(3), "bittersweet".repeat(20), "edelweiss".to_owned()];
    for word in &parts {
        assert!(!files_with(&server, word).is_empty(), "{word:.12} is stored, so these are the right files");
    }

    for message in &deleted {
        let path = format!("/conversations/{group}/messages/{}?for=everyone", text(&message["id"]));
        ann.delete(&path).await.expect(204);
    }
    for word in &parts {
        eventually("the deleted text is in no file", async || files_with(&server, word).is_empty()).await;
    }
    // The next write begins the write-ahead log again, and the text is not in it.
    try_send(&ann, &group, "later").await.expect(201);
    for word in &parts {
        assert_eq!(files_with(&server, word), Vec::<String>::new());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_text_that_was_deleted_just_before_a_kill_is_in_no_file_after_the_start() {
    if runs_on_postgres() {
        return;
    }
    let mut server = TestServer::start().await;
    let ann = server.user("ann").await;
    let group = ann.group("Chess", &[]).await;
    // Another connection reads the database, as for a backup. So the write-ahead log cannot be emptied now. The start
    // of the server does not empty it either, because this connection still has the file open.
    let other = open_second_connection(&database_file(&server)).await;
    other.execute_unprepared("BEGIN; SELECT count(*) FROM messages").await.expect("the database is read");
    for filler in 0..100 {
        ann.send(&group, &format!("filler {filler}")).await;
    }
    let message = text(&ann.send(&group, "wanderlust").await["id"]);
    ann.patch(&format!("/conversations/{group}/messages/{message}"), json!({ "content": "edelweiss" }))
        .await
        .expect(200);
    ann.delete(&format!("/conversations/{group}/messages/{message}?for=everyone")).await.expect(204);
    server.kill();
    let words = ["wanderlust", "edelweiss"];
    for word in words {
        assert!(!files_with(&server, word).is_empty(), "{word} is in the log, so these are the right files");
    }
    other.execute_unprepared("ROLLBACK").await.expect("the transaction ends");
    server.restart().await;
    for word in words {
        eventually("the deleted text is in no file", async || files_with(&server, word).is_empty()).await;
    }
    other.close().await.expect("the connection closes");
    server.stop().await;
}
