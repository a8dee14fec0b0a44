//! The statements of retention: what is old in the log, and what no reader needs any more.

use super::readers::position_column;
use crate::domain::time::Timestamp;
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};

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
/// row on. A failed reader needs no rows. As long as no reader is registered, all rows stay.
pub async fn remove_rows(conn: &impl ConnectionTrait, from: i64, last_id: i64) -> Result<u64, DbErr> {
    let text = format!(
        "DELETE FROM outbox WHERE id > $1 AND id <= $2
         AND {} <= (SELECT min(CASE WHEN failed_at IS NULL THEN cursor ELSE {} END) FROM readers)
         AND NOT EXISTS (SELECT 1 FROM readers r JOIN reader_failures f ON f.reader = r.name
                         WHERE r.failed_at IS NULL
                         AND f.stream_kind = outbox.stream_kind AND f.stream_id = outbox.stream_id
                         AND f.rev <= outbox.rev)",
        position_column(conn),
        i64::MAX
    );
    let removed = dialect::run(conn, dialect::plain(conn, &text, vec![from.into(), last_id.into()])).await?;
    Ok(removed.rows_affected())
}
