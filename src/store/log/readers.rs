//! The statements of readers of the log: the lease and the cursor of each reader, and how far behind it is. The work
//! that a reader does with the rows is in `relay`.

use crate::domain::time::Timestamp;
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};

/// The right of one node to run a reader until a point in time, with the progress of the reader.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The id of the node that has or had the lease; `None` if no node had it yet.
    pub holder: Option<String>,
    pub until: Timestamp,
    /// The id of the last row that the reader processed.
    pub cursor: i64,
    /// Whether the reader is failed: it does not run until the operator restarts it.
    pub is_failed: bool,
    /// The greatest visible id of the log, 0 if the log has no rows.
    pub newest: i64,
}

impl Lease {
    /// Returns true if `node` has the lease at `now`.
    pub fn is_held_by(&self, node: &str, now: Timestamp) -> bool {
        self.until >= now && self.holder.as_deref() == Some(node)
    }

    /// Returns true if a node other than `node` has the lease at `now`.
    pub fn is_held_by_another(&self, node: &str, now: Timestamp) -> bool {
        self.until >= now && self.holder.as_deref().is_some_and(|holder| holder != node)
    }
}

/// Returns the lease of a reader with the end of the log, without locking the reader's row. Returns `None` if the
/// reader is not registered.
pub async fn lease(conn: &impl ConnectionTrait, name: &str) -> Result<Option<Lease>, DbErr> {
    let text = "SELECT holder, leased_until, cursor, failed_at, COALESCE((SELECT max(id) FROM outbox), 0) AS newest
                FROM readers WHERE name = $1";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![name.into()])).await?;
    row.map(|row| {
        Ok(Lease {
            holder: row.try_get("", "holder")?,
            until: Timestamp(row.try_get("", "leased_until")?),
            cursor: row.try_get("", "cursor")?,
            is_failed: row.try_get::<Option<i64>>("", "failed_at")?.is_some(),
            newest: row.try_get("", "newest")?,
        })
    })
    .transpose()
}

/// Registers a reader that begins after the id `cursor`. Does nothing if the reader is registered already.
pub async fn register(conn: &impl ConnectionTrait, name: &str, cursor: i64, now: Timestamp) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO readers (name, cursor, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        vec![name.into(), cursor.into(), now.into()],
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Takes or renews the lease of a reader for `node`, and locks the reader's row until the transaction ends. Returns the
/// cursor, or `None` if another node has the lease or the reader is failed.
pub async fn claim(
    conn: &impl ConnectionTrait,
    name: &str,
    node: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<i64>, DbErr> {
    let statement = dialect::plain(
        conn,
        "UPDATE readers SET holder = $2, leased_until = $4, updated_at = $3
         WHERE name = $1 AND failed_at IS NULL AND (holder IS NULL OR holder = $2 OR leased_until < $3)
         RETURNING cursor",
        vec![name.into(), node.into(), now.into(), until.into()],
    );
    dialect::one(conn, statement).await?.map(|row| row.try_get("", "cursor")).transpose()
}

/// Stores the cursor of a reader. The transaction has locked the reader's row.
pub async fn set_cursor(conn: &impl ConnectionTrait, name: &str, cursor: i64) -> Result<(), DbErr> {
    let text = "UPDATE readers SET cursor = $2 WHERE name = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![name.into(), cursor.into()])).await?;
    Ok(())
}

/// Ends all leases of `node`, so that other nodes need not wait until the leases expire.
pub async fn release(conn: &impl ConnectionTrait, node: &str) -> Result<(), DbErr> {
    let text = "UPDATE readers SET leased_until = 0 WHERE holder = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![node.into()])).await?;
    Ok(())
}

/// Ends the lease of a reader on SQLite, where only a node that no longer runs can have it. Does nothing on PostgreSQL,
/// where another node may have it.
pub async fn end_stale_lease(conn: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    if dialect::is_postgres(conn) {
        return Ok(());
    }
    let text = "UPDATE readers SET leased_until = 0 WHERE name = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![name.into()])).await?;
    Ok(())
}

/// A reader that works, and how far behind it is.
#[derive(Clone, Debug)]
pub struct ReaderLag {
    pub name: String,
    pub cursor: i64,
    /// When the oldest row that the reader has not processed was appended. `None` if there is no such row.
    pub oldest_unread_at: Option<Timestamp>,
    /// The greatest id of the log minus the cursor. This is at least the number of rows, because ids have gaps.
    pub unread_rows: i64,
}

/// Returns the lags of all readers that are registered and not failed.
pub async fn list_lags(conn: &impl ConnectionTrait) -> Result<Vec<ReaderLag>, DbErr> {
    let text = "SELECT name, cursor, (SELECT created_at FROM outbox WHERE id > readers.cursor
                                      ORDER BY id LIMIT 1) AS oldest_unread_at,
                       COALESCE((SELECT max(id) FROM outbox), 0) AS newest
                FROM readers WHERE failed_at IS NULL";
    let rows = dialect::all(conn, dialect::plain(conn, text, vec![])).await?;
    rows.iter()
        .map(|row| {
            let cursor: i64 = row.try_get("", "cursor")?;
            Ok(ReaderLag {
                name: row.try_get("", "name")?,
                cursor,
                unread_rows: row.try_get::<i64>("", "newest")? - cursor,
                oldest_unread_at: row.try_get::<Option<i64>>("", "oldest_unread_at")?.map(Timestamp),
            })
        })
        .collect()
}

/// Marks a reader as failed. Returns false, and changes nothing, if it is failed already or has moved its cursor.
pub async fn mark_failed(conn: &impl ConnectionTrait, lag: &ReaderLag, now: Timestamp) -> Result<bool, DbErr> {
    let text = "UPDATE readers SET failed_at = $3 WHERE name = $1 AND cursor = $2 AND failed_at IS NULL";
    let values = vec![lag.name.as_str().into(), lag.cursor.into(), now.into()];
    Ok(dialect::run(conn, dialect::plain(conn, text, values)).await?.rows_affected() > 0)
}
