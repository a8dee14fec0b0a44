//! Removes the column `position` of the log: readers of the log now go by the ids of its rows.
//!
//! A cursor of before says nothing about ids on PostgreSQL, because positions and ids had different orders. So all
//! cursors move to the last id, and the effects of the rows in between come from the tables instead: the statistics are
//! counted again from the messages. This also counts messages whose log rows were removed, and repairs what a reader
//! that had failed did not count. The server must be stopped.

mod links;

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
        sql::run(manager, "DELETE FROM message_links").await?;
        find_links(manager).await?;
        sql::run(manager, COUNT).await?;
        sql::run(manager, MOVE_CURSORS).await?;
        if sql::is_postgres(manager) {
            sql::run(manager, UP_ON_POSTGRES).await
        } else {
            sql::run(manager, &sqlite("", "")).await
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if sql::is_postgres(manager) {
            sql::run(manager, DOWN_ON_POSTGRES).await
        } else {
            sql::run(manager, &sqlite(POSITION_ON_SQLITE, UNSTAMPED_INDEX)).await
        }
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Prevents commits of messages and log rows between the count and the read of the last id, if a server of an older
/// version still runs. SQLite does not need this, because no other process writes during a migration.
const LOCK_WRITERS: &str = "LOCK TABLE messages, outbox IN SHARE ROW EXCLUSIVE MODE";

/// Counts the messages. The column `count` of a message is the number of messages up to it, so the first message of a
/// user has the count 1. The counts of attachments stay.
const COUNT: &str = r"
INSERT INTO conversation_statistics (conversation_id, messages, links, first_message_at)
SELECT m.conversation_id, count(*),
       (SELECT count(*) FROM message_links l WHERE l.conversation_id = m.conversation_id),
       min(CASE WHEN m.count = 1 THEN m.created_at END)
FROM messages m WHERE m.sender_id IS NOT NULL GROUP BY m.conversation_id
ON CONFLICT (conversation_id) DO UPDATE SET
    messages = excluded.messages, links = excluded.links, first_message_at = excluded.first_message_at;

DELETE FROM sender_statistics;
INSERT INTO sender_statistics (conversation_id, user_id, messages)
SELECT conversation_id, sender_id, count(*) FROM messages
WHERE sender_id IS NOT NULL GROUP BY conversation_id, sender_id;
";

/// The count contains the rows at which streams were parked for the statistics, and everything that a failed reader of
/// the statistics has missed.
const MOVE_CURSORS: &str = r"
DELETE FROM readers WHERE name = 'sequencer';
INSERT INTO readers (name, cursor, updated_at) VALUES ('statistics', 0, 0) ON CONFLICT (name) DO NOTHING;
UPDATE readers SET cursor = (SELECT COALESCE(max(id), 0) FROM outbox);
UPDATE readers SET failed_at = NULL WHERE name = 'statistics';
DELETE FROM reader_failures WHERE reader = 'statistics';
";

const UP_ON_POSTGRES: &str = r"
DROP INDEX outbox_unstamped;
ALTER TABLE outbox DROP COLUMN position;
";

/// Each row gets its id as its position, so the cursors need not change.
const DOWN_ON_POSTGRES: &str = r"
ALTER TABLE outbox ADD COLUMN position {int} UNIQUE;
UPDATE outbox SET position = id;
CREATE INDEX outbox_unstamped ON outbox (id) WHERE position IS NULL;
INSERT INTO readers (name, cursor, updated_at)
SELECT 'sequencer', GREATEST((SELECT max(id) FROM outbox), (SELECT max(cursor) FROM readers), 0), 0;
";

const POSITION_ON_SQLITE: &str = "position {int} UNIQUE,";
const UNSTAMPED_INDEX: &str = "CREATE INDEX outbox_unstamped ON outbox (id) WHERE position IS NULL;";

/// Returns the statements for SQLite, which cannot remove a column that is unique: the log is copied into a new table.
/// The table has the column `position`, and the index `index`, or none if they are empty.
fn sqlite(position: &str, index: &str) -> String {
    TABLE_ON_SQLITE.replace("{position}", position).replace("{index}", index)
}

/// The new table continues to count the ids where the old one has stopped, also if its last rows were removed.
const TABLE_ON_SQLITE: &str = r"
CREATE TABLE new_outbox (
    id {serial},
    {position}
    stream_kind {small} NOT NULL CHECK (stream_kind IN (0, 1)),
    stream_id {uuid} NOT NULL,
    rev {int} NOT NULL CHECK (rev >= 1),
    event_type TEXT NOT NULL,
    message_id {uuid},
    quoted_id {uuid},
    payload TEXT NOT NULL,
    created_at {int} NOT NULL,
    UNIQUE (stream_kind, stream_id, rev)
){table};
INSERT INTO new_outbox (id, stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload, created_at)
SELECT id, stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload, created_at FROM outbox ORDER BY id;
DELETE FROM sqlite_sequence WHERE name = 'new_outbox';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_outbox', seq FROM sqlite_sequence WHERE name = 'outbox';
DROP TABLE outbox;
ALTER TABLE new_outbox RENAME TO outbox;
CREATE INDEX outbox_message_id ON outbox (message_id, id) WHERE message_id IS NOT NULL;
CREATE INDEX outbox_quoted_id ON outbox (quoted_id, id) WHERE quoted_id IS NOT NULL;
{index}
";

/// The number of messages that one query reads.
const PAGE: usize = 500;

/// Fills `message_links` from the texts of the existing messages.
async fn find_links(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let is_postgres = sql::is_postgres(manager);
    // The ids are in hexadecimal, which both databases can read.
    let (hex, unhex, like) = if is_postgres {
        ("replace({}::text, '-', '')", "{}::uuid", "ILIKE")
    } else {
        ("hex({})", "unhex({})", "LIKE")
    };
    let (hex, unhex) = (|column: &str| hex.replace("{}", column), |value: &str| unhex.replace("{}", value));
    let page = format!(
        "SELECT {} AS conversation, {} AS message, seq, content FROM messages
         WHERE (conversation_id, id) > ({}, {}) AND sender_id IS NOT NULL
           AND (content LIKE '%://%' OR content {like} '%www.%')
         ORDER BY conversation_id, id LIMIT $3",
        hex("conversation_id"),
        hex("id"),
        unhex("$1"),
        unhex("$2"),
    );
    let insert = format!(
        "INSERT INTO message_links (conversation_id, message_id, position, seq, url) VALUES ({}, {}, $3, $4, $5)",
        unhex("$1"),
        unhex("$2"),
    );
    let statement =
        |text: &str, values: Vec<Value>| Statement::from_sql_and_values(manager.get_database_backend(), text, values);
    let connection = manager.get_connection();
    let mut last = ("0".repeat(32), "0".repeat(32));
    loop {
        let values = vec![last.0.clone().into(), last.1.clone().into(), (PAGE as i64).into()];
        let rows: Vec<QueryResult> = connection.query_all_raw(statement(&page, values)).await?;
        for row in &rows {
            last = (row.try_get("", "conversation")?, row.try_get("", "message")?);
            let (seq, content): (i64, String) = (row.try_get("", "seq")?, row.try_get("", "content")?);
            for (index, url) in links::links(&content).into_iter().enumerate() {
                let of_message = [last.0.clone().into(), last.1.clone().into()];
                let values = of_message.into_iter().chain([(index as i64).into(), seq.into(), url.into()]).collect();
                connection.execute_raw(statement(&insert, values)).await?;
            }
        }
        if rows.len() < PAGE {
            return Ok(());
        }
    }
}
