//! The log reader repairs rooms that are behind: many with one query, each with its own events, also after a query that
//! failed.

use crate::harness::{TestApp, TestSend, on_each_database};
use actix::prelude::*;
use greenroom::cluster::catch_up::CatchUpSchedule;
use greenroom::domain::caller::Caller;
use greenroom::domain::ids::{Rev, SessionId, UserId};
use greenroom::domain::limits;
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::{
    FromRoom, Heads, OpenRooms, ReadLog, ReadPurpose, RoomEvent, SessionHandle, Subscription, ToRoom,
};
use greenroom::realtime::hub::Hub;
use greenroom::realtime::log_reader;
use sea_orm::{Statement, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc as blocking};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
const ROOMS: usize = 40;

/// A room that passes its messages to the test, together with its stream.
struct Listener(mpsc::UnboundedSender<(Stream, ToRoom)>, Stream);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<ToRoom> for Listener {
    type Result = ();

    fn handle(&mut self, message: ToRoom, _: &mut Self::Context) {
        let _ = self.0.send((self.1, message));
    }
}

#[test]
fn rooms_that_are_behind_are_repaired_together_each_with_its_events() {
    on_each_database(&async |test: &TestApp| {
        let users = test.users(1).await;
        let (sender, mut answers) = mpsc::unbounded_channel();
        let (queue, reads) = mpsc::channel(4 * ROOMS);
        let mut expected = BTreeMap::new();
        for number in 0..ROOMS {
            let group = test.group(&users).await;
            let sent = test.send(TestSend::new(group, &users[0], "hello")).await.unwrap();
            let stream = Stream::Conversation(group);
            // Every fourth room has all events already.
            let after = if number % 4 == 0 { sent.rev } else { Rev(sent.rev.0 - 1) };
            let room = Listener(sender.clone(), stream).start().recipient();
            // The same stream may be requested twice, if its room was replaced.
            for _ in 0..=usize::from(number % 5 == 0) {
                queue.send(ReadLog::new(stream, after, ReadPurpose::Gap, room.clone())).await.unwrap();
                expected.entry(stream).or_insert_with(Vec::new).push((after, sent.rev));
            }
        }
        let queries = Arc::new(AtomicUsize::new(0));
        let counted = queries.clone();
        test.app.db().observe(move |statement, _| {
            counted.fetch_add(usize::from(statement.sql.contains("outbox")), Ordering::Relaxed);
        });
        test.app.spawn(log_reader::run(test.app.clone(), reads));
        while !expected.is_empty() {
            let answer = timeout(DEADLINE, answers.recv()).await.expect("every room is answered");
            let Some((stream, ToRoom::Read { purpose: ReadPurpose::Gap, envelopes: Some(envelopes) })) = answer else {
                panic!("{answer:?}")
            };
            let of_stream = expected.get_mut(&stream).expect("a room is answered once for each read");
            let (after, last) = of_stream.pop().unwrap();
            if of_stream.is_empty() {
                expected.remove(&stream);
            }
            let revs: Vec<i64> = envelopes.iter().map(|envelope| envelope.rev.0).collect();
            assert_eq!(revs, (after.0 + 1..=last.0).collect::<Vec<_>>());
            assert!(envelopes.iter().all(|envelope| envelope.stream == stream && envelope.text.contains("hello")));
        }
        let queries = queries.load(Ordering::Relaxed);
        assert!(queries < ROOMS / 2, "{queries} queries for {ROOMS} rooms");
    });
}

/// Stops every query of a repair at its end, until the test lets it return its rows or panic.
struct RepairGate {
    /// The numbers of rooms of the queries.
    queries: mpsc::UnboundedReceiver<usize>,
    /// Whether the query that waits returns its rows.
    outcomes: blocking::Sender<bool>,
}

impl RepairGate {
    fn install(test: &TestApp) -> Self {
        let (query, queries) = mpsc::unbounded_channel();
        let (outcomes, outcome) = blocking::channel();
        let outcome = Mutex::new(outcome);
        test.app.db().observe(move |statement, _| {
            let Some(rooms) = rooms_of(statement) else { return };
            let _ = query.send(rooms);
            // When the test has ended, no query waits. A thread that is blocked in another way could be the one that
            // the runtime needs for its sockets.
            let returns = tokio::task::block_in_place(|| outcome.lock().unwrap().recv().unwrap_or(true));
            assert!(returns, "on purpose");
        });
        Self { queries, outcomes }
    }

    /// Waits for the next query and returns its number of rooms.
    async fn next(&mut self) -> usize {
        timeout(DEADLINE, self.queries.recv()).await.expect("a repair runs").unwrap()
    }

    /// Lets the query that waits return what the database answered.
    fn finish(&self) {
        self.outcomes.send(true).unwrap();
    }

    /// Makes the query that waits panic.
    fn fail(&self) {
        self.outcomes.send(false).unwrap();
    }
}

/// Returns the number of rooms that a statement repairs; `None` if it is no repair.
fn rooms_of(statement: &Statement) -> Option<usize> {
    if !(statement.sql.starts_with("SELECT o.") && statement.sql.contains("outbox")) {
        return None;
    }
    match &statement.values.as_ref()?.0[0] {
        Value::Array(_, Some(rooms)) => Some(rooms.len()),
        Value::String(Some(rooms)) => Some(serde_json::from_str::<Vec<serde_json::Value>>(rooms).unwrap().len()),
        other => panic!("{other:?}"),
    }
}

/// Waits until the log reader has taken all reads from its queue. While a repair runs, the next one then has all of
/// them to choose from.
async fn wait_until_taken(queue: &mpsc::Sender<ReadLog>) {
    let started = Instant::now();
    while queue.capacity() < queue.max_capacity() {
        assert!(started.elapsed() < DEADLINE, "the log reader takes no reads");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A session that passes the events of its room to the test.
struct Subscriber(mpsc::UnboundedSender<RoomEvent>);

impl Actor for Subscriber {
    type Context = Context<Self>;
}

impl Handler<FromRoom> for Subscriber {
    type Result = ();

    fn handle(&mut self, message: FromRoom, _: &mut Self::Context) {
        let _ = self.0.send(message.event);
    }
}

/// A group whose room has one live subscriber, and gets no events except from the log.
struct GroupRoom {
    stream: Stream,
    /// The revision after which the subscriber is live.
    live_after: Rev,
    /// The head of the stream.
    head: Rev,
    events: mpsc::UnboundedReceiver<RoomEvent>,
}

impl GroupRoom {
    async fn next(&mut self) -> RoomEvent {
        timeout(DEADLINE, self.events.recv()).await.expect("the subscriber gets an event").unwrap()
    }

    /// Waits until the subscriber has every event up to the head, in order and once.
    async fn expect_all_events(&mut self) {
        let mut rev = self.live_after.0;
        while rev < self.head.0 {
            let RoomEvent::Events(batch) = self.next().await else { panic!("the subscriber got no live events") };
            for envelope in &batch.envelopes {
                assert_eq!((envelope.stream, envelope.rev.0), (self.stream, rev + 1));
                rev += 1;
            }
        }
        assert!(self.events.try_recv().is_err(), "the subscriber got more than the events");
    }
}

/// A hub with rooms that are behind, and a log reader. The reads of the rooms reach the log reader only when the test
/// forwards them.
struct RoomsBehind {
    rooms: Vec<GroupRoom>,
    hub: Addr<Hub>,
    _arbiter: Arbiter,
    reads: mpsc::Receiver<ReadLog>,
    queue: mpsc::Sender<ReadLog>,
}

impl RoomsBehind {
    /// Opens one room for each number, which is the number of events that the room misses.
    async fn open(test: &TestApp, missed: &[usize]) -> Self {
        let (sender, reads) = mpsc::channel(missed.len());
        let (queue, reads_of_reader) = mpsc::channel(missed.len());
        test.app.spawn(log_reader::run(test.app.clone(), reads_of_reader));
        let arbiter = Arbiter::new();
        let hub = Hub::new(vec![arbiter.handle()], sender, CatchUpSchedule::default(), test.app.supervision()).start();
        let user = test.user().await;
        let mut rooms = Vec::new();
        for missed in missed {
            let mut room = open_room(test, &hub, &user).await;
            let sends: Vec<_> =
                (0..*missed).map(|_| test.enqueue(TestSend::new(room.stream.id().into(), &user, "hello"))).collect();
            for send in sends {
                room.head = room.head.max(send.await.unwrap().unwrap().rev);
            }
            assert_eq!(room.head.0 - room.live_after.0, *missed as i64);
            rooms.push(room);
        }
        Self { rooms, hub, _arbiter: arbiter, reads, queue }
    }

    /// Informs rooms of their heads, so that they ask the log reader for the events that they miss.
    fn inform(&self, rooms: std::ops::Range<usize>) {
        self.hub.do_send(Heads(self.rooms[rooms].iter().map(|room| (room.stream, room.head)).collect()));
    }

    /// Waits for this number of reads of different rooms, and forwards them.
    async fn forward(&mut self, count: usize) {
        let mut streams = BTreeSet::new();
        for _ in 0..count {
            let read = timeout(DEADLINE, self.reads.recv()).await.expect("a room asks").unwrap();
            assert!(read.purpose == ReadPurpose::Gap && streams.insert(read.stream));
            self.queue.send(read).await.unwrap();
        }
        wait_until_taken(&self.queue).await;
    }

    /// Waits until every subscriber has all events, and checks that no room has asked again.
    async fn expect_all_events(&mut self) {
        for room in &mut self.rooms {
            room.expect_all_events().await;
        }
        assert!(self.reads.try_recv().is_err(), "a room that is not behind asks");
    }
}

/// Creates a group and subscribes a session to its room.
async fn open_room(test: &TestApp, hub: &Addr<Hub>, user: &Caller) -> GroupRoom {
    let group = test.group(&[*user]).await;
    let stream = Stream::Conversation(group);
    let head = test.send(TestSend::new(group, user, "first")).await.unwrap().rev;
    let (sender, events) = mpsc::unbounded_channel();
    let session = SessionHandle {
        id: SessionId::new(),
        user_id: user.user_id,
        mailbox: Subscriber(sender).start().recipient(),
        subscription_number: 1,
        overrun: Arc::default(),
    };
    let opened = hub.send(OpenRooms(vec![stream])).await.unwrap().unwrap().remove(0);
    opened.do_send(ToRoom::Subscribe(Subscription {
        stream,
        session,
        after: head,
        checked_rev: head,
        accepted: false,
    }));
    let mut room = GroupRoom { stream, live_after: head, head, events };
    assert!(matches!(room.next().await, RoomEvent::Live(rev) if rev == head));
    room
}

#[test]
fn rooms_whose_repair_fails_ask_again_and_get_all_their_events_in_order() {
    on_each_database(&async |test: &TestApp| {
        let mut gate = RepairGate::install(test);
        let mut behind = RoomsBehind::open(test, &[3; 12]).await;
        // While the first query runs, all other rooms ask, so that the next query has all of them.
        behind.inform(0..1);
        behind.forward(1).await;
        assert_eq!(gate.next().await, 1);
        behind.inform(1..12);
        behind.forward(11).await;
        // The database refuses the next query.
        test.run("ALTER TABLE outbox RENAME TO renamed").await;
        gate.finish();
        assert_eq!(gate.next().await, 11);
        test.run("ALTER TABLE renamed RENAME TO outbox").await;
        gate.finish();
        behind.forward(1).await;
        assert_eq!(gate.next().await, 1);
        behind.forward(10).await;
        // This query panics. Its room asks again too.
        gate.fail();
        assert_eq!(gate.next().await, 1);
        behind.forward(1).await;
        for rooms in [2, 4, 4] {
            gate.finish();
            assert_eq!(gate.next().await, rooms);
        }
        gate.finish();
        behind.expect_all_events().await;
        assert_eq!(test.app.supervision().panic_count("log_reader"), 1);
    });
}

#[test]
fn a_room_that_lacks_more_than_its_share_gets_the_rest_with_further_queries() {
    on_each_database(&async |test: &TestApp| {
        let mut gate = RepairGate::install(test);
        // 17 rooms: one for the first query, and 16 that share the rows of the second one.
        let mut missed = [1; 17];
        let share = limits::REPAIRED_EVENTS as usize / 16;
        missed[3] = share;
        missed[7] = 2 * share + 1;
        let mut behind = RoomsBehind::open(test, &missed).await;
        behind.inform(0..1);
        behind.forward(1).await;
        assert_eq!(gate.next().await, 1);
        behind.inform(1..17);
        behind.forward(16).await;
        gate.finish();
        assert_eq!(gate.next().await, 16);
        gate.finish();
        // Only the room that lacks more asks again, and now has a larger share.
        behind.forward(1).await;
        assert_eq!(gate.next().await, 1);
        gate.finish();
        behind.expect_all_events().await;
    });
}

#[test]
fn a_failure_halves_the_rooms_of_the_next_repair_and_a_success_doubles_them() {
    on_each_database(&async |test: &TestApp| {
        let mut gate = RepairGate::install(test);
        // 256, 128, … 1: the numbers of rooms of the queries that fail.
        let fail: Vec<usize> =
            std::iter::successors(Some(limits::REPAIRED_ROOMS), |rooms| (*rooms > 1).then_some(rooms / 2)).collect();
        // 1, 2, … 256, 256: the numbers of rooms of the queries that succeed.
        let succeed: Vec<usize> = fail.iter().rev().copied().chain([limits::REPAIRED_ROOMS]).collect();
        let (failures, successes): (usize, usize) = (fail.iter().sum(), succeed.iter().sum());
        let (sender, mut answers) = mpsc::unbounded_channel();
        let (queue, reads) = mpsc::channel(failures + successes);
        test.app.spawn(log_reader::run(test.app.clone(), reads));
        let read = async || {
            let stream = Stream::User(UserId::new());
            let room = Listener(sender.clone(), stream).start().recipient();
            queue.send(ReadLog::new(stream, Rev(0), ReadPurpose::Gap, room)).await.unwrap();
        };
        read().await;
        assert_eq!(gate.next().await, 1);
        for _ in 0..failures + successes {
            read().await;
        }
        wait_until_taken(&queue).await;
        gate.finish();
        for rooms in fail {
            assert_eq!(gate.next().await, rooms);
            gate.fail();
        }
        for rooms in succeed {
            assert_eq!(gate.next().await, rooms);
            gate.finish();
        }
        let (mut answered, mut failed) = (BTreeSet::new(), 0);
        while answered.len() < 1 + failures + successes {
            let answer = timeout(DEADLINE, answers.recv()).await.expect("every room is answered");
            let Some((stream, ToRoom::Read { envelopes, .. })) = answer else { panic!("{answer:?}") };
            assert!(answered.insert(stream), "a room is answered twice");
            failed += usize::from(envelopes.is_none());
        }
        assert_eq!(failed, failures);
    });
}
