//! Single facts about this database.

use super::dialect;
use sea_orm::{ConnectionTrait, DbErr};

/// The epoch all revisions belong to: made with the schema, and anew after a restore.
pub async fn epoch(conn: &impl ConnectionTrait) -> Result<String, DbErr> {
    let statement = dialect::plain(conn, "SELECT value FROM meta WHERE key = 'epoch'", vec![]);
    match dialect::one(conn, statement).await? {
        Some(row) => row.try_get("", "value"),
        None => Err(DbErr::RecordNotFound("the database has no epoch; the schema makes one".into())),
    }
}
