//! The statements for SQLite: each table is copied into a new one, which then takes its name.
//!
//! The new tables refer to `new_messages`, so nothing refers to the old messages when they are dropped; a DROP TABLE
//! also deletes the rows that refer to it. SQLite renames the references when `new_messages` becomes `messages`.
//! Messages are copied in the order of their conversations, so that the pages of a history are together in the file.

/// The words in braces, each with its text after and before this migration.
const WORDS: [(&str, &str, &str); 11] = [
    ("{message_key}", "conversation_id, id", "id"),
    (
        "{quoted}",
        "FOREIGN KEY (conversation_id, reply_to_id) REFERENCES new_messages (conversation_id, id)",
        "FOREIGN KEY (reply_to_id) REFERENCES new_messages (id) ON DELETE SET NULL",
    ),
    (
        "{message}",
        "FOREIGN KEY (conversation_id, message_id) REFERENCES new_messages (conversation_id, id)",
        "FOREIGN KEY (message_id) REFERENCES new_messages (id)",
    ),
    ("{of_message}", "conversation_id, message_id", "message_id"),
    ("{hidden_key}", "user_id, conversation_id, seq", "user_id, message_id"),
    ("{edit_columns}", "conversation_id {uuid} NOT NULL, message_id {uuid} NOT NULL", "message_id {uuid} NOT NULL"),
    (
        "{former_edits}",
        "SELECT e.id, m.conversation_id, e.message_id, e.content, e.edited_at
         FROM message_edits e JOIN messages m ON m.id = e.message_id",
        "SELECT id, message_id, content, edited_at FROM message_edits",
    ),
    ("{emoji_order}", "position", "place"),
    ("{former_emoji_order}", "place", "position"),
    ("{upload_check}", "uploads_purpose_has_message", "uploads_place_in_message"),
    ("{notification_check}", "notifications_message_has_seq", "notifications_message_with_place"),
];

/// Returns the statements that change to the new keys.
pub fn up() -> String {
    let tables = WORDS.iter().fold(TABLES.to_owned(), |text, (word, after, _)| text.replace(word, after));
    tables + INDEXES + INDEXES_AFTER
}

/// Returns the statements that change back to the former keys.
pub fn down() -> String {
    let tables = WORDS.iter().fold(TABLES.to_owned(), |text, (word, _, before)| text.replace(word, before));
    tables + INDEXES + INDEXES_BEFORE
}

const TABLES: &str = r"
CREATE TABLE new_messages (
    id {uuid} NOT NULL,
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
    reply_to_id {uuid},
    temp_id TEXT,
    body_hash {bytes},
    edited_at {int},
    deleted_at {int},
    deleted_by {uuid} REFERENCES users (id) ON DELETE RESTRICT,
    pinned_at {int},
    pinned_by {uuid} REFERENCES users (id) ON DELETE RESTRICT,
    created_at {int} NOT NULL,
    mentions_all {bool} NOT NULL DEFAULT false,
    PRIMARY KEY ({message_key}),
    UNIQUE (conversation_id, seq),
    UNIQUE (sender_id, conversation_id, temp_id),
    {quoted},
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
INSERT INTO new_messages (
    id, conversation_id, seq, count, rev, sender_id, kind, content, data, reply_to_id, temp_id, body_hash, edited_at,
    deleted_at, deleted_by, pinned_at, pinned_by, created_at, mentions_all
)
SELECT id, conversation_id, seq, count, rev, sender_id, kind, content, data, reply_to_id, temp_id, body_hash, edited_at,
    deleted_at, deleted_by, pinned_at, pinned_by, created_at, mentions_all
FROM messages ORDER BY conversation_id, seq;

CREATE TABLE new_mentions (
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    conversation_id {uuid} NOT NULL,
    seq {int} NOT NULL,
    message_id {uuid} NOT NULL,
    position {int} NOT NULL DEFAULT 0 CHECK (position >= 0),
    PRIMARY KEY (user_id, conversation_id, seq),
    {message} ON DELETE CASCADE
){clustered};
INSERT INTO new_mentions (user_id, conversation_id, seq, message_id, position)
SELECT user_id, conversation_id, seq, message_id, position FROM mentions;
DROP TABLE mentions;
ALTER TABLE new_mentions RENAME TO mentions;

CREATE TABLE new_message_edits (
    id {serial},
    {edit_columns},
    content TEXT NOT NULL,
    edited_at {int} NOT NULL,
    {message} ON DELETE CASCADE
){table};
INSERT INTO new_message_edits (id, {of_message}, content, edited_at) {former_edits};
DROP TABLE message_edits;
ALTER TABLE new_message_edits RENAME TO message_edits;

CREATE TABLE new_hidden_messages (
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    message_id {uuid} NOT NULL,
    conversation_id {uuid} NOT NULL,
    seq {int} NOT NULL,
    created_at {int} NOT NULL,
    counts {bool} NOT NULL DEFAULT true,
    PRIMARY KEY ({hidden_key}),
    {message} ON DELETE CASCADE
){clustered};
INSERT INTO new_hidden_messages (user_id, message_id, conversation_id, seq, created_at, counts)
SELECT user_id, message_id, conversation_id, seq, created_at, counts FROM hidden_messages;
DROP TABLE hidden_messages;
ALTER TABLE new_hidden_messages RENAME TO hidden_messages;

CREATE TABLE new_reactions (
    message_id {uuid} NOT NULL,
    emoji TEXT NOT NULL,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    conversation_id {uuid} NOT NULL,
    created_at {int} NOT NULL,
    {emoji_order} {int} NOT NULL DEFAULT 1 CHECK ({emoji_order} >= 1),
    PRIMARY KEY ({of_message}, emoji, user_id),
    {message} ON DELETE CASCADE
){clustered};
INSERT INTO new_reactions (message_id, emoji, user_id, conversation_id, created_at, {emoji_order})
SELECT message_id, emoji, user_id, conversation_id, created_at, {former_emoji_order} FROM reactions;
DROP TABLE reactions;
ALTER TABLE new_reactions RENAME TO reactions;

CREATE TABLE new_message_links (
    message_id {uuid} NOT NULL,
    position {int} NOT NULL CHECK (position >= 0),
    conversation_id {uuid} NOT NULL,
    seq {int} NOT NULL,
    url TEXT NOT NULL,
    PRIMARY KEY ({of_message}, position),
    {message} ON DELETE CASCADE
){clustered};
INSERT INTO new_message_links (message_id, position, conversation_id, seq, url)
SELECT message_id, position, conversation_id, seq, url FROM message_links;
DROP TABLE message_links;
ALTER TABLE new_message_links RENAME TO message_links;

CREATE TABLE new_uploads (
    id {uuid} NOT NULL PRIMARY KEY,
    uploader_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    purpose TEXT CHECK (purpose IN ('message', 'avatar')),
    conversation_id {uuid} REFERENCES conversations (id) ON DELETE RESTRICT,
    message_id {uuid},
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
    {message} ON DELETE RESTRICT,
    CONSTRAINT uploads_attached_with_purpose CHECK ((purpose IS NULL) = (attached_at IS NULL)),
    CONSTRAINT uploads_attached_to_something CHECK (conversation_id IS NULL OR purpose IS NOT NULL),
    CONSTRAINT {upload_check} CHECK (
        CASE WHEN purpose = 'message'
            THEN conversation_id IS NOT NULL AND message_id IS NOT NULL AND position IS NOT NULL AND seq IS NOT NULL
            ELSE message_id IS NULL AND position IS NULL AND seq IS NULL
        END
    ),
    CONSTRAINT uploads_both_sides CHECK ((width IS NULL) = (height IS NULL))
){table};
INSERT INTO new_uploads (
    id, uploader_id, purpose, conversation_id, message_id, position, seq, kind, name, mime, size, width, height,
    duration_ms, storage_key, thumbnail_key, attached_at, created_at, deleted_at
)
SELECT id, uploader_id, purpose, conversation_id, message_id, position, seq, kind, name, mime, size, width, height,
    duration_ms, storage_key, thumbnail_key, attached_at, created_at, deleted_at
FROM uploads;
DROP TABLE uploads;
ALTER TABLE new_uploads RENAME TO uploads;

CREATE TABLE new_notifications (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (
        kind IN ('class_invite', 'mention', 'reply', 'new_message', 'welcome', 'custom')
    ),
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    entity_type TEXT,
    entity_id {uuid},
    conversation_id {uuid} REFERENCES conversations (id) ON DELETE CASCADE,
    message_id {uuid},
    seq {int},
    data TEXT,
    count {int} NOT NULL DEFAULT 1 CHECK (count >= 1),
    read_at {int},
    created_at {int} NOT NULL,
    {message} ON DELETE CASCADE,
    CONSTRAINT notifications_entity_with_type CHECK ((entity_type IS NULL) = (entity_id IS NULL)),
    CONSTRAINT {notification_check} CHECK (
        (message_id IS NULL) = (seq IS NULL) AND (message_id IS NULL OR conversation_id IS NOT NULL)
    ),
    CONSTRAINT notifications_kind_has_message CHECK (
        kind NOT IN ('mention', 'reply', 'new_message') OR message_id IS NOT NULL
    )
){table};
INSERT INTO new_notifications (
    id, user_id, kind, title, body, entity_type, entity_id, conversation_id, message_id, seq, data, count, read_at,
    created_at
)
SELECT id, user_id, kind, title, body, entity_type, entity_id, conversation_id, message_id, seq, data, count, read_at,
    created_at
FROM notifications;
DROP TABLE notifications;
ALTER TABLE new_notifications RENAME TO notifications;

DROP TABLE messages;
ALTER TABLE new_messages RENAME TO messages;
";

/// The indexes that are the same before and after.
const INDEXES: &str = r"
CREATE INDEX messages_pins ON messages (conversation_id, pinned_at) WHERE pinned_at IS NOT NULL;
CREATE INDEX messages_reply_to_id ON messages (reply_to_id) WHERE reply_to_id IS NOT NULL;
CREATE INDEX messages_deleted_by ON messages (deleted_by) WHERE deleted_by IS NOT NULL;
CREATE INDEX messages_pinned_by ON messages (pinned_by) WHERE pinned_by IS NOT NULL;
CREATE INDEX messages_mentions_all ON messages (conversation_id, seq) WHERE mentions_all;
CREATE INDEX hidden_messages_message_id ON hidden_messages (message_id);
CREATE INDEX reactions_user_id ON reactions (user_id);
CREATE INDEX uploads_unattached ON uploads (created_at) WHERE attached_at IS NULL AND deleted_at IS NULL;
CREATE INDEX uploads_quota ON uploads (uploader_id, deleted_at, size);
CREATE INDEX notifications_newest ON notifications (user_id, created_at, id);
CREATE INDEX notifications_unread ON notifications (user_id, conversation_id, seq) WHERE read_at IS NULL;
CREATE UNIQUE INDEX notifications_one_open ON notifications (user_id, conversation_id)
    WHERE kind = 'new_message' AND read_at IS NULL;
";

const INDEXES_AFTER: &str = r"
CREATE UNIQUE INDEX messages_id ON messages (id);
CREATE INDEX mentions_in_order ON mentions (conversation_id, message_id, position);
CREATE INDEX message_edits_in_order ON message_edits (conversation_id, message_id, id);
CREATE INDEX message_links_in_order ON message_links (conversation_id, seq, position);
CREATE UNIQUE INDEX uploads_of_message ON uploads (conversation_id, message_id, position) WHERE message_id IS NOT NULL;
CREATE INDEX uploads_in_order ON uploads (conversation_id, seq, position) WHERE conversation_id IS NOT NULL;
CREATE INDEX notifications_of_message ON notifications (conversation_id, message_id) WHERE conversation_id IS NOT NULL;
";

const INDEXES_BEFORE: &str = r"
CREATE INDEX mentions_in_order ON mentions (message_id, position);
CREATE INDEX message_edits_message_id ON message_edits (message_id, id);
CREATE INDEX hidden_messages_place ON hidden_messages (user_id, conversation_id, seq);
CREATE INDEX message_links_place ON message_links (conversation_id, seq, position);
CREATE UNIQUE INDEX uploads_message_id ON uploads (message_id, position) WHERE message_id IS NOT NULL;
CREATE INDEX uploads_place ON uploads (conversation_id, seq, position) WHERE conversation_id IS NOT NULL;
CREATE INDEX notifications_conversation_id ON notifications (conversation_id) WHERE conversation_id IS NOT NULL;
CREATE INDEX notifications_message_id ON notifications (message_id) WHERE message_id IS NOT NULL;
";
