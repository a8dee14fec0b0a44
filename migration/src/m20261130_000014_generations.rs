//! Adds generations of refresh tokens and the networks of logins.
//!
//! With generations the server distinguishes a lost reply from a stolen token. With networks a user can sign in from a
//! known address, even if other clients at the same address sent wrong passwords.

use std::net::Ipv6Addr;

use sea_orm_migration::prelude::{
    ConnectionTrait, DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait,
};
use sea_orm_migration::sea_orm::{Statement, Value};

use crate::sql;

/// The migration that runs the statements below.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, UP).await?;
        store_networks(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const UP: &str = r"
-- generation: the generation of the newest refresh token that was issued
-- seen_generation: the newest generation of which an access token was accepted
-- network: the address as limits count it, an IPv4 address or the /64 of an IPv6 address
ALTER TABLE logins ADD COLUMN generation {int} NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN seen_generation {int} NOT NULL DEFAULT 0;
ALTER TABLE logins ADD COLUMN network TEXT;
UPDATE logins SET network = ip WHERE ip NOT LIKE '%:%' AND ip <> '';
DROP INDEX logins_user_id;
CREATE INDEX logins_user_network ON logins (user_id, network, created_at);

ALTER TABLE refresh_tokens ADD COLUMN generation {int} NOT NULL DEFAULT 0;

-- older refresh tokens contain neither a login nor a MAC, and are looked up until the last of them expires
INSERT INTO meta (key, value)
SELECT 'plain_tokens_until', CAST(last AS TEXT) FROM (SELECT max(expires_at) AS last FROM refresh_tokens) AS tokens
WHERE last IS NOT NULL;
";

const DOWN: &str = r"
DELETE FROM meta WHERE key = 'plain_tokens_until';
ALTER TABLE refresh_tokens DROP COLUMN generation;
DROP INDEX logins_user_network;
CREATE INDEX logins_user_id ON logins (user_id);
ALTER TABLE logins DROP COLUMN network;
ALTER TABLE logins DROP COLUMN seen_generation;
ALTER TABLE logins DROP COLUMN generation;
";

/// Stores the /64 network of logins from IPv6 addresses, which SQL cannot compute.
async fn store_networks(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let conn = manager.get_connection();
    let backend = manager.get_database_backend();
    let addresses = Statement::from_string(backend, "SELECT DISTINCT ip FROM logins WHERE ip LIKE '%:%'");
    for row in conn.query_all_raw(addresses).await? {
        let ip: String = row.try_get("", "ip")?;
        let Ok(address) = ip.parse::<Ipv6Addr>() else { continue };
        let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string();
        let values: Vec<Value> = vec![ip.into(), network.into()];
        let update = Statement::from_sql_and_values(backend, "UPDATE logins SET network = $2 WHERE ip = $1", values);
        conn.execute_raw(update).await?;
    }
    Ok(())
}
