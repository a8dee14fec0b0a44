//! Retention: rows of the log go when they are older than the setting says, by time alone, in ranges of ids and in small
//! steps between which others write. A row stays until every reader has passed it, and in a stream that is parked for a
//! reader everything stays from the row at which it waits. A client that comes back from further behind is reset.

use super::Signals;
use crate::app::App;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::gate::Class;
use crate::store::pools::Share;
use crate::store::readers;
use std::time::Duration;

/// How often the log is looked through.
const EVERY: Duration = Duration::from_hours(1);
/// Rows of one step.
const STEP: u64 = 500;
/// Between two steps.
const REST: Duration = Duration::from_millis(50);

/// Runs until the server stops; the first time at once.
pub async fn run(app: App, mut signals: Signals) {
    let kept = Duration::from_hours(24) * app.settings().log.retention_days;
    loop {
        let before = Timestamp::now().minus(kept);
        tokio::select! {
            // what is cut off here is a statement of its own, and done or not done
            () = signals.stopped() => return,
            swept = sweep(&app, before) => match swept {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old rows of the log were removed"),
                Err(error) => tracing::warn!(%error, "old rows of the log were not removed; trying again later"),
            },
        }
        tokio::select! {
            () = signals.stopped() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Removes what is older than `before` and may go; returns how many rows went.
pub async fn sweep(app: &App, before: Timestamp) -> Result<u64> {
    let (mut from, mut gone) = (0, 0);
    loop {
        let db = app.db();
        let old = db.guard(async { Ok(readers::old_rows(db.read(Share::Log), from, before, STEP).await?) }).await?;
        let Some(old) = old else { return Ok(gone) };
        gone += db
            .guard(async {
                let _turn = db.turn(Class::System).await;
                Ok(readers::forget(db.write()?, from, old.upto).await?)
            })
            .await?;
        if !old.more {
            return Ok(gone);
        }
        from = old.upto;
        tokio::time::sleep(REST).await;
    }
}
