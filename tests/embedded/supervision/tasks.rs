//! Panics of the tasks that use the database: one statement of each task panics.

use super::{DEADLINE, expect_failing};
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

/// Makes statements panic: the next one that contains a text, or all that have a text among their values, as it is or in
/// hexadecimal.
#[derive(Clone, Default)]
pub struct PanickingStatements(Arc<Mutex<(Option<&'static str>, Option<&'static str>)>>);

impl PanickingStatements {
    pub fn install(app: &App) -> Self {
        let panics = Self::default();
        let installed = panics.clone();
        app.db().observe(move |statement, _| {
            let mut texts = installed.0.lock().unwrap();
            let is_next = texts.0.is_some_and(|text| statement.sql.contains(text));
            let values = format!("{:?}", statement.values);
            let has_value = texts.1.is_some_and(|text| values.contains(text) || values.contains(&to_hex(text)));
            if is_next {
                texts.0 = None;
            }
            drop(texts);
            assert!(!is_next && !has_value, "on purpose");
        });
        panics
    }

    pub fn at_next(&self, text: &'static str) {
        self.0.lock().unwrap().0 = Some(text);
    }

    fn at_value(&self, value: Option<&'static str>) {
        self.0.lock().unwrap().1 = value;
    }
}

fn to_hex(text: &str) -> String {
    text.bytes().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

/// The number of sends. Each has a `temp_id`, so that it can be repeated.
const SENDS: usize = 600;

#[test]
fn a_send_that_makes_the_writer_panic_fails_alone() {
    on_each_database(&async |test: &TestApp| {
        let panics = PanickingStatements::install(&test.app);
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let text = |number: usize| if number == 333 { "panics".to_owned() } else { format!("number {number}") };
        let new_send = |number: usize| TestSend::new(group, &users[0], text(number)).with_temp_id(number.to_string());
        panics.at_value(Some("panics"));
        let answers: Vec<_> = (0..SENDS).map(|number| test.enqueue(new_send(number))).collect();
        for (number, answer) in answers.into_iter().enumerate() {
            let outcome = timeout(DEADLINE, answer).await.expect("every send is answered").unwrap();
            assert_eq!(outcome.err().map(|error| error.code()), (number == 333).then_some(Code::Unavailable));
        }
        expect_failing(&test.app, "writer").await;
        panics.at_value(None);
        test.send(new_send(333)).await.unwrap();
        let stored = test.rows("SELECT 1 FROM messages WHERE temp_id IS NOT NULL").await.len();
        assert_eq!(stored, SENDS);
        test.check_stored_state().await;
    });
}

#[test]
fn after_a_panic_of_a_writer_every_send_is_answered_and_none_is_lost() {
    on_each_database(&async |test: &TestApp| {
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let new_send = |number: usize| {
            TestSend::new(group, &users[0], format!("number {number}")).with_temp_id(number.to_string())
        };
        // This panic happens in the middle of the answers to a batch.
        test.enqueue_with(new_send(SENDS), |_| panic!("on purpose"));
        let answers: Vec<_> = (0..SENDS).map(|number| test.enqueue(new_send(number))).collect();
        for answer in answers {
            let outcome = timeout(DEADLINE, answer).await.expect("every send is answered").unwrap();
            assert!(outcome.is_ok() || outcome.is_err_and(|error| error.code() == Code::Unavailable));
        }
        expect_failing(&test.app, "writer").await;
        // Whatever the outcome, each send is stored exactly once after it was repeated.
        for number in 0..=SENDS {
            test.send(new_send(number)).await.unwrap();
        }
        let stored = test.rows("SELECT 1 FROM messages WHERE temp_id IS NOT NULL").await.len();
        assert_eq!(stored, SENDS + 1);
        test.wait_for_transactions().await;
    });
}

#[test]
fn after_a_panic_the_marks_writer_answers_and_continues() {
    on_each_database(&async |test: &TestApp| {
        let panics = PanickingStatements::install(&test.app);
        let users = test.users(2).await;
        let direct = test.direct(&users[0], &users[1]).await;
        test.send(TestSend::new(direct, &users[0], "hello")).await.unwrap();
        panics.at_next("UPDATE participants");
        let read = marks::update_read_mark(&test.app, &users[1], direct, ReadTarget::End);
        let outcome = timeout(DEADLINE, read).await.expect("the mark is answered");
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
fn a_log_read_that_panics_fails_and_the_next_one_succeeds() {
    on_each_database(&async |test: &TestApp| {
        let panics = PanickingStatements::install(&test.app);
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
                Some(ToRoom::Read { envelopes, .. }) => envelopes.map(|envelopes| envelopes.len()),
                other => panic!("{other:?}"),
            }
        };
        let rows = read().await;
        assert!(rows.is_some_and(|rows| rows > 0));
        panics.at_next("outbox");
        assert_eq!(read().await, None);
        expect_failing(&test.app, "log_reader").await;
        assert_eq!(read().await, rows);
    });
}

#[test]
fn the_catch_up_restarts_and_informs_rooms_of_missed_events() {
    on_each_database(&async |test: &TestApp| {
        let panics = PanickingStatements::install(&test.app);
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let (sender, mut received) = mpsc::unbounded_channel();
        let hub = Room(sender, Stream::Conversation(group)).start();
        let schedule = CatchUpSchedule::default();
        let catch_up_hub = CatchUpHub { heads: hub.clone().recipient(), open_streams: hub.recipient() };
        panics.at_next("max(rev)");
        test.app.spawn(catch_up::run(test.app.clone(), catch_up_hub, schedule.clone()));
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
        timeout(DEADLINE, head_received).await.expect("the catch-up continues");
    });
}

#[test]
fn presence_is_announced_and_stored_after_a_panic() {
    on_each_database(&async |test: &TestApp| {
        let panics = PanickingStatements::install(&test.app);
        let users = test.users(1).await;
        let presence_actor = Presence::new(test.app.clone()).start();
        let mut subscriber = super::TestSession::new();
        subscriber.user = users[0].user_id;
        panics.at_next("c.kind = 'direct'");
        let handle = subscriber.handle(users[0].user_id);
        let session = handle.id;
        presence_actor.send(ToPresence::Opened(handle, subscriber.addr.clone().recipient())).await.unwrap();
        expect_failing(&test.app, "presence_announcements").await;
        panics.at_next("last_seen_at");
        presence_actor
            .send(ToPresence::Set(users[0].user_id, session, greenroom::protocol::presence::OwnPresence::Away))
            .await
            .unwrap();
        expect_failing(&test.app, "last_seen").await;
        presence_actor
            .send(ToPresence::Set(users[0].user_id, session, greenroom::protocol::presence::OwnPresence::Online))
            .await
            .unwrap();
        let seen = "SELECT 1 FROM users WHERE last_seen_at IS NOT NULL";
        timeout(DEADLINE, async { while test.rows(seen).await.is_empty() {} }).await.expect("the time is stored");
    });
}

#[test]
fn every_task_of_the_relay_restarts() {
    on_each_database(&async |test: &TestApp| {
        let panics = PanickingStatements::install(&test.app);
        let users = test.users(1).await;
        let group = test.group(&users).await;
        panics.at_next("SELECT id, created_at FROM outbox");
        let relay = relay::start(&test.app);
        expect_failing(&test.app, "retention").await;
        // When all rows are counted, only the wakeup reads the end of the log.
        let unread = "SELECT 1 FROM readers WHERE cursor < (SELECT max(id) FROM outbox) OR leased_until = 0";
        timeout(DEADLINE, async { while !test.rows(unread).await.is_empty() {} }).await.expect("all rows are counted");
        panics.at_next("SELECT COALESCE(max(id), 0) AS newest FROM outbox");
        expect_failing(&test.app, "wakeup").await;
        // Only readers of the log read this table.
        panics.at_next("next_at FROM reader_failures");
        test.send(TestSend::new(group, &users[0], "hello")).await.unwrap();
        expect_failing(&test.app, "reader statistics").await;
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
        .expect("all messages are counted");
        relay.stop().await;
    });
}
