//! Keys messages, and all rows that refer to them, by the conversation and the id. Unclear names of a column, of
//! indexes and of constraints become plain words.
//!
//! PostgreSQL changes the existing tables. SQLite cannot change a key, so its tables are written again.

mod postgres;
mod sqlite;

use sea_orm_migration::prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::sql;

/// The migration that runs the statements of the database.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if sql::is_postgres(manager) {
            sql::run(manager, postgres::UP).await
        } else {
            sql::run(manager, &sqlite::up()).await
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if sql::is_postgres(manager) {
            sql::run(manager, postgres::DOWN).await
        } else {
            sql::run(manager, &sqlite::down()).await
        }
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
