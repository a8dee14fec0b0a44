//! Adds the id to the indexes that find the log rows of a message. So a query finds some of these rows in the order of
//! their ids without reading the others, however many rows quote the message.

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
