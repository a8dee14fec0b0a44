//! The rows of the log that show a message, in the order of their ids, so that however many quote it some of them are found
//! without the others.

use sea_orm_migration::prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::sql;

/// See the statements below.
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
DROP INDEX outbox_message_id;
DROP INDEX outbox_quoted_id;
CREATE INDEX outbox_message_id ON outbox (message_id, id) WHERE message_id IS NOT NULL;
CREATE INDEX outbox_quoted_id ON outbox (quoted_id, id) WHERE quoted_id IS NOT NULL;
";

const DOWN: &str = r"
DROP INDEX outbox_message_id;
DROP INDEX outbox_quoted_id;
CREATE INDEX outbox_message_id ON outbox (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX outbox_quoted_id ON outbox (quoted_id) WHERE quoted_id IS NOT NULL;
";
