//! Creates the table of uploaded files: attachments and avatars. Their content is in the file store.

use sea_orm_migration::prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::sql;

/// The migration that runs the statements below.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const UP: &str = r"
-- purpose: NULL until the file is attached to a message (conversation_id, message_id, position, seq) or used as an
-- avatar (of conversation_id, or of the uploader if that is NULL)
-- all foreign keys are RESTRICT: a row names stored content, so only the code that removes the content may delete it
CREATE TABLE uploads (
    id {uuid} NOT NULL PRIMARY KEY,
    uploader_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    purpose TEXT CHECK (purpose IN ('message', 'avatar')),
    conversation_id {uuid} REFERENCES conversations (id) ON DELETE RESTRICT,
    message_id {uuid} REFERENCES messages (id) ON DELETE RESTRICT,
    position {int} CHECK (position >= 0),
    seq {int},
    kind TEXT NOT NULL CHECK (kind IN ('image', 'video', 'audio', 'file')),
    name TEXT NOT NULL,
    mime TEXT NOT NULL,
    size {int} NOT NULL CHECK (size >= 0),
    width {int} CHECK (width > 0),
    height {int} CHECK (height > 0),
    duration_ms {int} CHECK (duration_ms >= 0),
    storage_key TEXT NOT NULL,
    thumbnail_key TEXT,
    attached_at {int},
    created_at {int} NOT NULL,
    deleted_at {int},
    CONSTRAINT uploads_attached_with_purpose CHECK ((purpose IS NULL) = (attached_at IS NULL)),
    CONSTRAINT uploads_attached_to_something CHECK (conversation_id IS NULL OR purpose IS NOT NULL),
    CONSTRAINT uploads_place_in_message CHECK (
        CASE WHEN purpose = 'message'
            THEN conversation_id IS NOT NULL AND message_id IS NOT NULL AND position IS NOT NULL AND seq IS NOT NULL
            ELSE message_id IS NULL AND position IS NULL AND seq IS NULL
        END
    ),
    CONSTRAINT uploads_both_sides CHECK ((width IS NULL) = (height IS NULL))
){table};
CREATE UNIQUE INDEX uploads_message_id ON uploads (message_id, position) WHERE message_id IS NOT NULL;
CREATE INDEX uploads_place ON uploads (conversation_id, seq, position) WHERE conversation_id IS NOT NULL;
CREATE INDEX uploads_unattached ON uploads (created_at) WHERE attached_at IS NULL AND deleted_at IS NULL;
CREATE INDEX uploads_quota ON uploads (uploader_id, deleted_at, size);
";

const DOWN: &str = r"
DROP TABLE uploads;
";
