//! Retention: removes rows of the log that are older than a setting and that every reader has processed. Before that it
//! fails the readers that are too far behind ([`super::lag`]).
//!
//! It removes ranges of ids in small steps, so that other transactions can write in between. In a stream that is parked
//! for a reader, all rows from the parked one on stay. A client that has only older revisions gets a `sync.reset`.

use super::RelaySignals;
use super::lag::LagWatch;
use crate::app::App;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::ServerWriter;
use crate::store::log::retention;
use std::time::Duration;

/// The time between two removals.
const INTERVAL: Duration = Duration::from_hours(1);
/// Rows in one step at most.
const STEP_ROWS: u64 = 500;
/// The pause between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(50);

/// Checks the readers and removes old rows at the start and then once in each [`INTERVAL`], until the server stops.
pub async fn run(app: App, mut lags: LagWatch, mut signals: RelaySignals) {
    let kept = Duration::from_hours(24) * app.settings().log.retention_days;
    loop {
        if let Err(error) = lags.check(&app, Timestamp::now()).await {
            tracing::warn!(%error, "the lags of the readers of the log could not be checked; trying again later");
        }
        let before = Timestamp::now().minus(kept);
        tokio::select! {
            // Each step is a single statement, so an interrupted step is done or not done.
            () = signals.wait_for_stop() => return,
            removed = remove_old_rows(&app, before) => match removed {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old rows of the log were removed"),
                Err(error) => tracing::warn!(%error, "old rows of the log could not be removed; trying again later"),
            },
        }
        tokio::select! {
            () = signals.wait_for_stop() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Removes the rows that are older than `before` and no longer needed. Returns their number.
pub async fn remove_old_rows(app: &App, before: Timestamp) -> Result<u64> {
    let (mut from, mut removed) = (0, 0);
    loop {
        let db = app.db();
        let old = db
            .run(async { Ok(retention::find_old_rows(db.read(ReadPool::Log), from, before, STEP_ROWS).await?) })
            .await?;
        let Some(old) = old else { return Ok(removed) };
        removed += db
            .run(async {
                let _turn = db.take_server_turn(ServerWriter::System).await;
                Ok(retention::remove_rows(db.write()?, from, old.last_id).await?)
            })
            .await?;
        if !old.has_more {
            return Ok(removed);
        }
        from = old.last_id;
        tokio::time::sleep(STEP_PAUSE).await;
    }
}
