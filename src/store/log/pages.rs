//! The statements that read a page of the log, bounded in rows and bytes.

use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::protocol::event_type::StoredEventType;
use crate::protocol::stored_event::StoredEvent;
use crate::store::{dialect, log};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

/// The columns of a [`LogRow`].
const COLUMNS: &str = "id, stream_kind, stream_id, rev, event_type, payload";
/// The size of a row. The databases read it from the header of a large value, not from all of it.
const BYTES: &str = "CAST(octet_length(payload) AS BIGINT) AS bytes";

/// A row of the log, as a reader gets it.
#[derive(Clone, Debug)]
pub struct LogRow {
    pub id: i64,
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
        id: row.try_get("", "id")?,
        stream: stream(row)?,
        rev: Rev(row.try_get("", "rev")?),
        event_type: log::event_type(row)?,
        text: row.try_get("", "payload")?,
    })
}

pub(super) fn stream(row: &QueryResult) -> Result<Stream, DbErr> {
    Ok(Stream::from_columns(row.try_get("", "stream_kind")?, row.try_get("", "stream_id")?))
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

/// Returns the rows after the id `after` up to the id `floor`, in the order of their ids: at most `max_rows`, and none
/// after the rows before it have reached `max_bytes`. No row may appear any more at or below `floor`, so that a reader
/// which continues after the last row skips none.
pub async fn page(
    conn: &impl ConnectionTrait,
    after: i64,
    floor: i64,
    max_rows: usize,
    max_bytes: u64,
) -> Result<LogPage, DbErr> {
    let text = format!("SELECT id AS number, {BYTES} FROM outbox WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3");
    let sizes = dialect::plain(conn, &text, vec![after.into(), floor.into(), (max_rows as i64).into()]);
    let sizes = dialect::all(conn, sizes).await?;
    let Some((last, has_more)) = fit(&sizes, max_rows, max_bytes)? else { return Ok(LogPage::default()) };
    let text = format!("SELECT {COLUMNS} FROM outbox WHERE id > $1 AND id <= $2 ORDER BY id");
    let rows = dialect::all(conn, dialect::plain(conn, &text, vec![after.into(), last.into()])).await?;
    Ok(LogPage { rows: rows.iter().map(log_row).collect::<Result<_, _>>()?, has_more })
}

/// Returns rows of one stream, from revision `from` on, whose id is not after `cursor`. The limits are those of
/// [`page`].
pub async fn stream_page(
    conn: &impl ConnectionTrait,
    stream: Stream,
    from: Rev,
    cursor: i64,
    max_rows: usize,
    max_bytes: u64,
) -> Result<LogPage, DbErr> {
    let rows_of = "FROM outbox WHERE stream_kind = $1 AND stream_id = $2 AND rev >= $3 AND id <= $4";
    let values =
        |last: i64| vec![stream.kind_number().into(), stream.id().into(), from.into(), cursor.into(), last.into()];
    let text = format!("SELECT rev AS number, {BYTES} {rows_of} ORDER BY rev LIMIT $5");
    let sizes = dialect::all(conn, dialect::plain(conn, &text, values(max_rows as i64))).await?;
    let Some((last, has_more)) = fit(&sizes, max_rows, max_bytes)? else { return Ok(LogPage::default()) };
    let text = format!("SELECT {COLUMNS} {rows_of} AND rev <= $5 ORDER BY rev");
    let rows = dialect::all(conn, dialect::plain(conn, &text, values(last))).await?;
    Ok(LogPage { rows: rows.iter().map(log_row).collect::<Result<_, _>>()?, has_more })
}
