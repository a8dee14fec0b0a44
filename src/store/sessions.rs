//! The statements by which a session reads and writes data of its own user.

use crate::domain::accounts::AccountStatus;
use crate::domain::ids::{LoginId, Rev, UserId};
use crate::domain::time::Timestamp;
use crate::store::dialect::{self, Column};
use sea_orm::{ConnectionTrait, DbErr};

/// The state of a user and, if a login is given, of the login, with the head of the user's stream. One statement reads
/// all of them. So a revocation of the login is either in `revoked`, or it is an event after `last_rev`.
#[derive(Clone, Debug)]
pub struct CallerSnapshot {
    /// The newest revision of the user's stream.
    pub last_rev: Rev,
    pub status: AccountStatus,
    pub revoked: bool,
    /// The epoch that `last_rev` belongs to.
    pub epoch: String,
}

/// Returns the state of a user and of one of the user's logins, or `None` if there is no such user or login. Without
/// a login it returns the state of the user alone.
pub async fn caller_snapshot(
    conn: &impl ConnectionTrait,
    user: UserId,
    login: Option<LoginId>,
) -> Result<Option<CallerSnapshot>, DbErr> {
    let statement = match login {
        Some(login) => dialect::plain(
            conn,
            "SELECT u.last_rev, u.status, l.revoked_at, (SELECT value FROM meta WHERE key = 'epoch') AS epoch
             FROM users u JOIN logins l ON l.user_id = u.id WHERE u.id = $1 AND l.id = $2",
            vec![user.into(), login.into()],
        ),
        None => dialect::plain(
            conn,
            "SELECT last_rev, status, CAST(NULL AS BIGINT) AS revoked_at,
                    (SELECT value FROM meta WHERE key = 'epoch') AS epoch FROM users WHERE id = $1",
            vec![user.into()],
        ),
    };
    let row = dialect::one(conn, statement).await?;
    row.map(|row| {
        Ok(CallerSnapshot {
            last_rev: Rev(row.try_get("", "last_rev")?),
            status: AccountStatus::from_stored(&row.try_get::<String>("", "status")?),
            revoked: row.try_get::<Option<i64>>("", "revoked_at")?.is_some(),
            epoch: row.try_get("", "epoch")?,
        })
    })
    .transpose()
}

/// Stores the times when users were last online. An earlier time changes nothing. Skips users whose row another
/// transaction has locked, so that this statement never waits.
pub async fn update_last_seen(conn: &impl ConnectionTrait, seen: &[(UserId, Timestamp)]) -> Result<(), DbErr> {
    let columns = vec![
        Column::Uuid(seen.iter().map(|(user, _)| user.0).collect()),
        Column::Int(seen.iter().map(|(_, at)| at.0).collect()),
    ];
    let statement = dialect::statement(
        conn,
        "WITH seen AS (SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS t(id, at)),
              locked AS (SELECT u.id FROM users u JOIN seen USING (id) ORDER BY u.id
                         FOR NO KEY UPDATE OF u SKIP LOCKED)
         UPDATE users u SET last_seen_at = GREATEST(seen.at, COALESCE(u.last_seen_at, 0))
         FROM seen JOIN locked USING (id) WHERE u.id = seen.id",
        "UPDATE users SET last_seen_at = max(t.value ->> 1, COALESCE(last_seen_at, 0))
         FROM jsonb_each($1) AS t WHERE users.id = unhex(t.value ->> 0)",
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}
