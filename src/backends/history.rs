//! Detects that the database holds another history than before, for example after a restored backup.
//!
//! In that case a new epoch begins before any event is appended.
//!
//! - *PostgreSQL*: every new connection checks three things. The system identifier and the timeline show whether
//!   another server answers, or a standby that took over. The object ids of the database and of the table `meta` show
//!   whether the database was created anew. The newest log row that this process has seen committed must still exist. A
//!   check is left out if the server cannot answer it or the database user may not ask.
//! - *SQLite*: the start checks that the database has the log row that the file `history` in the data folder names,
//!   which is the newest row seen committed. While the process runs, the database path must still point to the open
//!   file, and the file must be unchanged since the last checkpoint.

use super::{BackendError, BackendResult};
use crate::config::Settings;
use crate::store::db::Db;
use crate::store::db::history::{
    self, CHANGE_EPOCH_ON_POSTGRES, DatabaseFile, History, HistoryState, LAST_ID_ON_POSTGRES, ROW_COLUMNS, RowDigest,
};
use crate::store::db::pools::ReadPool;
use crate::supervision::Part;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// The time between two reads of the newest log row, which is then written to the file `history` on SQLite.
const INTERVAL: Duration = Duration::from_secs(1);
/// The number of attempts to change the epoch when other nodes change it at the same time.
const ATTEMPTS: usize = 5;

// --- PostgreSQL ---------------------------------------------------------------------------------------------------

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
            .bind(history::new_epoch())
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

// --- SQLite -------------------------------------------------------------------------------------------------------

/// Checks the history at the start and adopts the epoch of the database. Begins a new epoch if the database does not
/// match the file `history` in the data folder.
pub(super) async fn check_at_start(settings: &Settings, db: &Db) -> BackendResult<()> {
    let failed = |error: &dyn std::fmt::Display| {
        BackendError::new(format_args!("the history of the database cannot be read: {error}"))
    };
    let mut state = history::read_state(db.read(ReadPool::Log)).await.map_err(|error| failed(&error))?;
    db.history().set_epoch(&state.epoch);
    let last_id = history::get_last_id(db.read(ReadPool::Log)).await.map_err(|error| failed(&error))?;
    let stored = read_file(&settings.data_dir);
    let is_same = match &stored {
        Some(stored) => {
            let found = history::get_row(db.read(ReadPool::Log), stored.id).await.map_err(|error| failed(&error))?;
            stored.is_of_log(found.as_ref(), last_id)
        }
        None => last_id == 0,
    };
    if !is_same {
        let above = stored.map_or(0, |stored| stored.id);
        history::change_epoch(db, &state.epoch, above).await.map_err(|error| failed(&error))?;
        state = history::read_state(db.read(ReadPool::Log)).await.map_err(|error| failed(&error))?;
    } else if let Some(stored) = &stored {
        // Retention may have removed this row from the log, and all newer rows.
        db.history().record_row(&state.epoch, stored);
    }
    db.history().record_row(&state.epoch, &state.newest);
    write_file(&settings.data_dir, &db.history().newest_row()).map_err(|error| {
        BackendError::new(format_args!("{} cannot be written: {error}", settings.data_dir.join("history").display()))
    })
}

/// The files of the open database, watched for writes by other processes.
///
/// If an older copy is written over the database, as `cp` does, the same files stay open. The open connections then
/// hold pages of the previous content, and their writes would mix the two. In this process only the checkpointer writes
/// to the database file, so a changed length or time shows a write by another process. Such a write is allowed if it
/// only copies the write-ahead log, as `sqlite3` does after large changes: then the file still has the rows that this
/// process copied.
pub(super) struct OpenFile {
    path: PathBuf,
    wal_path: PathBuf,
    file_id: Option<FileId>,
    /// Set at the first check that finds the file, because SQLite creates it when the database is first read.
    wal_id: OnceLock<Option<FileId>>,
    /// The stamp after the last write of this process. `None` during a write, and before the first one.
    last_stamp: Mutex<Option<FileStamp>>,
    /// The newest row of the table `outbox` that this process copied into the file.
    newest_in_file: Mutex<RowDigest>,
    /// Whether another process wrote other content over the file. This never becomes false again, because the open
    /// connections hold pages of the previous content.
    overwritten: tokio::sync::Mutex<bool>,
}

/// The device and the inode of a file.
type FileId = (u64, u64);

/// The length of a file in bytes, and its modification time in seconds and nanoseconds.
type FileStamp = (u64, i64, i64);

/// The pause between two checks of a file that another process writes to.
const RECHECK_PAUSE: Duration = Duration::from_millis(100);
/// The number of those checks.
const RECHECKS: usize = 20;

impl OpenFile {
    /// Creates the watch of a database that was just opened.
    pub(super) fn new(path: PathBuf) -> Self {
        let mut wal_path = path.clone().into_os_string();
        wal_path.push("-wal");
        Self {
            file_id: file_id(&path),
            path,
            wal_path: PathBuf::from(wal_path),
            wal_id: OnceLock::new(),
            last_stamp: Mutex::default(),
            newest_in_file: Mutex::default(),
            overwritten: tokio::sync::Mutex::default(),
        }
    }

    fn stamp(&self) -> Option<FileStamp> {
        fs::metadata(&self.path).ok().map(|file| (file.size(), file.mtime(), file.mtime_nsec()))
    }

    fn last_stamp(&self) -> MutexGuard<'_, Option<FileStamp>> {
        self.last_stamp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the file has the newest row that this process copied. Reads the file without its write-ahead
    /// log.
    async fn has_copied_row(&self) -> sqlx::Result<bool> {
        let copied = self.newest_in_file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let without_wal = SqliteConnectOptions::new().filename(&self.path).read_only(true).immutable(true);
        let mut connection = SqliteConnection::connect_with(&without_wal.disable_statement_logging()).await?;
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {ROW_COLUMNS} FROM outbox WHERE id = $1")));
        let row = row.bind(copied.id).fetch_optional(&mut connection).await?;
        let last_id = "SELECT COALESCE(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'";
        let last_id: i64 = sqlx::query_scalar(last_id).fetch_one(&mut connection).await?;
        let found = row.map(|row| RowDigest::from_row(&row.into())).transpose();
        let found = found.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
        Ok(copied.is_of_log(found.as_ref(), last_id))
    }

    /// Returns whether the file still has the content of the open database. Waits while another process writes to it.
    async fn check_content(&self) -> bool {
        // Calls in the meantime wait for the lock and use the result of this check.
        let mut overwritten = self.overwritten.lock().await;
        for _ in 0..RECHECKS {
            if *overwritten || self.is_unchanged() {
                return !*overwritten;
            }
            let stamp = self.stamp();
            let has_copied_row = self.has_copied_row().await;
            if matches!(has_copied_row, Ok(true)) {
                *self.last_stamp() = stamp;
                return true;
            }
            // A file that is still being written can have any content, so check it again after a pause.
            tokio::time::sleep(RECHECK_PAUSE).await;
            if matches!(has_copied_row, Ok(false)) && self.stamp() == stamp {
                *overwritten = true;
                tracing::error!(
                    "another process wrote over the database while this server runs, and nothing is stored any more: \
                     stop the server, copy the backup over the database again, remove the files -wal and -shm beside \
                     it, and start the server"
                );
            }
        }
        false
    }
}

impl DatabaseFile for OpenFile {
    fn is_at_path(&self) -> bool {
        let wal_id = file_id(&self.wal_path);
        if wal_id.is_some() {
            let _ = self.wal_id.set(wal_id);
        }
        file_id(&self.path) == self.file_id && self.wal_id.get().is_none_or(|first| *first == wal_id)
    }

    fn is_unchanged(&self) -> bool {
        // Hold the lock during the check, so that this process cannot write in between.
        let last_stamp = self.last_stamp();
        last_stamp.is_none() || *last_stamp == self.stamp()
    }

    fn is_same_database(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(self.check_content())
    }

    fn set_writing(&self, is_writing: bool) {
        let mut last_stamp = self.last_stamp();
        *last_stamp = if is_writing { None } else { self.stamp() };
    }

    fn set_newest_in_file(&self, newest: RowDigest) {
        let mut copied = self.newest_in_file.lock().unwrap_or_else(PoisonError::into_inner);
        // The argument can be older, because retention may have removed the newer rows.
        if newest.id > copied.id {
            *copied = newest;
        }
    }
}

fn file_id(file: &Path) -> Option<FileId> {
    fs::metadata(file).ok().map(|file| (file.dev(), file.ino()))
}

/// Reads the file `history` in the data folder. Returns `None` if it is missing, incomplete or cannot be read.
fn read_file(folder: &Path) -> Option<RowDigest> {
    match fs::read_to_string(folder.join("history")) {
        Ok(text) => RowDigest::from_text(&text),
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::warn!(%error, "the file `history` in the data folder cannot be read");
            }
            None
        }
    }
}

/// Writes a new file and renames it to `history`, so that a process that is killed meanwhile leaves no incomplete file.
fn write_file(folder: &Path, newest: &RowDigest) -> std::io::Result<()> {
    let beside = folder.join(format!("history.{}", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(newest.to_text().as_bytes())?;
    file.sync_data()?;
    fs::rename(&beside, folder.join("history"))
}

// --- both ---------------------------------------------------------------------------------------------------------

/// Reads the epoch and the newest log row. Begins a new epoch if the newest event of the previous read was undone
/// since.
async fn read_history(db: &Db, previous: Option<&HistoryState>) -> crate::error::Result<HistoryState> {
    let conn = db.read(ReadPool::Log);
    let state = history::read_state(conn).await?;
    let has_other_row = |previous: &&HistoryState| previous.epoch == state.epoch && previous.newest != state.newest;
    if let Some((previous, (stream, rev))) =
        previous.filter(has_other_row).and_then(|previous| Some((previous, previous.event?)))
        && history::is_undone(conn, previous.newest.id, stream, rev).await?
    {
        tracing::warn!(?stream, rev = rev.0, "a committed event is missing from the database; a new epoch begins");
        history::change_epoch(db, &state.epoch, previous.newest.id).await?;
        return Ok(history::read_state(conn).await?);
    }
    Ok(state)
}

/// Reads the epoch and the newest log row every second until `stop` completes, and once more after that. On SQLite the
/// row is written to the file `history`; `file` counts as failing while that write fails.
pub(super) async fn follow(settings: &Settings, db: &Db, file: &Part, stop: impl Future<Output = ()>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    let (mut is_last, mut previous, mut written) = (false, None, None);
    while !is_last {
        tokio::select! {
            () = &mut stop => is_last = true,
            _ = ticks.tick() => {}
        }
        let state = match db.run(read_history(db, previous.as_ref())).await {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(%error, "the history of the database could not be read; trying again");
                continue;
            }
        };
        db.history().set_epoch(&state.epoch);
        db.history().record_row(&state.epoch, &state.newest);
        previous = Some(choose_newer(previous, state));
        let newest = db.history().newest_row();
        if !settings.database.is_sqlite() || newest.id == 0 || written.as_ref() == Some(&newest) {
            continue;
        }
        let (folder, row) = (settings.data_dir.clone(), newest.clone());
        let outcome = tokio::task::spawn_blocking(move || write_file(&folder, &row)).await;
        let outcome = outcome.unwrap_or_else(|ended| Err(std::io::Error::other(ended)));
        file.set_working(outcome.is_ok());
        match outcome {
            Ok(()) => written = Some(newest),
            Err(error) => {
                tracing::warn!(%error, "the file `history` in the data folder cannot be written; trying again");
            }
        }
    }
}

/// Returns the read with the newer row, for the comparison with the next read. This is the earlier read if retention
/// has removed its row since.
fn choose_newer(previous: Option<HistoryState>, state: HistoryState) -> HistoryState {
    match previous {
        Some(previous)
            if previous.epoch == state.epoch
                && previous.event.is_some()
                && (state.event.is_none() || state.newest.id < previous.newest.id) =>
        {
            previous
        }
        _ => state,
    }
}
