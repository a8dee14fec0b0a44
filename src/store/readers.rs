//! Readers of the log: the one order of all streams, who holds each reader and how far it has read, and the streams in
//! which a reader is stuck. What a reader does with what it reads is not here.

use super::dialect;
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::collections::HashSet;
use uuid::Uuid;

/// The row of the sequencer among the readers; its cursor is the last position it gave.
pub const SEQUENCER: &str = "sequencer";

/// The column that holds an event's place in the one order of all streams. SQLite has one writer, whose ids appear in
/// order, so there the id is the position and nothing is stamped; on PostgreSQL ids are drawn before the commit and may
/// appear late, so the sequencer stamps positions.
pub fn position(conn: &impl ConnectionTrait) -> &'static str {
    if dialect::is_postgres(conn) { "position" } else { "id" }
}

/// A row of the log as its readers see it.
#[derive(Clone, Debug)]
pub struct LogRow {
    /// Its place in the one order of all streams.
    pub position: i64,
    /// Its stream.
    pub stream: Stream,
    /// Its revision of the stream.
    pub rev: Rev,
    /// Its type.
    pub event_type: String,
    /// The frame that clients get.
    pub payload: String,
}

fn log_row(row: &QueryResult) -> Result<LogRow, DbErr> {
    Ok(LogRow {
        position: row.try_get("", "place")?,
        stream: stream(row)?,
        rev: Rev(row.try_get("", "rev")?),
        event_type: row.try_get("", "event_type")?,
        payload: row.try_get("", "payload")?,
    })
}

fn stream(row: &QueryResult) -> Result<Stream, DbErr> {
    Ok(Stream::from_parts(row.try_get("", "stream_kind")?, row.try_get("", "stream_id")?))
}

/// How far the log reaches: the newest position, and whether committed rows wait for theirs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Head {
    /// The newest position; 0 in a log that has none.
    pub position: i64,
    /// Whether rows are to be stamped; never on SQLite.
    pub unstamped: bool,
}

/// How far the log reaches, by index alone.
pub async fn head(conn: &impl ConnectionTrait) -> Result<Head, DbErr> {
    let statement = dialect::statement(
        conn,
        "SELECT (SELECT max(position) FROM outbox) AS newest,
                (SELECT id FROM outbox WHERE position IS NULL ORDER BY id LIMIT 1) IS NOT NULL AS unstamped",
        "SELECT (SELECT max(id) FROM outbox) AS newest, FALSE AS unstamped",
        vec![],
    );
    let Some(row) = dialect::one(conn, statement).await? else { return Ok(Head::default()) };
    Ok(Head {
        position: row.try_get::<Option<i64>>("", "newest")?.unwrap_or(0),
        unstamped: row.try_get("", "unstamped")?,
    })
}

/// Stamps at most `limit` committed rows in the order of their ids, with the positions that follow `after`, and returns
/// how many. It waits for rows that somebody has locked and skips none: of one stream a skipped row would come after a
/// later one. The caller holds the sequencer's row.
pub async fn stamp(conn: &impl ConnectionTrait, after: i64, limit: u64) -> Result<u64, DbErr> {
    let statement = dialect::plain(
        conn,
        "WITH waiting AS (
             SELECT id FROM outbox WHERE position IS NULL ORDER BY id LIMIT $2 FOR NO KEY UPDATE
         ), numbered AS (
             SELECT id, row_number() OVER (ORDER BY id) AS number FROM waiting
         )
         UPDATE outbox SET position = $1 + numbered.number FROM numbered WHERE outbox.id = numbered.id",
        vec![after.into(), (limit as i64).into()],
    );
    Ok(dialect::run(conn, statement).await?.rows_affected())
}

/// Who holds a reader, and how far it has read.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The node that holds it, if any did.
    pub holder: Option<String>,
    /// Until when.
    pub until: Timestamp,
    /// The last position read.
    pub cursor: i64,
}

impl Lease {
    /// Whether another node than `node` holds it at `now`.
    pub fn is_others(&self, node: &str, now: Timestamp) -> bool {
        self.until >= now && self.holder.as_deref().is_some_and(|holder| holder != node)
    }
}

/// The lease of a reader, without its lock; `None` before anybody registered it.
pub async fn lease(conn: &impl ConnectionTrait, name: &str) -> Result<Option<Lease>, DbErr> {
    let text = "SELECT holder, leased_until, cursor FROM readers WHERE name = $1";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![name.into()])).await?;
    row.map(|row| {
        Ok(Lease {
            holder: row.try_get("", "holder")?,
            until: Timestamp(row.try_get("", "leased_until")?),
            cursor: row.try_get("", "cursor")?,
        })
    })
    .transpose()
}

/// Registers a reader that is not there yet; it begins behind `cursor`.
pub async fn register(conn: &impl ConnectionTrait, name: &str, cursor: i64, now: Timestamp) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO readers (name, cursor, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        vec![name.into(), cursor.into(), now.into()],
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Takes or renews the lease of a reader for `node` and locks its row until the transaction ends; returns the cursor, or
/// `None` when another node holds it.
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
         WHERE name = $1 AND (holder IS NULL OR holder = $2 OR leased_until < $3) RETURNING cursor",
        vec![name.into(), node.into(), now.into(), until.into()],
    );
    dialect::one(conn, statement).await?.map(|row| row.try_get("", "cursor")).transpose()
}

/// Moves the cursor of a reader whose row this transaction has locked.
pub async fn advance(conn: &impl ConnectionTrait, name: &str, cursor: i64) -> Result<(), DbErr> {
    let text = "UPDATE readers SET cursor = $2 WHERE name = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![name.into(), cursor.into()])).await?;
    Ok(())
}

/// Gives back what `node` holds, so that another node need not wait until it expires.
pub async fn release(conn: &impl ConnectionTrait, node: &str) -> Result<(), DbErr> {
    let text = "UPDATE readers SET leased_until = 0 WHERE holder = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![node.into()])).await?;
    Ok(())
}

/// Ends the lease that a node which died left on a reader, where no other node can be: on SQLite.
pub async fn take_over(conn: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    if dialect::is_postgres(conn) {
        return Ok(());
    }
    let text = "UPDATE readers SET leased_until = 0 WHERE name = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![name.into()])).await?;
    Ok(())
}

/// At most `limit` rows behind `after`, in the one order of all streams.
pub async fn page(conn: &impl ConnectionTrait, after: i64, limit: u64) -> Result<Vec<LogRow>, DbErr> {
    let place = position(conn);
    let text = format!(
        "SELECT {place} AS place, stream_kind, stream_id, rev, event_type, payload FROM outbox
         WHERE {place} > $1 ORDER BY {place} LIMIT $2"
    );
    let rows = dialect::all(conn, dialect::plain(conn, &text, vec![after.into(), (limit as i64).into()])).await?;
    rows.iter().map(log_row).collect()
}

/// At most `limit` rows of one stream from `from` on, as far as the cursor has passed them.
pub async fn stream_page(
    conn: &impl ConnectionTrait,
    stream: Stream,
    from: Rev,
    cursor: i64,
    limit: u64,
) -> Result<Vec<LogRow>, DbErr> {
    let place = position(conn);
    let text = format!(
        "SELECT {place} AS place, stream_kind, stream_id, rev, event_type, payload FROM outbox
         WHERE stream_kind = $1 AND stream_id = $2 AND rev >= $3 AND {place} <= $4 ORDER BY rev LIMIT $5"
    );
    let values = vec![stream.kind().into(), stream.id().into(), from.into(), cursor.into(), (limit as i64).into()];
    let rows = dialect::all(conn, dialect::plain(conn, &text, values)).await?;
    rows.iter().map(log_row).collect()
}

/// Which of `streams` are parked for the reader, waiting or given up.
pub async fn parked(conn: &impl ConnectionTrait, name: &str, streams: &[Stream]) -> Result<HashSet<Stream>, DbErr> {
    if streams.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Uuid> = streams.iter().map(|stream| stream.id()).collect();
    let text = "SELECT stream_kind, stream_id FROM reader_failures WHERE stream_id IN ({set}) AND reader = $2
                AND stream_kind IN (0, 1)";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, vec![name.into()])).await?;
    rows.iter().map(stream).collect()
}

/// A row at which a reader's stream is parked.
#[derive(Clone, Debug)]
pub struct Parked {
    /// The stream that waits.
    pub stream: Stream,
    /// The row that is to be tried next.
    pub rev: Rev,
    /// How often it failed.
    pub attempts: i64,
    /// When it is tried again.
    pub next_at: Timestamp,
}

fn parked_row(row: &QueryResult) -> Result<Parked, DbErr> {
    Ok(Parked {
        stream: stream(row)?,
        rev: Rev(row.try_get("", "rev")?),
        attempts: row.try_get("", "attempts")?,
        next_at: Timestamp(row.try_get("", "next_at")?),
    })
}

/// The parked row of the reader that is tried next, whether or not it is due.
pub async fn next_parked(conn: &impl ConnectionTrait, name: &str) -> Result<Option<Parked>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT stream_kind, stream_id, rev, attempts, next_at FROM reader_failures
         WHERE reader = $1 AND status = 'parked' ORDER BY next_at LIMIT 1",
        vec![name.into()],
    );
    dialect::one(conn, statement).await?.as_ref().map(parked_row).transpose()
}

/// Whether the row is still parked as it was; the reader's row is locked.
pub async fn is_parked(conn: &impl ConnectionTrait, name: &str, row: &Parked) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT 1 AS found FROM reader_failures WHERE reader = $1 AND stream_kind = $2 AND stream_id = $3 AND rev = $4
         AND status = 'parked' AND attempts = $5",
        vec![name.into(), row.stream.kind().into(), row.stream.id().into(), row.rev.into(), row.attempts.into()],
    );
    Ok(dialect::one(conn, statement).await?.is_some())
}

/// Parks a stream at a row that failed once.
pub async fn park(
    conn: &impl ConnectionTrait,
    name: &str,
    (stream, rev): (Stream, Rev),
    next_at: Timestamp,
    error: &str,
) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO reader_failures (reader, stream_kind, stream_id, rev, attempts, next_at, last_error)
         VALUES ($1, $2, $3, $4, 1, $5, $6)",
        vec![name.into(), stream.kind().into(), stream.id().into(), rev.into(), next_at.into(), error.into()],
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Notes another failure of a parked row. One that is given up stays, and its stream waits with it, until somebody has it
/// tried again.
pub async fn failed_again(
    conn: &impl ConnectionTrait,
    name: &str,
    row: &Parked,
    next_at: Timestamp,
    error: &str,
    given_up: bool,
) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "UPDATE reader_failures SET attempts = attempts + 1, next_at = $5, last_error = $6, status = $7
         WHERE reader = $1 AND stream_kind = $2 AND stream_id = $3 AND rev = $4",
        vec![
            name.into(),
            row.stream.kind().into(),
            row.stream.id().into(),
            row.rev.into(),
            next_at.into(),
            error.into(),
            if given_up { "failed" } else { "parked" }.into(),
        ],
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Moves a parked stream on to its next row, which has not failed yet, or has it wait no longer.
pub async fn move_parked(
    conn: &impl ConnectionTrait,
    name: &str,
    row: &Parked,
    next: Option<Rev>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let of = "WHERE reader = $1 AND stream_kind = $2 AND stream_id = $3 AND rev = $4";
    let mut values = vec![name.into(), row.stream.kind().into(), row.stream.id().into(), row.rev.into()];
    let text = match next {
        Some(next) => {
            values.extend([next.into(), now.into()]);
            format!("UPDATE reader_failures SET rev = $5, attempts = 1, next_at = $6 {of}")
        }
        None => format!("DELETE FROM reader_failures {of}"),
    };
    dialect::run(conn, dialect::plain(conn, &text, values)).await?;
    Ok(())
}

/// What a look at old rows found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Old {
    /// The greatest id of the range that may go.
    pub upto: i64,
    /// Whether there may be more behind it.
    pub more: bool,
}

/// Where the range of rows ends that begins behind id `from`, has at most `limit` of them, and holds only rows older than
/// `before`; `None` when its first row is younger, or there is none.
pub async fn old_rows(
    conn: &impl ConnectionTrait,
    from: i64,
    before: Timestamp,
    limit: u64,
) -> Result<Option<Old>, DbErr> {
    let text = "SELECT id, created_at FROM outbox WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = dialect::all(conn, dialect::plain(conn, text, vec![from.into(), (limit as i64).into()])).await?;
    let mut old = None;
    for row in &rows {
        if row.try_get::<i64>("", "created_at")? >= before.0 {
            return Ok(old.map(|upto| Old { upto, more: false }));
        }
        old = Some(row.try_get("", "id")?);
    }
    Ok(old.map(|upto| Old { upto, more: rows.len() as u64 == limit }))
}

/// Deletes the rows with ids in `(from, upto]` that every reader has passed, in one statement with the look at the
/// cursors. Rows of a stream that is parked for a reader stay from the one it waits at on. Returns how many went.
pub async fn forget(conn: &impl ConnectionTrait, from: i64, upto: i64) -> Result<u64, DbErr> {
    let text = format!(
        "DELETE FROM outbox WHERE id > $1 AND id <= $2 AND {} <= (SELECT min(cursor) FROM readers)
         AND NOT EXISTS (SELECT 1 FROM readers r JOIN reader_failures f ON f.reader = r.name
                         WHERE f.stream_kind = outbox.stream_kind AND f.stream_id = outbox.stream_id
                         AND f.rev <= outbox.rev)",
        position(conn)
    );
    let done = dialect::run(conn, dialect::plain(conn, &text, vec![from.into(), upto.into()])).await?;
    Ok(done.rows_affected())
}
