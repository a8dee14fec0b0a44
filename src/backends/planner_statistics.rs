//! Keeps the statistics of SQLite's planner empty, so that the plans of statements never change.
//!
//! Only `ANALYZE` writes these statistics, and the server never runs it. An operator may, also while nearly every table
//! is empty. The planner would then take each table for tiny, and still read whole tables when they are large: sends
//! were three to six times slower. Without statistics the planner expects large tables, for which the statements are
//! written and tested.
//!
//! A connection reads the statistics when it opens and when the schema changes. So the server keeps the tables of
//! statistics, but without rows: then `ANALYZE` changes rows and not the schema, and the open connections do not read
//! them. The [checkpointer](super::checkpointer) removes such rows within a second or two, before another connection
//! opens. It creates the tables anew, which makes all connections read the schema again, in case one has read the rows.

use sqlx::Executor;
use sqlx::sqlite::SqliteConnection;

/// `ANALYZE` of the schema only creates the tables that are missing.
const REMOVE: &str = "BEGIN IMMEDIATE; DROP TABLE IF EXISTS sqlite_stat1; DROP TABLE IF EXISTS sqlite_stat4; \
     ANALYZE sqlite_schema; COMMIT";

/// Returns true if the table of statistics is there and has no rows.
pub(super) async fn are_empty(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1')";
    let has_rows = "SELECT EXISTS (SELECT 1 FROM sqlite_stat1)";
    Ok(sqlx::query_scalar::<_, bool>(exists).fetch_one(&mut *connection).await?
        && !sqlx::query_scalar::<_, bool>(has_rows).fetch_one(&mut *connection).await?)
}

/// Removes all statistics. The connection then runs no other statement whose plan matters, because it keeps the numbers
/// of rows that it has read. After an error the calling code closes it: it may be in a transaction.
pub(super) async fn remove(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    connection.execute(REMOVE).await?;
    Ok(())
}
