//! Tracks which history the database holds, by its epoch and by the newest log row that was seen.
//!
//! Revisions and log ids have a meaning only within one history. A restored backup is another history. So is a standby
//! that took over without the newest commits. Both continue to count from an older state. The epoch of a history is
//! stored in the database, and changed with one compare-and-set, so that all nodes agree on it. `backends/history.rs`
//! detects that the history has changed.

use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::error::Result;
use crate::store::db::Db;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::ServerWriter;
use crate::store::{dialect, log, meta};
use aws_lc_rs::digest::{SHA256, digest};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult};
use std::collections::HashSet;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use uuid::Uuid;

/// For this long after a change of the epoch, rooms of the previous epoch may still send.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// What this process knows about the history of the database.
pub struct History {
    epoch: watch::Sender<Arc<str>>,
    /// Earlier epochs, which never become current again: a statement that returns one of them began before the change.
    ended_epochs: Mutex<HashSet<Arc<str>>>,
    newest_row: Mutex<RowDigest>,
    /// Set on SQLite only.
    file: OnceLock<Box<dyn DatabaseFile>>,
    /// When the epoch last changed while this process ran.
    changed_at: Mutex<Option<Instant>>,
}

/// Watches the file of an open SQLite database for changes by other processes.
pub trait DatabaseFile: Send + Sync {
    /// Returns whether the path of the database still leads to the open file.
    fn is_at_path(&self) -> bool;

    /// Returns whether no other process has written to the file, as far as this can be checked without reading it.
    fn is_unchanged(&self) -> bool;

    /// Reads the file after another process has written to it. Returns whether it still is the database that is open.
    fn is_same_database(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;

    /// Must be called with `true` before this process writes to the file and with `false` after. Outside this time, a
    /// changed file means that another process wrote to it.
    fn set_writing(&self, is_writing: bool);

    /// Sets the newest log row that is certainly in the file.
    fn set_newest_in_file(&self, newest: RowDigest);
}

/// Identifies a log row that was seen committed, by its id and a digest of the columns that never change. The payload
/// is not part of the digest, because the deletion of a message changes it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RowDigest {
    /// For a log without rows this is the greatest id that it ever assigned, 0 if it assigned none.
    pub id: i64,
    /// SHA-256 in hexadecimal. Empty if the log had no row.
    pub digest: String,
}

impl Default for History {
    fn default() -> Self {
        Self {
            epoch: watch::Sender::new(Arc::from("")),
            ended_epochs: Mutex::default(),
            newest_row: Mutex::default(),
            file: OnceLock::new(),
            changed_at: Mutex::default(),
        }
    }
}

impl History {
    /// Returns the current epoch, as far as this process knows. Empty before it was read from the database.
    pub fn epoch(&self) -> Arc<str> {
        self.epoch.borrow().clone()
    }

    /// Returns a receiver that gets every new epoch.
    pub fn epoch_changes(&self) -> watch::Receiver<Arc<str>> {
        self.epoch.subscribe()
    }

    /// Sets the epoch that was read from the database. Ignores an epoch that has ended for this process.
    pub fn set_epoch(&self, epoch: &str) {
        let mut ended = self.ended_epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.epoch() == *epoch || ended.contains(epoch) {
            return;
        }
        let before = self.epoch.send_replace(Arc::from(epoch));
        if !before.is_empty() {
            tracing::warn!("the database holds another history than before; all sessions must reconnect");
            self.forget_newest_row();
            *self.changed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            ended.insert(before);
        }
    }

    /// Returns whether everything on this node belonged to the current epoch at this time. After a change it takes a
    /// while until all rooms of the previous epoch have ended.
    pub fn was_epoch_stable(&self, at: Instant) -> bool {
        let changed_at = *self.changed_at.lock().unwrap_or_else(PoisonError::into_inner);
        changed_at.is_none_or(|changed_at| at > changed_at + SETTLE_TIME)
    }

    /// Returns the newest log row that this process has seen committed.
    pub fn newest_row(&self) -> RowDigest {
        self.newest_row.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records the newest log row that was seen committed in `epoch`. Keeps the row that is known if the log now has
    /// only older rows or none: retention has removed newer ones, but a removed row still distinguishes this history
    /// from an older copy of it.
    pub fn record_row(&self, epoch: &str, row: &RowDigest) {
        let mut newest = self.newest_row.lock().unwrap_or_else(PoisonError::into_inner);
        let has_information = !row.digest.is_empty() || newest.id == 0;
        if *self.epoch() == *epoch && has_information && row.id > newest.id {
            newest.clone_from(row);
        }
    }

    /// Forgets the newest row, which belongs to another history than the one that begins now.
    pub fn forget_newest_row(&self) {
        *self.newest_row.lock().unwrap_or_else(PoisonError::into_inner) = RowDigest::default();
    }

    /// Sets the file of the database, on SQLite. Only the first one is kept.
    pub fn set_file(&self, file: impl DatabaseFile + 'static) {
        let _ = self.file.set(Box::new(file));
    }

    /// Returns whether the path of the database still leads to the open file, and no other process has written over it.
    /// If not, the next start does not find what is committed now, so the server must not acknowledge anything.
    pub async fn is_file_current(&self) -> bool {
        match self.file.get() {
            Some(file) => file.is_at_path() && (file.is_unchanged() || file.is_same_database().await),
            None => true,
        }
    }

    /// Returns whether the path of the database still leads to the open file, even if another process has written to
    /// it.
    pub fn is_file_at_path(&self) -> bool {
        self.file.get().is_none_or(|file| file.is_at_path())
    }

    /// Sets the newest log row that is certainly in the file of the database.
    pub fn set_newest_in_file(&self, newest: RowDigest) {
        if let Some(file) = self.file.get() {
            file.set_newest_in_file(newest);
        }
    }

    /// Runs `write`, which writes to the file of the database. Outside this time, a changed file means that another
    /// process wrote to it.
    pub async fn write_file<T>(&self, write: impl Future<Output = T>) -> T {
        struct FileWrite<'p>(Option<&'p dyn DatabaseFile>);
        impl Drop for FileWrite<'_> {
            fn drop(&mut self) {
                if let Some(file) = self.0 {
                    file.set_writing(false);
                }
            }
        }
        // A value with a destructor reports the end even if this future is dropped.
        let running = FileWrite(self.file.get().map(|file| &**file));
        if let Some(file) = running.0 {
            file.set_writing(true);
        }
        write.await
    }
}

impl RowDigest {
    /// Computes the digest of a row that has the columns [`ROW_COLUMNS`].
    pub fn from_row(row: &QueryResult) -> Result<Self, DbErr> {
        let id: i64 = row.try_get("", "id")?;
        let stream: Uuid = row.try_get("", "stream_id")?;
        let text = format!(
            "{id} {} {stream} {} {} {}",
            row.try_get::<i16>("", "stream_kind")?,
            row.try_get::<i64>("", "rev")?,
            row.try_get::<String>("", "event_type")?,
            row.try_get::<i64>("", "created_at")?
        );
        let digest = digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Ok(Self { id, digest })
    }

    /// Returns the text that is stored in a file.
    pub fn to_text(&self) -> String {
        format!("{} {}\n", self.id, self.digest)
    }

    /// Parses the text of [`Self::to_text`]. `None` if it is incomplete.
    pub fn from_text(text: &str) -> Option<Self> {
        let (id, digest) = text.strip_suffix('\n')?.split_once(' ')?;
        let id = id.parse().ok().filter(|id| *id >= 0)?;
        let is_complete = digest.is_empty() || (id > 0 && digest.len() == 64);
        is_complete.then(|| Self { id, digest: digest.to_owned() })
    }

    /// Returns whether a log belongs to the history in which this row was seen. `found` is the row of that log with the
    /// same id, and `last_id` is the greatest id that the log ever assigned. Without the row, the answer is yes if
    /// `last_id` is great enough: then retention has removed the row.
    pub fn is_of_log(&self, found: Option<&Self>, last_id: i64) -> bool {
        match found {
            Some(found) if !self.digest.is_empty() => found == self,
            _ => last_id >= self.id,
        }
    }
}

/// The columns from which a [`RowDigest`] is computed.
pub const ROW_COLUMNS: &str = "id, stream_kind, stream_id, rev, event_type, created_at";

/// The PostgreSQL statement for the greatest id that the log ever assigned.
pub const LAST_ID_ON_POSTGRES: &str =
    "SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0) AS last";

/// The PostgreSQL statement that changes the epoch from `$1` to `$2`, unless another node has changed it already.
///
/// In the same statement it raises the ids of the log, and the positions of the sequencer, above all that were ever
/// used: to the next multiple of 2^32 above the last id and `$3`. If `$4` and `$5` are not empty, they are stored as
/// the server and the tables of the new history.
pub const CHANGE_EPOCH_ON_POSTGRES: &str = "WITH changed AS (
         UPDATE meta SET value = $2 WHERE key = 'epoch' AND value = $1 RETURNING value
     ), noted AS (
         INSERT INTO meta (key, value)
         SELECT k, v FROM changed, (VALUES ('history_server', $4::text), ('history_tables', $5::text)) AS t(k, v)
         WHERE v <> '' ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value
     ), moved AS (
         SELECT setval(pg_get_serial_sequence('outbox', 'id')::regclass, ((GREATEST(
             COALESCE(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0), $3::bigint,
             (SELECT COALESCE(max(cursor), 0) FROM readers)) >> 32) + 1) << 32) AS id FROM changed
     ), numbered AS (
         UPDATE readers SET cursor = moved.id FROM moved WHERE name = 'sequencer'
     )
     SELECT id FROM moved";

/// The state of the history at one moment.
#[derive(Clone, Debug)]
pub struct HistoryState {
    pub epoch: String,
    /// The newest log row. Its digest is empty if the log has no row.
    pub newest: RowDigest,
    /// The stream and the revision of that row. `None` if the log has no row.
    pub event: Option<(Stream, Rev)>,
}

/// Reads the epoch and the newest log row.
pub async fn read_state(conn: &impl ConnectionTrait) -> Result<HistoryState, DbErr> {
    // Select the row by its id, so that both databases read no other row.
    let text = format!(
        "SELECT m.value AS epoch, {} FROM meta m
         LEFT JOIN outbox o ON o.id = (SELECT max(id) FROM outbox) WHERE m.key = 'epoch'",
        ROW_COLUMNS.split(", ").map(|column| format!("o.{column}")).collect::<Vec<_>>().join(", ")
    );
    let row = dialect::one(conn, dialect::plain(conn, &text, vec![])).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the database has no epoch; a migration creates it".into()))?;
    let newest = match row.try_get::<Option<i64>>("", "id")? {
        Some(_) => RowDigest::from_row(&row)?,
        None => RowDigest { id: get_last_id(conn).await?, digest: String::new() },
    };
    let event = match row.try_get::<Option<i64>>("", "rev")? {
        Some(rev) => {
            Some((Stream::from_parts(row.try_get("", "stream_kind")?, row.try_get("", "stream_id")?), Rev(rev)))
        }
        None => None,
    };
    Ok(HistoryState { epoch: row.try_get("", "epoch")?, newest, event })
}

/// Returns whether an event that was seen in the log row `id` belongs to another history: the head of its stream is now
/// smaller, or its revision is in another row. If only the row is missing, retention has removed it.
pub async fn is_undone(conn: &impl ConnectionTrait, id: i64, stream: Stream, rev: Rev) -> Result<bool, DbErr> {
    let head = log::list_heads(conn, &[stream]).await?.first().map_or(Rev(0), |(_, last)| *last);
    let text = "SELECT id FROM outbox WHERE stream_kind = $1 AND stream_id = $2 AND rev = $3";
    let values = vec![stream.kind().into(), stream.id().into(), rev.into()];
    let row = dialect::one(conn, dialect::plain(conn, text, values)).await?;
    let found_id = row.map(|row| row.try_get::<i64>("", "id")).transpose()?;
    Ok(head < rev || found_id.is_some_and(|found_id| found_id != id))
}

/// Returns the digest of a log row. `None` if there is no such row.
pub async fn get_row(conn: &impl ConnectionTrait, id: i64) -> Result<Option<RowDigest>, DbErr> {
    let statement = dialect::plain(conn, &format!("SELECT {ROW_COLUMNS} FROM outbox WHERE id = $1"), vec![id.into()]);
    dialect::one(conn, statement).await?.map(|row| RowDigest::from_row(&row)).transpose()
}

/// Returns the greatest id that the log ever assigned, 0 if it assigned none.
pub async fn get_last_id(conn: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let sqlite = "SELECT COALESCE(max(seq), 0) AS last FROM sqlite_sequence WHERE name = 'outbox'";
    let statement = dialect::statement(conn, LAST_ID_ON_POSTGRES, sqlite, vec![]);
    dialect::one(conn, statement).await?.map_or(Ok(0), |row| row.try_get("", "last"))
}

/// Returns a random name for a new epoch.
pub fn new_epoch() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Begins a new epoch, unless another node has ended the epoch `old` already, and sets the epoch of this process. New
/// log ids are greater than `above` and than all ids that were used before.
pub async fn change_epoch(db: &Db, old: &str, above: i64) -> Result<()> {
    let new = new_epoch();
    if db.backend() == DatabaseBackend::Postgres {
        let (conn, values) = (db.write()?, vec![old.into(), new.into(), above.into(), "".into(), "".into()]);
        dialect::one(conn, dialect::plain(conn, CHANGE_EPOCH_ON_POSTGRES, values)).await?;
    } else {
        let _turn = db.take_server_turn(ServerWriter::System).await;
        let tx = db.begin().await?;
        let text = "UPDATE meta SET value = $2 WHERE key = 'epoch' AND value = $1";
        let changed = dialect::run(&tx, dialect::plain(&tx, text, vec![old.into(), new.into()])).await?;
        if changed.rows_affected() == 1 {
            let base = ((get_last_id(&tx).await?.max(above) >> 32) + 1) << 32;
            dialect::run(&tx, dialect::plain(&tx, "DELETE FROM sqlite_sequence WHERE name = 'outbox'", vec![])).await?;
            let text = "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', $1)";
            dialect::run(&tx, dialect::plain(&tx, text, vec![base.into()])).await?;
        }
        tx.commit().await?;
    }
    db.history().set_epoch(&meta::epoch(db.read(ReadPool::Log)).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_digest(id: i64, digit: &str) -> RowDigest {
        RowDigest { id, digest: digit.repeat(64) }
    }

    #[test]
    fn an_incomplete_file_is_none() {
        for kept in [RowDigest::default(), RowDigest { id: 17, ..RowDigest::default() }, row_digest(17, "a")] {
            assert_eq!(RowDigest::from_text(&kept.to_text()), Some(kept));
        }
        for text in ["", "17", "17 aa\n", "-1 \n", "x \n", &row_digest(17, "a").to_text()[..40]] {
            assert_eq!(RowDigest::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_log_without_the_row_is_of_the_same_history_only_if_it_assigned_greater_ids() {
        let seen = row_digest(100, "a");
        assert!(seen.is_of_log(Some(&row_digest(100, "a")), 100));
        assert!(!seen.is_of_log(Some(&row_digest(100, "b")), 100), "another row with its id");
        assert!(!seen.is_of_log(None, 99), "an older copy");
        assert!(seen.is_of_log(None, 100), "retention removed it");
        assert!(RowDigest::default().is_of_log(None, 0), "nothing was seen");
        let emptied = RowDigest { id: 100, ..RowDigest::default() };
        assert!(emptied.is_of_log(None, 100) && emptied.is_of_log(None, 105), "the ids continue");
        assert!(emptied.is_of_log(Some(&seen), 100), "a copy that was made before the row was removed");
        assert!(!emptied.is_of_log(None, 99), "an older copy");
    }

    #[test]
    fn the_newest_row_is_known_after_retention_has_removed_it() {
        let history = History::default();
        history.set_epoch("one");
        history.record_row("one", &row_digest(5, "a"));
        for (older, why) in
            [(RowDigest::default(), "no row"), (row_digest(3, "b"), "an older row, which a reader needs")]
        {
            history.record_row("one", &older);
            assert_eq!(history.newest_row(), row_digest(5, "a"), "the log has {why}");
        }
        history.record_row("one", &RowDigest { id: 6, ..RowDigest::default() });
        assert_eq!(history.newest_row(), row_digest(5, "a"), "an id that was assigned and not used");
        history.record_row("zero", &row_digest(9, "c"));
        assert_eq!(history.newest_row(), row_digest(5, "a"), "seen before the epoch changed");
        history.record_row("one", &row_digest(6, "b"));
        assert_eq!(history.newest_row(), row_digest(6, "b"));
    }

    #[test]
    fn an_ended_epoch_does_not_become_current_again() {
        let history = History::default();
        history.set_epoch("one");
        history.record_row("one", &row_digest(5, "a"));
        history.set_epoch("two");
        assert_eq!(history.newest_row(), RowDigest::default(), "the row belongs to the epoch before");
        history.set_epoch("one");
        assert_eq!(&*history.epoch(), "two");
    }
}
