//! Changes for more users than one transaction may lock: their steps continue at the cursor, whoever dies.

use super::harness::{polled, write};
use crate::harness::{Inside, on_each_database};
use greenroom::domain::ids::{ConversationId, MessageId, UserId};
use greenroom::domain::stream::Stream;
use greenroom::error::Error;
use greenroom::mailboxes::Ephemeral;
use greenroom::protocol::events::Event;
use greenroom::protocol::messages::MessageHidden;
use greenroom::relay;
use greenroom::relay::bulk::{BulkChange, BulkProgress, BulkRunner, BulkStep};
use greenroom::store::db::write_queue::WriteOwner;
use greenroom::work::transact::{Tx, WorkFuture, transact_for};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// Appends one event to the stream of each user of the argument, a few in a step.
#[derive(Default)]
struct Tell {
    /// The steps that fail from now on.
    failures: AtomicUsize,
    /// The greatest number of users of each step.
    limits: Mutex<Vec<usize>>,
}

/// Users of one step.
const STEP: usize = 3;

impl BulkChange for Tell {
    fn kind(&self) -> &'static str {
        "tell"
    }

    fn step<'t>(&'t self, tx: &'t mut Tx, step: BulkStep<'t>) -> WorkFuture<'t, BulkProgress> {
        Box::pin(async move {
            self.limits.lock().unwrap().push(step.max_users);
            let users: Vec<Uuid> = serde_json::from_str(step.argument).map_err(Error::internal)?;
            let from: usize = step.cursor.map_or(0, |cursor| cursor.parse().unwrap());
            let to = users.len().min(from + STEP.min(step.max_users));
            let now: Vec<UserId> = users[from..to].iter().copied().map(UserId).collect();
            tx.lock_users(&now).await?;
            let hidden = MessageHidden { conversation_id: ConversationId(Uuid::nil()), message_id: MessageId::new() };
            tx.append_same(&now, &Event::MessageHidden(hidden)).await?;
            if self.failures.load(Ordering::Relaxed) > 0 {
                self.failures.fetch_sub(1, Ordering::Relaxed);
                return Err(Error::internal("on purpose"));
            }
            let text = format!("{from}").into();
            let streams = now.into_iter().map(Stream::User).collect();
            let frames = vec![Ephemeral { streams, text, except: Arc::default() }];
            Ok(BulkProgress { next: (to < users.len()).then(|| to.to_string()), frames })
        })
    }
}

/// Starts the bulk change for these users in a transaction of its own, which fails if `fails`.
async fn start(inside: &Inside, users: &[UserId], fails: bool) {
    let users: Vec<Uuid> = users.iter().map(|user| user.0).collect();
    let started = transact_for(&inside.app, WriteOwner::Operator, 1, move |tx| {
        let users = users.clone();
        Box::pin(async move {
            tx.start_bulk_change("tell", &users).await?;
            if fails { Err(Error::internal("on purpose")) } else { Ok(()) }
        })
    });
    assert_eq!(started.await.is_err(), fails);
}

async fn users(inside: &Inside, count: usize) -> Vec<UserId> {
    inside.users(count).await.into_iter().map(|user| user.user_id).collect()
}

/// The unfinished bulk changes: attempts and status.
async fn unfinished(inside: &Inside) -> Vec<(i64, String)> {
    let rows = inside.rows("SELECT attempts, status FROM bulk_changes ORDER BY id").await;
    rows.iter().map(|row| (row.try_get("", "attempts").unwrap(), row.try_get("", "status").unwrap())).collect()
}

/// How many events of the bulk change each of the users has.
async fn told(inside: &Inside, users: &[UserId]) -> Vec<usize> {
    let mut counts = Vec::new();
    for user in users {
        let id = inside.literal(*user);
        let query = format!("SELECT rev FROM outbox WHERE stream_id = {id} AND event_type = 'message.hidden'");
        counts.push(inside.rows(&query).await.len());
    }
    counts
}

#[test]
fn a_bulk_change_dropped_at_any_await_reaches_every_user_once() {
    on_each_database(&async |inside: &Inside| {
        let users = users(inside, 10).await;
        let runners = [(); 2].map(|()| BulkRunner::new(inside.app.clone(), vec![Arc::new(Tell::default())]));
        let (mut polls, mut dropped, mut rounds) = (0, 0, 0);
        while dropped < 40 {
            start(inside, &users, false).await;
            start(inside, &users, true).await;
            rounds += 1;
            while !unfinished(inside).await.is_empty() {
                polls = polls % 8 + 1;
                // The transaction goes on by itself while the next node begins.
                dropped += usize::from(polled(runners[0].run_step(), polls).await.is_none());
                runners[1].run_step().await.unwrap();
            }
            inside.settled().await;
            assert_eq!(told(inside, &users).await, vec![rounds; 10]);
        }
        inside.audit().await;
    });
}

#[test]
fn a_step_that_fails_is_tried_again_with_fewer_users_and_given_up_in_the_end() {
    on_each_database(&async |inside: &Inside| {
        let users = users(inside, 5).await;
        let tell = Arc::new(Tell::default());
        let runner = BulkRunner::new(inside.app.clone(), vec![tell.clone()]);
        start(inside, &users, false).await;
        assert!(runner.run_step().await.unwrap());
        tell.failures.store(usize::MAX, Ordering::Relaxed);
        for attempt in 1..=10 {
            let failed = if attempt == 10 { "failed" } else { "running" };
            assert!(runner.run_step().await.unwrap());
            assert_eq!(unfinished(inside).await, [(attempt, failed.to_owned())]);
            assert!(!runner.run_step().await.unwrap(), "it pauses");
            write(inside, "UPDATE bulk_changes SET next_at = 0").await;
        }
        assert!(!runner.run_step().await.unwrap(), "it is given up");
        let limits = std::mem::take(&mut *tell.limits.lock().unwrap());
        assert_eq!(limits, [1000, 1000, 500, 250, 125, 62, 31, 15, 7, 3, 1]);
        assert_eq!(told(inside, &users).await, [1, 1, 1, 0, 0]);

        // The operator tries it again.
        tell.failures.store(0, Ordering::Relaxed);
        write(inside, "UPDATE bulk_changes SET status = 'running', attempts = 0").await;
        assert!(runner.run_step().await.unwrap() && !runner.run_step().await.unwrap());
        assert_eq!((unfinished(inside).await, told(inside, &users).await), (vec![], vec![1; 5]));
        assert_eq!(inside.notified(), ["0", "3"], "the frames of the steps that were committed");
        inside.audit().await;
    });
}

#[test]
fn the_relay_makes_bulk_changes_by_itself_and_names_those_that_failed() {
    on_each_database(&async |inside: &Inside| {
        let users = users(inside, 7).await;
        let tell = Arc::new(Tell::default());
        let relay = relay::start_with(&inside.app, Vec::new(), vec![tell.clone()]);
        start(inside, &users, false).await;
        crate::support::eventually("it is done", async || unfinished(inside).await.is_empty()).await;
        assert_eq!(told(inside, &users).await, [1; 7]);
        tell.failures.store(usize::MAX, Ordering::Relaxed);
        start(inside, &users, false).await;
        write(inside, "UPDATE bulk_changes SET attempts = 9").await;
        let failing = || inside.app.supervision().failing().contains(&"bulk change tell".to_owned());
        crate::support::eventually("it is named", async || {
            write(inside, "UPDATE bulk_changes SET next_at = 0, attempts = 9").await;
            failing()
        })
        .await;
        tell.failures.store(0, Ordering::Relaxed);
        write(inside, "UPDATE bulk_changes SET status = 'running', next_at = 0").await;
        crate::support::eventually("it is done too", async || unfinished(inside).await.is_empty() && !failing()).await;
        relay.stop().await;
        assert_eq!(told(inside, &users).await, [2; 7]);
    });
}

#[test]
fn a_kind_that_no_program_knows_waits() {
    on_each_database(&async |inside: &Inside| {
        let users = users(inside, 1).await;
        start(inside, &users, false).await;
        let other = BulkRunner::new(inside.app.clone(), Vec::new());
        assert!(!other.run_step().await.unwrap());
        assert_eq!(unfinished(inside).await, [(0, "running".to_owned())]);
    });
}
