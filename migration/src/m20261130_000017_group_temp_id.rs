//! Adds the `temp_id` of groups, so that a repeated request after a lost reply creates no second group.

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
-- body_hash: the hash of the rest of the request, in hexadecimal
ALTER TABLE conversations ADD COLUMN temp_id TEXT;
ALTER TABLE conversations ADD COLUMN body_hash TEXT;
CREATE UNIQUE INDEX conversations_temp_id ON conversations (created_by, temp_id) WHERE temp_id IS NOT NULL;
";

const DOWN: &str = r"
DROP INDEX conversations_temp_id;
ALTER TABLE conversations DROP COLUMN body_hash;
ALTER TABLE conversations DROP COLUMN temp_id;
";
