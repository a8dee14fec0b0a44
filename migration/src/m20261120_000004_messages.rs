//! Creates the tables of messages, mentions, earlier texts, hidden messages, reactions and links.

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
-- count: the number of messages up to this one, without system messages
-- rev: the revision of the message.new event
-- body_hash: the hash of the request, which distinguishes a repeated request from another one with the same temp_id
-- UNIQUE (sender_id, conversation_id, temp_id) applies only to rows that have all three, because NULLs are never equal
CREATE TABLE messages (
    id {uuid} NOT NULL PRIMARY KEY,
    conversation_id {uuid} NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq {int} NOT NULL CHECK (seq >= 1),
    count {int} NOT NULL,
    rev {int} NOT NULL CHECK (rev >= 1),
    sender_id {uuid} REFERENCES users (id) ON DELETE RESTRICT,
    kind TEXT NOT NULL CHECK (
        kind IN (
            'text', 'image', 'video', 'audio', 'file', 'mixed', 'sticker', 'location', 'contact', 'system'
        )
    ),
    content TEXT NOT NULL,
    data TEXT,
    reply_to_id {uuid} REFERENCES messages (id) ON DELETE SET NULL,
    temp_id TEXT,
    body_hash {bytes},
    edited_at {int},
    deleted_at {int},
    deleted_by {uuid} REFERENCES users (id) ON DELETE RESTRICT,
    pinned_at {int},
    pinned_by {uuid} REFERENCES users (id) ON DELETE RESTRICT,
    created_at {int} NOT NULL,
    UNIQUE (conversation_id, seq),
    UNIQUE (sender_id, conversation_id, temp_id),
    CONSTRAINT messages_count_within_seq CHECK (count BETWEEN 0 AND seq),
    CONSTRAINT messages_system_has_no_sender CHECK ((kind = 'system') = (sender_id IS NULL)),
    CONSTRAINT messages_temp_id_has_sender_and_hash CHECK (
        temp_id IS NULL OR (sender_id IS NOT NULL AND body_hash IS NOT NULL)
    ),
    CONSTRAINT messages_kind_has_data CHECK (
        kind NOT IN ('sticker', 'location', 'contact', 'system') OR data IS NOT NULL OR deleted_at IS NOT NULL
    ),
    CONSTRAINT messages_deleted_is_empty CHECK (deleted_at IS NULL OR (content = '' AND data IS NULL)),
    CONSTRAINT messages_deleted_by_with_time CHECK (deleted_by IS NULL OR deleted_at IS NOT NULL),
    CONSTRAINT messages_pinned_by_with_time CHECK (pinned_by IS NULL OR pinned_at IS NOT NULL)
){table};
CREATE INDEX messages_pins ON messages (conversation_id, pinned_at) WHERE pinned_at IS NOT NULL;
CREATE INDEX messages_reply_to_id ON messages (reply_to_id) WHERE reply_to_id IS NOT NULL;
CREATE INDEX messages_deleted_by ON messages (deleted_by) WHERE deleted_by IS NOT NULL;
CREATE INDEX messages_pinned_by ON messages (pinned_by) WHERE pinned_by IS NOT NULL;

CREATE TABLE mentions (
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    conversation_id {uuid} NOT NULL,
    seq {int} NOT NULL,
    message_id {uuid} NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, conversation_id, seq)
){clustered};
CREATE INDEX mentions_message_id ON mentions (message_id);

-- content: the earlier text
-- edited_at: the time at which this text was replaced
CREATE TABLE message_edits (
    id {serial},
    message_id {uuid} NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    content TEXT NOT NULL,
    edited_at {int} NOT NULL
){table};
CREATE INDEX message_edits_message_id ON message_edits (message_id, id);

CREATE TABLE hidden_messages (
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    message_id {uuid} NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    conversation_id {uuid} NOT NULL,
    seq {int} NOT NULL,
    created_at {int} NOT NULL,
    PRIMARY KEY (user_id, message_id)
){clustered};
CREATE INDEX hidden_messages_message_id ON hidden_messages (message_id);
CREATE INDEX hidden_messages_place ON hidden_messages (user_id, conversation_id, seq);

CREATE TABLE reactions (
    message_id {uuid} NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    emoji TEXT NOT NULL,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    conversation_id {uuid} NOT NULL,
    created_at {int} NOT NULL,
    PRIMARY KEY (message_id, emoji, user_id)
){clustered};
CREATE INDEX reactions_user_id ON reactions (user_id);

CREATE TABLE message_links (
    message_id {uuid} NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    position {int} NOT NULL CHECK (position >= 0),
    conversation_id {uuid} NOT NULL,
    seq {int} NOT NULL,
    url TEXT NOT NULL,
    PRIMARY KEY (message_id, position)
){clustered};
CREATE INDEX message_links_place ON message_links (conversation_id, seq, position);
";

const DOWN: &str = r"
DROP TABLE message_links;
DROP TABLE reactions;
DROP TABLE hidden_messages;
DROP TABLE message_edits;
DROP TABLE mentions;
DROP TABLE messages;
";
