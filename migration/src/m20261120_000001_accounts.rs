//! Creates the tables of users, logins, refresh tokens, tickets and blocks.

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
-- username_key, email_key: the values in lower case, which must be unique
-- search_text: the username and the display name without case and accents
CREATE TABLE users (
    id {uuid} NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,
    username_key TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    search_text TEXT NOT NULL,
    email TEXT,
    email_key TEXT UNIQUE,
    password_hash TEXT,
    avatar_url TEXT,
    locale TEXT,
    role TEXT NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'deleted')),
    external_id TEXT UNIQUE,
    share_read_receipts {bool} NOT NULL DEFAULT TRUE CHECK (share_read_receipts IN (TRUE, FALSE)),
    last_seen_at {int},
    last_rev {int} NOT NULL DEFAULT 0 CHECK (last_rev >= 0),
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    deleted_at {int},
    CONSTRAINT users_email_with_key CHECK ((email IS NULL) = (email_key IS NULL)),
    CONSTRAINT users_deleted_with_time CHECK ((status = 'deleted') = (deleted_at IS NOT NULL))
){hot};

CREATE TABLE logins (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device TEXT NOT NULL,
    ip TEXT NOT NULL,
    created_at {int} NOT NULL,
    last_used_at {int} NOT NULL,
    revoked_at {int},
    revoke_reason TEXT CHECK (
        revoke_reason IN ('logout', 'password', 'token_reused', 'kicked', 'suspended', 'deleted')
    ),
    CONSTRAINT logins_revoked_with_reason CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
){table};
CREATE INDEX logins_user_id ON logins (user_id);

-- spent_at: the time at which the token was exchanged for its successor
-- the row of a used token stays, because a second use is a sign of theft
CREATE TABLE refresh_tokens (
    token_hash {bytes} NOT NULL PRIMARY KEY,
    login_id {uuid} NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    created_at {int} NOT NULL,
    expires_at {int} NOT NULL,
    spent_at {int}
){clustered};
CREATE INDEX refresh_tokens_login_id ON refresh_tokens (login_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE TABLE tickets (
    ticket_hash {bytes} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    login_id {uuid} NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    expires_at {int} NOT NULL
){clustered};
CREATE INDEX tickets_user_id ON tickets (user_id);
CREATE INDEX tickets_login_id ON tickets (login_id);
CREATE INDEX tickets_expires_at ON tickets (expires_at);

CREATE TABLE blocks (
    blocker_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    blocked_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at {int} NOT NULL,
    PRIMARY KEY (blocker_id, blocked_id),
    CONSTRAINT blocks_not_oneself CHECK (blocker_id <> blocked_id)
){clustered};
CREATE INDEX blocks_blocked_id ON blocks (blocked_id);
";

const DOWN: &str = r"
DROP TABLE blocks;
DROP TABLE tickets;
DROP TABLE refresh_tokens;
DROP TABLE logins;
DROP TABLE users;
";
