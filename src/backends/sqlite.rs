//! Opens SQLite: one connection that writes, and a few for each kind of reads.
//!
//! The [checkpointer](super::checkpointer) and the probe have their own connections.

use super::open_file::OpenFile;
use super::{BackendError, BackendResult, folder, planner_statistics, reason};
use crate::config::{Settings, WriteConnections};
use crate::domain::limits;
use crate::store::db::history::History;
use crate::store::db::pools::{LastBreak, Pools};
use crate::store::db::{self, Db, ProbeFuture};
use sea_orm::{DatabaseConnection, SqlxSqliteConnector};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Executor};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Connections that read for authentication.
const AUTHENTICATION_CONNECTIONS: u32 = 1;
/// Connections that read for ordinary requests of clients.
const ORDINARY_CONNECTIONS: u32 = 4;
/// Connections that read the log.
const LOG_CONNECTIONS: u32 = 3;
/// The maximum of connections for heavy reads. They may use at most half of the cores, but always one.
const MAX_HEAVY_CONNECTIONS: usize = 2;
/// Steps of the virtual machine of SQLite between two checks of the time in a heavy read: a fraction of a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 10_000;
/// How long a statement waits for the lock of another process. In this process there is only one writer.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How many statements the connection that writes keeps prepared.
const STATEMENTS_OF_THE_WRITER: usize = 256;
/// How long a migration waits for the lock of another process.
const MIGRATION_LOCK_TIMEOUT: Duration = Duration::from_mins(1);
/// Older versions can corrupt a database in WAL mode when a checkpoint and a commit happen at the same time.
const OLDEST_VERSION: (u32, u32, u32) = (3, 51, 3);

/// The error of a new connection after the database file was replaced while the process runs.
const REPLACED: &str = "the open database file was replaced by another file";

/// Opens all connections.
pub(super) async fn connect(settings: &Settings) -> BackendResult<Db> {
    prepare_files(settings)?;
    let history = Arc::new(History::default());
    let writer = serving_pool(1, &history).connect_with(write_options(settings)?).await;
    let writer = writer.map_err(|error| open_error(settings, &error))?;
    history.set_file(OpenFile::new(file(settings)?));
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&writer)
        .await
        .map_err(|error| open_error(settings, &error))?;
    if !is_supported(&version) {
        let (major, minor, patch) = OLDEST_VERSION;
        return Err(BackendError::new(format_args!(
            "this program was built with SQLite {version}, but needs {major}.{minor}.{patch} or newer"
        )));
    }
    if let Err(error) = remove_statistics(&write_options(settings)?, &writer).await {
        // The checkpointer tries again. A database that cannot be written at the moment can still be read.
        tracing::warn!(%error, "the statistics of the database were not removed");
    }
    let read_options = common_options(settings)?.create_if_missing(false).pragma("query_only", "ON");
    let open = async |options: SqlitePoolOptions| {
        let opened = options.connect_with(read_options.clone()).await.map_err(|error| open_error(settings, &error))?;
        Ok::<_, BackendError>(SqlxSqliteConnector::from_sqlx_sqlite_pool(opened))
    };
    let heavy = available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, MAX_HEAVY_CONNECTIONS));
    let pools = Pools {
        write: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        authentication: open(serving_pool(AUTHENTICATION_CONNECTIONS, &history)).await?,
        ordinary: open(serving_pool(ORDINARY_CONNECTIONS, &history)).await?,
        log: open(serving_pool(LOG_CONNECTIONS, &history)).await?,
        heavy: open(with_statement_timeout(pool(heavy as u32))).await?,
        writing: WriteConnections { server: 1, users: 1 },
        max_heavy_reads: heavy,
        last_break: LastBreak::default(),
    };
    let probe = SqliteProbe {
        options: write_options(settings)?.create_if_missing(false).busy_timeout(limits::DATABASE_PROBE_INTERVAL),
        connection: None,
    };
    Ok(Db::new(pools, Box::new(probe), history))
}

/// Removes the statistics before the connections that read open. A connection of its own does this: the one that removes
/// statistics keeps a part of what it has read of them, and all others read the schema again.
async fn remove_statistics(options: &SqliteConnectOptions, writer: &SqlitePool) -> sqlx::Result<()> {
    if planner_statistics::are_empty(&mut *writer.acquire().await?).await? {
        return Ok(());
    }
    let mut connection = SqliteConnection::connect_with(options).await?;
    planner_statistics::remove(&mut connection).await?;
    connection.close().await
}

/// Inserts and deletes a row in one transaction, to test whether commits succeed. Storing an unchanged value would
/// write nothing.
const TEST_WRITE: &str = "BEGIN IMMEDIATE; INSERT INTO meta (key, value) VALUES ('probe', ''); \
     DELETE FROM meta WHERE key = 'probe'; COMMIT";

/// Tests whether the database can be read, and whether it accepts writes.
struct SqliteProbe {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
}

impl db::Probe for SqliteProbe {
    fn read(&mut self) -> ProbeFuture<'_> {
        Box::pin(async move {
            // The connection is taken out of `self`. If the calling code cancels this future, the connection is dropped
            // with it.
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => SqliteConnection::connect_with(&self.options).await?,
            };
            let _: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await?;
            self.connection = Some(connection);
            Ok(())
        })
    }

    fn write(&mut self) -> ProbeFuture<'_> {
        Box::pin(async move {
            let mut connection = self.connection.take().ok_or(sqlx::Error::WorkerCrashed)?;
            connection.execute(TEST_WRITE).await?;
            self.connection = Some(connection);
            Ok(())
        })
    }
}

/// Opens a connection that may migrate.
pub(super) async fn connect_to_migrate(settings: &Settings) -> BackendResult<DatabaseConnection> {
    prepare_files(settings)?;
    // A migration that copies a table sorts it. In memory this would take several hundred bytes for each message.
    let options = write_options(settings)?.busy_timeout(MIGRATION_LOCK_TIMEOUT).pragma("temp_store", "FILE");
    let pool = pool(1).connect_with(options).await.map_err(|error| open_error(settings, &error))?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// Opens a connection to read the state of the schema. Returns `None` if the database does not exist yet.
pub(super) async fn connect_read_only(settings: &Settings) -> BackendResult<Option<DatabaseConnection>> {
    if !file(settings)?.exists() {
        return Ok(None);
    }
    let options = common_options(settings)?.create_if_missing(false).pragma("query_only", "ON");
    let pool = pool(1).connect_with(options).await.map_err(|error| open_error(settings, &error))?;
    Ok(Some(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool)))
}

/// Returns the options of a pool whose connections all open the same file. A new connection fails if the file was
/// replaced.
fn serving_pool(size: u32, history: &Arc<History>) -> SqlitePoolOptions {
    let history = history.clone();
    pool(size).after_connect(move |_, _| {
        let history = history.clone();
        Box::pin(async move {
            let replaced = || std::io::Error::other(REPLACED).into();
            if history.is_file_current().await { Ok(()) } else { Err(replaced()) }
        })
    })
}

fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .min_connections(size)
        .acquire_timeout(limits::ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Interrupts statements that still run [`limits::HEAVY_STATEMENT_TIMEOUT`] after their connection was acquired. SQLite
/// has no statement timeout of its own.
fn with_statement_timeout(pool: SqlitePoolOptions) -> SqlitePoolOptions {
    async fn limit(connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let acquired_at = Instant::now();
        let may_continue = move || acquired_at.elapsed() < limits::HEAVY_STATEMENT_TIMEOUT;
        connection.lock_handle().await?.set_progress_handler(STEPS_BETWEEN_CHECKS, may_continue);
        Ok(())
    }
    pool.after_connect(|connection, _| Box::pin(limit(connection)))
        .before_acquire(|connection, _| Box::pin(async move { limit(connection).await.map(|()| true) }))
}

/// Returns the options of every connection.
fn common_options(settings: &Settings) -> BackendResult<SqliteConnectOptions> {
    let options: SqliteConnectOptions = settings
        .database
        .url
        .expose()
        .parse()
        .map_err(|error| BackendError::new(format_args!("DATABASE_URL is not valid: {error}")))?;
    Ok(options
        .foreign_keys(true)
        .busy_timeout(LOCK_TIMEOUT)
        // With this an acknowledged message survives a power failure, and not only the end of the process.
        .synchronous(SqliteSynchronous::Full)
        .pragma("temp_store", "MEMORY")
        // SQLite overwrites deleted content with zeros, so that no deleted text stays in the file.
        .pragma("secure_delete", "ON")
        // The number of rows that are read ahead of the caller. With the default of 50 a long answer wakes a thread
        // again and again for a few rows.
        .row_buffer_size(1024)
        .disable_statement_logging())
}

/// Returns the options of a connection that writes.
pub(super) fn write_options(settings: &Settings) -> BackendResult<SqliteConnectOptions> {
    Ok(common_options(settings)?
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("wal_autocheckpoint", "0")
        // The texts of statements over rows differ in the number of rows, and all of them stay prepared.
        .statement_cache_capacity(STATEMENTS_OF_THE_WRITER)
        // 16 MiB, because a large batch of sends changes more pages than the default of 2 MiB holds.
        .pragma("cache_size", "-16384")
        // 64 MiB: a write-ahead log that grew longer is cut to this size when it starts anew.
        .pragma("journal_size_limit", "67108864"))
}

/// Ensures that only their owner can use the database files. SQLite creates the files beside the database with the mode
/// of the database file. So this function creates the database file if it does not exist and `DATABASE_URL` allows it.
fn prepare_files(settings: &Settings) -> BackendResult<()> {
    let file = file(settings)?;
    let may_create = settings.database.url.expose().contains("mode=rwc");
    if may_create && file.parent().is_some_and(|folder| folder.as_os_str().is_empty() || folder.exists()) {
        folder::create_file(&file)?;
    }
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut name = file.clone().into_os_string();
        name.push(ending);
        folder::restrict_to_owner(&PathBuf::from(name));
    }
    Ok(())
}

fn file(settings: &Settings) -> BackendResult<PathBuf> {
    Ok(common_options(settings)?.get_filename().to_owned())
}

fn open_error(settings: &Settings, error: &sqlx::Error) -> BackendError {
    let file = file(settings).unwrap_or_default();
    // The primary result code 14 means that a file cannot be opened, and 8 that it cannot be written.
    let is_refused = matches!(error, sqlx::Error::Database(cause)
        if cause.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| [8, 14].contains(&(code & 0xff))));
    if is_refused && let Some(reason) = folder::find_write_error(&file) {
        return reason;
    }
    let file = file.display();
    match error {
        sqlx::Error::Database(cause) if cause.code().as_deref() == Some("14") => BackendError::new(format_args!(
            "the SQLite database {file} cannot be opened: its folder must exist, and the file is created only with \
             ?mode=rwc in DATABASE_URL"
        )),
        _ => BackendError::new(format_args!("the SQLite database {file} cannot be used: {}", reason(error))),
    }
}

fn is_supported(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) >= OLDEST_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::pools::ReadPool;
    use sea_orm::ConnectionTrait;

    /// Returns a folder whose name has to be escaped in a URL, and settings for it.
    fn settings_in_folder() -> (tempfile::TempDir, Settings) {
        let folder = tempfile::Builder::new().prefix("50% #1? ").tempdir().expect("the folder is created");
        let pair = ("GREENROOM_DATA_DIR".to_owned(), folder.path().display().to_string());
        let settings = Settings::from_pairs([pair], None).expect("the settings are valid");
        (folder, settings)
    }

    #[tokio::test]
    async fn a_connection_that_reads_cannot_write() {
        let (_folder, settings) = settings_in_folder();
        let db = connect(&settings).await.expect("the database opens");
        db.write()
            .expect("the database accepts writes")
            .execute_unprepared("CREATE TABLE word (text TEXT)")
            .await
            .expect("the writer writes");
        db.read(ReadPool::Ordinary).execute_unprepared("SELECT text FROM word").await.expect("a reader sees the table");
        let refused = db.read(ReadPool::Ordinary).execute_unprepared("INSERT INTO word VALUES ('no')").await;
        assert!(refused.is_err_and(|error| error.to_string().contains("readonly")));
    }

    #[test]
    fn an_unsupported_sqlite_version_is_refused() {
        for (version, supported) in
            [("3.51.3", true), ("3.52.0", true), ("4.0", true), ("3.51.2", false), ("3.9.9", false), ("", false)]
        {
            assert_eq!(is_supported(version), supported, "{version}");
        }
    }
}
