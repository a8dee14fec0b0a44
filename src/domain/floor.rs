//! Computes the floor of the log: the id up to which no new row can appear.
//!
//! A transaction draws the id of a log row before it commits. So a row with a small id may appear after a row with a
//! greater id. A reader that reads the log by id must therefore begin at an id below which no row can appear. SQLite
//! has one writer, so ids appear in order and the floor is the last id. On PostgreSQL the floor rises by *ticks*.
//!
//! A tick is one statement that reads the greatest visible id and then takes a transaction id. Every transaction that
//! has drawn a smaller log id has a smaller transaction id: it takes its transaction id first, and the sequence issues
//! ids one by one. So when every transaction with a smaller id than the tick's has ended, all rows up to the tick's log
//! id are visible or will never exist. The `xmax` of the snapshot cannot be used instead: it is one more than the
//! newest transaction that has *ended*, and a transaction with a greater id may still run.
//!
//! A transaction that does not use the log may run for hours, and `xmin` does not rise meanwhile. After [`XMIN_WAIT`]
//! the tick asks instead which transactions have inserted into the log, because these hold the lock of its table until
//! they end. Time alone never ends a tick, because a COMMIT that waits for a standby has no timeout.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long a tick waits for all older transactions before it asks which of them have written to the log.
pub const XMIN_WAIT: Duration = Duration::from_secs(2);

/// The log id at which a reader may begin, and the tick that raises it. At most one tick is open. When its transactions
/// have ended, all earlier transactions have ended too.
#[derive(Debug)]
pub struct Floor {
    id: i64,
    tick: Option<Tick>,
    settled: bool,
}

#[derive(Debug)]
struct Tick {
    newest: i64,
    xid: i64,
    opened: Instant,
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

impl Floor {
    /// Creates the floor of a reader that begins now, with the first tick. `newest` is the greatest visible id. `xid`
    /// is the transaction of the tick, `None` on SQLite. Until [`Self::is_settled`], rows at or below the floor may
    /// still appear.
    pub fn new(newest: i64, xid: Option<i64>, now: Instant) -> Self {
        let tick = xid.map(|xid| Tick { newest, xid, opened: now, log_transactions: None });
        Self { id: newest, tick, settled: false }
    }

    /// Returns the id above which the reader must read.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Returns whether no new row can appear at or below the floor. False until an update ends the first tick.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Returns whether the reader must query the running transactions that have written to the log before its next
    /// read.
    pub fn needs_log_transactions(&self, now: Instant) -> bool {
        self.tick.as_ref().is_some_and(|tick| now.duration_since(tick.opened) >= XMIN_WAIT)
    }

    /// Raises the floor after a read in which everything above the floor was read and passed on. `log_transactions` are
    /// the transactions that held the lock of the log at a moment before the read, if they were queried.
    pub fn update(&mut self, snapshot: &LogSnapshot, log_transactions: Option<&HashSet<String>>) {
        let Some(xmin) = snapshot.xmin else {
            self.id = self.id.max(snapshot.newest);
            self.settled = true;
            return;
        };
        if self.tick.as_mut().is_some_and(|tick| tick.has_ended(xmin, log_transactions))
            && let Some(ended) = self.tick.take()
        {
            self.id = self.id.max(ended.newest);
            self.settled = true;
        }
    }

    /// Returns whether a new tick is needed: no tick is open, and a row was read above the floor. Otherwise a tick
    /// would waste a transaction id.
    pub fn needs_tick(&self, snapshot: &LogSnapshot) -> bool {
        snapshot.xmin.is_some() && self.tick.is_none() && snapshot.newest > self.id
    }

    /// Opens a tick with the results of its statement.
    pub fn open_tick(&mut self, newest: i64, xid: i64, now: Instant) {
        self.tick = Some(Tick { newest, xid, opened: now, log_transactions: None });
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
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn snapshot(xmin: i64, newest: i64) -> LogSnapshot {
        LogSnapshot { xmin: Some(xmin), newest }
    }

    fn log_transactions(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_older_transaction_draws_the_greater_id_and_commits_first() {
        // Transaction 725 drew id 2 and committed. 726 has drawn id 1 and still runs. The tick is transaction 727.
        let now = Instant::now();
        let mut floor = Floor::new(0, Some(700), now);
        floor.update(&snapshot(726, 2), None);
        assert_eq!(floor.id(), 0);
        floor.open_tick(2, 727, now);
        floor.update(&snapshot(726, 2), None);
        assert_eq!(floor.id(), 0, "726 still runs");
        floor.update(&snapshot(728, 2), None);
        assert_eq!(floor.id(), 2);
    }

    #[test]
    fn time_alone_ends_no_tick() {
        let now = Instant::now();
        let mut floor = Floor::new(7, Some(20), now);
        let later = now + Duration::from_hours(1);
        assert!(floor.needs_log_transactions(later) && !floor.needs_log_transactions(now));
        floor.update(&snapshot(10, 9), None);
        assert!(!floor.is_settled());
        floor.update(&snapshot(10, 9), Some(&log_transactions(&["3/1", "4/1"])));
        floor.update(&snapshot(10, 9), Some(&log_transactions(&["3/1", "5/1"])));
        assert!(!floor.is_settled(), "3/1 has not ended");
        floor.update(&snapshot(10, 9), Some(&log_transactions(&["5/1", "4/1"])));
        assert!(floor.is_settled(), "5/1 began later, and 4/1 is a reused name");
        assert_eq!(floor.id(), 7);
    }

    #[test]
    fn a_transaction_that_does_not_write_to_the_log_delays_no_tick() {
        let now = Instant::now();
        let mut floor = Floor::new(7, Some(20), now);
        floor.update(&snapshot(10, 0), Some(&log_transactions(&[])));
        assert!(floor.is_settled());
    }

    #[test]
    fn without_a_row_above_the_floor_no_tick_is_needed() {
        let mut floor = Floor::new(7, Some(20), Instant::now());
        floor.update(&snapshot(21, 0), None);
        assert!(!floor.needs_tick(&snapshot(30, 0)));
        assert!(floor.needs_tick(&snapshot(30, 8)));
    }

    #[test]
    fn with_one_writer_the_floor_is_the_last_id() {
        let mut floor = Floor::new(3, None, Instant::now());
        assert!(!floor.is_settled(), "rows between the beginning and the first read are not read yet");
        floor.update(&LogSnapshot { xmin: None, newest: 9 }, None);
        assert!(floor.is_settled() && floor.id() == 9);
        floor.update(&LogSnapshot { xmin: None, newest: 0 }, None);
        assert_eq!(floor.id(), 9);
    }

    /// One step of a PostgreSQL server with several writers, or of the reader.
    #[derive(Clone, Debug)]
    enum SimulationStep {
        Begin,
        /// The n-th running transaction draws an id.
        Draw(usize),
        Commit(usize),
        Abort(usize),
        /// A transaction that does not write to the log begins or ends.
        Unrelated,
        /// The reader reads the log; `late` means after [`XMIN_WAIT`].
        Read {
            late: bool,
        },
    }

    #[derive(Default, Debug)]
    struct SimulatedPostgres {
        last_xid: i64,
        last_id: i64,
        newest_ended: i64,
        /// The log ids that each running transaction has drawn.
        running: BTreeMap<i64, Vec<i64>>,
        unrelated: Option<i64>,
        committed: BTreeSet<i64>,
    }

    impl SimulatedPostgres {
        fn next_xid(&mut self) -> i64 {
            self.last_xid += 1;
            self.last_xid
        }

        fn nth(&self, at: usize) -> Option<i64> {
            (!self.running.is_empty()).then(|| *self.running.keys().nth(at % self.running.len()).unwrap())
        }

        fn end(&mut self, xid: i64) -> Vec<i64> {
            self.newest_ended = self.newest_ended.max(xid);
            self.running.remove(&xid).unwrap_or_default()
        }

        fn xmin(&self) -> i64 {
            let xmax = self.newest_ended + 1;
            self.running.keys().copied().chain(self.unrelated).fold(xmax, i64::min)
        }

        fn log_transactions(&self) -> HashSet<String> {
            self.running.iter().filter(|(_, ids)| !ids.is_empty()).map(|(xid, _)| xid.to_string()).collect()
        }

        fn tick(&mut self) -> (i64, i64) {
            let newest = self.committed.last().copied().unwrap_or(0);
            let xid = self.next_xid();
            self.newest_ended = self.newest_ended.max(xid);
            (newest, xid)
        }
    }

    fn steps() -> impl Strategy<Value = Vec<SimulationStep>> {
        let step = prop_oneof![
            3 => Just(SimulationStep::Begin),
            4 => (0..8_usize).prop_map(SimulationStep::Draw),
            3 => (0..8_usize).prop_map(SimulationStep::Commit),
            1 => (0..8_usize).prop_map(SimulationStep::Abort),
            1 => Just(SimulationStep::Unrelated),
            4 => any::<bool>().prop_map(|late| SimulationStep::Read { late }),
        ];
        vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn no_row_ever_appears_at_or_below_a_settled_floor(steps in steps()) {
            let mut server = SimulatedPostgres::default();
            let start = Instant::now();
            // The ids that the reader knows: as rows or, before the floor was settled, from the heads of all streams.
            let mut known = BTreeSet::new();
            let mut floor: Option<Floor> = None;
            let read = |server: &mut SimulatedPostgres,
                        floor: &mut Option<Floor>,
                        known: &mut BTreeSet<i64>,
                        late: bool| {
                let floor = floor.get_or_insert_with(|| {
                    let (newest, xid) = server.tick();
                    Floor::new(newest, Some(xid), start)
                });
                let now = start + if late { XMIN_WAIT * 2 } else { Duration::ZERO };
                let log_transactions = floor.needs_log_transactions(now).then(|| server.log_transactions());
                let rows: Vec<i64> = server.committed.range(floor.id() + 1..).copied().collect();
                let snapshot = snapshot(server.xmin(), rows.last().copied().unwrap_or(0));
                if floor.is_settled() { known.extend(rows) } else { known.extend(server.committed.iter().copied()) }
                floor.update(&snapshot, log_transactions.as_ref());
                if floor.needs_tick(&snapshot) {
                    let (newest, xid) = server.tick();
                    floor.open_tick(newest, xid, start);
                }
            };
            for step in steps {
                match step {
                    SimulationStep::Begin => {
                        let xid = server.next_xid();
                        server.running.insert(xid, Vec::new());
                    }
                    SimulationStep::Draw(at) => if let Some(xid) = server.nth(at) {
                        server.last_id += 1;
                        let id = server.last_id;
                        server.running.entry(xid).or_default().push(id);
                    },
                    SimulationStep::Commit(at) => if let Some(xid) = server.nth(at) {
                        let ids = server.end(xid);
                        if let Some(floor) = floor.as_ref().filter(|floor| floor.is_settled()) {
                            prop_assert!(ids.iter().all(|id| *id > floor.id()), "{ids:?} under {floor:?}");
                        }
                        server.committed.extend(ids);
                    },
                    SimulationStep::Abort(at) => if let Some(xid) = server.nth(at) {
                        server.end(xid);
                    },
                    SimulationStep::Unrelated => match server.unrelated.take() {
                        Some(xid) => server.newest_ended = server.newest_ended.max(xid),
                        None => server.unrelated = Some(server.next_xid()),
                    },
                    SimulationStep::Read { late } => read(&mut server, &mut floor, &mut known, late),
                }
            }
            // All writers end. The floor must reach the last row although an unrelated transaction may still
            // run.
            for xid in server.running.keys().copied().collect::<Vec<_>>() {
                let ids = server.end(xid);
                server.committed.extend(ids);
            }
            for _ in 0..4 {
                read(&mut server, &mut floor, &mut known, true);
            }
            prop_assert_eq!(&known, &server.committed);
            prop_assert_eq!(floor.map(|floor| floor.id()), Some(server.committed.last().copied().unwrap_or(0)));
        }
    }
}
