//! Wakes the other tasks of the relay: after commits of this node, and when a regular check of the log finds new rows.
//!
//! The check also finds the commits of other nodes. It is one cheap statement that uses indexes, for any number of
//! readers.

use super::RelaySignals;
use crate::app::App;
use crate::store::db::pools::ReadPool;
use crate::store::log::positions::{self, LogEnd};
use crate::work::read::read_as_server;
use std::time::Duration;
use tokio::sync::watch;

/// The time between two checks of the log.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The pause after a commit, so that several commits cause one page.
const COMMIT_DELAY: Duration = Duration::from_millis(20);

/// Runs until the server stops. It signals only that the log has grown; each reader finds out how far.
pub async fn run(app: App, growth: watch::Sender<u64>, mut signals: RelaySignals) {
    let committed = app.log_grew();
    let mut last_end: Option<LogEnd> = None;
    loop {
        tokio::select! {
            () = signals.wait_for_stop() => return,
            () = committed.notified() => tokio::time::sleep(COMMIT_DELAY).await,
            () = tokio::time::sleep(POLL_INTERVAL) => {
                let end =
                    read_as_server(&app, ReadPool::Log, async |conn| Ok(positions::get_log_end(conn).await?)).await;
                // While the database is unavailable, there is nothing to signal. The readers try again by themselves.
                let Ok(end) = end else { continue };
                if last_end.replace(end) == Some(end) && !end.has_rows_without_position {
                    continue;
                }
            }
        }
        growth.send_modify(|times| *times += 1);
    }
}
