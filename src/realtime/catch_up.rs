//! The catch-up: a task that tails the log, so that nothing stays lost. It runs on every node, whether or not anything
//! else carries events between nodes, and tells the hub how far each stream reaches; a room that is behind reads what it
//! lacks.
//!
//! The log's ids are drawn before their transactions commit, so a row with a small id may appear after one with a
//! greater. The floor from which the tail is read therefore rises only past ids whose transactions have all ended.

use crate::app::App;
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::messages::Heard;
use crate::store::log::{self, Tail};
use actix::prelude::Recipient;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A transaction is given up long before this, so what is older has ended.
const CERTAIN: Duration = Duration::from_mins(1);
/// A wake-up waits this long, so that several make one tail.
const GATHER: Duration = Duration::from_millis(20);

/// Runs for ever; `wake` asks for a tail at once.
pub async fn run(app: App, hub: Recipient<Heard>, wake: Arc<Notify>) {
    let mut floor = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(limits::CATCH_UP) => {}
            () = wake.notified() => tokio::time::sleep(GATHER).await,
        }
        let tailed = app
            .db()
            .guard(async {
                if floor.is_none() {
                    let since = Timestamp::now().minus(CERTAIN);
                    floor = Some(Floor::new(log::newest_id_before(app.db().read(), since).await?));
                }
                let from = floor.as_ref().map_or(0, |floor| floor.id);
                Ok(log::tail(app.db().read(), from).await?)
            })
            .await;
        match tailed {
            Ok(tail) => {
                if let Some(floor) = &mut floor {
                    floor.rise(&tail, Instant::now());
                }
                if !tail.grown.is_empty() && hub.try_send(Heard(tail.grown)).is_err() {
                    wake.notify_one();
                }
            }
            Err(error) => tracing::warn!(%error, "the log could not be tailed"),
        }
    }
}

/// The id up to which no row can appear any more.
struct Floor {
    id: i64,
    /// Earlier tails: the newest id each saw, the first transaction that had not begun by then, and when.
    ticks: VecDeque<(i64, i64, Instant)>,
}

impl Floor {
    fn new(id: i64) -> Self {
        Self { id, ticks: VecDeque::new() }
    }

    /// Learns from a tail: whatever ran at an earlier one has ended when this one's oldest running transaction is younger
    /// than all that one knew of. Without snapshots (SQLite, one writer) ids appear in order.
    fn rise(&mut self, tail: &Tail, now: Instant) {
        let Some((xmin, xmax)) = tail.snapshot else {
            if self.ticks.is_empty() {
                self.id = self.id.max(tail.max_id);
            }
            return;
        };
        while let Some((id, ended_below, at)) = self.ticks.front().copied() {
            let certain = xmin >= ended_below || now.duration_since(at) >= CERTAIN;
            if !certain {
                break;
            }
            self.id = self.id.max(id);
            self.ticks.pop_front();
        }
        self.ticks.push_back((tail.max_id, xmax, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(max_id: i64, snapshot: Option<(i64, i64)>) -> Tail {
        let stream = crate::domain::stream::Stream::User(crate::domain::ids::UserId::new());
        Tail { grown: vec![(stream, crate::domain::ids::Rev(1))], max_id, snapshot }
    }

    #[test]
    fn the_floor_waits_for_transactions_that_ran_at_an_earlier_tail() {
        let (mut floor, now) = (Floor::new(0), Instant::now());
        floor.rise(&tail(10, Some((5, 8))), now);
        assert_eq!(floor.id, 0);
        floor.rise(&tail(20, Some((7, 12))), now);
        assert_eq!(floor.id, 0, "transaction 7 ran at the first tail and still runs");
        floor.rise(&tail(30, Some((8, 15))), now);
        assert_eq!(floor.id, 10);
        floor.rise(&tail(40, Some((8, 15))), now + CERTAIN);
        assert_eq!(floor.id, 30, "after a minute nothing runs any more");
    }

    #[test]
    fn with_one_writer_ids_appear_in_order() {
        let mut floor = Floor::new(3);
        floor.rise(&tail(9, None), Instant::now());
        assert_eq!(floor.id, 9);
    }
}
