//! The positions of log rows, which order the events of all streams, and the statement by which the sequencer assigns
//! them.

use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};

/// Returns the column with the position of a log row, which orders the events of all streams. On SQLite this is the id:
/// there is one writer, so ids appear in ascending order. On PostgreSQL ids are assigned before the commit, so a
/// smaller id may appear later. There the sequencer assigns positions after the commit.
pub fn position_column(conn: &impl ConnectionTrait) -> &'static str {
    if dialect::is_postgres(conn) { "position" } else { "id" }
}

/// How far positions are assigned, and whether the sequencer has work.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LogEnd {
    /// The newest position; 0 if there is none.
    pub position: i64,
    /// Whether committed rows have no position yet. Always false on SQLite.
    pub has_rows_without_position: bool,
}

/// Returns the end of the log. The statement uses indexes only, so that it can run often.
pub async fn get_log_end(conn: &impl ConnectionTrait) -> Result<LogEnd, DbErr> {
    let statement = dialect::statement(
        conn,
        "SELECT (SELECT max(position) FROM outbox) AS newest,
                (SELECT id FROM outbox WHERE position IS NULL ORDER BY id LIMIT 1) IS NOT NULL AS lacks_positions",
        "SELECT (SELECT max(id) FROM outbox) AS newest, FALSE AS lacks_positions",
        vec![],
    );
    let Some(row) = dialect::one(conn, statement).await? else { return Ok(LogEnd::default()) };
    Ok(LogEnd {
        position: row.try_get::<Option<i64>>("", "newest")?.unwrap_or(0),
        has_rows_without_position: row.try_get("", "lacks_positions")?,
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
