//! The ordered migrations of the schema, for SQLite and PostgreSQL.
//!
//! The schema is written once for both databases. Each migration runs in one transaction and has a working `down`. This
//! crate contains only the schema; the queries are in the server.
//!
//! Rules for every table:
//! - Ids are UUIDs (16 bytes on SQLite). Times are whole milliseconds since 1970 (UTC), in columns named `*_at`.
//! - A value from a fixed list is text with a check and not a native enum, so that the list can grow on both databases.
//! - Users and conversations are only marked as deleted. So the messages of other users can refer to them with
//!   `RESTRICT`.
//! - A row that refers to a message has a foreign key on `conversation_id` and `message_id` together. A column that is
//!   copied from the message (`seq`) has none of its own.
//! - No index contains `last_seq`, `last_rev`, the time of the last message or a mark. These columns change with every
//!   message. With such an index PostgreSQL would write to all indexes of the table at each change (no HOT update).

pub use m20261130_000025_hot_tables::CONSTRAINTS as HOT_CONSTRAINTS;
pub use sea_orm_migration::prelude::{MigratorTrait, SchemaManager};

use sea_orm_migration::prelude::{MigrationTrait, async_trait};

mod m20261120_000001_accounts;
mod m20261120_000002_classes;
mod m20261120_000003_conversations;
mod m20261120_000004_messages;
mod m20261120_000005_files;
mod m20261120_000006_notifications;
mod m20261120_000007_log;
mod m20261120_000008_places;
mod m20261120_000009_statistics;
mod m20261120_000010_blocks;
mod m20261120_000011_shown;
mod m20261130_000012_user_search;
mod m20261130_000014_generations;
mod m20261130_000015_email_keys;
mod m20261130_000016_mentions_all;
mod m20261130_000017_group_temp_id;
mod m20261130_000018_known_networks;
mod m20261130_000019_participants_of_user;
mod m20261130_000020_message_keys;
mod m20261130_000021_member_count;
mod m20261130_000022_tickets_without_login;
mod m20261130_000023_failed_readers;
mod m20261130_000024_log_ids;
mod m20261130_000025_hot_tables;
mod sql;

/// The list of all migrations, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261120_000001_accounts::Migration),
            Box::new(m20261120_000002_classes::Migration),
            Box::new(m20261120_000003_conversations::Migration),
            Box::new(m20261120_000004_messages::Migration),
            Box::new(m20261120_000005_files::Migration),
            Box::new(m20261120_000006_notifications::Migration),
            Box::new(m20261120_000007_log::Migration),
            Box::new(m20261120_000008_places::Migration),
            Box::new(m20261120_000009_statistics::Migration),
            Box::new(m20261120_000010_blocks::Migration),
            Box::new(m20261120_000011_shown::Migration),
            Box::new(m20261130_000012_user_search::Migration),
            Box::new(m20261130_000014_generations::Migration),
            Box::new(m20261130_000015_email_keys::Migration),
            Box::new(m20261130_000016_mentions_all::Migration),
            Box::new(m20261130_000017_group_temp_id::Migration),
            Box::new(m20261130_000018_known_networks::Migration),
            Box::new(m20261130_000019_participants_of_user::Migration),
            Box::new(m20261130_000020_message_keys::Migration),
            Box::new(m20261130_000021_member_count::Migration),
            Box::new(m20261130_000022_tickets_without_login::Migration),
            Box::new(m20261130_000023_failed_readers::Migration),
            Box::new(m20261130_000024_log_ids::Migration),
            Box::new(m20261130_000025_hot_tables::Migration),
        ]
    }
}
