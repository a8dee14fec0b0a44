//! What this process knows about the history that the database holds: the epoch, the newest log row that was seen, and
//! on SQLite the open file.
//!
//! Revisions and log ids have a meaning only within one history. A restored backup is another history. So is a standby
//! that took over without the newest commits. Both continue to count from an older state. [`crate::backends`] detects
//! that the history has changed.

use crate::store::db::row_digest::RowDigest;
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

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
    fn note_own_write(&self, is_writing: bool);

    /// Sets the newest log row that is certainly in the file.
    fn set_newest_checkpointed_row(&self, newest: RowDigest);
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
    pub fn set_newest_checkpointed_row(&self, newest: RowDigest) {
        if let Some(file) = self.file.get() {
            file.set_newest_checkpointed_row(newest);
        }
    }

    /// Runs `write`, which writes to the file of the database. Outside this time, a changed file means that another
    /// process wrote to it.
    pub async fn write_file<T>(&self, write: impl Future<Output = T>) -> T {
        struct FileWrite<'p>(Option<&'p dyn DatabaseFile>);
        impl Drop for FileWrite<'_> {
            fn drop(&mut self) {
                if let Some(file) = self.0 {
                    file.note_own_write(false);
                }
            }
        }
        // A value with a destructor reports the end even if this future is dropped.
        let running = FileWrite(self.file.get().map(|file| &**file));
        if let Some(file) = running.0 {
            file.note_own_write(true);
        }
        write.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_digest(id: i64, digit: &str) -> RowDigest {
        RowDigest { id, digest: digit.repeat(64) }
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
