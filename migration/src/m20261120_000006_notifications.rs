//! Creates the tables of notifications, notification settings and push subscriptions.

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
-- count: a conversation has one unread new_message row, whose count grows
-- seq: compared with the read mark of the user
CREATE TABLE notifications (
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
    message_id {uuid} REFERENCES messages (id) ON DELETE CASCADE,
    seq {int},
    data TEXT,
    count {int} NOT NULL DEFAULT 1 CHECK (count >= 1),
    read_at {int},
    created_at {int} NOT NULL,
    CONSTRAINT notifications_entity_with_type CHECK ((entity_type IS NULL) = (entity_id IS NULL)),
    CONSTRAINT notifications_message_with_place CHECK (
        (message_id IS NULL) = (seq IS NULL) AND (message_id IS NULL OR conversation_id IS NOT NULL)
    ),
    CONSTRAINT notifications_kind_has_message CHECK (
        kind NOT IN ('mention', 'reply', 'new_message') OR message_id IS NOT NULL
    )
){table};
CREATE INDEX notifications_newest ON notifications (user_id, created_at, id);
CREATE INDEX notifications_unread ON notifications (user_id, conversation_id, seq) WHERE read_at IS NULL;
CREATE UNIQUE INDEX notifications_one_open ON notifications (user_id, conversation_id)
    WHERE kind = 'new_message' AND read_at IS NULL;
CREATE INDEX notifications_conversation_id ON notifications (conversation_id) WHERE conversation_id IS NOT NULL;
CREATE INDEX notifications_message_id ON notifications (message_id) WHERE message_id IS NOT NULL;

-- quiet_from, quiet_to: minutes after midnight in the time zone quiet_tz (all three are set, or none)
CREATE TABLE notification_settings (
    user_id {uuid} NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    push {bool} NOT NULL DEFAULT TRUE CHECK (push IN (TRUE, FALSE)),
    mentions {bool} NOT NULL DEFAULT TRUE CHECK (mentions IN (TRUE, FALSE)),
    direct {bool} NOT NULL DEFAULT TRUE CHECK (direct IN (TRUE, FALSE)),
    groups {bool} NOT NULL DEFAULT TRUE CHECK (groups IN (TRUE, FALSE)),
    quiet_from {small} CHECK (quiet_from BETWEEN 0 AND 1439),
    quiet_to {small} CHECK (quiet_to BETWEEN 0 AND 1439),
    quiet_tz TEXT,
    CONSTRAINT notification_settings_quiet_whole CHECK (
        (quiet_from IS NULL) = (quiet_to IS NULL) AND (quiet_from IS NULL) = (quiet_tz IS NULL)
    )
){clustered};

-- endpoint_hash: the hash of the endpoint, which itself can be too long for an index
-- next_at: the time of the next retry, or NULL
CREATE TABLE push_subscriptions (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    login_id {uuid} REFERENCES logins (id) ON DELETE CASCADE,
    endpoint TEXT NOT NULL,
    endpoint_hash {bytes} NOT NULL UNIQUE,
    p256dh TEXT NOT NULL,
    auth TEXT NOT NULL,
    created_at {int} NOT NULL,
    last_pushed_at {int},
    failures {int} NOT NULL DEFAULT 0 CHECK (failures >= 0),
    next_at {int}
){table};
CREATE INDEX push_subscriptions_user_id ON push_subscriptions (user_id);
CREATE INDEX push_subscriptions_login_id ON push_subscriptions (login_id) WHERE login_id IS NOT NULL;
CREATE INDEX push_subscriptions_next_at ON push_subscriptions (next_at) WHERE next_at IS NOT NULL;
";

const DOWN: &str = r"
DROP TABLE push_subscriptions;
DROP TABLE notification_settings;
DROP TABLE notifications;
";
