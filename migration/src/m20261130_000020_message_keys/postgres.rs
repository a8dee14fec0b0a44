//! The statements for PostgreSQL: only indexes and foreign keys are built again.

/// The foreign key of quotes has no `ON DELETE SET NULL`, because that would set `conversation_id` to NULL too.
pub const UP: &str = r"
ALTER TABLE mentions DROP CONSTRAINT mentions_message_id_fkey;
ALTER TABLE message_edits DROP CONSTRAINT message_edits_message_id_fkey;
ALTER TABLE hidden_messages DROP CONSTRAINT hidden_messages_message_id_fkey;
ALTER TABLE reactions DROP CONSTRAINT reactions_message_id_fkey;
ALTER TABLE message_links DROP CONSTRAINT message_links_message_id_fkey;
ALTER TABLE uploads DROP CONSTRAINT uploads_message_id_fkey;
ALTER TABLE notifications DROP CONSTRAINT notifications_message_id_fkey;
ALTER TABLE messages DROP CONSTRAINT messages_reply_to_id_fkey;

ALTER TABLE messages DROP CONSTRAINT messages_pkey;
ALTER TABLE messages ADD CONSTRAINT messages_pkey PRIMARY KEY (conversation_id, id);
CREATE UNIQUE INDEX messages_id ON messages (id);

ALTER TABLE message_edits ADD COLUMN conversation_id {uuid};
UPDATE message_edits e SET conversation_id = m.conversation_id FROM messages m WHERE m.id = e.message_id;
ALTER TABLE message_edits ALTER COLUMN conversation_id SET NOT NULL;
DROP INDEX message_edits_message_id;
CREATE INDEX message_edits_in_order ON message_edits (conversation_id, message_id, id);

DROP INDEX mentions_in_order;
CREATE INDEX mentions_in_order ON mentions (conversation_id, message_id, position);

ALTER TABLE hidden_messages DROP CONSTRAINT hidden_messages_pkey;
DROP INDEX hidden_messages_place;
ALTER TABLE hidden_messages ADD CONSTRAINT hidden_messages_pkey PRIMARY KEY (user_id, conversation_id, seq);

ALTER TABLE reactions RENAME COLUMN place TO position;
ALTER TABLE reactions RENAME CONSTRAINT reactions_place_check TO reactions_position_check;
ALTER TABLE reactions DROP CONSTRAINT reactions_pkey;
ALTER TABLE reactions ADD CONSTRAINT reactions_pkey PRIMARY KEY (conversation_id, message_id, emoji, user_id);

ALTER TABLE message_links DROP CONSTRAINT message_links_pkey;
ALTER TABLE message_links ADD CONSTRAINT message_links_pkey PRIMARY KEY (conversation_id, message_id, position);
ALTER INDEX message_links_place RENAME TO message_links_in_order;

ALTER TABLE uploads RENAME CONSTRAINT uploads_place_in_message TO uploads_purpose_has_message;
DROP INDEX uploads_message_id;
CREATE UNIQUE INDEX uploads_of_message ON uploads (conversation_id, message_id, position) WHERE message_id IS NOT NULL;
ALTER INDEX uploads_place RENAME TO uploads_in_order;

ALTER TABLE notifications RENAME CONSTRAINT notifications_message_with_place TO notifications_message_has_seq;
DROP INDEX notifications_conversation_id;
DROP INDEX notifications_message_id;
CREATE INDEX notifications_of_message ON notifications (conversation_id, message_id) WHERE conversation_id IS NOT NULL;

ALTER TABLE mentions ADD CONSTRAINT mentions_message_id_fkey
    FOREIGN KEY (conversation_id, message_id) REFERENCES messages (conversation_id, id) ON DELETE CASCADE;
ALTER TABLE message_edits ADD CONSTRAINT message_edits_message_id_fkey
    FOREIGN KEY (conversation_id, message_id) REFERENCES messages (conversation_id, id) ON DELETE CASCADE;
ALTER TABLE hidden_messages ADD CONSTRAINT hidden_messages_message_id_fkey
    FOREIGN KEY (conversation_id, message_id) REFERENCES messages (conversation_id, id) ON DELETE CASCADE;
ALTER TABLE reactions ADD CONSTRAINT reactions_message_id_fkey
    FOREIGN KEY (conversation_id, message_id) REFERENCES messages (conversation_id, id) ON DELETE CASCADE;
ALTER TABLE message_links ADD CONSTRAINT message_links_message_id_fkey
    FOREIGN KEY (conversation_id, message_id) REFERENCES messages (conversation_id, id) ON DELETE CASCADE;
ALTER TABLE uploads ADD CONSTRAINT uploads_message_id_fkey
    FOREIGN KEY (conversation_id, message_id) REFERENCES messages (conversation_id, id) ON DELETE RESTRICT;
ALTER TABLE notifications ADD CONSTRAINT notifications_message_id_fkey
    FOREIGN KEY (conversation_id, message_id) REFERENCES messages (conversation_id, id) ON DELETE CASCADE;
ALTER TABLE messages ADD CONSTRAINT messages_reply_to_id_fkey
    FOREIGN KEY (conversation_id, reply_to_id) REFERENCES messages (conversation_id, id);
";

/// The schema before this migration.
pub const DOWN: &str = r"
ALTER TABLE messages DROP CONSTRAINT messages_reply_to_id_fkey;
ALTER TABLE notifications DROP CONSTRAINT notifications_message_id_fkey;
ALTER TABLE uploads DROP CONSTRAINT uploads_message_id_fkey;
ALTER TABLE message_links DROP CONSTRAINT message_links_message_id_fkey;
ALTER TABLE reactions DROP CONSTRAINT reactions_message_id_fkey;
ALTER TABLE hidden_messages DROP CONSTRAINT hidden_messages_message_id_fkey;
ALTER TABLE message_edits DROP CONSTRAINT message_edits_message_id_fkey;
ALTER TABLE mentions DROP CONSTRAINT mentions_message_id_fkey;

DROP INDEX notifications_of_message;
CREATE INDEX notifications_message_id ON notifications (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX notifications_conversation_id ON notifications (conversation_id) WHERE conversation_id IS NOT NULL;
ALTER TABLE notifications RENAME CONSTRAINT notifications_message_has_seq TO notifications_message_with_place;

ALTER INDEX uploads_in_order RENAME TO uploads_place;
DROP INDEX uploads_of_message;
CREATE UNIQUE INDEX uploads_message_id ON uploads (message_id, position) WHERE message_id IS NOT NULL;
ALTER TABLE uploads RENAME CONSTRAINT uploads_purpose_has_message TO uploads_place_in_message;

ALTER INDEX message_links_in_order RENAME TO message_links_place;
ALTER TABLE message_links DROP CONSTRAINT message_links_pkey;
ALTER TABLE message_links ADD CONSTRAINT message_links_pkey PRIMARY KEY (message_id, position);

ALTER TABLE reactions DROP CONSTRAINT reactions_pkey;
ALTER TABLE reactions ADD CONSTRAINT reactions_pkey PRIMARY KEY (message_id, emoji, user_id);
ALTER TABLE reactions RENAME CONSTRAINT reactions_position_check TO reactions_place_check;
ALTER TABLE reactions RENAME COLUMN position TO place;

ALTER TABLE hidden_messages DROP CONSTRAINT hidden_messages_pkey;
ALTER TABLE hidden_messages ADD CONSTRAINT hidden_messages_pkey PRIMARY KEY (user_id, message_id);
CREATE INDEX hidden_messages_place ON hidden_messages (user_id, conversation_id, seq);

DROP INDEX mentions_in_order;
CREATE INDEX mentions_in_order ON mentions (message_id, position);

DROP INDEX message_edits_in_order;
ALTER TABLE message_edits DROP COLUMN conversation_id;
CREATE INDEX message_edits_message_id ON message_edits (message_id, id);

ALTER TABLE messages DROP CONSTRAINT messages_pkey;
ALTER TABLE messages ADD CONSTRAINT messages_pkey PRIMARY KEY USING INDEX messages_id;

ALTER TABLE messages ADD CONSTRAINT messages_reply_to_id_fkey
    FOREIGN KEY (reply_to_id) REFERENCES messages (id) ON DELETE SET NULL;
ALTER TABLE notifications ADD CONSTRAINT notifications_message_id_fkey
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE;
ALTER TABLE uploads ADD CONSTRAINT uploads_message_id_fkey
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE RESTRICT;
ALTER TABLE message_links ADD CONSTRAINT message_links_message_id_fkey
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE;
ALTER TABLE reactions ADD CONSTRAINT reactions_message_id_fkey
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE;
ALTER TABLE hidden_messages ADD CONSTRAINT hidden_messages_message_id_fkey
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE;
ALTER TABLE message_edits ADD CONSTRAINT message_edits_message_id_fkey
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE;
ALTER TABLE mentions ADD CONSTRAINT mentions_message_id_fkey
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE;
";
