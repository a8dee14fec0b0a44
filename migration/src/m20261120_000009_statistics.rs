//! Creates the tables of statistics, filled from the existing messages.
//!
//! It also sets where the readers of the log begin: after all counted messages, so that no message is counted twice.

use sea_orm_migration::prelude::{
    ConnectionTrait, DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait,
};
use sea_orm_migration::sea_orm::{QueryResult, Statement, Value};

use crate::sql;

/// The migration that runs the statements below.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if sql::is_postgres(manager) {
            sql::run(manager, LOCK_WRITERS).await?;
        }
        sql::run(manager, UP).await?;
        find_links(manager).await?;
        sql::run(manager, COUNT).await?;
        sql::run(manager, if sql::is_postgres(manager) { BEGIN_ON_POSTGRES } else { BEGIN_ON_SQLITE }).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Prevents commits of messages and log rows between the count and the read of the last log position. SQLite does not
/// need this, because no other process writes during a migration.
const LOCK_WRITERS: &str = "LOCK TABLE messages, outbox IN SHARE ROW EXCLUSIVE MODE";

const UP: &str = r"
-- messages, links: the counts up to the cursor of the reader 'statistics', without system messages
-- first_message_at: the time of the first message that a user sent
CREATE TABLE conversation_statistics (
    conversation_id {uuid} NOT NULL PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    messages {int} NOT NULL CHECK (messages >= 0),
    attachments {int} NOT NULL DEFAULT 0 CHECK (attachments >= 0),
    links {int} NOT NULL,
    first_message_at {int}
){hot};

-- messages: the number of messages that the user sent to the conversation, also after the user left
CREATE TABLE sender_statistics (
    conversation_id {uuid} NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    messages {int} NOT NULL CHECK (messages >= 0),
    PRIMARY KEY (conversation_id, user_id)
){hot_clustered};
CREATE INDEX sender_statistics_user_id ON sender_statistics (user_id);

DELETE FROM message_links;
";

/// Counts the messages. The column `count` of a message is the number of messages up to it, so the first message of a
/// user has the count 1.
const COUNT: &str = r"
INSERT INTO conversation_statistics (conversation_id, messages, links, first_message_at)
SELECT m.conversation_id, count(*),
       (SELECT count(*) FROM message_links l WHERE l.conversation_id = m.conversation_id),
       min(CASE WHEN m.count = 1 THEN m.created_at END)
FROM messages m WHERE m.sender_id IS NOT NULL GROUP BY m.conversation_id;

INSERT INTO sender_statistics (conversation_id, user_id, messages)
SELECT conversation_id, sender_id, count(*) FROM messages
WHERE sender_id IS NOT NULL GROUP BY conversation_id, sender_id;
";

const BEGIN_ON_POSTGRES: &str = r"
UPDATE outbox SET position = stamped.position
FROM (SELECT id, (SELECT COALESCE(max(position), 0) FROM outbox) + row_number() OVER (ORDER BY id) AS position
      FROM outbox WHERE position IS NULL) AS stamped
WHERE outbox.id = stamped.id;
INSERT INTO readers (name, cursor, updated_at)
SELECT name, (SELECT COALESCE(max(position), 0) FROM outbox), 0
FROM (VALUES ('sequencer'), ('statistics')) AS begun (name);
";

const BEGIN_ON_SQLITE: &str = r"
INSERT INTO readers (name, cursor, updated_at)
VALUES ('statistics', (SELECT COALESCE(max(id), 0) FROM outbox), 0);
";

const DOWN: &str = r"
DELETE FROM readers WHERE name IN ('sequencer', 'statistics');
UPDATE outbox SET position = NULL WHERE position IS NOT NULL;
DELETE FROM message_links;
DROP TABLE sender_statistics;
DROP TABLE conversation_statistics;
";

/// The number of messages that one query reads.
const PAGE: usize = 500;

/// Fills `message_links` from the texts of the existing messages.
async fn find_links(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let (page, insert) = if sql::is_postgres(manager) {
        (
            "SELECT replace(id::text, '-', '') AS hex_id, content FROM messages
             WHERE id > $1::uuid AND content LIKE '%://%' AND sender_id IS NOT NULL ORDER BY id LIMIT $2",
            "INSERT INTO message_links (message_id, position, conversation_id, seq, url)
             SELECT id, $2, conversation_id, seq, $3 FROM messages WHERE id = $1::uuid",
        )
    } else {
        (
            "SELECT hex(id) AS hex_id, content FROM messages
             WHERE id > unhex($1) AND content LIKE '%://%' AND sender_id IS NOT NULL ORDER BY id LIMIT $2",
            "INSERT INTO message_links (message_id, position, conversation_id, seq, url)
             SELECT id, $2, conversation_id, seq, $3 FROM messages WHERE id = unhex($1)",
        )
    };
    let statement =
        |text: &str, values: Vec<Value>| Statement::from_sql_and_values(manager.get_database_backend(), text, values);
    let connection = manager.get_connection();
    let mut last = "0".repeat(32);
    loop {
        let values = vec![last.clone().into(), (PAGE as i64).into()];
        let rows: Vec<QueryResult> = connection.query_all_raw(statement(page, values)).await?;
        for row in &rows {
            last = row.try_get("", "hex_id")?;
            let content: String = row.try_get("", "content")?;
            for (position, url) in links(&content).into_iter().enumerate() {
                let values = vec![last.clone().into(), (position as i64).into(), url.into()];
                connection.execute_raw(statement(insert, values)).await?;
            }
        }
        if rows.len() < PAGE {
            return Ok(());
        }
    }
}

/// Returns the links in a text as the server found them when this migration was written. The migration has its own copy
/// of this code, because it must never change what it does.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(at) = text[rest..].find("://").map(|at| rest + at) {
        rest = at + 3;
        let scheme = ["https", "http"].into_iter().find(|scheme| {
            let start = at.checked_sub(scheme.len());
            let word = start.and_then(|start| text.get(start..at));
            let before = start.and_then(|start| text[..start].chars().next_back());
            word.is_some_and(|word| word.eq_ignore_ascii_case(scheme)) && !before.is_some_and(char::is_alphanumeric)
        });
        let Some(scheme) = scheme else { continue };
        let ends = |letter: char| letter.is_whitespace() || letter.is_control() || "<>\"".contains(letter);
        let length = text[rest..].find(ends).unwrap_or(text.len() - rest);
        let address = text[rest..rest + length].trim_end_matches(|letter: char| ".,;:!?'*_~)]}".contains(letter));
        if address.starts_with(|letter: char| letter.is_alphanumeric() || letter == '[') {
            found.push(&text[at - scheme.len()..rest + address.len()]);
            rest += address.len();
        }
    }
    found
}
