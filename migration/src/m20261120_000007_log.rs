//! Creates the log of events, the readers of the log, and the table `meta` with the epoch of this history.

use sea_orm_migration::prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::sql;

/// The migration that runs the statements below.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, UP).await?;
        let epoch = if sql::is_postgres(manager) { EPOCH_ON_POSTGRES } else { EPOCH_ON_SQLITE };
        sql::run(manager, epoch).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const UP: &str = r"
-- payload: the exact text of the frame that clients receive
-- position: the common order of all streams, set after the commit, because ids can become visible in another order
-- no foreign keys: the log can outlive the objects it names, and an append must lock only its stream
CREATE TABLE outbox (
    id {serial},
    position {int} UNIQUE,
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
CREATE INDEX outbox_message_id ON outbox (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX outbox_quoted_id ON outbox (quoted_id) WHERE quoted_id IS NOT NULL;
CREATE INDEX outbox_unstamped ON outbox (id) WHERE position IS NULL;

-- holder: the node that holds the lease until leased_until
-- cursor: the last position that the reader has read, or that the sequencer has assigned
CREATE TABLE readers (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT,
    leased_until {int} NOT NULL DEFAULT 0,
    cursor {int} NOT NULL DEFAULT 0 CHECK (cursor >= 0),
    updated_at {int} NOT NULL
){table};

CREATE TABLE reader_failures (
    reader TEXT NOT NULL REFERENCES readers (name) ON DELETE CASCADE,
    stream_kind {small} NOT NULL CHECK (stream_kind IN (0, 1)),
    stream_id {uuid} NOT NULL,
    rev {int} NOT NULL CHECK (rev >= 1),
    attempts {int} NOT NULL CHECK (attempts >= 1),
    next_at {int} NOT NULL,
    last_error TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'parked' CHECK (status IN ('parked', 'failed')),
    PRIMARY KEY (reader, stream_kind, stream_id, rev)
){table};
CREATE INDEX reader_failures_due ON reader_failures (reader, next_at) WHERE status = 'parked';

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
){clustered};
";

const DOWN: &str = r"
DROP TABLE meta;
DROP TABLE reader_failures;
DROP TABLE readers;
DROP TABLE outbox;
";

/// Stores an epoch of 128 random bits as 32 hexadecimal digits. PostgreSQL has no source of strong randomness except
/// random UUIDs without an extension. A random UUID has six fixed bits, so the statement hashes two of them.
const EPOCH_ON_POSTGRES: &str = "INSERT INTO meta (key, value) \
     VALUES ('epoch', md5(gen_random_uuid()::text || gen_random_uuid()::text))";
const EPOCH_ON_SQLITE: &str = "INSERT INTO meta (key, value) VALUES ('epoch', lower(hex(randomblob(16))))";
