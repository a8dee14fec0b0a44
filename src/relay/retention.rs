//! Retention: removes rows of the log that are older than a setting and that every reader has processed. Before that it
//! marks the readers that are too far behind as failed ([`super::lag`]).
//!
//! It removes ranges of ids in small steps, so that other transactions can write in between. In a stream that is parked
//! for a reader, all rows from the parked one on stay, until the parked row is older than the greatest lag of the
//! reader. The log names the stream before its rows are removed. A client that has only older revisions gets a
//! `sync.reset`.

use super::RelaySignals;
use super::lag::LagWatch;
use crate::app::App;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::ServerWriter;
use crate::store::log::retention::{self, KeptSince};
use crate::work::read::read_as_server;
use crate::work::transact::write_as_server;
use std::time::Duration;

/// The time between two removals.
const INTERVAL: Duration = Duration::from_hours(1);
/// Rows in one step at most.
const STEP_ROWS: u64 = 500;
/// The pause between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(50);

/// Checks the readers and removes old rows at the start and then once in each [`INTERVAL`], until the server stops.
pub async fn run(app: App, mut lags: LagWatch, mut signals: RelaySignals) {
    let kept = Duration::from_hours(24) * app.settings().database.event_retention_days;
    loop {
        if let Err(error) = lags.check(&app, Timestamp::now()).await {
            tracing::warn!(%error, "the lags of the readers of the log could not be checked; trying again later");
        }
        let before = Timestamp::now().minus(kept);
        tokio::select! {
            // Each step is a single statement, so an interrupted step is done or not done.
            () = signals.wait_for_stop() => return,
            removed = remove_old_rows(&app, &lags, before) => match removed {
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
pub async fn remove_old_rows(app: &App, lags: &LagWatch, before: Timestamp) -> Result<u64> {
    let kept_since = lags.kept_since(Timestamp::now());
    warn_of_removal(app, &kept_since, before).await?;
    let (mut from, mut removed) = (0, 0);
    loop {
        let old = read_as_server(app, ReadPool::Log, async |conn| {
            Ok(retention::find_old_rows(conn, from, before, STEP_ROWS).await?)
        });
        let Some(old) = old.await? else { return Ok(removed) };
        removed += write_as_server(app, ServerWriter::System, async |conn| {
            Ok(retention::remove_rows(conn, from, old.last_id, &kept_since).await?)
        })
        .await?;
        if !old.has_more {
            return Ok(removed);
        }
        from = old.last_id;
        tokio::time::sleep(STEP_PAUSE).await;
    }
}

/// Logs the parked streams whose rows are removed now, although a reader has not processed them.
async fn warn_of_removal(app: &App, kept_since: &KeptSince, before: Timestamp) -> Result<()> {
    let rows = read_as_server(app, ReadPool::Log, async |conn| Ok(retention::list_failed_rows(conn, before).await?));
    for row in rows.await?.iter().filter(|row| row.created_at < kept_since.of(&row.reader)) {
        tracing::warn!(
            reader = row.reader,
            stream = ?row.stream,
            rev = row.rev.0,
            position = row.id,
            "a reader could not process this row within its greatest lag: the log removes the old rows of the stream, \
             and the reader will not get them"
        );
    }
    Ok(())
}
