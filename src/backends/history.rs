//! Follows the history of the database while the server runs, and begins a new epoch when a committed event is missing.
//!
//! After an older copy was restored, for example, the database holds another history than before.
//! [`super::postgres_history`] and [`super::history_file`] check this before any event is appended.

use super::history_file;
use crate::config::Settings;
use crate::store::db::Db;
use crate::store::db::epoch::{self, HistoryState};
use crate::store::db::pools::ReadPool;
use crate::supervision::Part;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// The time between two reads of the newest log row, which is then written to the file `history` on SQLite.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reads the epoch and the newest log row. Begins a new epoch if the newest event of the previous read was undone
/// since.
async fn read_history(db: &Db, previous: Option<&HistoryState>) -> crate::error::Result<HistoryState> {
    let conn = db.read(ReadPool::Log);
    let state = epoch::read_state(conn).await?;
    let has_other_row = |previous: &&HistoryState| previous.epoch == state.epoch && previous.newest != state.newest;
    if let Some((previous, (stream, rev))) =
        previous.filter(has_other_row).and_then(|previous| Some((previous, previous.newest_stream_rev?)))
        && epoch::is_undone(conn, previous.newest.id, stream, rev).await?
    {
        tracing::warn!(?stream, rev = rev.0, "a committed event is missing from the database; a new epoch begins");
        epoch::change_epoch(db, &state.epoch, previous.newest.id).await?;
        return Ok(epoch::read_state(conn).await?);
    }
    Ok(state)
}

/// Reads the epoch and the newest log row every second until `stop` completes, and again after that. On SQLite the
/// row is written to the file `history`; `history_file_part` counts as failing while that write fails.
pub(super) async fn follow(settings: &Settings, db: &Db, history_file_part: &Part, stop: impl Future<Output = ()>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    let (mut is_last, mut previous, mut written) = (false, None, None);
    while !is_last {
        tokio::select! {
            () = &mut stop => is_last = true,
            _ = interval.tick() => {}
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
        let outcome = tokio::task::spawn_blocking(move || history_file::write(&folder, &row)).await;
        let outcome = outcome.unwrap_or_else(|ended| Err(std::io::Error::other(ended)));
        history_file_part.set_working(outcome.is_ok());
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
                && previous.newest_stream_rev.is_some()
                && (state.newest_stream_rev.is_none() || state.newest.id < previous.newest.id) =>
        {
            previous
        }
        _ => state,
    }
}
