//! Checks the history of a PostgreSQL database on every new connection, before any event is appended on it.
//!
//! A new epoch begins if one of three things differs. The system identifier and the timeline show whether another
//! server answers, or a standby that took over. The object ids of the database and of the table `meta` show whether the
//! database was created anew. The newest log row that this process has seen committed must still exist. A check is left
//! out if the server cannot answer it or the database user may not ask.

use crate::store::db::epoch::{CHANGE_EPOCH_ON_POSTGRES, LAST_ID_ON_POSTGRES, new_epoch};
use crate::store::db::history::History;
use crate::store::db::row_digest::{ROW_COLUMNS, RowDigest};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

/// The number of attempts to change the epoch when other nodes change it at the same time.
const ATTEMPTS: usize = 5;

/// Checks the history on a new connection and adopts the epoch of the database. The pool calls this before any event is
/// appended on the connection.
pub(super) async fn check_connection(connection: &mut PgConnection, history: &History) -> sqlx::Result<()> {
    let has_tables = "SELECT to_regclass('meta') IS NOT NULL AND to_regclass('outbox') IS NOT NULL";
    if !sqlx::query_scalar(has_tables).fetch_one(&mut *connection).await? {
        // The schema is not created yet.
        return Ok(());
    }
    for _ in 0..ATTEMPTS {
        let text = "SELECT (SELECT value FROM meta WHERE key = 'epoch') AS epoch,
                           (SELECT value FROM meta WHERE key = 'history_server') AS server,
                           (SELECT value FROM meta WHERE key = 'history_tables') AS tables";
        let row = sqlx::query(text).fetch_one(&mut *connection).await?;
        let Some(epoch) = row.try_get::<Option<String>, _>("epoch")? else { return Ok(()) };
        let (server, tables) = (get_postgres_timeline(connection).await?, get_database_ids(connection).await?);
        let stored = |column| row.try_get::<Option<String>, _>(column);
        let differs = |stored: Option<String>, now: &str| stored.is_some_and(|stored| !now.is_empty() && stored != now);
        let newest = history.newest_row();
        let is_other = differs(stored("server")?, &server)
            || differs(stored("tables")?, &tables)
            || !has_row(connection, &newest).await?;
        if !is_other {
            store_if_missing(connection, "history_server", &server).await?;
            store_if_missing(connection, "history_tables", &tables).await?;
            history.set_epoch(&epoch);
            return Ok(());
        }
        sqlx::query(CHANGE_EPOCH_ON_POSTGRES)
            .bind(&epoch)
            .bind(new_epoch())
            .bind(newest.id)
            .bind(&server)
            .bind(&tables)
            .fetch_optional(&mut *connection)
            .await?;
        // The newest row that was seen belongs to the previous history.
        history.forget_newest_row();
    }
    Err(sqlx::Error::Protocol("other nodes keep changing the epoch of the database".to_owned()))
}

/// Returns the identifier of the server and its timeline, or an empty text if the server does not answer this.
async fn get_postgres_timeline(connection: &mut PgConnection) -> sqlx::Result<String> {
    let text = "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/'
                       || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
    match sqlx::query_scalar(text).fetch_one(&mut *connection).await {
        // A function is missing or forbidden, or the server is in recovery.
        Err(sqlx::Error::Database(_)) => Ok(String::new()),
        result => result,
    }
}

/// Returns the object ids of the database and of the table `meta`. Both change when the database is created anew.
async fn get_database_ids(connection: &mut PgConnection) -> sqlx::Result<String> {
    let text = "SELECT concat((SELECT oid FROM pg_database WHERE datname = current_database()), '/',
                              'meta'::regclass::oid)";
    sqlx::query_scalar(text).fetch_one(&mut *connection).await
}

/// Returns whether the log still has the newest row that was seen.
async fn has_row(connection: &mut PgConnection, newest: &RowDigest) -> sqlx::Result<bool> {
    if newest.id == 0 {
        // This process has seen no row yet.
        return Ok(true);
    }
    let row = sqlx::query(AssertSqlSafe(format!("SELECT {ROW_COLUMNS} FROM outbox WHERE id = $1")))
        .bind(newest.id)
        .fetch_optional(&mut *connection)
        .await?;
    let found = row.map(|row| RowDigest::from_row(&row.into())).transpose();
    let found = found.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
    let last_id: i64 = sqlx::query_scalar(LAST_ID_ON_POSTGRES).fetch_one(&mut *connection).await?;
    Ok(newest.is_of_log(found.as_ref(), last_id))
}

/// Stores a value in the table `meta` if the value is not empty and its key has none yet. Does nothing on a server in
/// recovery.
async fn store_if_missing(connection: &mut PgConnection, key: &str, value: &str) -> sqlx::Result<()> {
    let text = "INSERT INTO meta (key, value) SELECT $1, $2 WHERE $2 <> '' AND NOT pg_is_in_recovery()
                ON CONFLICT (key) DO NOTHING";
    sqlx::query(text).bind(key).bind(value).execute(&mut *connection).await.map(drop)
}
