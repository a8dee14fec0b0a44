//! Wakes the other tasks of the relay: after commits of this node, and when a regular check of the log finds new rows.
//!
//! The check also finds the commits of other nodes. It is one cheap statement for any number of readers. It need not
//! find a row that appears below the newest one: a reader that has not processed such a row is waiting for the floor of
//! the log, which is below the row, and looks again by itself.

use super::RelaySignals;
use crate::app::App;
use crate::store::db::pools::ReadPool;
use crate::store::log::floor;
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
    let mut last_newest = None;
    loop {
        tokio::select! {
            () = signals.wait_for_stop() => return,
            () = committed.notified() => tokio::time::sleep(COMMIT_DELAY).await,
            () = tokio::time::sleep(POLL_INTERVAL) => {
                let newest =
                    read_as_server(&app, ReadPool::Log, async |conn| Ok(floor::get_newest_id(conn).await?)).await;
                // While the database is unavailable, there is nothing to signal. The readers try again by themselves.
                let Ok(newest) = newest else { continue };
                if last_newest.replace(newest) == Some(newest) {
                    continue;
                }
            }
        }
        growth.send_modify(|times| *times += 1);
    }
}
