//! The floor, read by hand and by simulated nodes while simulated transactions commit in any order.

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
    floor.update(&snapshot(726, 2), None, now);
    assert_eq!(floor.id(), 0);
    floor.open_tick(2, 727, now);
    floor.update(&snapshot(726, 2), None, now);
    assert_eq!(floor.id(), 0, "726 still runs");
    floor.update(&snapshot(728, 2), None, now);
    assert_eq!(floor.id(), 2);
}

#[test]
fn time_alone_ends_no_tick() {
    let now = Instant::now();
    let mut floor = Floor::new(7, Some(20), now);
    let later = now + Duration::from_hours(1);
    floor.update(&snapshot(10, 9), None, now);
    assert!(!floor.needs_log_transactions());
    floor.update(&snapshot(10, 9), None, later);
    assert!(floor.needs_log_transactions() && !floor.is_settled());
    floor.update(&snapshot(10, 9), Some(&log_transactions(&["3/1", "4/1"])), later);
    floor.update(&snapshot(10, 9), Some(&log_transactions(&["3/1", "5/1"])), later);
    assert!(!floor.is_settled(), "3/1 has not ended");
    floor.update(&snapshot(10, 9), Some(&log_transactions(&["5/1", "4/1"])), later);
    assert!(floor.is_settled(), "5/1 began later, and 4/1 is a reused name");
    assert_eq!(floor.id(), 7);
}

#[test]
fn only_the_first_tick_waits_for_a_transaction_that_does_not_write_to_the_log() {
    let (now, none) = (Instant::now(), log_transactions(&[]));
    let mut floor = Floor::at_zero();
    floor.update(&snapshot(10, 1), None, now);
    floor.open_tick(1, 20, now);
    floor.update(&snapshot(10, 1), None, now);
    assert!(!floor.needs_log_transactions(), "it may end soon");
    floor.update(&snapshot(10, 1), None, now + XMIN_WAIT);
    assert!(floor.needs_log_transactions());
    floor.update(&snapshot(10, 1), Some(&none), now + XMIN_WAIT);
    for id in 2..5 {
        assert_eq!(floor.id(), id - 1);
        floor.open_tick(id, 20 + id, now + XMIN_WAIT);
        assert!(floor.needs_log_transactions(), "the same transaction still runs");
        floor.update(&snapshot(10, id), Some(&none), now + XMIN_WAIT);
    }
    // Another transaction is the oldest one now. The next tick waits for it first.
    floor.update(&snapshot(15, 5), None, now + XMIN_WAIT);
    floor.open_tick(5, 30, now + XMIN_WAIT);
    floor.update(&snapshot(15, 5), None, now + XMIN_WAIT);
    assert!(!floor.needs_log_transactions());
}

#[test]
fn without_a_row_above_the_floor_no_tick_is_needed() {
    let now = Instant::now();
    let mut floor = Floor::new(7, Some(20), now);
    assert_eq!(floor.tick_condition(), TickCondition { above_id: 7, min_xmin: 20 }, "one tick at a time");
    floor.update(&snapshot(21, 0), None, now);
    assert!(!floor.needs_tick(&snapshot(30, 0)));
    assert!(floor.needs_tick(&snapshot(30, 8)));
    assert_eq!(floor.tick_condition(), TickCondition { above_id: 7, min_xmin: 0 });
    floor.open_tick(8, 40, now);
    assert_eq!(floor.tick_condition(), TickCondition { above_id: 8, min_xmin: 40 });
}

#[test]
fn with_one_writer_the_floor_is_the_last_id() {
    let now = Instant::now();
    let mut floor = Floor::new(3, None, now);
    assert!(!floor.is_settled(), "rows between the beginning and the first read are not read yet");
    floor.update(&LogSnapshot { xmin: None, newest: 9 }, None, now);
    assert!(floor.is_settled() && floor.id() == 9);
    floor.update(&LogSnapshot { xmin: None, newest: 0 }, None, now);
    assert_eq!(floor.id(), 9);
}

/// The number of streams in the simulation.
const STREAMS: usize = 3;

/// One step of a PostgreSQL server with several writers, or of a node that reads the log.
#[derive(Clone, Debug)]
enum SimulationStep {
    Begin,
    /// The n-th running transaction draws an id for a row of a stream, unless another one has locked the stream.
    Draw(usize, usize),
    Commit(usize),
    Abort(usize),
    /// A transaction that does not write to the log begins or ends.
    Unrelated,
    /// Time passes, more than [`XMIN_WAIT`].
    Wait,
    /// The n-th node makes its next step.
    Read(usize),
}

/// A row that a transaction has inserted: its id, its stream and its revision.
type Row = (i64, usize, i64);

#[derive(Default, Debug)]
struct SimulatedPostgres {
    last_xid: i64,
    last_id: i64,
    newest_ended: i64,
    /// The rows of each running transaction.
    running: BTreeMap<i64, Vec<Row>>,
    unrelated: Option<i64>,
    committed: BTreeMap<i64, Row>,
}

impl SimulatedPostgres {
    fn next_xid(&mut self) -> i64 {
        self.last_xid += 1;
        self.last_xid
    }

    fn nth(&self, at: usize) -> Option<i64> {
        (!self.running.is_empty())
            .then(|| *self.running.keys().nth(at % self.running.len()).expect("at is less than the length"))
    }

    fn draw(&mut self, xid: i64, stream: usize) {
        let locks = |rows: &Vec<Row>| rows.iter().any(|row| row.1 == stream);
        if self.running.iter().any(|(other, rows)| *other != xid && locks(rows)) {
            return;
        }
        let rows = self.committed.values().chain(&self.running[&xid]).filter(|row| row.1 == stream);
        let row = (self.last_id + 1, stream, rows.count() as i64 + 1);
        self.last_id += 1;
        self.running.entry(xid).or_default().push(row);
    }

    fn abort(&mut self, xid: i64) -> Vec<Row> {
        self.newest_ended = self.newest_ended.max(xid);
        self.running.remove(&xid).unwrap_or_default()
    }

    fn commit(&mut self, xid: i64) -> Vec<Row> {
        let rows = self.abort(xid);
        self.committed.extend(rows.iter().map(|row| (row.0, *row)));
        rows
    }

    fn toggle_unrelated(&mut self) {
        match self.unrelated.take() {
            Some(xid) => self.newest_ended = self.newest_ended.max(xid),
            None => self.unrelated = Some(self.next_xid()),
        }
    }

    /// Makes a step of the server, and returns the rows that it made visible.
    fn step(&mut self, step: &SimulationStep) -> Vec<Row> {
        match *step {
            SimulationStep::Begin => {
                let xid = self.next_xid();
                self.running.insert(xid, Vec::new());
            }
            SimulationStep::Draw(at, stream) => drop(self.nth(at).map(|xid| self.draw(xid, stream))),
            SimulationStep::Commit(at) => return self.nth(at).map(|xid| self.commit(xid)).unwrap_or_default(),
            SimulationStep::Abort(at) => drop(self.nth(at).map(|xid| self.abort(xid))),
            SimulationStep::Unrelated => self.toggle_unrelated(),
            SimulationStep::Wait | SimulationStep::Read(_) => {}
        }
        Vec::new()
    }

    fn xmin(&self) -> i64 {
        let xmax = self.newest_ended + 1;
        self.running.keys().copied().chain(self.unrelated).fold(xmax, i64::min)
    }

    fn log_transactions(&self) -> HashSet<String> {
        self.running.iter().filter(|(_, rows)| !rows.is_empty()).map(|(xid, _)| xid.to_string()).collect()
    }

    fn newest(&self) -> i64 {
        self.committed.keys().next_back().copied().unwrap_or(0)
    }

    /// Returns the ids that are visible above `id`.
    fn ids_above(&self, id: i64) -> Vec<i64> {
        self.committed.range(id + 1..).map(|(id, _)| *id).collect()
    }

    /// Runs the statement that reads the end of the log and may take a tick.
    fn read_floor(&mut self, condition: TickCondition) -> (LogSnapshot, Option<i64>) {
        let (xmin, newest) = (self.xmin(), self.newest());
        let takes_tick = newest > condition.above_id && xmin >= condition.min_xmin;
        let xid = takes_tick.then(|| self.next_xid());
        self.newest_ended = self.newest_ended.max(xid.unwrap_or(0));
        (snapshot(xmin, newest), xid)
    }
}

fn steps() -> impl Strategy<Value = Vec<SimulationStep>> {
    let step = prop_oneof![
        3 => Just(SimulationStep::Begin),
        4 => (0..8_usize, 0..STREAMS).prop_map(|(at, stream)| SimulationStep::Draw(at, stream)),
        3 => (0..8_usize).prop_map(SimulationStep::Commit),
        1 => (0..8_usize).prop_map(SimulationStep::Abort),
        1 => Just(SimulationStep::Unrelated),
        1 => Just(SimulationStep::Wait),
        8 => (0..2_usize).prop_map(SimulationStep::Read),
    ];
    vec(step, 1..300)
}

/// The step of a node that is next. Other transactions run between any two steps.
enum NextStep {
    QueryTransactions,
    /// With the result of the query, if there was one.
    ReadFloor(Option<HashSet<String>>),
    ReadPage,
}

/// A node that runs a reader in the way of `relay`: the rows after the cursor up to the floor.
struct SimulatedNode {
    floor: Floor,
    next: NextStep,
}

/// A reader that several nodes run in turn: its cursor, and the rows that it got.
#[derive(Default)]
struct SimulatedReader {
    cursor: i64,
    rows: Vec<Row>,
}

impl SimulatedNode {
    fn new() -> Self {
        Self { floor: Floor::at_zero(), next: NextStep::QueryTransactions }
    }

    fn step(&mut self, server: &mut SimulatedPostgres, reader: &mut SimulatedReader, now: Instant) {
        self.next = match std::mem::replace(&mut self.next, NextStep::QueryTransactions) {
            NextStep::QueryTransactions => {
                NextStep::ReadFloor(self.floor.needs_log_transactions().then(|| server.log_transactions()))
            }
            NextStep::ReadFloor(transactions) => {
                let (snapshot, xid) = server.read_floor(self.floor.tick_condition());
                self.floor.update(&snapshot, transactions.as_ref(), now);
                let needs_tick = self.floor.needs_tick(&snapshot);
                assert!(needs_tick || xid.is_none(), "a tick was wasted: {:?}", self.floor);
                assert!(
                    xid.is_some() || !needs_tick || transactions.is_some(),
                    "a tick was left out: {:?}",
                    self.floor
                );
                if let Some(xid) = xid {
                    self.floor.open_tick(snapshot.newest, xid, now);
                }
                NextStep::ReadPage
            }
            NextStep::ReadPage => {
                // A page is bounded.
                let rows: Vec<Row> = server.committed.range(reader.cursor + 1..).map(|(_, row)| *row).collect();
                reader.rows.extend(rows.iter().filter(|row| row.0 <= self.floor.id()).take(4));
                reader.cursor = reader.rows.last().map_or(reader.cursor, |row| row.0);
                NextStep::QueryTransactions
            }
        };
    }
}

proptest! {
    #[test]
    fn a_reader_skips_no_row_in_whatever_order_transactions_commit(steps in steps()) {
        let (mut server, mut now) = (SimulatedPostgres::default(), Instant::now());
        let mut reader = SimulatedReader::default();
        let mut nodes = [SimulatedNode::new(), SimulatedNode::new()];
        for step in &steps {
            let appeared = server.step(step);
            prop_assert!(appeared.iter().all(|row| row.0 > reader.cursor), "{appeared:?} below {}", reader.cursor);
            match step {
                SimulationStep::Wait => now += XMIN_WAIT,
                SimulationStep::Read(node) => nodes[*node].step(&mut server, &mut reader, now),
                _ => {}
            }
        }
        // All writers end. A node must reach the last row, although an unrelated transaction may still run.
        for xid in server.running.keys().copied().collect::<Vec<_>>() {
            server.commit(xid);
        }
        for _ in 0..8 + server.committed.len() {
            for _ in 0..3 {
                nodes[0].step(&mut server, &mut reader, now);
            }
            now += XMIN_WAIT;
        }
        let committed: Vec<Row> = server.committed.values().copied().collect();
        prop_assert_eq!(&reader.rows, &committed, "each row once, in the order of the ids");
        for stream in 0..STREAMS {
            let revs: Vec<i64> = reader.rows.iter().filter(|row| row.1 == stream).map(|row| row.2).collect();
            prop_assert_eq!(&revs, &(1..=revs.len() as i64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_row_ever_appears_at_or_below_a_settled_floor(steps in steps()) {
        let (mut server, mut now) = (SimulatedPostgres::default(), Instant::now());
        // The ids that the catch-up knows: as rows or, before the floor was settled, from the heads of all streams.
        let mut known = BTreeSet::new();
        let mut floor: Option<Floor> = None;
        let read = |server: &mut SimulatedPostgres, floor: &mut Option<Floor>, known: &mut BTreeSet<i64>, now| {
            let floor = floor.get_or_insert_with(|| {
                let (snapshot, xid) = server.read_floor(TickCondition::ALWAYS);
                Floor::new(snapshot.newest, xid, now)
            });
            let log_transactions = floor.needs_log_transactions().then(|| server.log_transactions());
            let rows = server.ids_above(floor.id());
            let snapshot = snapshot(server.xmin(), rows.last().copied().unwrap_or(0));
            if floor.is_settled() { known.extend(rows) } else { known.extend(server.ids_above(0)) }
            floor.update(&snapshot, log_transactions.as_ref(), now);
            if floor.needs_tick(&snapshot) {
                let (snapshot, xid) = server.read_floor(TickCondition::ALWAYS);
                floor.open_tick(snapshot.newest, xid.expect("the condition is always met"), now);
            }
        };
        for step in &steps {
            let appeared = server.step(step);
            if let Some(floor) = floor.as_ref().filter(|floor| floor.is_settled()) {
                prop_assert!(appeared.iter().all(|row| row.0 > floor.id()), "{appeared:?} under {floor:?}");
            }
            match step {
                SimulationStep::Wait => now += XMIN_WAIT,
                SimulationStep::Read(_) => read(&mut server, &mut floor, &mut known, now),
                _ => {}
            }
        }
        // All writers end. The floor must reach the last row although an unrelated transaction may still run.
        for xid in server.running.keys().copied().collect::<Vec<_>>() {
            server.commit(xid);
        }
        for _ in 0..6 {
            read(&mut server, &mut floor, &mut known, now);
            now += XMIN_WAIT;
        }
        prop_assert_eq!(&known, &server.ids_above(0).into_iter().collect::<BTreeSet<_>>());
        prop_assert_eq!(floor.map(|floor| floor.id()), Some(server.newest()));
    }
}
