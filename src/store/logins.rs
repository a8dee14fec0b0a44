//! The statements of logins, their refresh tokens and their tickets. Of tokens and tickets the database has only
//! hashes.
//!
//! The calling function locks the row of the user before it changes a login, so that two changes of one login run one
//! after another.

use crate::domain::address;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::time::Timestamp;
use crate::protocol::logins::RevokeReason;
use crate::store::accounts::AccountState;
use crate::store::dialect::{self, Column};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

/// A login as the database stores it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginRow {
    pub id: LoginId,
    pub user_id: UserId,
    /// The name that the client sent for its device.
    pub device: String,
    /// The address of the client when it signed in.
    pub ip: String,
    pub created_at: Timestamp,
    /// When the login last refreshed its token.
    pub last_used_at: Timestamp,
    pub revoked: bool,
}

const LOGIN: &str = "SELECT id, user_id, device, ip, created_at, last_used_at, revoked_at FROM logins";

fn login_from_row(row: &QueryResult) -> Result<LoginRow, DbErr> {
    Ok(LoginRow {
        id: LoginId(row.try_get("", "id")?),
        user_id: UserId(row.try_get("", "user_id")?),
        device: row.try_get("", "device")?,
        ip: row.try_get("", "ip")?,
        created_at: Timestamp(row.try_get("", "created_at")?),
        last_used_at: Timestamp(row.try_get("", "last_used_at")?),
        revoked: row.try_get::<Option<i64>>("", "revoked_at")?.is_some(),
    })
}

/// Stores a new login without tokens.
pub async fn insert(conn: &impl ConnectionTrait, login: &LoginRow) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO logins (id, user_id, device, ip, network, created_at, last_used_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        vec![
            login.id.into(),
            login.user_id.into(),
            login.device.as_str().into(),
            login.ip.as_str().into(),
            address::network_of_text(&login.ip).into(),
            login.created_at.into(),
            login.last_used_at.into(),
        ],
    );
    dialect::run(conn, statement).await.map(|_| ())
}

/// Returns a login, even if it has ended. `None` if there is no such login.
pub async fn get(conn: &impl ConnectionTrait, id: LoginId) -> Result<Option<LoginRow>, DbErr> {
    let statement = dialect::plain(conn, &format!("{LOGIN} WHERE id = $1"), vec![id.into()]);
    dialect::one(conn, statement).await?.as_ref().map(login_from_row).transpose()
}

/// Lists at most `limit` logins of a user that have not ended and were used after `used_after`, newest first. With
/// `before`, only logins that are older than that one.
pub async fn list(
    conn: &impl ConnectionTrait,
    user_id: UserId,
    used_after: Timestamp,
    before: Option<LoginId>,
    limit: u64,
) -> Result<Vec<LoginRow>, DbErr> {
    let text = format!(
        "{LOGIN} WHERE user_id = $1 AND revoked_at IS NULL AND last_used_at > $2 AND id < $3 ORDER BY id DESC LIMIT $4"
    );
    let before = before.map_or(Uuid::max(), |id| id.0);
    let values = vec![user_id.into(), used_after.into(), before.into(), (limit as i64).into()];
    let rows = dialect::all(conn, dialect::plain(conn, &text, values)).await?;
    rows.iter().map(login_from_row).collect()
}

/// The state of a login and its user, which decides whether the server accepts an access token now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginState {
    pub account: AccountState,
    pub revoked: bool,
    /// The generation of the newest refresh token that was issued.
    pub generation: i64,
    /// The newest generation of which an access token was accepted.
    pub seen_generation: i64,
}

impl LoginState {
    /// Returns whether no access token of `generation` was accepted before. A generation that was never issued counts
    /// as the newest one that was: the database may have been restored from a backup.
    pub fn is_first_use(&self, generation: i64) -> bool {
        generation.min(self.generation) > self.seen_generation
    }
}

/// Returns the state of a login. `None` if there is no such login. It reads by primary keys alone, because every call
/// of a client needs it.
pub async fn get_state(conn: &impl ConnectionTrait, id: LoginId) -> Result<Option<LoginState>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT l.user_id, l.revoked_at, l.generation, l.seen_generation, u.role, u.status
         FROM logins l JOIN users u ON u.id = l.user_id WHERE l.id = $1",
        vec![id.into()],
    );
    let row = dialect::one(conn, statement).await?;
    row.map(|row| {
        Ok(LoginState {
            account: AccountState::from_row(&row)?,
            revoked: row.try_get::<Option<i64>>("", "revoked_at")?.is_some(),
            generation: row.try_get("", "generation")?,
            seen_generation: row.try_get("", "seen_generation")?,
        })
    })
    .transpose()
}

/// Returns whether a user has signed in or registered from a network after `since`, even if that login has ended.
pub async fn has_signed_in_from(
    conn: &impl ConnectionTrait,
    user_id: UserId,
    network: &str,
    since: Timestamp,
) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT 1 AS found FROM logins WHERE user_id = $1 AND network = $2 AND created_at > $3 LIMIT 1",
        vec![user_id.into(), network.into(), since.into()],
    );
    Ok(dialect::one(conn, statement).await?.is_some())
}

/// A user who has signed in or registered from a given network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkUser {
    pub user_id: UserId,
    /// The keys of the names that the user can sign in with: the username and, if there is one, the e-mail address.
    pub names: Vec<String>,
    /// Whether the user has done so after the time in the arguments.
    pub is_recent: bool,
}

/// Lists at most `limit` users who have signed in or registered from a network, ordered by id, beginning after the user
/// `after`. `is_recent` is set for those who did so after `since`. The cost does not depend on how often a user signed
/// in.
pub async fn list_network_users(
    conn: &impl ConnectionTrait,
    network: &str,
    since: Timestamp,
    after: Option<UserId>,
    limit: u64,
) -> Result<Vec<NetworkUser>, DbErr> {
    let statement = dialect::plain(
        conn,
        "WITH RECURSIVE here(id, n) AS (
             SELECT (SELECT user_id FROM logins WHERE network = $1 AND user_id > $2 ORDER BY user_id LIMIT 1), 1
             UNION ALL
             SELECT (SELECT user_id FROM logins WHERE network = $1 AND user_id > here.id ORDER BY user_id LIMIT 1), n + 1
             FROM here WHERE here.id IS NOT NULL AND n < $3)
         SELECT u.id, u.username_key, u.email_key, CAST(CASE WHEN EXISTS (
             SELECT 1 FROM logins WHERE network = $1 AND user_id = u.id AND created_at > $4) THEN 1 ELSE 0 END AS BIGINT) AS lately
         FROM here JOIN users u ON u.id = here.id ORDER BY u.id",
        vec![network.into(), after.map_or(Uuid::nil(), |id| id.0).into(), (limit as i64).into(), since.into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| {
            let email: Option<String> = row.try_get("", "email_key")?;
            Ok(NetworkUser {
                user_id: UserId(row.try_get("", "id")?),
                names: std::iter::once(row.try_get("", "username_key")?).chain(email).collect(),
                is_recent: row.try_get::<i64>("", "lately")? != 0,
            })
        })
        .collect()
}

/// Records the newest generation of which an access token was accepted, for each of these logins. It locks no user,
/// because it only increases numbers.
pub async fn record_accepted(conn: &impl ConnectionTrait, newest: &[(LoginId, i64)]) -> Result<(), DbErr> {
    let values = dialect::rows(
        conn,
        vec![
            Column::Uuid(newest.iter().map(|(login, _)| login.0).collect()),
            Column::Int(newest.iter().map(|(_, generation)| *generation).collect()),
        ],
    );
    let statement = dialect::statement(
        conn,
        "UPDATE logins SET seen_generation = LEAST(t.g, generation)
         FROM unnest($1::uuid[], $2::bigint[]) AS t(l, g)
         WHERE logins.id = t.l AND seen_generation < LEAST(t.g, generation)",
        "UPDATE logins SET seen_generation = min(t.value ->> 1, generation)
         FROM jsonb_each($1) AS t
         WHERE logins.id = unhex(t.value ->> 0) AND seen_generation < min(t.value ->> 1, generation)",
        values,
    );
    dialect::run(conn, statement).await.map(|_| ())
}

/// Ends a login. Returns false if it had ended already.
pub async fn revoke(
    conn: &impl ConnectionTrait,
    id: LoginId,
    reason: RevokeReason,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "UPDATE logins SET revoked_at = $2, revoke_reason = $3 WHERE id = $1 AND revoked_at IS NULL",
        vec![id.into(), now.into(), reason.as_str().into()],
    );
    Ok(dialect::run(conn, statement).await?.rows_affected() > 0)
}

/// Ends all logins of a user except `except`. Returns the logins that this ended.
pub async fn revoke_all(
    conn: &impl ConnectionTrait,
    user_id: UserId,
    except: Option<LoginId>,
    reason: RevokeReason,
    now: Timestamp,
) -> Result<Vec<LoginId>, DbErr> {
    let statement = dialect::plain(
        conn,
        "UPDATE logins SET revoked_at = $3, revoke_reason = $4 WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL
         RETURNING id",
        vec![user_id.into(), except.map_or(Uuid::nil(), |id| id.0).into(), now.into(), reason.as_str().into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok(LoginId(row.try_get("", "id")?))).collect()
}

/// Records that a login has refreshed its token, and the generation of the new token.
pub async fn record_refresh(
    conn: &impl ConnectionTrait,
    id: LoginId,
    generation: i64,
    now: Timestamp,
) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "UPDATE logins SET last_used_at = $2, generation = $3 WHERE id = $1",
        vec![id.into(), now.into(), generation.into()],
    );
    dialect::run(conn, statement).await.map(|_| ())
}

/// Removes the logins of a user that were last used before `before`, with everything that belongs to them.
pub async fn remove_expired(conn: &impl ConnectionTrait, user_id: UserId, before: Timestamp) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "DELETE FROM logins WHERE user_id = $1 AND last_used_at < $2",
        vec![user_id.into(), before.into()],
    );
    dialect::run(conn, statement).await.map(|_| ())
}

/// A refresh token as the database stores it, without its hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenRow {
    pub login_id: LoginId,
    /// The number of refreshes of the login before this token.
    pub generation: i64,
    pub expires_at: Timestamp,
    /// When the server issued its successor. `None` if the token was not used yet.
    pub spent_at: Option<Timestamp>,
}

/// Returns the refresh token with this hash. `None` if there is no such token.
pub async fn get_token(conn: &impl ConnectionTrait, hash: &[u8]) -> Result<Option<TokenRow>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT login_id, generation, expires_at, spent_at FROM refresh_tokens WHERE token_hash = $1",
        vec![hash.into()],
    );
    let row = dialect::one(conn, statement).await?;
    row.map(|row| {
        Ok(TokenRow {
            login_id: LoginId(row.try_get("", "login_id")?),
            generation: row.try_get("", "generation")?,
            expires_at: Timestamp(row.try_get("", "expires_at")?),
            spent_at: row.try_get::<Option<i64>>("", "spent_at")?.map(Timestamp),
        })
    })
    .transpose()
}

/// Stores a new refresh token of a login, and removes the expired tokens of that login.
pub async fn insert_token(
    conn: &impl ConnectionTrait,
    hash: &[u8],
    token: &TokenRow,
    now: Timestamp,
) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "DELETE FROM refresh_tokens WHERE login_id = $1 AND expires_at < $2",
        vec![token.login_id.into(), now.into()],
    );
    dialect::run(conn, statement).await?;
    let statement = dialect::plain(
        conn,
        "INSERT INTO refresh_tokens (token_hash, login_id, generation, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
        vec![hash.into(), token.login_id.into(), token.generation.into(), now.into(), token.expires_at.into()],
    );
    dialect::run(conn, statement).await.map(|_| ())
}

/// Marks a refresh token as spent.
pub async fn spend_token(conn: &impl ConnectionTrait, hash: &[u8], now: Timestamp) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "UPDATE refresh_tokens SET spent_at = $2 WHERE token_hash = $1",
        vec![hash.into(), now.into()],
    );
    dialect::run(conn, statement).await.map(|_| ())
}

/// Stores a ticket, and removes the expired tickets of the user. The end of `login_id` removes the ticket; it is `None`
/// if the ticket was not created by a login.
pub async fn insert_ticket(
    conn: &impl ConnectionTrait,
    hash: &[u8],
    user_id: UserId,
    login_id: Option<LoginId>,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "DELETE FROM tickets WHERE user_id = $1 AND expires_at < $2",
        vec![user_id.into(), now.into()],
    );
    dialect::run(conn, statement).await?;
    let statement = dialect::plain(
        conn,
        "INSERT INTO tickets (ticket_hash, user_id, login_id, expires_at) VALUES ($1, $2, $3, $4)",
        vec![hash.into(), user_id.into(), login_id.map(|id| id.0).into(), expires_at.into()],
    );
    dialect::run(conn, statement).await.map(|_| ())
}

/// Removes a ticket. Returns false if there is no such ticket: each ticket can be used once.
pub async fn remove_ticket(conn: &impl ConnectionTrait, hash: &[u8]) -> Result<bool, DbErr> {
    let statement = dialect::plain(conn, "DELETE FROM tickets WHERE ticket_hash = $1", vec![hash.into()]);
    Ok(dialect::run(conn, statement).await?.rows_affected() > 0)
}
