//! Creates the tables of conversations and participants, with the counts and marks that every message changes.

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
-- direct_low, direct_high: the two users of a direct conversation, the smaller id first, so that a pair has one row
-- last_count: the number of messages without system messages
-- last_rev: the newest revision of the stream
CREATE TABLE conversations (
    id {uuid} NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('direct', 'group', 'class')),
    name TEXT,
    description TEXT,
    avatar_url TEXT,
    class_id {uuid} UNIQUE REFERENCES classes (id) ON DELETE RESTRICT,
    direct_low {uuid} REFERENCES users (id) ON DELETE RESTRICT,
    direct_high {uuid} REFERENCES users (id) ON DELETE RESTRICT,
    created_by {uuid} REFERENCES users (id) ON DELETE RESTRICT,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    last_seq {int} NOT NULL DEFAULT 0 CHECK (last_seq >= 0),
    last_count {int} NOT NULL DEFAULT 0,
    last_rev {int} NOT NULL DEFAULT 0 CHECK (last_rev >= 0),
    last_message_at {int},
    all_mentioned_at {int},
    deleted_at {int},
    UNIQUE (direct_low, direct_high),
    CONSTRAINT conversations_direct_has_two CHECK (
        (kind = 'direct') = (direct_low IS NOT NULL) AND (kind = 'direct') = (direct_high IS NOT NULL)
    ),
    CONSTRAINT conversations_direct_in_order CHECK (direct_low < direct_high),
    CONSTRAINT conversations_class_has_class CHECK ((kind = 'class') = (class_id IS NOT NULL)),
    CONSTRAINT conversations_named CHECK (kind = 'direct' OR name IS NOT NULL),
    CONSTRAINT conversations_count_within_seq CHECK (last_count BETWEEN 0 AND last_seq)
){hot};
CREATE INDEX conversations_direct_high ON conversations (direct_high) WHERE direct_high IS NOT NULL;
CREATE INDEX conversations_created_by ON conversations (created_by) WHERE created_by IS NOT NULL;

-- joined_rev, left_rev: the revision of the event about the joining or leaving
-- the row stays when the user leaves
-- last_read_count: the count of the message at last_read_seq (the unread count is last_count minus this value)
-- archived_seq: last_seq when the participant archived the conversation
-- muted_until: the greatest integer means without end
CREATE TABLE participants (
    conversation_id {uuid} NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'observer')),
    joined_at {int} NOT NULL,
    joined_rev {int} NOT NULL CHECK (joined_rev >= 0),
    left_at {int},
    left_rev {int},
    last_read_seq {int} NOT NULL DEFAULT 0,
    last_read_count {int} NOT NULL DEFAULT 0,
    read_at {int},
    delivered_seq {int} NOT NULL DEFAULT 0 CHECK (delivered_seq >= 0),
    delivered_at {int},
    muted_until {int},
    archived_seq {int},
    pinned_at {int},
    notify TEXT NOT NULL DEFAULT 'all' CHECK (notify IN ('all', 'mentions', 'none')),
    PRIMARY KEY (conversation_id, user_id),
    CONSTRAINT participants_left_with_rev CHECK ((left_at IS NULL) = (left_rev IS NULL)),
    CONSTRAINT participants_left_after_joining CHECK (left_rev >= joined_rev),
    CONSTRAINT participants_count_within_seq CHECK (last_read_count BETWEEN 0 AND last_read_seq)
){hot_clustered};
CREATE INDEX participants_user_id ON participants (user_id);
CREATE INDEX participants_current_of_user ON participants (user_id, conversation_id) WHERE left_at IS NULL;
CREATE INDEX participants_in_order ON participants (conversation_id, joined_at, user_id) WHERE left_at IS NULL;
";

const DOWN: &str = r"
DROP TABLE participants;
DROP TABLE conversations;
";
