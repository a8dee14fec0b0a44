//! Removes the checks and the foreign keys of the tables that every message changes, on PostgreSQL.
//!
//! PostgreSQL prepares all checks of a table again for each statement, and looks up each foreign key. Together they took
//! about a quarter of the time of a lone message. The code that holds the locks keeps these rules. SQLite compiles the
//! checks into its statements, so it keeps them.

use sea_orm_migration::prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::sql;

/// The migration that removes the constraints below.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        alter(manager, |name, _| format!("DROP CONSTRAINT {name}")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        alter(manager, |name, rule| format!("ADD CONSTRAINT {name} {rule}")).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Changes each table with one statement, which reads its rows at most once.
async fn alter(manager: &SchemaManager<'_>, action: impl Fn(&str, &str) -> String) -> Result<(), DbErr> {
    if !sql::is_postgres(manager) {
        return Ok(());
    }
    for (table, constraints) in CONSTRAINTS {
        let actions: Vec<String> = constraints.iter().map(|(name, rule)| action(name, rule)).collect();
        sql::run(manager, &format!("ALTER TABLE {table} {}", actions.join(", "))).await?;
    }
    Ok(())
}

/// The tables, and the name and the rule of each constraint that PostgreSQL no longer has.
pub const CONSTRAINTS: [(&str, &[(&str, &str)]); 5] = [
    (
        "conversations",
        &[
            ("conversations_class_has_class", "CHECK ((kind = 'class') = (class_id IS NOT NULL))"),
            ("conversations_count_within_seq", "CHECK (last_count BETWEEN 0 AND last_seq)"),
            (
                "conversations_direct_has_two",
                "CHECK ((kind = 'direct') = (direct_low IS NOT NULL) AND (kind = 'direct') = (direct_high IS NOT NULL))",
            ),
            ("conversations_direct_in_order", "CHECK (direct_low < direct_high)"),
            ("conversations_kind_check", "CHECK (kind IN ('direct', 'group', 'class'))"),
            ("conversations_last_rev_check", "CHECK (last_rev >= 0)"),
            ("conversations_last_seq_check", "CHECK (last_seq >= 0)"),
            ("conversations_member_count_check", "CHECK (member_count >= 0)"),
            ("conversations_named", "CHECK (kind = 'direct' OR name IS NOT NULL)"),
        ],
    ),
    (
        "participants",
        &[
            ("participants_count_within_seq", "CHECK (last_read_count BETWEEN 0 AND last_read_seq)"),
            ("participants_delivered_seq_check", "CHECK (delivered_seq >= 0)"),
            ("participants_joined_rev_check", "CHECK (joined_rev >= 0)"),
            ("participants_left_after_joining", "CHECK (left_rev >= joined_rev)"),
            ("participants_left_with_rev", "CHECK ((left_at IS NULL) = (left_rev IS NULL))"),
            ("participants_notify_check", "CHECK (notify IN ('all', 'mentions', 'none'))"),
            ("participants_role_check", "CHECK (role IN ('owner', 'admin', 'member', 'observer'))"),
        ],
    ),
    (
        "messages",
        &[
            ("messages_count_within_seq", "CHECK (count BETWEEN 0 AND seq)"),
            ("messages_deleted_by_with_time", "CHECK (deleted_by IS NULL OR deleted_at IS NOT NULL)"),
            ("messages_deleted_is_empty", "CHECK (deleted_at IS NULL OR (content = '' AND data IS NULL))"),
            (
                "messages_kind_check",
                "CHECK (kind IN ('text', 'image', 'video', 'audio', 'file', 'mixed', 'sticker', 'location', 'contact', 'system'))",
            ),
            (
                "messages_kind_has_data",
                "CHECK (kind NOT IN ('sticker', 'location', 'contact', 'system') OR data IS NOT NULL OR deleted_at IS NOT NULL)",
            ),
            ("messages_pinned_by_with_time", "CHECK (pinned_by IS NULL OR pinned_at IS NOT NULL)"),
            ("messages_rev_check", "CHECK (rev >= 1)"),
            ("messages_seq_check", "CHECK (seq >= 1)"),
            ("messages_system_has_no_sender", "CHECK ((kind = 'system') = (sender_id IS NULL))"),
            (
                "messages_temp_id_has_sender_and_hash",
                "CHECK (temp_id IS NULL OR (sender_id IS NOT NULL AND body_hash IS NOT NULL))",
            ),
            (
                "messages_conversation_id_fkey",
                "FOREIGN KEY (conversation_id) REFERENCES conversations (id) ON DELETE CASCADE",
            ),
            ("messages_deleted_by_fkey", "FOREIGN KEY (deleted_by) REFERENCES users (id) ON DELETE RESTRICT"),
            ("messages_pinned_by_fkey", "FOREIGN KEY (pinned_by) REFERENCES users (id) ON DELETE RESTRICT"),
            (
                "messages_reply_to_id_fkey",
                "FOREIGN KEY (conversation_id, reply_to_id) REFERENCES messages (conversation_id, id)",
            ),
            ("messages_sender_id_fkey", "FOREIGN KEY (sender_id) REFERENCES users (id) ON DELETE RESTRICT"),
        ],
    ),
    (
        "mentions",
        &[
            ("mentions_position_check", "CHECK (position >= 0)"),
            (
                "mentions_message_id_fkey",
                "FOREIGN KEY (conversation_id, message_id) REFERENCES messages (conversation_id, id) ON DELETE CASCADE",
            ),
            ("mentions_user_id_fkey", "FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT"),
        ],
    ),
    (
        "outbox",
        &[("outbox_rev_check", "CHECK (rev >= 1)"), ("outbox_stream_kind_check", "CHECK (stream_kind IN (0, 1))")],
    ),
];
