//! The file `history` in the data folder, which names the newest log row that was seen committed in the SQLite
//! database.
//!
//! The start checks that the database has this row. If not, it holds another history, and a new epoch begins before any
//! event is appended.

use super::{BackendError, BackendResult};
use crate::config::Settings;
use crate::store::db::Db;
use crate::store::db::epoch;
use crate::store::db::pools::ReadPool;
use crate::store::db::row_digest::RowDigest;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Checks the history at the start and adopts the epoch of the database. Begins a new epoch if the database does not
/// match the file `history` in the data folder.
pub(super) async fn check_at_start(settings: &Settings, db: &Db) -> BackendResult<()> {
    let failed = |error: &dyn std::fmt::Display| {
        BackendError::new(format_args!("the history of the database cannot be read: {error}"))
    };
    let mut state = epoch::read_state(db.read(ReadPool::Log)).await.map_err(|error| failed(&error))?;
    db.history().set_epoch(&state.epoch);
    let last_id = epoch::get_last_id(db.read(ReadPool::Log)).await.map_err(|error| failed(&error))?;
    let stored = read(&settings.data_dir);
    let is_same = match &stored {
        Some(stored) => {
            let found =
                epoch::get_row_digest(db.read(ReadPool::Log), stored.id).await.map_err(|error| failed(&error))?;
            stored.is_of_log(found.as_ref(), last_id)
        }
        None => last_id == 0,
    };
    if !is_same {
        let above = stored.map_or(0, |stored| stored.id);
        epoch::change_epoch(db, &state.epoch, above).await.map_err(|error| failed(&error))?;
        state = epoch::read_state(db.read(ReadPool::Log)).await.map_err(|error| failed(&error))?;
    } else if let Some(stored) = &stored {
        // Retention may have removed this row from the log, and all newer rows.
        db.history().record_row(&state.epoch, stored);
    }
    db.history().record_row(&state.epoch, &state.newest);
    write(&settings.data_dir, &db.history().newest_row()).map_err(|error| {
        BackendError::new(format_args!("{} cannot be written: {error}", settings.data_dir.join("history").display()))
    })
}

/// Reads the file `history` in the data folder. Returns `None` if it is missing, incomplete or cannot be read.
fn read(folder: &Path) -> Option<RowDigest> {
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
pub(super) fn write(folder: &Path, newest: &RowDigest) -> std::io::Result<()> {
    let beside = folder.join(format!("history.{}", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(newest.to_text().as_bytes())?;
    file.sync_data()?;
    fs::rename(&beside, folder.join("history"))
}
