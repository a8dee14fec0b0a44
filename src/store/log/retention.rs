//! The statements of retention: what is old in the log, and what no reader needs any more.

use super::pages::stream;
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::store::dialect::{self, Column};
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::BTreeMap;

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

/// The time since which a row that failed keeps the rows of its stream in the log. If the row is older, or no longer in
/// the log, it keeps none.
#[derive(Clone, Debug)]
pub struct KeptSince {
    /// The time for each reader that this program knows.
    pub readers: BTreeMap<String, Timestamp>,
    /// The time for all other readers.
    pub unknown_readers: Timestamp,
}

impl KeptSince {
    /// Returns the time for the rows that this reader could not process.
    pub fn of(&self, reader: &str) -> Timestamp {
        self.readers.get(reader).copied().unwrap_or(self.unknown_readers)
    }
}

/// Removes the rows with ids in `(from, last_id]` that every reader has processed, and returns their number. One
/// statement checks the cursors and removes the rows. If a stream is parked for a reader, its rows stay from the parked
/// row on, as long as [`KeptSince`] allows. A failed reader needs no rows. As long as no reader is registered, all rows
/// stay.
pub async fn remove_rows(
    conn: &impl ConnectionTrait,
    from: i64,
    last_id: i64,
    kept_since: &KeptSince,
) -> Result<u64, DbErr> {
    let columns = vec![
        Column::Text(kept_since.readers.keys().cloned().collect()),
        Column::Int(kept_since.readers.values().map(|since| since.0).collect()),
    ];
    let mut values = dialect::rows(conn, columns);
    values.extend([from.into(), last_id.into(), kept_since.unknown_readers.into()]);
    let text = |known: &str, first: usize| {
        format!(
            "DELETE FROM outbox WHERE id > ${first} AND id <= ${}
             AND id <= (SELECT min(CASE WHEN failed_at IS NULL THEN cursor ELSE {} END) FROM readers)
             AND NOT EXISTS (SELECT 1 FROM readers r JOIN reader_failures f ON f.reader = r.name
                             JOIN outbox o ON o.stream_kind = f.stream_kind AND o.stream_id = f.stream_id
                                           AND o.rev = f.rev
                             LEFT JOIN {known} ON known.reader = r.name
                             WHERE r.failed_at IS NULL AND o.created_at >= COALESCE(known.since, ${})
                             AND f.stream_kind = outbox.stream_kind AND f.stream_id = outbox.stream_id
                             AND f.rev <= outbox.rev)",
            first + 1,
            i64::MAX,
            first + 2,
        )
    };
    let statement = dialect::statement(
        conn,
        &text("unnest($1::text[], $2::bigint[]) AS known(reader, since)", 3),
        &text("(SELECT value ->> 0 AS reader, value ->> 1 AS since FROM jsonb_each($1)) AS known", 2),
        values,
    );
    Ok(dialect::run(conn, statement).await?.rows_affected())
}

/// A row of the log at which a stream is parked for a reader.
#[derive(Clone, Debug)]
pub struct FailedRow {
    pub reader: String,
    pub stream: Stream,
    pub rev: Rev,
    pub id: i64,
    pub created_at: Timestamp,
}

/// Lists the rows older than `before` at which streams are parked for readers that are not failed.
pub async fn list_failed_rows(conn: &impl ConnectionTrait, before: Timestamp) -> Result<Vec<FailedRow>, DbErr> {
    let text = "SELECT f.reader, o.stream_kind, o.stream_id, o.rev, o.id, o.created_at
         FROM readers r JOIN reader_failures f ON f.reader = r.name
         JOIN outbox o ON o.stream_kind = f.stream_kind AND o.stream_id = f.stream_id AND o.rev = f.rev
         WHERE r.failed_at IS NULL AND o.created_at < $1";
    let rows = dialect::all(conn, dialect::plain(conn, text, vec![before.into()])).await?;
    rows.iter()
        .map(|row| {
            Ok(FailedRow {
                reader: row.try_get("", "reader")?,
                stream: stream(row)?,
                rev: Rev(row.try_get("", "rev")?),
                id: row.try_get("", "id")?,
                created_at: Timestamp(row.try_get("", "created_at")?),
            })
        })
        .collect()
}
