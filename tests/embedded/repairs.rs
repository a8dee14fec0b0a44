//! The log reader repairs rooms that are behind: many with one query, each with its own events.

use crate::harness::{TestApp, TestSend, on_each_database};
use actix::prelude::*;
use greenroom::domain::ids::Rev;
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::{ReadLog, ReadPurpose, ToRoom};
use greenroom::realtime::log_reader;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
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
