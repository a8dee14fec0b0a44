//! The statements of parked streams of the readers of the log: the rows that a reader could not process, and when to
//! try them again.

use super::pages::stream;
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::collections::HashSet;
use uuid::Uuid;

/// Returns those of `streams` that are parked for the reader, including those whose row is not tried again.
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
        vec![name.into(), row.stream.kind_number().into(), row.stream.id().into(), row.rev.into(), row.attempts.into()],
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
        vec![name.into(), stream.kind_number().into(), stream.id().into(), rev.into(), next_at.into(), error.into()],
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
            row.stream.kind_number().into(),
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

/// Changes the time of the next attempt at the row at which a stream is parked.
pub async fn postpone(
    conn: &impl ConnectionTrait,
    name: &str,
    row: &ParkedStream,
    next_at: Timestamp,
) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "UPDATE reader_failures SET next_at = $5
         WHERE reader = $1 AND stream_kind = $2 AND stream_id = $3 AND rev = $4",
        vec![name.into(), row.stream.kind_number().into(), row.stream.id().into(), row.rev.into(), next_at.into()],
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
    let mut values = vec![name.into(), row.stream.kind_number().into(), row.stream.id().into(), row.rev.into()];
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
