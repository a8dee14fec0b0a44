//! The statements of readers of the log: positions of log rows, pages, and the lease and the cursor of each reader. The
//! work that a reader does with the rows is in `relay`.

use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::protocol::event_type::StoredEventType;
use crate::protocol::stored_event::StoredEvent;
use crate::store::{dialect, log};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

/// The name of the sequencer's row in `readers`. Its cursor is the last position that it assigned.
pub const SEQUENCER: &str = "sequencer";

/// The columns of a [`LogRow`], besides its position.
const COLUMNS: &str = "stream_kind, stream_id, rev, event_type, payload";
/// The size of a row. The databases read it from the header of a large value, not from all of it.
const BYTES: &str = "CAST(octet_length(payload) AS BIGINT) AS bytes";

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

pub(super) fn stream(row: &QueryResult) -> Result<Stream, DbErr> {
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
    /// Whether the reader is failed: it does not run until the operator restarts it.
    pub is_failed: bool,
}

impl Lease {
    /// Returns true if a node other than `node` has the lease at `now`.
    pub fn is_held_by_another(&self, node: &str, now: Timestamp) -> bool {
        self.until >= now && self.holder.as_deref().is_some_and(|holder| holder != node)
    }
}

/// Returns the lease of a reader without locking its row, or `None` if the reader is not registered.
pub async fn lease(conn: &impl ConnectionTrait, name: &str) -> Result<Option<Lease>, DbErr> {
    let text = "SELECT holder, leased_until, cursor, failed_at FROM readers WHERE name = $1";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![name.into()])).await?;
    row.map(|row| {
        Ok(Lease {
            holder: row.try_get("", "holder")?,
            until: Timestamp(row.try_get("", "leased_until")?),
            cursor: row.try_get("", "cursor")?,
            is_failed: row.try_get::<Option<i64>>("", "failed_at")?.is_some(),
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

/// A reader that works, and how far behind it is.
#[derive(Clone, Debug)]
pub struct ReaderLag {
    pub name: String,
    pub cursor: i64,
    /// When the oldest row that the reader has not processed was appended. `None` if there is no such row.
    pub oldest_unread_at: Option<Timestamp>,
}

/// Returns the lags of all readers that are registered and not failed.
pub async fn list_lags(conn: &impl ConnectionTrait) -> Result<Vec<ReaderLag>, DbErr> {
    let position = position_column(conn);
    let text = format!(
        "SELECT name, cursor, (SELECT created_at FROM outbox WHERE {position} > readers.cursor
                               ORDER BY {position} LIMIT 1) AS oldest_unread_at
         FROM readers WHERE failed_at IS NULL"
    );
    let rows = dialect::all(conn, dialect::plain(conn, &text, vec![])).await?;
    rows.iter()
        .map(|row| {
            Ok(ReaderLag {
                name: row.try_get("", "name")?,
                cursor: row.try_get("", "cursor")?,
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

/// A part of the log.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    pub rows: Vec<LogRow>,
    /// Whether the page ended because of its limit.
    pub has_more: bool,
}

/// Returns the last number that fits into a page, and whether more rows follow. `sizes` are rows with a `number` and
/// their `bytes`. No row follows those that have reached `max_bytes` together.
fn fit(sizes: &[QueryResult], max_rows: usize, max_bytes: u64) -> Result<Option<(i64, bool)>, DbErr> {
    let (mut last, mut bytes) = (None, 0);
    for row in sizes {
        if bytes >= max_bytes {
            return Ok(last.map(|last| (last, true)));
        }
        last = Some(row.try_get("", "number")?);
        bytes += row.try_get::<i64>("", "bytes")? as u64;
    }
    Ok(last.map(|last| (last, sizes.len() >= max_rows)))
}

/// Returns the rows after the position `after`, in the order of their positions: at most `max_rows`, and none after the
/// rows before it have reached `max_bytes`.
pub async fn page(conn: &impl ConnectionTrait, after: i64, max_rows: usize, max_bytes: u64) -> Result<LogPage, DbErr> {
    let position = position_column(conn);
    let text =
        format!("SELECT {position} AS number, {BYTES} FROM outbox WHERE {position} > $1 ORDER BY {position} LIMIT $2");
    let sizes = dialect::plain(conn, &text, vec![after.into(), (max_rows as i64).into()]);
    let sizes = dialect::all(conn, sizes).await?;
    let Some((last, has_more)) = fit(&sizes, max_rows, max_bytes)? else { return Ok(LogPage::default()) };
    let text = format!(
        "SELECT {position} AS log_position, {COLUMNS} FROM outbox
         WHERE {position} > $1 AND {position} <= $2 ORDER BY {position}"
    );
    let rows = dialect::all(conn, dialect::plain(conn, &text, vec![after.into(), last.into()])).await?;
    Ok(LogPage { rows: rows.iter().map(log_row).collect::<Result<_, _>>()?, has_more })
}

/// Returns rows of one stream, from revision `from` on, whose position is not after `cursor`. The limits are those of
/// [`page`].
pub async fn stream_page(
    conn: &impl ConnectionTrait,
    stream: Stream,
    from: Rev,
    cursor: i64,
    max_rows: usize,
    max_bytes: u64,
) -> Result<LogPage, DbErr> {
    let position = position_column(conn);
    let rows_of = format!("FROM outbox WHERE stream_kind = $1 AND stream_id = $2 AND rev >= $3 AND {position} <= $4");
    let values = |last: i64| vec![stream.kind().into(), stream.id().into(), from.into(), cursor.into(), last.into()];
    let text = format!("SELECT rev AS number, {BYTES} {rows_of} ORDER BY rev LIMIT $5");
    let sizes = dialect::all(conn, dialect::plain(conn, &text, values(max_rows as i64))).await?;
    let Some((last, has_more)) = fit(&sizes, max_rows, max_bytes)? else { return Ok(LogPage::default()) };
    let text = format!("SELECT {position} AS log_position, {COLUMNS} {rows_of} AND rev <= $5 ORDER BY rev");
    let rows = dialect::all(conn, dialect::plain(conn, &text, values(last))).await?;
    Ok(LogPage { rows: rows.iter().map(log_row).collect::<Result<_, _>>()?, has_more })
}
