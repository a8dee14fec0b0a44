//! What the statistics reader keeps for each conversation, counted from the messages that are there; and where the
//! readers of the log begin: behind everything that was counted, so that nothing is counted twice.

use sea_orm_migration::prelude::{
    ConnectionTrait, DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait,
};
use sea_orm_migration::sea_orm::{QueryResult, Statement, Value};

use crate::sql;

/// See the statements below.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if sql::is_postgres(manager) {
            sql::run(manager, HOLD_WRITERS).await?;
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

/// No message and no log row may be committed between the count and the place from which the log is read. On SQLite a
/// migration has the database to itself.
const HOLD_WRITERS: &str = "LOCK TABLE messages, outbox IN SHARE ROW EXCLUSIVE MODE";

const UP: &str = r"
-- messages, links: what the log told up to the cursor of the reader 'statistics'; system messages are not among them
-- first_message_at: when the first message that somebody wrote was committed
CREATE TABLE conversation_statistics (
    conversation_id {uuid} NOT NULL PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    messages {int} NOT NULL CHECK (messages >= 0),
    attachments {int} NOT NULL DEFAULT 0 CHECK (attachments >= 0),
    links {int} NOT NULL,
    first_message_at {int}
){hot};

-- messages: how many the user sent into the conversation, whether still in it or not
CREATE TABLE sender_statistics (
    conversation_id {uuid} NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    messages {int} NOT NULL CHECK (messages >= 0),
    PRIMARY KEY (conversation_id, user_id)
){hot_clustered};
CREATE INDEX sender_statistics_user_id ON sender_statistics (user_id);

DELETE FROM message_links;
";

/// The count at a message says how many there are up to it, so the first message that somebody wrote has count 1.
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

/// Messages looked at together.
const PAGE: usize = 500;

/// Fills `message_links` from the texts that are there.
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

/// The links in a text as the server found them when this migration was written; a migration keeps its own copy, because
/// it must always do what it did.
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
