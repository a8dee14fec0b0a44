//! The floor of the log for all readers of one node: how far they may read.
//!
//! A reader reads the rows after its cursor up to the floor, in the order of their ids. No row can appear any more at
//! or below the floor ([`crate::domain::floor`]), so the reader skips none, in whatever order transactions commit. Ids
//! are drawn under the lock of the stream, so the rows of a stream come in the order of their revisions.
//!
//! Only a reader that has a lease and unread rows advances the floor. So the floor costs nothing while the log does not
//! grow, and a node without a lease uses up no transaction ids. Nothing of the floor is stored: each node finds its
//! own, and a cursor is never above the floor of the node that has moved it.

use crate::app::App;
use crate::domain::floor::Floor;
use crate::error::Result;
use crate::store::db::pools::ReadPool;
use crate::store::db::reading::ReadConnection;
use crate::store::log::floor::{list_open_transactions, read_floor};
use crate::work::read::read_as_server;
use sea_orm::DatabaseBackend;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, watch};

/// The time between two advances while the log has rows above the floor.
pub const ADVANCE_INTERVAL: Duration = Duration::from_millis(50);

/// The floor of the log on one node. Clones are the same floor.
#[derive(Clone)]
pub struct LogFloor {
    app: App,
    state: Arc<Mutex<FloorState>>,
}

/// How far readers may read, and how far the log reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogEnd {
    /// Readers may read the rows up to this id.
    pub floor: i64,
    /// The greatest id in the log that was visible; 0 if the log had no rows.
    pub newest: i64,
}

struct FloorState {
    floor: Floor,
    /// The result of the last advance, and when it began.
    last: Option<(Instant, LogEnd)>,
    epoch: watch::Receiver<Arc<str>>,
}

impl LogFloor {
    /// Returns the floor of a node that knows nothing of the log.
    pub fn new(app: &App) -> Self {
        let state = FloorState { floor: Floor::at_zero(), last: None, epoch: app.db().history().epoch_changes() };
        Self { app: app.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// Returns whether an advance uses up transaction ids. On SQLite the floor is the last id.
    pub fn takes_ticks(&self) -> bool {
        self.app.db().backend() == DatabaseBackend::Postgres
    }

    /// Raises the floor as far as possible and returns it. If no other transaction runs, it reaches the end of the log.
    /// Call it only with the lease of a reader, or to register one. The future may be dropped at any await.
    pub async fn advance(&self) -> Result<LogEnd> {
        let called_at = Instant::now();
        let mut state = self.state.lock().await;
        if let Some((began_at, end)) = state.last
            && began_at > called_at
        {
            // Another reader has read the log for this call while both waited for their turn.
            return Ok(end);
        }
        state.forget_other_history();
        let began_at = Instant::now();
        let end = read_as_server(&self.app, ReadPool::Log, |conn| state.advance(conn)).await?;
        state.last = Some((began_at, end));
        Ok(end)
    }
}

impl FloorState {
    /// Begins again if the database holds another history, about whose floor the ids and transactions of the former
    /// one say nothing.
    fn forget_other_history(&mut self) {
        if self.epoch.has_changed().is_ok_and(|changed| changed) {
            self.epoch.mark_unchanged();
            (self.floor, self.last) = (Floor::at_zero(), None);
        }
    }

    /// Takes a tick if the log reaches above the floor and no tick is open, and looks at once whether it has ended. So,
    /// if nothing else runs, the last commit is below the floor after two statements.
    async fn advance(&mut self, conn: &ReadConnection) -> Result<LogEnd> {
        loop {
            let (id_before, was_stalled) = (self.floor.id(), self.floor.needs_log_transactions());
            // Query the transactions before the end of the log: if one has ended by then, its rows are visible.
            let log_transactions = if was_stalled { Some(list_open_transactions(conn).await?) } else { None };
            let read = read_floor(conn, self.floor.tick_condition()).await?;
            let now = Instant::now();
            self.floor.update(&read.snapshot, log_transactions.as_ref(), now);
            if let Some(xid) = read.tick_xid {
                self.floor.open_tick(read.snapshot.newest, xid, now);
            }
            let end = LogEnd { floor: self.floor.id(), newest: read.snapshot.newest };
            let may_rise_at_once = read.tick_xid.is_some() || (!was_stalled && self.floor.needs_log_transactions());
            if end.floor > id_before || !may_rise_at_once {
                return Ok(end);
            }
        }
    }
}
