//! Lets a ticket have no login, for callers who act by a token of the host application or by a service token.

use sea_orm_migration::prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::sql;

/// The migration that runs the statements below.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if sql::is_postgres(manager) {
            return sql::run(manager, "ALTER TABLE tickets ALTER COLUMN login_id DROP NOT NULL").await;
        }
        sql::run(manager, &rebuild_on_sqlite("")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, "DELETE FROM tickets WHERE login_id IS NULL").await?;
        if sql::is_postgres(manager) {
            return sql::run(manager, "ALTER TABLE tickets ALTER COLUMN login_id SET NOT NULL").await;
        }
        sql::run(manager, &rebuild_on_sqlite("NOT NULL")).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// SQLite cannot change a column, so the table is created again with the constraint on the login, and its rows are
/// copied.
fn rebuild_on_sqlite(constraint: &str) -> String {
    format!(
        "
CREATE TABLE new_tickets (
    ticket_hash {{bytes}} NOT NULL PRIMARY KEY,
    user_id {{uuid}} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    login_id {{uuid}} {constraint} REFERENCES logins (id) ON DELETE CASCADE,
    expires_at {{int}} NOT NULL
){{clustered}};
INSERT INTO new_tickets SELECT ticket_hash, user_id, login_id, expires_at FROM tickets;
DROP TABLE tickets;
ALTER TABLE new_tickets RENAME TO tickets;
CREATE INDEX tickets_user_id ON tickets (user_id);
CREATE INDEX tickets_login_id ON tickets (login_id);
CREATE INDEX tickets_expires_at ON tickets (expires_at);
"
    )
}
