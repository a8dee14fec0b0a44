//! Adds the time at which a reader of the log failed, and the table of bulk changes, which are done in steps.

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
-- failed_at: NULL while the reader works. A failed reader does not run and keeps no rows in the log
ALTER TABLE readers ADD COLUMN failed_at {int};

-- argument: JSON, what the kind needs to know
-- cursor: where the next step begins, in a form that only the kind knows; NULL before the first step
CREATE TABLE bulk_changes (
    id {uuid} NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    argument TEXT NOT NULL,
    cursor TEXT,
    attempts {int} NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_at {int} NOT NULL,
    last_error TEXT,
    status TEXT NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'failed')),
    created_at {int} NOT NULL
){table};
CREATE INDEX bulk_changes_due ON bulk_changes (next_at) WHERE status = 'running';
";

const DOWN: &str = r"
DROP TABLE bulk_changes;
ALTER TABLE readers DROP COLUMN failed_at;
";
