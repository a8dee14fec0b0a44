//! A text that was deleted for everyone is in none of the database's files any more.

use std::process::Command;

use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{beside, file_of, say};
use crate::support::database::runs_on_postgres;
use crate::support::user::text;
use crate::support::{TestServer, eventually};

/// The database's files that contain `word` as bytes. Another process looks: one that closes a file gives up the locks
/// of all its connections to it.
pub fn files_with(server: &TestServer, word: &str) -> Vec<String> {
    let file = file_of(server).display().to_string();
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
    let room = ann.group("room", &[&bob]).await;
    // short ones, and one that fills pages of its own; others before and after, so that pages fill up and are divided
    let words = ["wanderlust".to_owned(), "kaleidoscope".repeat(3), "bittersweet".repeat(800)];
    let mut deleted = Vec::new();
    for round in 0..40 {
        for filler in 0..3 {
            ann.send(&room, &format!("filler {round} {filler} {}", "y".repeat(round * 7))).await;
        }
        if round % 10 == 5 {
            for word in &words {
                deleted.push(ann.send(&room, word).await);
            }
        }
    }
    let quoted = text(&deleted[0]["id"]);
    let reply = json!({ "content": "indeed", "reply_to_id": quoted });
    bob.post(&format!("/conversations/{room}/messages"), reply).await.expect(201);
    let edit = json!({ "content": "edelweiss" });
    ann.patch(&format!("/conversations/{room}/messages/{quoted}"), edit).await.expect(200);
    // a long text is kept in parts, each as long as a page
    let parts = ["wanderlust".to_owned(), "kaleidoscope".repeat(3), "bittersweet".repeat(20), "edelweiss".to_owned()];
    for word in &parts {
        assert!(!files_with(&server, word).is_empty(), "{word:.12} is stored, so this looks in the right place");
    }

    for message in &deleted {
        let path = format!("/conversations/{room}/messages/{}?for=everyone", text(&message["id"]));
        ann.delete(&path).await.expect(204);
    }
    for word in &parts {
        eventually("the deleted text is in no file", async || files_with(&server, word).is_empty()).await;
    }
    // and it does not come back when the log starts anew
    say(&ann, &room, "later").await.expect(201);
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
    let room = ann.group("room", &[]).await;
    // somebody looks at the database, as for a backup: the log cannot be emptied, nor is it by the start, which does so
    // where nobody else has it open
    let other = beside(&file_of(&server)).await;
    other.execute_unprepared("BEGIN; SELECT count(*) FROM messages").await.expect("it is read");
    for filler in 0..100 {
        ann.send(&room, &format!("filler {filler}")).await;
    }
    let message = text(&ann.send(&room, "wanderlust").await["id"]);
    ann.patch(&format!("/conversations/{room}/messages/{message}"), json!({ "content": "edelweiss" }))
        .await
        .expect(200);
    ann.delete(&format!("/conversations/{room}/messages/{message}?for=everyone")).await.expect(204);
    server.kill_nine();
    let words = ["wanderlust", "edelweiss"];
    for word in words {
        assert!(!files_with(&server, word).is_empty(), "{word} is in the log, so this looks in the right place");
    }
    other.execute_unprepared("ROLLBACK").await.expect("the end of a transaction");
    server.restart().await;
    for word in words {
        eventually("the deleted text is in no file", async || files_with(&server, word).is_empty()).await;
    }
    other.close().await.expect("the connection closes");
    server.stop().await;
}
