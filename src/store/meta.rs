//! The statements of single values that the database stores about itself, in the table `meta`.

use crate::domain::time::Timestamp;
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};

/// Returns the epoch that all revisions belong to. The schema creates it, and a restored backup gets a new one.
pub async fn epoch(conn: &impl ConnectionTrait) -> Result<String, DbErr> {
    let statement = dialect::plain(conn, "SELECT value FROM meta WHERE key = 'epoch'", vec![]);
    match dialect::one(conn, statement).await? {
        Some(row) => row.try_get("", "value"),
        None => Err(DbErr::RecordNotFound("The database has no epoch. Apply the migrations, which create one.".into())),
    }
}

/// Returns the time when the last refresh token in the old format expires: a token without a login id and a MAC.
/// Returns 0 if there are none.
pub async fn plain_tokens_until(conn: &impl ConnectionTrait) -> Result<Timestamp, DbErr> {
    let statement = dialect::plain(conn, "SELECT value FROM meta WHERE key = 'plain_tokens_until'", vec![]);
    let value = dialect::one(conn, statement).await?.map(|row| row.try_get::<String>("", "value")).transpose()?;
    Ok(Timestamp(value.and_then(|value| value.parse().ok()).unwrap_or(0)))
}

/// Returns the accounts that lost their e-mail address in a migration and have no new one: the username and the former
/// address. The migration compares addresses in NFC. Of two accounts with equal addresses, the older one kept the
/// address.
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
