//! Single facts about this database.

use super::dialect;
use crate::domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbErr};

/// The epoch all revisions belong to: made with the schema, and anew after a restore.
pub async fn epoch(conn: &impl ConnectionTrait) -> Result<String, DbErr> {
    let statement = dialect::plain(conn, "SELECT value FROM meta WHERE key = 'epoch'", vec![]);
    match dialect::one(conn, statement).await? {
        Some(row) => row.try_get("", "value"),
        None => Err(DbErr::RecordNotFound("the database has no epoch; the schema makes one".into())),
    }
}

/// When the last refresh token runs out that was made before they carried a login and a MAC; long ago if there is none.
pub async fn plain_tokens_until(conn: &impl ConnectionTrait) -> Result<Timestamp, DbErr> {
    let statement = dialect::plain(conn, "SELECT value FROM meta WHERE key = 'plain_tokens_until'", vec![]);
    let value = dialect::one(conn, statement).await?.map(|row| row.try_get::<String>("", "value")).transpose()?;
    Ok(Timestamp(value.and_then(|value| value.parse().ok()).unwrap_or(0)))
}
