//! The order in which a message shows its mentions and its reactions, as a client that follows the events has it too.

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
-- position: among the mentions of its message, from 0; by_all: everybody was mentioned, by name or not
ALTER TABLE mentions ADD COLUMN position {int} NOT NULL DEFAULT 0 CHECK (position >= 0);
ALTER TABLE mentions ADD COLUMN by_all {bool} NOT NULL DEFAULT false;
DROP INDEX mentions_message_id;
CREATE INDEX mentions_in_order ON mentions (message_id, position);

-- place: of the emoji among those of the message, the same in all its rows, so that it stays when the first of them goes
ALTER TABLE reactions ADD COLUMN place {int} NOT NULL DEFAULT 1 CHECK (place >= 1);
";

const DOWN: &str = r"
ALTER TABLE reactions DROP COLUMN place;
DROP INDEX mentions_in_order;
CREATE INDEX mentions_message_id ON mentions (message_id);
ALTER TABLE mentions DROP COLUMN by_all;
ALTER TABLE mentions DROP COLUMN position;
";
