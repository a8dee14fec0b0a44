//! The floor of the log: the id up to which no row can appear any more.
//!
//! An id is drawn before its transaction commits, so a row with a small id may appear after one with a greater id. Whoever
//! reads the log by id may therefore begin only where everything below is settled. On SQLite, with its one writer, ids
//! appear in their order and the floor is the last id. On PostgreSQL it rises by *ticks*.
//!
//! A tick is one statement that reads the greatest id which can be seen and then takes a transaction id. Every
//! transaction that has drawn a smaller id has a smaller transaction id, because it takes one before it draws an id and
//! the sequence gives ids one by one. So once every transaction below the tick's has ended, the rows up to the tick's id
//! are there or will never be. The snapshot's `xmax` cannot serve for this: it is one past the newest transaction that has
//! *ended*, and one that still runs may be above it.
//!
//! A transaction that has nothing to do with the log may run for hours and keep `xmin` where it is. After [`PATIENCE`] the
//! tick looks at who has drawn ids instead: whoever inserted into the log holds its table's lock until the end. Time alone
//! ends no tick, because a COMMIT that waits for a standby obeys no timeout.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long a tick waits for every older transaction, before it asks which of them have written to the log.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Where a reader of the log may begin, and the tick by which that place rises. One tick is open at a time: with the
/// transactions that it waits for, all earlier ones have ended too.
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
    /// The transactions that had written to the log and had not ended, once that was asked.
    writers: Option<HashSet<String>>,
}

/// What a look at the log saw.
#[derive(Clone, Debug)]
pub struct Look {
    /// On PostgreSQL the oldest transaction that ran when the statement began; all below it had ended.
    pub xmin: Option<i64>,
    /// The greatest id that was seen; 0 when nothing was seen above the floor.
    pub newest: i64,
}

impl Floor {
    /// A floor for a reader that begins now, with the first tick: `newest` is the greatest id that can be seen, `xid` the
    /// tick's own transaction, `None` on SQLite. Until [`Self::is_settled`], rows at or below the floor may still appear.
    pub fn begin(newest: i64, xid: Option<i64>, now: Instant) -> Self {
        let tick = xid.map(|xid| Tick { newest, xid, opened: now, writers: None });
        Self { id: newest, tick, settled: false }
    }

    /// What is above this is to be read.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Whether no row at or below the floor can appear any more. False until the look after which the first tick has
    /// ended.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether the next look is to begin with the question who has written to the log and has not ended.
    pub fn asks_for_writers(&self, now: Instant) -> bool {
        self.tick.as_ref().is_some_and(|tick| now.duration_since(tick.opened) >= PATIENCE)
    }

    /// Learns from a look, in which everything above the floor was read and handed on. `writers` are the transactions
    /// that held the log's lock at a moment before the look began, if that was asked.
    pub fn looked(&mut self, look: &Look, writers: Option<&HashSet<String>>) {
        let Some(xmin) = look.xmin else {
            self.id = self.id.max(look.newest);
            self.settled = true;
            return;
        };
        if self.tick.as_mut().is_some_and(|tick| tick.has_ended(xmin, writers))
            && let Some(ended) = self.tick.take()
        {
            self.id = self.id.max(ended.newest);
            self.settled = true;
        }
    }

    /// Whether a tick is worth its transaction id: none is open, and `newest` lies beyond the floor.
    pub fn wants_tick(&self, look: &Look) -> bool {
        look.xmin.is_some() && self.tick.is_none() && look.newest > self.id
    }

    /// Opens a tick that has just been taken.
    pub fn ticked(&mut self, newest: i64, xid: i64, now: Instant) {
        self.tick = Some(Tick { newest, xid, opened: now, writers: None });
    }
}

impl Tick {
    fn has_ended(&mut self, xmin: i64, writers: Option<&HashSet<String>>) -> bool {
        if xmin >= self.xid {
            return true;
        }
        let Some(now) = writers else { return false };
        // whoever drew an id before the tick held the lock then, so it is among the first that were found
        let left = match self.writers.take() {
            Some(noted) => noted.into_iter().filter(|writer| now.contains(writer)).collect(),
            None => now.clone(),
        };
        let ended = left.is_empty();
        self.writers = Some(left);
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn look(xmin: i64, newest: i64) -> Look {
        Look { xmin: Some(xmin), newest }
    }

    fn writers(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_older_transaction_draws_the_greater_id_and_commits_first() {
        // 725 drew id 2 and committed; 726 holds id 1; the tick was given 727
        let now = Instant::now();
        let mut floor = Floor::begin(0, Some(700), now);
        floor.looked(&look(726, 2), None);
        assert_eq!(floor.id(), 0);
        floor.ticked(2, 727, now);
        floor.looked(&look(726, 2), None);
        assert_eq!(floor.id(), 0, "726 still runs");
        floor.looked(&look(728, 2), None);
        assert_eq!(floor.id(), 2);
    }

    #[test]
    fn time_alone_ends_no_tick() {
        let now = Instant::now();
        let mut floor = Floor::begin(7, Some(20), now);
        let later = now + Duration::from_hours(1);
        assert!(floor.asks_for_writers(later) && !floor.asks_for_writers(now));
        floor.looked(&look(10, 9), None);
        assert!(!floor.is_settled());
        floor.looked(&look(10, 9), Some(&writers(&["3/1", "4/1"])));
        floor.looked(&look(10, 9), Some(&writers(&["3/1", "5/1"])));
        assert!(!floor.is_settled(), "3/1 has not ended");
        floor.looked(&look(10, 9), Some(&writers(&["5/1", "4/1"])));
        assert!(floor.is_settled(), "5/1 came later, and 4/1 is a name used again");
        assert_eq!(floor.id(), 7);
    }

    #[test]
    fn a_transaction_that_does_not_write_to_the_log_holds_nothing_up() {
        let now = Instant::now();
        let mut floor = Floor::begin(7, Some(20), now);
        floor.looked(&look(10, 0), Some(&writers(&[])));
        assert!(floor.is_settled());
    }

    #[test]
    fn nothing_beyond_the_floor_asks_for_no_tick() {
        let mut floor = Floor::begin(7, Some(20), Instant::now());
        floor.looked(&look(21, 0), None);
        assert!(!floor.wants_tick(&look(30, 0)));
        assert!(floor.wants_tick(&look(30, 8)));
    }

    #[test]
    fn with_one_writer_the_floor_is_the_last_id() {
        let mut floor = Floor::begin(3, None, Instant::now());
        assert!(!floor.is_settled(), "what came between the beginning and the first look is yet to be read");
        floor.looked(&Look { xmin: None, newest: 9 }, None);
        assert!(floor.is_settled() && floor.id() == 9);
        floor.looked(&Look { xmin: None, newest: 0 }, None);
        assert_eq!(floor.id(), 9);
    }

    /// What happens in a PostgreSQL with several writers, and what the reader does.
    #[derive(Clone, Debug)]
    enum Step {
        Begin,
        /// The n-th of those that run draws an id.
        Draw(usize),
        Commit(usize),
        Abort(usize),
        /// A transaction that writes elsewhere begins, or ends.
        Elsewhere,
        Look {
            late: bool,
        },
    }

    #[derive(Default, Debug)]
    struct Server {
        next_xid: i64,
        next_id: i64,
        newest_ended: i64,
        running: BTreeMap<i64, Vec<i64>>,
        elsewhere: Option<i64>,
        committed: BTreeSet<i64>,
    }

    impl Server {
        fn xid(&mut self) -> i64 {
            self.next_xid += 1;
            self.next_xid
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
            self.running.keys().copied().chain(self.elsewhere).fold(xmax, i64::min)
        }

        fn writers(&self) -> HashSet<String> {
            self.running.iter().filter(|(_, ids)| !ids.is_empty()).map(|(xid, _)| xid.to_string()).collect()
        }

        fn tick(&mut self) -> (i64, i64) {
            let newest = self.committed.last().copied().unwrap_or(0);
            let xid = self.xid();
            self.newest_ended = self.newest_ended.max(xid);
            (newest, xid)
        }
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Begin),
            4 => (0..8_usize).prop_map(Step::Draw),
            3 => (0..8_usize).prop_map(Step::Commit),
            1 => (0..8_usize).prop_map(Step::Abort),
            1 => Just(Step::Elsewhere),
            4 => any::<bool>().prop_map(|late| Step::Look { late }),
        ];
        vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn no_row_ever_appears_at_or_below_a_settled_floor(steps in steps()) {
            let mut server = Server::default();
            let start = Instant::now();
            // what the reader was handed, by rows or, before the floor was settled, by a look at every stream
            let mut read = BTreeSet::new();
            let mut floor: Option<Floor> = None;
            let looking = |server: &mut Server, floor: &mut Option<Floor>, read: &mut BTreeSet<i64>, late: bool| {
                let floor = floor.get_or_insert_with(|| {
                    let (newest, xid) = server.tick();
                    Floor::begin(newest, Some(xid), start)
                });
                let now = start + if late { PATIENCE * 2 } else { Duration::ZERO };
                let writers = floor.asks_for_writers(now).then(|| server.writers());
                let seen: Vec<i64> = server.committed.range(floor.id() + 1..).copied().collect();
                let look = look(server.xmin(), seen.last().copied().unwrap_or(0));
                if floor.is_settled() { read.extend(seen) } else { read.extend(server.committed.iter().copied()) }
                floor.looked(&look, writers.as_ref());
                if floor.wants_tick(&look) {
                    let (newest, xid) = server.tick();
                    floor.ticked(newest, xid, start);
                }
            };
            for step in steps {
                match step {
                    Step::Begin => {
                        let xid = server.xid();
                        server.running.insert(xid, Vec::new());
                    }
                    Step::Draw(at) => if let Some(xid) = server.nth(at) {
                        server.next_id += 1;
                        let id = server.next_id;
                        server.running.entry(xid).or_default().push(id);
                    },
                    Step::Commit(at) => if let Some(xid) = server.nth(at) {
                        let ids = server.end(xid);
                        if let Some(floor) = floor.as_ref().filter(|floor| floor.is_settled()) {
                            prop_assert!(ids.iter().all(|id| *id > floor.id()), "{ids:?} under {floor:?}");
                        }
                        server.committed.extend(ids);
                    },
                    Step::Abort(at) => if let Some(xid) = server.nth(at) {
                        server.end(xid);
                    },
                    Step::Elsewhere => match server.elsewhere.take() {
                        Some(xid) => server.newest_ended = server.newest_ended.max(xid),
                        None => server.elsewhere = Some(server.xid()),
                    },
                    Step::Look { late } => looking(&mut server, &mut floor, &mut read, late),
                }
            }
            // everything ends, and the floor comes up to the last row whatever runs elsewhere
            for xid in server.running.keys().copied().collect::<Vec<_>>() {
                let ids = server.end(xid);
                server.committed.extend(ids);
            }
            for _ in 0..4 {
                looking(&mut server, &mut floor, &mut read, true);
            }
            prop_assert_eq!(&read, &server.committed);
            prop_assert_eq!(floor.map(|floor| floor.id()), Some(server.committed.last().copied().unwrap_or(0)));
        }
    }
}
