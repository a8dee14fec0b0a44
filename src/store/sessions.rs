//! What a live session reads about its own user.

use super::dialect;
use crate::domain::ids::{LoginId, Rev, UserId};
use crate::domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbErr};

/// Whether a user and a login still stand, and how far the user's stream reaches: one statement, so that a revocation is
/// either in it or above it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The revision of the user's stream.
    pub last_rev: Rev,
    /// `active`, or what ended it.
    pub status: String,
    /// Whether the login was revoked.
    pub revoked: bool,
}

/// See [`Standing`]; `None` when there is no such user or login.
pub async fn standing(conn: &impl ConnectionTrait, user: UserId, login: LoginId) -> Result<Option<Standing>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT u.last_rev, u.status, l.revoked_at FROM users u JOIN logins l ON l.user_id = u.id
         WHERE u.id = $1 AND l.id = $2",
        vec![user.into(), login.into()],
    );
    let row = dialect::one(conn, statement).await?;
    row.map(|row| {
        Ok(Standing {
            last_rev: Rev(row.try_get("", "last_rev")?),
            status: row.try_get("", "status")?,
            revoked: row.try_get::<Option<i64>>("", "revoked_at")?.is_some(),
        })
    })
    .transpose()
}

/// Writes down when the user was last there.
pub async fn touch(conn: &impl ConnectionTrait, user: UserId, at: Timestamp) -> Result<(), DbErr> {
    let statement =
        dialect::plain(conn, "UPDATE users SET last_seen_at = $2 WHERE id = $1", vec![user.into(), at.into()]);
    dialect::run(conn, statement).await?;
    Ok(())
}
