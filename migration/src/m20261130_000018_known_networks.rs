//! Adds the index that finds the users with logins from a network without reading all logins.
//!
//! The server reads them once for an address with many wrong passwords, and then refuses unknown names from memory.

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

const UP: &str = "CREATE INDEX logins_network_user ON logins (network, user_id, created_at);";

const DOWN: &str = "DROP INDEX logins_network_user;";
