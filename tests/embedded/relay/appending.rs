//! Readers that append events and return frames: both reach the subscribers after the commit, and not without it.

use super::harness::{Node, TestGroup, end_pauses, poll_at_most};
use crate::harness::{TestApp, on_each_database};
use crate::support::Random;
use greenroom::domain::ids::{ConversationId, UserId};
use greenroom::domain::stream::Stream;
use greenroom::error::Error;
use greenroom::mailboxes::Ephemeral;
use greenroom::protocol::event_type::{EventType, StoredEventType};
use greenroom::protocol::events::Event;
use greenroom::protocol::messages::MessageHidden;
use greenroom::relay::reader::{Begin, Reader};
use greenroom::store::log::pages::LogRow;
use greenroom::work::transact::WorkFuture;
use greenroom::work::tx::Tx;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Appends an event to the user stream of the sender of each message, and returns an ephemeral frame for this stream.
#[derive(Default)]
struct Echo {
    /// True if the reader fails after it has appended.
    fails: AtomicBool,
}

impl Reader for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn begin(&self) -> Begin {
        Begin::Now
    }

    fn max_lag(&self) -> Duration {
        Duration::from_hours(1)
    }

    fn page_interval(&self) -> Duration {
        Duration::ZERO
    }

    fn handle<'t>(&'t self, tx: &'t mut Tx, rows: &'t [&'t LogRow]) -> WorkFuture<'t, Vec<Ephemeral>> {
        Box::pin(async move {
            let is_message = |row: &&&LogRow| row.event_type == StoredEventType::Known(EventType::MessageNew);
            let mut senders = Vec::new();
            for row in rows.iter().filter(is_message) {
                let frame: Value = serde_json::from_str(&row.text).unwrap();
                let message = &frame["payload"]["message"];
                let Some(sender) = message["sender_id"].as_str() else { continue };
                let id = message["id"].as_str().unwrap().parse().map(greenroom::domain::ids::MessageId);
                senders.push((UserId(sender.parse().unwrap()), id.unwrap(), ConversationId(row.stream.id())));
            }
            let mut users: Vec<UserId> = senders.iter().map(|(user, ..)| *user).collect();
            users.sort_unstable();
            users.dedup();
            tx.lock_users(&users).await?;
            let mut frames = Vec::new();
            for (user, message_id, conversation_id) in senders {
                let stream = Stream::User(user);
                tx.append(stream, &Event::MessageHidden(MessageHidden { conversation_id, message_id }));
                let text = message_id.to_string().into();
                frames.push(Ephemeral { streams: vec![stream], text, except: Arc::default() });
            }
            tx.flush().await?;
            if self.fails.load(Ordering::Relaxed) && !frames.is_empty() {
                return Err(Error::internal("on purpose"));
            }
            Ok(frames)
        })
    }
}

#[test]
fn events_and_frames_of_a_reader_are_delivered_after_its_commit_and_not_without_it() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = Arc::new(Echo::default());
        let node = Node::with(test, "node", reader.clone());
        let mut group = TestGroup::new(test).await;
        node.read().await;
        test.check_stored_state().await;
        let count_echoes = |group: &TestGroup| -> usize {
            group.users.iter().map(|user| test.delivered_revs(Stream::User(user.user_id)).len()).sum()
        };
        // The other frames are about read marks, and are JSON.
        let count_frames = || test.notified().iter().filter(|text| !text.starts_with('{')).count();
        let before = count_echoes(&group);

        reader.fails.store(true, Ordering::Relaxed);
        group.send(test, &mut random).await;
        group.send(test, &mut random).await;
        node.read().await;
        end_pauses(test).await;
        node.read().await;
        test.check_stored_state().await;
        assert_eq!(
            (count_echoes(&group), count_frames()),
            (before, 0),
            "an event or a frame was delivered without a commit"
        );

        reader.fails.store(false, Ordering::Relaxed);
        end_pauses(test).await;
        group.send(test, &mut random).await;
        node.read().await;
        // The check compares the log with the delivered events.
        test.check_stored_state().await;
        assert_eq!((count_echoes(&group), count_frames()), (before + 3, 3), "each is delivered once");
    });
}

#[test]
fn an_appending_reader_dropped_at_any_await_appends_everything_once() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let node = Node::with(test, "node", Arc::new(Echo::default()));
        let mut group = TestGroup::new(test).await;
        node.read().await;
        let count_appended =
            async || test.rows("SELECT id FROM outbox WHERE event_type = 'message.hidden'").await.len();
        let (mut polls, mut dropped, mut sent) = (0, 0, 0);
        while dropped < 40 {
            polls = polls % 14 + 1;
            for _ in 0..2 {
                group.send(test, &mut random).await;
            }
            sent += 2;
            node.raise_floor().await;
            dropped += usize::from(poll_at_most(node.runner.run_round(), polls).await.is_none());
            node.read().await;
            assert_eq!(count_appended().await, sent);
        }
        // A COMMIT that was sent before the drop is delivered by the catch-up, which does not run here.
        test.stored_state().await;
    });
}
