//! The ordered migrations of Greenroom. One schema, written once, for SQLite and PostgreSQL; each migration is one
//! transaction on both and has a working `down`. Only the schema lives here: queries belong to the server.
//!
//! What holds in every table:
//! - ids are UUIDs (16 bytes on SQLite), times are whole milliseconds since 1970 in columns named `*_at`;
//! - a word out of a fixed list is text with a check, never a native enum, so that a list can grow on both databases;
//! - users and conversations are never deleted, only marked, so what others said refers to them with `RESTRICT`;
//! - a column copied from a message (`conversation_id`, `seq`) has no foreign key of its own, it follows `message_id`;
//! - no index contains `last_seq`, `last_rev`, the last activity or a mark: those change with every message, and an
//!   index on them would turn each change into writes to all indexes of the table (PostgreSQL's HOT updates).

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
mod sql;

/// All migrations, oldest first.
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
        ]
    }
}
