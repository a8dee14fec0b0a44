//! Replaces two indexes with one that finds the current and the left conversations of a user.
//!
//! With two indexes SQLite wrote to two index pages for each member of a new group.

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

const UP: &str = "
CREATE INDEX participants_of_user ON participants (user_id, conversation_id, left_at);
DROP INDEX participants_current_of_user;
DROP INDEX participants_user_id;
";

const DOWN: &str = "
CREATE INDEX participants_user_id ON participants (user_id);
CREATE INDEX participants_current_of_user ON participants (user_id, conversation_id) WHERE left_at IS NULL;
DROP INDEX participants_of_user;
";
