//! Detects that another process has replaced or overwritten the file of an open SQLite database.
//!
//! The path of the database must still point to the open file, and the file must be unchanged since the last
//! checkpoint.

use crate::store::db::history::DatabaseFile;
use crate::store::db::row_digest::{ROW_COLUMNS, RowDigest};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// The pause between two checks of a file that another process writes to.
const RECHECK_PAUSE: Duration = Duration::from_millis(100);
/// The number of those checks.
const RECHECKS: usize = 20;

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
    newest_checkpointed_row: Mutex<RowDigest>,
    /// Whether another process wrote other content over the file. This never becomes false again, because the open
    /// connections hold pages of the previous content.
    overwritten: tokio::sync::Mutex<bool>,
}

/// The device and the inode of a file.
type FileId = (u64, u64);

/// The length of a file in bytes, and its modification time in seconds and nanoseconds.
type FileStamp = (u64, i64, i64);

impl OpenFile {
    /// Creates the record of the files of a database that was just opened.
    pub(super) fn new(path: PathBuf) -> Self {
        let mut wal_path = path.clone().into_os_string();
        wal_path.push("-wal");
        Self {
            file_id: file_id(&path),
            path,
            wal_path: PathBuf::from(wal_path),
            wal_id: OnceLock::new(),
            last_stamp: Mutex::default(),
            newest_checkpointed_row: Mutex::default(),
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
        let copied = self.newest_checkpointed_row.lock().unwrap_or_else(PoisonError::into_inner).clone();
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
    async fn is_still_our_database(&self) -> bool {
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
        Box::pin(self.is_still_our_database())
    }

    fn note_own_write(&self, is_writing: bool) {
        let mut last_stamp = self.last_stamp();
        *last_stamp = if is_writing { None } else { self.stamp() };
    }

    fn set_newest_checkpointed_row(&self, newest: RowDigest) {
        let mut copied = self.newest_checkpointed_row.lock().unwrap_or_else(PoisonError::into_inner);
        // The argument can be older, because retention may have removed the newer rows.
        if newest.id > copied.id {
            *copied = newest;
        }
    }
}

fn file_id(file: &Path) -> Option<FileId> {
    fs::metadata(file).ok().map(|file| (file.dev(), file.ino()))
}
