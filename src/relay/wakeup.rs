//! What wakes the relay: commits of this node at once, and a look at the log as backstop, which also finds what other
//! nodes commit. One cheap statement by index a tick, whatever the number of readers.

use super::Signals;
use crate::app::App;
use crate::store::pools::Share;
use crate::store::readers::{self, Head};
use std::time::Duration;
use tokio::sync::watch;

/// How often the log is looked at.
const POLL: Duration = Duration::from_millis(100);
/// A commit waits this long for others, so that many of them make one page.
const GATHER: Duration = Duration::from_millis(20);

/// Runs until the server stops. It says that the log has grown, and never how far: a reader finds that out itself.
pub async fn run(app: App, grow: watch::Sender<u64>, mut signals: Signals) {
    let committed = app.log_grew();
    let mut seen: Option<Head> = None;
    loop {
        tokio::select! {
            () = signals.stopped() => return,
            () = committed.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(POLL) => {
                let head = app.db().guard(async { Ok(readers::head(app.db().read(Share::Log)).await?) }).await;
                // while the database is away there is nothing to say; whoever waits for it asks by itself
                let Ok(head) = head else { continue };
                if seen.replace(head) == Some(head) && !head.unstamped {
                    continue;
                }
            }
        }
        grow.send_modify(|times| *times += 1);
    }
}
