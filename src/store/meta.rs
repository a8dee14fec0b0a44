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

/// Accounts that lost their e-mail address to an older one when addresses began to be compared in NFC, and have no other
/// since: the username, and the address it had.
pub async fn lost_emails(conn: &impl ConnectionTrait) -> Result<Vec<(String, String)>, DbErr> {
    let statement = dialect::statement(
        conn,
        "SELECT u.username, m.value FROM meta m JOIN users u ON m.key = 'email_lost/' || replace(u.id::text, '-', '')
         WHERE m.key LIKE 'email_lost/%' AND u.email IS NULL AND u.status <> 'deleted' ORDER BY u.username",
        "SELECT u.username, m.value FROM meta m JOIN users u ON u.id = unhex(substr(m.key, 12))
         WHERE m.key LIKE 'email_lost/%' AND u.email IS NULL AND u.status <> 'deleted' ORDER BY u.username",
        vec![],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok((row.try_get("", "username")?, row.try_get("", "value")?))).collect()
}
