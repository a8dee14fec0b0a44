//! Changes the data of unread counts.
//!
//! A mention of all participants becomes a flag of its message; before, it was a row for each participant. A hidden
//! message stores whether it counts as unread. A participant who leaves and returns keeps the earlier read mark.

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

// If a message mentions all participants, only the rows of the users whom the text also names are kept.
const UP: &str = r"
ALTER TABLE messages ADD COLUMN mentions_all {bool} NOT NULL DEFAULT false;
UPDATE messages SET mentions_all = true WHERE id IN (SELECT message_id FROM mentions WHERE by_all);
CREATE INDEX messages_mentions_all ON messages (conversation_id, seq) WHERE mentions_all;
DELETE FROM mentions WHERE by_all AND NOT EXISTS (
    SELECT 1 FROM messages m JOIN users u ON u.id = mentions.user_id
    WHERE m.id = mentions.message_id AND replace(lower(m.content), '@' || u.username_key, '') <> lower(m.content)
);
ALTER TABLE mentions DROP COLUMN by_all;

-- counts: whether the message counts as unread (false for system messages)
ALTER TABLE hidden_messages ADD COLUMN counts {bool} NOT NULL DEFAULT true;
UPDATE hidden_messages SET counts = false
WHERE message_id IN (SELECT id FROM messages WHERE sender_id IS NULL);

-- former_read_seq: the read mark before the user left, if the user has returned
ALTER TABLE participants ADD COLUMN former_read_seq {int} NOT NULL DEFAULT 0;
";

// Of the users who were mentioned with all participants, only those who are still in the conversation are known.
const DOWN: &str = r"
ALTER TABLE participants DROP COLUMN former_read_seq;
ALTER TABLE hidden_messages DROP COLUMN counts;

ALTER TABLE mentions ADD COLUMN by_all {bool} NOT NULL DEFAULT false;
UPDATE mentions SET by_all = true WHERE message_id IN (SELECT id FROM messages WHERE mentions_all);
INSERT INTO mentions (user_id, conversation_id, seq, message_id, position, by_all)
SELECT p.user_id, m.conversation_id, m.seq, m.id,
    (SELECT count(*) FROM mentions n WHERE n.message_id = m.id)
        + row_number() OVER (PARTITION BY m.id ORDER BY p.user_id) - 1,
    true
FROM messages m JOIN participants p ON p.conversation_id = m.conversation_id
WHERE m.mentions_all AND p.left_at IS NULL AND p.joined_at <= m.created_at AND p.user_id <> m.sender_id
    AND NOT EXISTS (SELECT 1 FROM mentions n WHERE n.message_id = m.id AND n.user_id = p.user_id);
DROP INDEX messages_mentions_all;
ALTER TABLE messages DROP COLUMN mentions_all;
";
