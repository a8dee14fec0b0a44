//! Creates the tables of classes and their members. The conversation of a class is in the table `conversations`.

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
-- code_key: the code in lower case
CREATE TABLE classes (
    id {uuid} NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT,
    code TEXT NOT NULL,
    code_key TEXT NOT NULL UNIQUE,
    archived_at {int},
    created_by {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    deleted_at {int}
){table};
CREATE INDEX classes_created_by ON classes (created_by);

-- the row stays when the user leaves, and is used again when the user returns
CREATE TABLE class_members (
    class_id {uuid} NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    role TEXT NOT NULL CHECK (role IN ('teacher', 'student', 'ta', 'observer')),
    joined_at {int} NOT NULL,
    left_at {int},
    PRIMARY KEY (class_id, user_id)
){clustered};
CREATE INDEX class_members_user_id ON class_members (user_id);
CREATE INDEX class_members_in_order ON class_members (class_id, joined_at, user_id) WHERE left_at IS NULL;
";

const DOWN: &str = r"
DROP TABLE class_members;
DROP TABLE classes;
";
