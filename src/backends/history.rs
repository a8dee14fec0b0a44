//! Notices that the database holds another history than before, and begins a new epoch then, before anything is appended.
//!
//! - *PostgreSQL*, on every new connection: the system identifier and the timeline say whether another server answers, or
//!   one that took over; the ids of the database and of its table of facts whether it was made anew; and the newest row of
//!   the log that this process has seen committed must still be there. Where the server does not tell, or this user may not
//!   ask, the others remain.
//! - *SQLite*, at the start: the file `history` in the data folder keeps the newest row of the log that was seen committed,
//!   and the database must have it. While the process runs, the open file must be the file of that name, as the
//!   checkpointer left it.

use super::{BackendError, Result};
use crate::config::Settings;
use crate::store::db::Db;
use crate::store::history::{self, CHANGE_ON_POSTGRES, History, Place, ROW, SEQUENCE_ON_POSTGRES, Seen, Witness};
use crate::store::pools::Share;
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

/// How often the newest row is looked for, and written down if there is one.
const EVERY: Duration = Duration::from_secs(1);
/// How often a compare-and-set is tried that others won.
const ATTEMPTS: usize = 5;

// --- PostgreSQL ---------------------------------------------------------------------------------------------------

/// Looks at the history on a new connection, and takes over the epoch of the database. Nothing is appended on the
/// connection before.
pub(super) async fn look(connection: &mut PgConnection, history: &History) -> sqlx::Result<()> {
    let there = "SELECT to_regclass('meta') IS NOT NULL AND to_regclass('outbox') IS NOT NULL";
    if !sqlx::query_scalar(there).fetch_one(&mut *connection).await? {
        // a database whose schema is yet to be made
        return Ok(());
    }
    for _ in 0..ATTEMPTS {
        let text = "SELECT (SELECT value FROM meta WHERE key = 'epoch') AS epoch,
                           (SELECT value FROM meta WHERE key = 'history_server') AS server,
                           (SELECT value FROM meta WHERE key = 'history_tables') AS tables";
        let row = sqlx::query(text).fetch_one(&mut *connection).await?;
        let Some(epoch) = row.try_get::<Option<String>, _>("epoch")? else { return Ok(()) };
        let (server, tables) = (server(connection).await?, tables(connection).await?);
        let known = |column| row.try_get::<Option<String>, _>(column);
        let differs = |known: Option<String>, now: &str| known.is_some_and(|known| !now.is_empty() && known != now);
        let newest = history.newest();
        let other = differs(known("server")?, &server)
            || differs(known("tables")?, &tables)
            || !has(connection, &newest).await?;
        if !other {
            note(connection, "history_server", &server).await?;
            note(connection, "history_tables", &tables).await?;
            history.adopt(&epoch);
            return Ok(());
        }
        sqlx::query(CHANGE_ON_POSTGRES)
            .bind(&epoch)
            .bind(history::new_epoch())
            .bind(newest.id)
            .bind(&server)
            .bind(&tables)
            .fetch_optional(&mut *connection)
            .await?;
        // what was seen belongs to the history before
        history.forget_newest();
    }
    Err(sqlx::Error::Protocol("the history of the database changes all the time".to_owned()))
}

/// The server and its timeline; empty where it does not tell.
async fn server(connection: &mut PgConnection) -> sqlx::Result<String> {
    let text = "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/'
                       || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
    match sqlx::query_scalar(text).fetch_one(&mut *connection).await {
        // a function that is missing or forbidden, or a server that recovers
        Err(sqlx::Error::Database(_)) => Ok(String::new()),
        told => told,
    }
}

/// The database and its table of facts: made anew, they have other ids.
async fn tables(connection: &mut PgConnection) -> sqlx::Result<String> {
    let text = "SELECT concat((SELECT oid FROM pg_database WHERE datname = current_database()), '/',
                              'meta'::regclass::oid)";
    sqlx::query_scalar(text).fetch_one(&mut *connection).await
}

/// Whether the log still has the newest row that was seen.
async fn has(connection: &mut PgConnection, newest: &Witness) -> sqlx::Result<bool> {
    if newest.id == 0 {
        // nothing was seen
        return Ok(true);
    }
    let row = sqlx::query(AssertSqlSafe(format!("SELECT {ROW} FROM outbox WHERE id = $1")))
        .bind(newest.id)
        .fetch_optional(&mut *connection)
        .await?;
    let found = row.map(|row| Witness::of(&row.into())).transpose();
    let found = found.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
    let sequence: i64 = sqlx::query_scalar(SEQUENCE_ON_POSTGRES).fetch_one(&mut *connection).await?;
    Ok(newest.is_of(found.as_ref(), sequence))
}

/// Notes where the history is, the first time.
async fn note(connection: &mut PgConnection, key: &str, value: &str) -> sqlx::Result<()> {
    let text = "INSERT INTO meta (key, value) SELECT $1, $2 WHERE $2 <> '' AND NOT pg_is_in_recovery()
                ON CONFLICT (key) DO NOTHING";
    sqlx::query(text).bind(key).bind(value).execute(&mut *connection).await.map(drop)
}

// --- SQLite -------------------------------------------------------------------------------------------------------

/// At the start: begins a new epoch if the database is not the one that the data folder remembers, and takes over the
/// epoch.
pub(super) async fn begin(settings: &Settings, db: &Db) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        BackendError::new(format_args!("it cannot be found out which history the database holds: {error}"))
    };
    let mut seen = history::look(db.read(Share::Log)).await.map_err(|error| failed(&error))?;
    db.history().adopt(&seen.epoch);
    let sequence = history::sequence(db.read(Share::Log)).await.map_err(|error| failed(&error))?;
    let kept = read(&settings.data_dir);
    let same = match &kept {
        Some(kept) => {
            let found = history::row(db.read(Share::Log), kept.id).await.map_err(|error| failed(&error))?;
            kept.is_of(found.as_ref(), sequence)
        }
        None => sequence == 0,
    };
    if !same {
        let above = kept.map_or(0, |kept| kept.id);
        history::change(db, &seen.epoch, above).await.map_err(|error| failed(&error))?;
        seen = history::look(db.read(Share::Log)).await.map_err(|error| failed(&error))?;
    } else if let Some(kept) = &kept {
        // retention may have removed it, and all that were newer
        db.history().note(&seen.epoch, kept);
    }
    db.history().note(&seen.epoch, &seen.newest);
    write(&settings.data_dir, &db.history().newest()).map_err(|error| {
        BackendError::new(format_args!("{} cannot be written: {error}", settings.data_dir.join("history").display()))
    })
}

/// The files that are open. An older copy that is written over the database, as `cp` does, leaves them where they are, and
/// connections open that hold pages of before: whatever they wrote would mix the two. Only the checkpointer writes to the
/// file in this process, so its length and time tell when somebody else did. Another process that copies the log, as
/// `sqlite3` does after large changes, may: then what this process copied is still there.
pub(super) struct OpenFile {
    file: PathBuf,
    /// The write-ahead log.
    beside: PathBuf,
    opened: Option<(u64, u64)>,
    /// The log is made when the database is first read.
    log: OnceLock<Option<(u64, u64)>>,
    /// None while this process writes to the file, and in one that never does.
    left: Mutex<Option<Stamp>>,
    /// The newest row of the log of events that was copied.
    copied: Mutex<Witness>,
    /// Whether something else was written over it. It stays so: what the open connections hold is of before.
    overwritten: tokio::sync::Mutex<bool>,
}

/// How long a file is, and when it was changed.
type Stamp = (u64, i64, i64);

/// Pauses between two looks into a file that somebody else writes to, and how many of them.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOKS: usize = 20;

impl OpenFile {
    /// Of a database that has just been opened.
    pub(super) fn new(file: PathBuf) -> Self {
        let mut beside = file.clone().into_os_string();
        beside.push("-wal");
        Self {
            opened: identity(&file),
            file,
            beside: PathBuf::from(beside),
            log: OnceLock::new(),
            left: Mutex::default(),
            copied: Mutex::default(),
            overwritten: tokio::sync::Mutex::default(),
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        fs::metadata(&self.file).ok().map(|file| (file.size(), file.mtime(), file.mtime_nsec()))
    }

    fn left(&self) -> MutexGuard<'_, Option<Stamp>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what this process copied is in the file, read without the write-ahead log beside it.
    async fn has_what_was_copied(&self) -> sqlx::Result<bool> {
        let copied = self.copied.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let alone = SqliteConnectOptions::new().filename(&self.file).read_only(true).immutable(true);
        let mut file = SqliteConnection::connect_with(&alone.disable_statement_logging()).await?;
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {ROW} FROM outbox WHERE id = $1")));
        let row = row.bind(copied.id).fetch_optional(&mut file).await?;
        let sequence = "SELECT COALESCE(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'";
        let sequence: i64 = sqlx::query_scalar(sequence).fetch_one(&mut file).await?;
        let found = row.map(|row| Witness::of(&row.into())).transpose();
        let found = found.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
        Ok(copied.is_of(found.as_ref(), sequence))
    }

    async fn look_into(&self) -> bool {
        // those who come meanwhile wait, and find what was found
        let mut overwritten = self.overwritten.lock().await;
        for _ in 0..LOOKS {
            if *overwritten || self.is_as_left() {
                return !*overwritten;
            }
            let stamp = self.stamp();
            let whole = self.has_what_was_copied().await;
            if matches!(whole, Ok(true)) {
                *self.left() = stamp;
                return true;
            }
            // what is still being written may look like anything
            tokio::time::sleep(LOOK_AGAIN).await;
            if matches!(whole, Ok(false)) && self.stamp() == stamp {
                *overwritten = true;
                tracing::error!(
                    "another process wrote over the database while this server runs, and nothing is stored any more: stop \
                     the server, put the copy in its place again, remove the files -wal and -shm beside it, and start the \
                     server"
                );
            }
        }
        false
    }
}

impl Place for OpenFile {
    fn is_at_its_name(&self) -> bool {
        let now = identity(&self.beside);
        if now.is_some() {
            let _ = self.log.set(now);
        }
        identity(&self.file) == self.opened && self.log.get().is_none_or(|log| *log == now)
    }

    fn is_as_left(&self) -> bool {
        // held while looking, so that nothing of this process is written in between
        let left = self.left();
        left.is_none() || *left == self.stamp()
    }

    fn is_whole(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(self.look_into())
    }

    fn writes(&self, now: bool) {
        let mut left = self.left();
        *left = if now { None } else { self.stamp() };
    }

    fn holds(&self, newest: Witness) {
        let mut copied = self.copied.lock().unwrap_or_else(PoisonError::into_inner);
        // retention may have removed what was newer
        if newest.id > copied.id {
            *copied = newest;
        }
    }
}

fn identity(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().map(|file| (file.dev(), file.ino()))
}

fn read(folder: &Path) -> Option<Witness> {
    match fs::read_to_string(folder.join("history")) {
        Ok(text) => Witness::from_text(&text),
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::warn!(%error, "the file `history` in the data folder cannot be read");
            }
            None
        }
    }
}

/// Replaces the file, so that a process that dies on the way leaves no half of one.
fn write(folder: &Path, newest: &Witness) -> std::io::Result<()> {
    let beside = folder.join(format!("history.{}", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(newest.to_text().as_bytes())?;
    file.sync_data()?;
    fs::rename(&beside, folder.join("history"))
}

// --- both ---------------------------------------------------------------------------------------------------------

/// Looks at the log; begins a new epoch if the newest event that was seen before was undone since.
async fn see(db: &Db, before: Option<&Seen>) -> crate::error::Result<Seen> {
    let conn = db.read(Share::Log);
    let seen = history::look(conn).await?;
    let same = |before: &&Seen| before.epoch == seen.epoch && before.newest != seen.newest;
    if let Some((before, (stream, rev))) = before.filter(same).and_then(|before| Some((before, before.event?)))
        && history::is_undone(conn, before.newest.id, stream, rev).await?
    {
        tracing::warn!(?stream, rev = rev.0, "an event that was committed is gone");
        history::change(db, &seen.epoch, before.newest.id).await?;
        return Ok(history::look(conn).await?);
    }
    Ok(seen)
}

/// Looks every second which epoch the database has and which is the newest row of its log, until `stop` and once more
/// then. On SQLite the row is written down; `file` fails for as long as that cannot be done.
pub(super) async fn keep(settings: &Settings, db: &Db, file: &Part, stop: impl Future<Output = ()>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    let (mut last, mut before, mut written) = (false, None, None);
    while !last {
        tokio::select! {
            () = &mut stop => last = true,
            _ = ticks.tick() => {}
        }
        let seen = match db.guard(see(db, before.as_ref())).await {
            Ok(seen) => seen,
            Err(error) => {
                tracing::warn!(%error, "the history of the database could not be looked at; trying again");
                continue;
            }
        };
        db.history().adopt(&seen.epoch);
        db.history().note(&seen.epoch, &seen.newest);
        before = Some(newer(before, seen));
        let newest = db.history().newest();
        if !settings.database.is_sqlite() || newest.id == 0 || written.as_ref() == Some(&newest) {
            continue;
        }
        let (folder, row) = (settings.data_dir.clone(), newest.clone());
        let outcome = tokio::task::spawn_blocking(move || write(&folder, &row)).await;
        let outcome = outcome.unwrap_or_else(|ended| Err(std::io::Error::other(ended)));
        file.works(outcome.is_ok());
        match outcome {
            Ok(()) => written = Some(newest),
            Err(error) => {
                tracing::warn!(%error, "the file `history` in the data folder cannot be written; trying again");
            }
        }
    }
}

/// The look that tells more about what becomes of the log: where retention has removed the newest row since, the older one.
fn newer(before: Option<Seen>, seen: Seen) -> Seen {
    match before {
        Some(before)
            if before.epoch == seen.epoch
                && before.event.is_some()
                && (seen.event.is_none() || seen.newest.id < before.newest.id) =>
        {
            before
        }
        _ => seen,
    }
}
