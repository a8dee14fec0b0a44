//! What counts as unread: a mention of everybody is a flag of its message and no longer a row for each participant, what a
//! user has hidden says whether it would count, and how far a participant had read stays when they leave and come back.

use sea_orm_migration::prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::sql;

/// See the statements below.
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

// Of a mention of everybody the rows of those stay whom the text names as well: they were named one by one.
const UP: &str = r"
ALTER TABLE messages ADD COLUMN mentions_all {bool} NOT NULL DEFAULT false;
UPDATE messages SET mentions_all = true WHERE id IN (SELECT message_id FROM mentions WHERE by_all);
CREATE INDEX messages_mentions_all ON messages (conversation_id, seq) WHERE mentions_all;
DELETE FROM mentions WHERE by_all AND NOT EXISTS (
    SELECT 1 FROM messages m JOIN users u ON u.id = mentions.user_id
    WHERE m.id = mentions.message_id AND replace(lower(m.content), '@' || u.username_key, '') <> lower(m.content)
);
ALTER TABLE mentions DROP COLUMN by_all;

-- counts: whether the message counts as unread, which a system message does not
ALTER TABLE hidden_messages ADD COLUMN counts {bool} NOT NULL DEFAULT true;
UPDATE hidden_messages SET counts = false
WHERE message_id IN (SELECT id FROM messages WHERE sender_id IS NULL);

-- former_read_seq: how far a participant had read who left and came back
ALTER TABLE participants ADD COLUMN former_read_seq {int} NOT NULL DEFAULT 0;
";

// Who was in a conversation when everybody was mentioned is known of those who are still in it.
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
