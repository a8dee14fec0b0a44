//! Stores the number of participants in each conversation, which lists, limits and marks read with every conversation.

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
-- member_count: the number of participants who have not left
ALTER TABLE conversations ADD COLUMN member_count {int} NOT NULL DEFAULT 0 CHECK (member_count >= 0);
UPDATE conversations SET member_count = (
    SELECT count(*) FROM participants p WHERE p.conversation_id = conversations.id AND p.left_at IS NULL
);
";

const DOWN: &str = r"
ALTER TABLE conversations DROP COLUMN member_count;
";
