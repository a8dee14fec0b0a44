//! How SQLite is opened: one connection that writes, a few that only read, shared out by what they read, and the
//! [checkpointer](super::checkpointer) and the probe with one of their own.

use super::{BackendError, Result, folder, history, reason};
use crate::config::{Settings, Writing};
use crate::domain::limits;
use crate::store::db::{self, Asking, Db, PROBE};
use crate::store::history::History;
use crate::store::pools::{Breaks, Pools};
use sea_orm::{DatabaseConnection, SqlxSqliteConnector};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Connections that read who somebody is.
const AUTHENTICATION: u32 = 1;
/// Connections for what a client asks for.
const ORDINARY: u32 = 4;
/// Connections that read the log.
const LOG: u32 = 3;
/// Connections for heavy reads at most; one where that would be every core.
const HEAVY: usize = 2;
/// Steps of SQLite's machine between two looks at the clock in a heavy read; a fraction of a millisecond.
const STRIDE: i32 = 10_000;
/// How long a statement waits for another process's lock; in this process the one writer has no rival.
const BUSY: Duration = Duration::from_secs(5);
/// The same while migrating.
const BUSY_MIGRATING: Duration = Duration::from_mins(1);
/// How long somebody waits for a free connection.
const ACQUIRE: Duration = Duration::from_secs(2);
/// Older versions can corrupt a database in WAL mode when a checkpoint meets a commit.
const OLDEST: (u32, u32, u32) = (3, 51, 3);

/// What is said where the file was replaced under the running process.
const REPLACED: &str = "another file has taken the place of the open database";

/// Opens all connections.
pub(super) async fn connect(settings: &Settings) -> Result<Db> {
    prepare(settings)?;
    let known = Arc::new(History::default());
    let writer = serving(1, &known).connect_with(writing(settings)?).await;
    let writer = writer.map_err(|error| not_opened(settings, &error))?;
    known.stays_at(history::OpenFile::new(file(settings)?));
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&writer)
        .await
        .map_err(|error| not_opened(settings, &error))?;
    if !is_sound(&version) {
        let (major, minor, patch) = OLDEST;
        return Err(BackendError::new(format_args!(
            "this program was built with SQLite {version}; it needs {major}.{minor}.{patch} or newer"
        )));
    }
    let reading = common(settings)?.create_if_missing(false).pragma("query_only", "ON");
    let open = async |options: SqlitePoolOptions| {
        let opened = options.connect_with(reading.clone()).await.map_err(|error| not_opened(settings, &error))?;
        Ok::<_, BackendError>(SqlxSqliteConnector::from_sqlx_sqlite_pool(opened))
    };
    let heavy = available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, HEAVY));
    let pools = Pools {
        write: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        authentication: open(serving(AUTHENTICATION, &known)).await?,
        ordinary: open(serving(ORDINARY, &known)).await?,
        log: open(serving(LOG, &known)).await?,
        heavy: open(in_time(pool(heavy as u32))).await?,
        writing: Writing { server: 1, users: 1 },
        heavy_at_once: heavy,
        breaks: Breaks::default(),
    };
    let probe = Probe { options: writing(settings)?.create_if_missing(false).busy_timeout(PROBE), connection: None };
    Ok(Db::new(pools, Box::new(probe), known))
}

/// Commits a row that is gone again. A value that stays the same would write nothing.
const WRITE: &str = "BEGIN IMMEDIATE; INSERT INTO meta (key, value) VALUES ('probe', ''); \
     DELETE FROM meta WHERE key = 'probe'; COMMIT";

/// Asks whether the database can be read, and whether it takes writes.
struct Probe {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
}

impl db::Probe for Probe {
    fn ask(&mut self) -> Asking<'_> {
        Box::pin(async move {
            // taken out, so that whoever gives up meanwhile takes the connection along
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => SqliteConnection::connect_with(&self.options).await?,
            };
            let _: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await?;
            self.connection = Some(connection);
            Ok(())
        })
    }

    fn write(&mut self) -> Asking<'_> {
        Box::pin(async move {
            let mut connection = self.connection.take().ok_or(sqlx::Error::WorkerCrashed)?;
            connection.execute(WRITE).await?;
            self.connection = Some(connection);
            Ok(())
        })
    }
}

/// One connection that may migrate.
pub(super) async fn connect_to_migrate(settings: &Settings) -> Result<DatabaseConnection> {
    prepare(settings)?;
    let options = writing(settings)?.busy_timeout(BUSY_MIGRATING);
    let pool = pool(1).connect_with(options).await.map_err(|error| not_opened(settings, &error))?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// One connection that only looks at the schema; none where there is no database yet.
pub(super) async fn connect_to_look(settings: &Settings) -> Result<Option<DatabaseConnection>> {
    if !file(settings)?.exists() {
        return Ok(None);
    }
    let options = common(settings)?.create_if_missing(false).pragma("query_only", "ON");
    let pool = pool(1).connect_with(options).await.map_err(|error| not_opened(settings, &error))?;
    Ok(Some(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool)))
}

/// A pool of which no connection ever opens another file than the first one did.
fn serving(size: u32, known: &Arc<History>) -> SqlitePoolOptions {
    let known = known.clone();
    pool(size).after_connect(move |_, _| {
        let known = known.clone();
        Box::pin(async move {
            let replaced = || std::io::Error::other(REPLACED).into();
            if known.is_in_place().await { Ok(()) } else { Err(replaced()) }
        })
    })
}

fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .min_connections(size)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Has what is read on a connection given up after [`limits::HEAVY_STATEMENT`], counted from when it was taken: SQLite knows
/// no statement timeout.
fn in_time(pool: SqlitePoolOptions) -> SqlitePoolOptions {
    async fn limit(connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let taken = Instant::now();
        let goes_on = move || taken.elapsed() < limits::HEAVY_STATEMENT;
        connection.lock_handle().await?.set_progress_handler(STRIDE, goes_on);
        Ok(())
    }
    pool.after_connect(|connection, _| Box::pin(limit(connection)))
        .before_acquire(|connection, _| Box::pin(async move { limit(connection).await.map(|()| true) }))
}

/// What every connection has.
fn common(settings: &Settings) -> Result<SqliteConnectOptions> {
    let options: SqliteConnectOptions = settings
        .database
        .url
        .expose()
        .parse()
        .map_err(|error| BackendError::new(format_args!("DATABASE_URL is not usable: {error}")))?;
    Ok(options
        .foreign_keys(true)
        .busy_timeout(BUSY)
        // an acknowledged message survives a power cut, not only a kill
        .synchronous(SqliteSynchronous::Full)
        .pragma("temp_store", "MEMORY")
        // what is deleted or overwritten is zeroed in its page, so that no deleted text stays in the file
        .pragma("secure_delete", "ON")
        // rows that may wait for whoever asked: with the default of 50 a thread is woken for every few of a long answer
        .row_buffer_size(1024)
        .disable_statement_logging())
}

/// What a connection that writes has besides.
pub(super) fn writing(settings: &Settings) -> Result<SqliteConnectOptions> {
    Ok(common(settings)?
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("wal_autocheckpoint", "0")
        // 16 MiB: a large batch of sends changes more pages than the default of 2 MiB holds
        .pragma("cache_size", "-16384")
        // a log that grew for a while gives its space back when it starts anew
        .pragma("journal_size_limit", "67108864"))
}

/// Has the database's files be their owner's alone. SQLite gives those beside it the mode of the database, so that is made
/// here where it is missing and may be made.
fn prepare(settings: &Settings) -> Result<()> {
    let file = file(settings)?;
    let may_be_made = settings.database.url.expose().contains("mode=rwc");
    if may_be_made && file.parent().is_some_and(|folder| folder.as_os_str().is_empty() || folder.exists()) {
        folder::make_file(&file)?;
    }
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut name = file.clone().into_os_string();
        name.push(ending);
        folder::keep_to_owner(&PathBuf::from(name));
    }
    Ok(())
}

fn file(settings: &Settings) -> Result<PathBuf> {
    Ok(common(settings)?.get_filename().to_owned())
}

fn not_opened(settings: &Settings, error: &sqlx::Error) -> BackendError {
    let file = file(settings).unwrap_or_default();
    // 14: a file cannot be opened; 8: one cannot be written, by its base code
    let refused = matches!(error, sqlx::Error::Database(cause)
        if cause.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| [8, 14].contains(&(code & 0xff))));
    if refused && let Some(reason) = folder::unwritable(&file) {
        return reason;
    }
    let file = file.display();
    match error {
        sqlx::Error::Database(cause) if cause.code().as_deref() == Some("14") => BackendError::new(format_args!(
            "the SQLite database {file} cannot be opened: its folder must be there, and ?mode=rwc in DATABASE_URL makes it"
        )),
        _ => BackendError::new(format_args!("the SQLite database {file} cannot be used: {}", reason(error))),
    }
}

fn is_sound(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::pools::Share;
    use sea_orm::ConnectionTrait;

    /// A folder whose name has to be escaped in a URL.
    fn place() -> (tempfile::TempDir, Settings) {
        let folder = tempfile::Builder::new().prefix("50% #1? ").tempdir().expect("a folder");
        let pair = ("GREENROOM_DATA_DIR".to_owned(), folder.path().display().to_string());
        let settings = Settings::from_pairs([pair], None).expect("valid settings");
        (folder, settings)
    }

    #[tokio::test]
    async fn a_connection_that_reads_cannot_write() {
        let (_folder, settings) = place();
        let db = connect(&settings).await.expect("it opens");
        db.write()
            .expect("it takes writes")
            .execute_unprepared("CREATE TABLE word (text TEXT)")
            .await
            .expect("the writer writes");
        db.read(Share::Ordinary).execute_unprepared("SELECT text FROM word").await.expect("a reader sees it");
        let refused = db.read(Share::Ordinary).execute_unprepared("INSERT INTO word VALUES ('no')").await;
        assert!(refused.is_err_and(|error| error.to_string().contains("readonly")));
    }

    #[test]
    fn a_sqlite_before_the_fix_is_refused() {
        for (version, sound) in
            [("3.51.3", true), ("3.52.0", true), ("4.0", true), ("3.51.2", false), ("3.9.9", false), ("", false)]
        {
            assert_eq!(is_sound(version), sound, "{version}");
        }
    }
}
