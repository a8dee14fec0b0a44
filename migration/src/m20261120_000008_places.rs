//! Adds the order of the mentions and of the emojis of a message. It is the order that a client gets from the events.

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
-- position: the index among the mentions of the message, from 0
-- by_all: the message mentions all participants (it may also name this user)
ALTER TABLE mentions ADD COLUMN position {int} NOT NULL DEFAULT 0 CHECK (position >= 0);
ALTER TABLE mentions ADD COLUMN by_all {bool} NOT NULL DEFAULT false;
DROP INDEX mentions_message_id;
CREATE INDEX mentions_in_order ON mentions (message_id, position);

-- the new column: the order of the emoji among the emojis of the message, from 1
-- all rows of the emoji have the same value, so that the order stays when the first of these rows is removed
ALTER TABLE reactions ADD COLUMN place {int} NOT NULL DEFAULT 1 CHECK (place >= 1);
";

const DOWN: &str = r"
ALTER TABLE reactions DROP COLUMN place;
DROP INDEX mentions_in_order;
CREATE INDEX mentions_message_id ON mentions (message_id);
ALTER TABLE mentions DROP COLUMN by_all;
ALTER TABLE mentions DROP COLUMN position;
";
