//! Computes the floor of the log: the id up to which no new row can appear.
//!
//! A transaction draws the id of a log row before it commits. So a row with a small id may appear after a row with a
//! greater id. A part of the server that reads the log by id must therefore know an id at or below which no row can
//! appear any more. SQLite has one writer, so ids appear in order and the floor is the last id. On PostgreSQL the floor
//! rises by *ticks*.
//!
//! A tick is one statement that reads the greatest visible id and then takes a transaction id. Every transaction that
//! has drawn a smaller log id has a smaller transaction id: it takes its transaction id first, and the sequence issues
//! ids one by one. So when every transaction with a smaller id than the tick's has ended, all rows up to the tick's log
//! id are visible or will never exist. The `xmax` of the snapshot cannot be used instead: it is one more than the
//! newest transaction that has *ended*, and a transaction with a greater id may still run.
//!
//! A transaction that does not use the log may run for hours, also in another database of the same server, and `xmin`
//! does not rise meanwhile. So a tick that is *stalled* asks which transactions have inserted into the log: these hold
//! the lock of its table until they end. The tick has ended when none of those that it found first is left. This holds
//! at any time after the tick's statement, so it may be asked at once; the tick waits first only because `xmin` costs
//! less. A tick is stalled after [`XMIN_WAIT`], or immediately while `xmin` is still the transaction that has stalled
//! an earlier tick: transaction ids only grow, so the same `xmin` is the same transaction, which still runs.
//!
//! Time alone never ends a tick, because a COMMIT that waits for a standby has no timeout.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long a tick waits for all older transactions before it asks which of them have written to the log. Transactions
/// of the server end much sooner, and readers that wait for it are still within a second of the newest row.
pub const XMIN_WAIT: Duration = Duration::from_millis(200);

/// The log id up to which no new row can appear, and the tick that raises it. At most one tick is open. When its
/// transactions have ended, all earlier transactions have ended too.
#[derive(Debug)]
pub struct Floor {
    id: i64,
    tick: Option<Tick>,
    settled: bool,
    /// The last `xmin` that was read.
    xmin: Option<i64>,
    /// The `xmin` with which a tick was stalled last.
    stalling_xmin: Option<i64>,
}

#[derive(Debug)]
struct Tick {
    newest: i64,
    xid: i64,
    opened: Instant,
    is_stalled: bool,
    /// Transactions of the first query that still run. `None` before the first query.
    log_transactions: Option<HashSet<String>>,
}

/// What one read of the log found.
#[derive(Clone, Debug)]
pub struct LogSnapshot {
    /// The oldest transaction that ran when the statement began; all older ones had ended. `None` on SQLite.
    pub xmin: Option<i64>,
    /// The greatest id that was read; 0 if there was no row above the floor.
    pub newest: i64,
}

/// When a statement that reads `xmin` and the greatest log id must take a tick too: if both are as great as this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TickCondition {
    /// The greatest log id must be above this one.
    pub above_id: i64,
    /// `xmin` must be at least this one.
    pub min_xmin: i64,
}

impl TickCondition {
    /// The condition that is always met.
    pub const ALWAYS: Self = Self { above_id: -1, min_xmin: 0 };
}

impl Floor {
    /// Creates the floor of a log of which nothing is known. It is settled, because ids begin at 1.
    pub fn at_zero() -> Self {
        Self { id: 0, tick: None, settled: true, xmin: None, stalling_xmin: None }
    }

    /// Creates the floor of a reader that begins now, with the first tick. `newest` is the greatest visible id. `xid`
    /// is the transaction of the tick, `None` on SQLite. Until [`Self::is_settled`], rows at or below the floor may
    /// still appear.
    pub fn new(newest: i64, xid: Option<i64>, now: Instant) -> Self {
        let mut floor = Self { id: newest, settled: false, ..Self::at_zero() };
        if let Some(xid) = xid {
            floor.open_tick(newest, xid, now);
        }
        floor
    }

    /// Returns the id of the floor.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Returns whether no new row can appear at or below the floor. False until an update ends the first tick.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Returns whether a tick is open that is stalled. Then the running transactions that have written to the log must
    /// be queried before the next read.
    pub fn needs_log_transactions(&self) -> bool {
        self.tick.as_ref().is_some_and(|tick| tick.is_stalled)
    }

    /// Raises the floor after a read of the log. A reader that reads above the floor must have passed on everything
    /// that it read. `log_transactions` are the transactions that held the lock of the log at a moment before the read,
    /// if they were queried.
    pub fn update(&mut self, snapshot: &LogSnapshot, log_transactions: Option<&HashSet<String>>, now: Instant) {
        let Some(xmin) = snapshot.xmin else {
            self.id = self.id.max(snapshot.newest);
            self.settled = true;
            return;
        };
        self.xmin = Some(xmin);
        let Some(mut tick) = self.tick.take() else { return };
        if tick.has_ended(xmin, log_transactions) {
            self.id = self.id.max(tick.newest);
            self.settled = true;
            return;
        }
        if now.duration_since(tick.opened) >= XMIN_WAIT {
            self.stalling_xmin = Some(xmin);
        }
        tick.is_stalled |= self.stalling_xmin == Some(xmin);
        self.tick = Some(tick);
    }

    /// Returns whether a new tick is needed: no tick is open, and a row was read above the floor. Otherwise a tick
    /// would waste a transaction id.
    pub fn needs_tick(&self, snapshot: &LogSnapshot) -> bool {
        snapshot.xmin.is_some() && self.tick.is_none() && snapshot.newest > self.id
    }

    /// Returns when the next statement must take a tick, as [`Self::needs_tick`] would say after the update with the
    /// results of this statement. The statement may end the open tick.
    pub fn tick_condition(&self) -> TickCondition {
        match &self.tick {
            Some(tick) => TickCondition { above_id: self.id.max(tick.newest), min_xmin: tick.xid },
            None => TickCondition { above_id: self.id, min_xmin: 0 },
        }
    }

    /// Opens a tick with the results of its statement.
    pub fn open_tick(&mut self, newest: i64, xid: i64, now: Instant) {
        let is_stalled = self.xmin.is_some() && self.xmin == self.stalling_xmin;
        self.tick = Some(Tick { newest, xid, opened: now, is_stalled, log_transactions: None });
    }
}

impl Tick {
    fn has_ended(&mut self, xmin: i64, log_transactions: Option<&HashSet<String>>) -> bool {
        if xmin >= self.xid {
            return true;
        }
        let Some(now) = log_transactions else { return false };
        // A transaction that took a log id before the tick keeps the lock of the log table until it ends. So, if it
        // still runs, the first query found it.
        let running = match self.log_transactions.take() {
            Some(known) => known.into_iter().filter(|writer| now.contains(writer)).collect(),
            None => now.clone(),
        };
        let ended = running.is_empty();
        self.log_transactions = Some(running);
        ended
    }
}

#[cfg(test)]
mod tests;
