//! The tasks that use the database. A statement of each panics once.

use super::{DEADLINE, eventually, expect_failing};
use crate::harness::{TestApp, TestSend, on_each_database};
use actix::prelude::*;
use greenroom::app::App;
use greenroom::cluster::catch_up::CatchUpSchedule;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::Rev;
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::{self, ListOpenStreams, ReadLog, ReadPurpose, ToPresence, ToRoom};
use greenroom::realtime::catch_up::{self, CatchUpHub};
use greenroom::realtime::log_reader;
use greenroom::realtime::presence::Presence;
use greenroom::relay;
use greenroom::usecases::marks::{self, ReadTarget};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Makes statements panic: the next one that contains a text, or all that have a text among their values.
#[derive(Clone, Default)]
pub struct Mine(Arc<Mutex<(Option<&'static str>, Option<&'static str>)>>);

impl Mine {
    pub fn lay(app: &App) -> Self {
        let mine = Self::default();
        let laid = mine.clone();
        app.db().observe(move |statement, _| {
            let mut armed = laid.0.lock().unwrap();
            let next = armed.0.is_some_and(|text| statement.sql.contains(text));
            let valued = armed.1.is_some_and(|text| format!("{:?}", statement.values).contains(text));
            if next {
                armed.0 = None;
            }
            drop(armed);
            assert!(!next && !valued, "on purpose");
        });
        mine
    }

    pub fn arm(&self, text: &'static str) {
        self.0.lock().unwrap().0 = Some(text);
    }

    pub fn is_armed(&self) -> bool {
        self.0.lock().unwrap().0.is_some()
    }

    fn poison(&self, value: Option<&'static str>) {
        self.0.lock().unwrap().1 = value;
    }
}

/// Returns sends with a `temp_id` each, so that they can be repeated.
const SENDS: usize = 600;

#[test]
fn a_send_over_which_the_writer_panics_fails_alone() {
    on_each_database(&async |test: &TestApp| {
        let mine = Mine::lay(&test.app);
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let text = |number: usize| if number == 333 { "poison".to_owned() } else { format!("number {number}") };
        let post = |number: usize| TestSend::new(group, &users[0], text(number)).with_temp_id(number.to_string());
        mine.poison(Some("poison"));
        let answers: Vec<_> = (0..SENDS).map(|number| test.enqueue(post(number))).collect();
        for (number, answer) in answers.into_iter().enumerate() {
            let outcome = timeout(DEADLINE, answer).await.expect("every send is answered").unwrap();
            assert_eq!(outcome.err().map(|error| error.code()), (number == 333).then_some(Code::Unavailable));
        }
        expect_failing(&test.app, "writer").await;
        mine.poison(None);
        test.send(post(333)).await.unwrap();
        let stored = test.rows("SELECT 1 FROM messages WHERE temp_id IS NOT NULL").await.len();
        assert_eq!(stored, SENDS);
        test.check_stored_state().await;
    });
}

#[test]
fn a_panic_of_a_writer_answers_its_sends_and_loses_none_that_wait() {
    on_each_database(&async |test: &TestApp| {
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let post = |number: usize| {
            TestSend::new(group, &users[0], format!("number {number}")).with_temp_id(number.to_string())
        };
        // In the middle of the answers to a batch.
        test.enqueue_with(post(SENDS), |_| panic!("on purpose"));
        let answers: Vec<_> = (0..SENDS).map(|number| test.enqueue(post(number))).collect();
        for answer in answers {
            let outcome = timeout(DEADLINE, answer).await.expect("every send is answered").unwrap();
            assert!(outcome.is_ok() || outcome.is_err_and(|error| error.code() == Code::Unavailable));
        }
        expect_failing(&test.app, "writer").await;
        // Whatever the outcome, each send is stored exactly once after it was repeated.
        for number in 0..=SENDS {
            test.send(post(number)).await.unwrap();
        }
        let stored = test.rows("SELECT 1 FROM messages WHERE temp_id IS NOT NULL").await.len();
        assert_eq!(stored, SENDS + 1);
        test.wait_for_transactions().await;
    });
}

#[test]
fn a_panic_of_the_writer_of_marks_answers_and_it_goes_on() {
    on_each_database(&async |test: &TestApp| {
        let mine = Mine::lay(&test.app);
        let users = test.users(2).await;
        let direct = test.direct(&users[0], &users[1]).await;
        test.send(TestSend::new(direct, &users[0], "hello")).await.unwrap();
        mine.arm("UPDATE participants");
        let read = marks::update_read_mark(&test.app, &users[1], direct, ReadTarget::End);
        let outcome = timeout(DEADLINE, read).await.expect("it is answered");
        assert_eq!(outcome.unwrap_err().code(), Code::Unavailable);
        expect_failing(&test.app, "marks_writer").await;
        let mark = marks::update_read_mark(&test.app, &users[1], direct, ReadTarget::End).await.unwrap();
        assert_eq!((mark.last_read_seq.0, mark.unread_count), (1, 0));
    });
}

/// A room that records what it gets, and a hub with this room alone.
struct Room(mpsc::UnboundedSender<ToRoom>, Stream);

impl Actor for Room {
    type Context = Context<Self>;
}

impl Handler<ToRoom> for Room {
    type Result = ();

    fn handle(&mut self, message: ToRoom, _: &mut Self::Context) {
        let _ = self.0.send(message);
    }
}

impl Handler<mailboxes::Heads> for Room {
    type Result = ();

    fn handle(&mut self, mailboxes::Heads(streams): mailboxes::Heads, _: &mut Self::Context) {
        for (_, rev) in streams {
            let _ = self.0.send(ToRoom::Head(rev));
        }
    }
}

impl Handler<ListOpenStreams> for Room {
    type Result = Vec<Stream>;

    fn handle(&mut self, _: ListOpenStreams, _: &mut Self::Context) -> Vec<Stream> {
        vec![self.1]
    }
}

#[test]
fn a_read_of_the_log_that_panics_has_failed_and_the_next_is_served() {
    on_each_database(&async |test: &TestApp| {
        let mine = Mine::lay(&test.app);
        let users = test.users(1).await;
        let stream = Stream::Conversation(test.group(&users).await);
        let (sender, mut received) = mpsc::unbounded_channel();
        let room = Room(sender, stream).start();
        let (queue, reads) = mpsc::channel(16);
        test.app.spawn(log_reader::run(test.app.clone(), reads));
        let mut read = async || {
            let read = ReadLog::new(stream, Rev(0), ReadPurpose::Gap, room.clone().recipient());
            queue.send(read).await.unwrap();
            match timeout(DEADLINE, received.recv()).await.expect("the room is answered") {
                Some(ToRoom::Read { frames, .. }) => frames.map(|frames| frames.len()),
                other => panic!("{other:?}"),
            }
        };
        let rows = read().await;
        assert!(rows.is_some_and(|rows| rows > 0));
        mine.arm("outbox");
        assert_eq!(read().await, None);
        expect_failing(&test.app, "log_reader").await;
        assert_eq!(read().await, rows);
    });
}

#[test]
fn the_catch_up_begins_anew_and_tells_what_it_did_not() {
    on_each_database(&async |test: &TestApp| {
        let mine = Mine::lay(&test.app);
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let (sender, mut received) = mpsc::unbounded_channel();
        let hub = Room(sender, Stream::Conversation(group)).start();
        let schedule = CatchUpSchedule::default();
        let outlet = CatchUpHub { heads: hub.clone().recipient(), open_streams: hub.recipient() };
        mine.arm("max(rev)");
        test.app.spawn(catch_up::run(test.app.clone(), outlet, schedule.clone()));
        expect_failing(&test.app, "catch_up").await;
        let sent = test.send(TestSend::new(group, &users[0], "hello")).await.unwrap();
        schedule.wake();
        let head_received = async {
            while let Some(message) = received.recv().await {
                if matches!(message, ToRoom::Head(rev) if rev == sent.rev) {
                    return;
                }
            }
        };
        timeout(DEADLINE, head_received).await.expect("it continues");
    });
}

#[test]
fn who_was_last_there_is_announced_and_written_down_after_a_panic() {
    on_each_database(&async |test: &TestApp| {
        let mine = Mine::lay(&test.app);
        let users = test.users(1).await;
        let registry = Presence::new(test.app.clone()).start();
        let mut subscriber = super::TestSession::new();
        subscriber.user = users[0].user_id;
        mine.arm("c.kind = 'direct'");
        let handle = subscriber.handle(users[0].user_id);
        let session = handle.id;
        registry.send(ToPresence::Opened(handle, subscriber.addr.clone().recipient())).await.unwrap();
        expect_failing(&test.app, "presence_announcements").await;
        mine.arm("last_seen_at");
        registry
            .send(ToPresence::Set(users[0].user_id, session, greenroom::protocol::presence::OwnPresence::Away))
            .await
            .unwrap();
        expect_failing(&test.app, "last_seen").await;
        registry
            .send(ToPresence::Set(users[0].user_id, session, greenroom::protocol::presence::OwnPresence::Online))
            .await
            .unwrap();
        let seen = "SELECT 1 FROM users WHERE last_seen_at IS NOT NULL";
        timeout(DEADLINE, async { while test.rows(seen).await.is_empty() {} }).await.expect("it is written down");
    });
}

#[test]
fn every_task_of_the_relay_begins_anew() {
    on_each_database(&async |test: &TestApp| {
        let mine = Mine::lay(&test.app);
        let users = test.users(1).await;
        let group = test.group(&users).await;
        mine.arm("SELECT id, created_at FROM outbox");
        let relay = relay::start(&test.app);
        expect_failing(&test.app, "retention").await;
        mine.arm("AS newest");
        eventually("a look at the log", || !mine.is_armed()).await;
        let stamps = test.is_postgres().then_some(("sequencer", "WITH waiting AS"));
        for (part, statement) in [("reader statistics", "UPDATE readers")].into_iter().chain(stamps) {
            mine.arm(statement);
            test.send(TestSend::new(group, &users[0], "hello")).await.unwrap();
            expect_failing(&test.app, part).await;
        }
        let panics = |part| test.app.supervision().panic_count(part);
        assert!(panics("wakeup") + panics("sequencer") > 0, "one of them looked");
        // All of them continue: every message is counted, and none is counted twice.
        let counted = "SELECT CAST(messages AS BIGINT) AS messages FROM conversation_statistics";
        timeout(DEADLINE, async {
            loop {
                let rows = test.rows(counted).await;
                let messages = rows.first().map(|row| row.try_get::<i64>("", "messages").unwrap());
                let sent = test.rows("SELECT 1 FROM messages WHERE sender_id IS NOT NULL").await.len() as i64;
                if messages == Some(sent) {
                    break;
                }
            }
        })
        .await
        .expect("everything is counted");
        relay.stop().await;
    });
}
