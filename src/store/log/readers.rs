//! The statements of readers of the log: positions of log rows, the lease and the cursor of each reader, and its parked
//! streams. The work that a reader does with the rows is in `relay`.

use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::protocol::event_type::StoredEventType;
use crate::protocol::stored_event::StoredEvent;
use crate::store::{dialect, log};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::collections::HashSet;
use uuid::Uuid;

/// The name of the sequencer's row in `readers`. Its cursor is the last position that it assigned.
pub const SEQUENCER: &str = "sequencer";

/// Returns the column with the position of a log row, which orders the events of all streams. On SQLite this is the id:
/// there is one writer, so ids appear in ascending order. On PostgreSQL ids are assigned before the commit, so a
/// smaller id may appear later. There the sequencer assigns positions after the commit.
pub fn position_column(conn: &impl ConnectionTrait) -> &'static str {
    if dialect::is_postgres(conn) { "position" } else { "id" }
}

/// A row of the log, as a reader gets it.
#[derive(Clone, Debug)]
pub struct LogRow {
    pub position: i64,
    pub stream: Stream,
    pub rev: Rev,
    pub event_type: StoredEventType,
    /// The text of the frame.
    pub text: String,
}

impl LogRow {
    /// Returns the event of the row, whose payload is not read yet.
    pub fn event(&self) -> StoredEvent<'_> {
        StoredEvent::parse(&self.event_type, &self.text)
    }
}

fn log_row(row: &QueryResult) -> Result<LogRow, DbErr> {
    Ok(LogRow {
        position: row.try_get("", "log_position")?,
        stream: stream(row)?,
        rev: Rev(row.try_get("", "rev")?),
        event_type: log::event_type(row)?,
        text: row.try_get("", "payload")?,
    })
}

fn stream(row: &QueryResult) -> Result<Stream, DbErr> {
    Ok(Stream::from_parts(row.try_get("", "stream_kind")?, row.try_get("", "stream_id")?))
}

/// The end of the log.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LogEnd {
    /// The newest position; 0 if there is none.
    pub position: i64,
    /// Whether committed rows have no position yet. Always false on SQLite.
    pub has_rows_without_position: bool,
}

/// Returns the end of the log. The statement uses indexes only, so that it can run often.
pub async fn head(conn: &impl ConnectionTrait) -> Result<LogEnd, DbErr> {
    let statement = dialect::statement(
        conn,
        "SELECT (SELECT max(position) FROM outbox) AS newest,
                (SELECT id FROM outbox WHERE position IS NULL ORDER BY id LIMIT 1) IS NOT NULL AS unstamped",
        "SELECT (SELECT max(id) FROM outbox) AS newest, FALSE AS unstamped",
        vec![],
    );
    let Some(row) = dialect::one(conn, statement).await? else { return Ok(LogEnd::default()) };
    Ok(LogEnd {
        position: row.try_get::<Option<i64>>("", "newest")?.unwrap_or(0),
        has_rows_without_position: row.try_get("", "unstamped")?,
    })
}

/// Assigns the positions after `after` to at most `limit` committed rows in the order of their ids, and returns their
/// number. The calling function has locked the sequencer's row. This function waits for locked rows: if it skipped a
/// row, the row would get a position after later rows of its stream.
pub async fn assign_positions(conn: &impl ConnectionTrait, after: i64, limit: u64) -> Result<u64, DbErr> {
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

/// The right of one node to run a reader until a point in time, with the progress of the reader.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The id of the node that has or had the lease; `None` if no node had it yet.
    pub holder: Option<String>,
    pub until: Timestamp,
    /// The position of the last row that the reader processed.
    pub cursor: i64,
}

impl Lease {
    /// Returns true if a node other than `node` has the lease at `now`.
    pub fn is_held_by_another(&self, node: &str, now: Timestamp) -> bool {
        self.until >= now && self.holder.as_deref().is_some_and(|holder| holder != node)
    }
}

/// Returns the lease of a reader without locking its row, or `None` if the reader is not registered.
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

/// Registers a reader that begins after the position `cursor`. Does nothing if the reader is registered already.
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
/// cursor, or `None` if another node has the lease.
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

/// Ends the lease of a reader on SQLite, where only a node that is dead can have it. Does nothing on PostgreSQL, where
/// another node may have it.
pub async fn end_stale_lease(conn: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    if dialect::is_postgres(conn) {
        return Ok(());
    }
    let text = "UPDATE readers SET leased_until = 0 WHERE name = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![name.into()])).await?;
    Ok(())
}

/// Returns at most `limit` rows after the position `after`, in the order of their positions.
pub async fn page(conn: &impl ConnectionTrait, after: i64, limit: u64) -> Result<Vec<LogRow>, DbErr> {
    let position = position_column(conn);
    let text = format!(
        "SELECT {position} AS log_position, stream_kind, stream_id, rev, event_type, payload FROM outbox
         WHERE {position} > $1 ORDER BY {position} LIMIT $2"
    );
    let rows = dialect::all(conn, dialect::plain(conn, &text, vec![after.into(), (limit as i64).into()])).await?;
    rows.iter().map(log_row).collect()
}

/// Returns at most `limit` rows of one stream, from revision `from` on, whose position is not after `cursor`.
pub async fn stream_page(
    conn: &impl ConnectionTrait,
    stream: Stream,
    from: Rev,
    cursor: i64,
    limit: u64,
) -> Result<Vec<LogRow>, DbErr> {
    let position = position_column(conn);
    let text = format!(
        "SELECT {position} AS log_position, stream_kind, stream_id, rev, event_type, payload FROM outbox
         WHERE stream_kind = $1 AND stream_id = $2 AND rev >= $3 AND {position} <= $4 ORDER BY rev LIMIT $5"
    );
    let values = vec![stream.kind().into(), stream.id().into(), from.into(), cursor.into(), (limit as i64).into()];
    let rows = dialect::all(conn, dialect::plain(conn, &text, values)).await?;
    rows.iter().map(log_row).collect()
}

/// Returns those of `streams` that are parked for the reader, including those whose row was given up.
pub async fn list_parked(
    conn: &impl ConnectionTrait,
    name: &str,
    streams: &[Stream],
) -> Result<HashSet<Stream>, DbErr> {
    if streams.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Uuid> = streams.iter().map(|stream| stream.id()).collect();
    let text = "SELECT stream_kind, stream_id FROM reader_failures WHERE stream_id IN ({set}) AND reader = $2
                AND stream_kind IN (0, 1)";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, vec![name.into()])).await?;
    rows.iter().map(stream).collect()
}

/// A parked stream of a reader.
#[derive(Clone, Debug)]
pub struct ParkedStream {
    pub stream: Stream,
    /// The revision of the row to try next.
    pub rev: Rev,
    /// The number of failed attempts at this row.
    pub attempts: i64,
    /// The time of the next attempt.
    pub next_at: Timestamp,
}

fn parked_stream(row: &QueryResult) -> Result<ParkedStream, DbErr> {
    Ok(ParkedStream {
        stream: stream(row)?,
        rev: Rev(row.try_get("", "rev")?),
        attempts: row.try_get("", "attempts")?,
        next_at: Timestamp(row.try_get("", "next_at")?),
    })
}

/// Returns the parked stream of the reader whose next attempt is first, even if the time of the attempt is in the
/// future.
pub async fn next_parked(conn: &impl ConnectionTrait, name: &str) -> Result<Option<ParkedStream>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT stream_kind, stream_id, rev, attempts, next_at FROM reader_failures
         WHERE reader = $1 AND status = 'parked' ORDER BY next_at LIMIT 1",
        vec![name.into()],
    );
    dialect::one(conn, statement).await?.as_ref().map(parked_stream).transpose()
}

/// Returns true if the stream is still parked at the same row with the same number of attempts. The calling function
/// has locked the reader's row.
pub async fn is_parked(conn: &impl ConnectionTrait, name: &str, row: &ParkedStream) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT 1 AS found FROM reader_failures WHERE reader = $1 AND stream_kind = $2 AND stream_id = $3 AND rev = $4
         AND status = 'parked' AND attempts = $5",
        vec![name.into(), row.stream.kind().into(), row.stream.id().into(), row.rev.into(), row.attempts.into()],
    );
    Ok(dialect::one(conn, statement).await?.is_some())
}

/// Parks a stream at a row that failed for the first time.
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

/// Stores another failure of the row at which a stream is parked. If `given_up` is true, the status becomes `failed`:
/// the row is not tried again and later rows of the stream keep waiting. The operator sets the status to `parked` to
/// try again.
pub async fn record_failure(
    conn: &impl ConnectionTrait,
    name: &str,
    row: &ParkedStream,
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

/// Parks a stream at its next row, which has not failed yet. With `None`, ends the parking of the stream.
pub async fn advance_parked(
    conn: &impl ConnectionTrait,
    name: &str,
    row: &ParkedStream,
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

/// A range of old rows of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OldRows {
    /// The greatest id of the range.
    pub last_id: i64,
    /// Whether there may be more old rows after the range.
    pub has_more: bool,
}

/// Returns the range of rows after id `from` that are older than `before`: at most `limit` rows, up to the first newer
/// row. `None` if there is no such row.
pub async fn find_old_rows(
    conn: &impl ConnectionTrait,
    from: i64,
    before: Timestamp,
    limit: u64,
) -> Result<Option<OldRows>, DbErr> {
    let text = "SELECT id, created_at FROM outbox WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = dialect::all(conn, dialect::plain(conn, text, vec![from.into(), (limit as i64).into()])).await?;
    let mut last_old_id = None;
    for row in &rows {
        if row.try_get::<i64>("", "created_at")? >= before.0 {
            return Ok(last_old_id.map(|last_id| OldRows { last_id, has_more: false }));
        }
        last_old_id = Some(row.try_get("", "id")?);
    }
    Ok(last_old_id.map(|last_id| OldRows { last_id, has_more: rows.len() as u64 == limit }))
}

/// Removes the rows with ids in `(from, last_id]` that every reader has processed, and returns their number. One
/// statement checks the cursors and removes the rows. If a stream is parked for a reader, its rows stay from the parked
/// row on.
pub async fn remove_rows(conn: &impl ConnectionTrait, from: i64, last_id: i64) -> Result<u64, DbErr> {
    let text = format!(
        "DELETE FROM outbox WHERE id > $1 AND id <= $2 AND {} <= (SELECT min(cursor) FROM readers)
         AND NOT EXISTS (SELECT 1 FROM readers r JOIN reader_failures f ON f.reader = r.name
                         WHERE f.stream_kind = outbox.stream_kind AND f.stream_id = outbox.stream_id
                         AND f.rev <= outbox.rev)",
        position_column(conn)
    );
    let removed = dialect::run(conn, dialect::plain(conn, &text, vec![from.into(), last_id.into()])).await?;
    Ok(removed.rows_affected())
}
