//! Changes for more users than one transaction may lock: their steps continue at the cursor after a node or a process
//! has died.

use super::harness::{is_failing, poll_at_most, time_out, write};
use crate::harness::{TestApp, in_folder, on_each_database, on_postgres};
use crate::support::{Random, eventually};
use greenroom::domain::ids::{ConversationId, MessageId, UserId};
use greenroom::domain::stream::Stream;
use greenroom::error::Error;
use greenroom::mailboxes::Ephemeral;
use greenroom::protocol::events::Event;
use greenroom::protocol::messages::MessageHidden;
use greenroom::relay;
use greenroom::relay::bulk::{BulkChange, BulkProgress, BulkRunner, BulkStep};
use greenroom::store::db::write_queue::WriteOwner;
use greenroom::work::transact::{WorkFuture, transact_for};
use greenroom::work::tx::Tx;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// Appends one event to the stream of each user of the argument, a few in a step.
#[derive(Default)]
pub struct AppendToEach {
    /// The number of steps that still fail.
    pub failures: AtomicUsize,
    /// A step of this number of users or more takes too long; 0 if no step does.
    pub slow_from: AtomicUsize,
    /// The greatest number of users of each step.
    pub limits: Mutex<Vec<usize>>,
}

/// The name of the bulk change in `/health`.
pub const PART: &str = "bulk change append to each";

/// The number of users of one step.
const STEP: usize = 3;

impl BulkChange for AppendToEach {
    fn kind(&self) -> &'static str {
        "append to each"
    }

    fn step<'t>(&'t self, tx: &'t mut Tx, step: BulkStep<'t>) -> WorkFuture<'t, BulkProgress> {
        Box::pin(async move {
            self.limits.lock().unwrap().push(step.max_users);
            let slow_from = self.slow_from.load(Ordering::Relaxed);
            if slow_from > 0 && step.max_users >= slow_from {
                return Err(time_out().await);
            }
            let users: Vec<Uuid> = serde_json::from_str(step.argument).map_err(Error::internal)?;
            let start: usize = step.cursor.map_or(0, |cursor| cursor.parse().unwrap());
            let end = users.len().min(start + STEP.min(step.max_users));
            let step_users: Vec<UserId> = users[start..end].iter().copied().map(UserId).collect();
            tx.lock_users(&step_users).await?;
            let hidden = MessageHidden { conversation_id: ConversationId(Uuid::nil()), message_id: MessageId::new() };
            tx.append_same(&step_users, &Event::MessageHidden(hidden)).await?;
            if self.failures.load(Ordering::Relaxed) > 0 {
                self.failures.fetch_sub(1, Ordering::Relaxed);
                return Err(Error::internal("on purpose"));
            }
            let text = format!("{start}").into();
            let streams = step_users.into_iter().map(Stream::User).collect();
            let frames = vec![Ephemeral { streams, text, except: Arc::default() }];
            Ok(BulkProgress { next: (end < users.len()).then(|| end.to_string()), frames })
        })
    }
}

/// Starts the bulk change for these users in a transaction of its own. The transaction fails if `fails` is true.
pub async fn start(test: &TestApp, users: &[UserId], fails: bool) {
    let users: Vec<Uuid> = users.iter().map(|user| user.0).collect();
    let started = transact_for(&test.app, WriteOwner::Operator, 1, move |tx| {
        let users = users.clone();
        Box::pin(async move {
            tx.start_bulk_change("append to each", &users).await?;
            if fails { Err(Error::internal("on purpose")) } else { Ok(()) }
        })
    });
    assert_eq!(started.await.is_err(), fails);
}

pub async fn users(test: &TestApp, count: usize) -> Vec<UserId> {
    test.users(count).await.into_iter().map(|user| user.user_id).collect()
}

/// Returns the attempts and the status of each unfinished bulk change.
pub async fn list_unfinished(test: &TestApp) -> Vec<(i64, String)> {
    let rows = test.rows("SELECT attempts, status FROM bulk_changes ORDER BY id").await;
    rows.iter().map(|row| (row.try_get("", "attempts").unwrap(), row.try_get("", "status").unwrap())).collect()
}

/// Returns for each user how many events of the bulk change are in the user's stream.
pub async fn count_events(test: &TestApp, users: &[UserId]) -> Vec<usize> {
    let mut counts = Vec::new();
    for user in users {
        let id = test.id_literal(*user);
        let query = format!("SELECT rev FROM outbox WHERE stream_id = {id} AND event_type = 'message.hidden'");
        counts.push(test.rows(&query).await.len());
    }
    counts
}

#[test]
fn a_bulk_change_dropped_at_any_await_reaches_every_user_once() {
    on_each_database(&async |test: &TestApp| {
        let users = users(test, 10).await;
        let runners = [(); 2].map(|()| BulkRunner::new(test.app.clone(), vec![Arc::new(AppendToEach::default())]));
        let (mut polls, mut dropped, mut rounds) = (0, 0, 0);
        while dropped < 40 {
            start(test, &users, false).await;
            start(test, &users, true).await;
            rounds += 1;
            while !list_unfinished(test).await.is_empty() {
                polls = polls % 8 + 1;
                // The transaction continues by itself while the second node begins its step.
                dropped += usize::from(poll_at_most(runners[0].run_step(), polls).await.is_none());
                runners[1].run_step().await.unwrap();
            }
            test.wait_for_transactions().await;
            assert_eq!(count_events(test, &users).await, vec![rounds; 10]);
        }
        test.check_stored_state().await;
    });
}

#[test]
fn a_failing_step_is_tried_again_with_fewer_users_and_finally_given_up() {
    on_each_database(&async |test: &TestApp| {
        let users = users(test, 5).await;
        let kind = Arc::new(AppendToEach::default());
        let runner = BulkRunner::new(test.app.clone(), vec![kind.clone()]);
        start(test, &users, false).await;
        assert!(runner.run_step().await.unwrap());
        kind.failures.store(usize::MAX, Ordering::Relaxed);
        for attempt in 1..=10 {
            let failed = if attempt == 10 { "failed" } else { "running" };
            assert!(runner.run_step().await.unwrap());
            assert_eq!(list_unfinished(test).await, [(attempt, failed.to_owned())]);
            assert!(!runner.run_step().await.unwrap(), "the bulk change pauses");
            write(test, "UPDATE bulk_changes SET next_at = 0").await;
        }
        assert!(!runner.run_step().await.unwrap(), "the bulk change is given up");
        let limits = std::mem::take(&mut *kind.limits.lock().unwrap());
        assert_eq!(limits, [1000, 1000, 500, 250, 125, 62, 31, 15, 7, 3, 1]);
        assert_eq!(count_events(test, &users).await, [1, 1, 1, 0, 0]);

        // The operator starts the bulk change again.
        kind.failures.store(0, Ordering::Relaxed);
        write(test, "UPDATE bulk_changes SET status = 'running', attempts = 0").await;
        assert!(runner.run_step().await.unwrap() && !runner.run_step().await.unwrap());
        assert_eq!((list_unfinished(test).await, count_events(test, &users).await), (vec![], vec![1; 5]));
        eventually("the committed steps have sent their frames", async || test.notified() == ["0", "3"]).await;
        test.check_stored_state().await;
    });
}

#[test]
fn the_relay_makes_bulk_changes_by_itself_and_names_those_that_failed() {
    on_each_database(&async |test: &TestApp| {
        let users = users(test, 7).await;
        let kind = Arc::new(AppendToEach::default());
        let relay = relay::start_with(&test.app, Vec::new(), vec![kind.clone()]);
        start(test, &users, false).await;
        eventually("the bulk change is done", async || list_unfinished(test).await.is_empty()).await;
        assert_eq!(count_events(test, &users).await, [1; 7]);
        kind.failures.store(usize::MAX, Ordering::Relaxed);
        start(test, &users, false).await;
        write(test, "UPDATE bulk_changes SET attempts = 9").await;
        let failing = || is_failing(test, PART);
        eventually("the failed bulk change is named", async || {
            write(test, "UPDATE bulk_changes SET next_at = 0, attempts = 9").await;
            failing()
        })
        .await;
        kind.failures.store(0, Ordering::Relaxed);
        write(test, "UPDATE bulk_changes SET status = 'running', next_at = 0").await;
        eventually("the second bulk change is done", async || list_unfinished(test).await.is_empty() && !failing())
            .await;
        relay.stop().await;
        assert_eq!(count_events(test, &users).await, [2; 7]);
    });
}

#[test]
fn a_bulk_change_of_an_unknown_kind_waits() {
    on_each_database(&async |test: &TestApp| {
        let users = users(test, 1).await;
        start(test, &users, false).await;
        let other = BulkRunner::new(test.app.clone(), Vec::new());
        assert!(!other.run_step().await.unwrap());
        assert_eq!(list_unfinished(test).await, [(0, "running".to_owned())]);
    });
}

/// The environment variable with the folder of a process that the test below kills. The process uses PostgreSQL if
/// `DATABASE_URL` is set too.
const FOLDER: &str = "GREENROOM_TEST_KILLED_FOLDER";
const KILLED: &str = "relay::bulk_changes::runs_only_in_a_process_that_is_killed";

/// Starts a bulk change if there is none yet, and makes its steps. After the last step it checks that each user has one
/// event of it.
#[test]
fn runs_only_in_a_process_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    in_folder(folder, std::env::var("DATABASE_URL").ok().as_deref(), &async |test: &TestApp| {
        if test.rows("SELECT id FROM users").await.is_empty() {
            let users = users(test, 240).await;
            start(test, &users, false).await;
        }
        let relay = relay::start_with(&test.app, Vec::new(), vec![Arc::new(AppendToEach::default())]);
        std::fs::write(folder.join("running"), "").unwrap();
        eventually("all steps are done", async || list_unfinished(test).await.is_empty()).await;
        relay.stop().await;
        let events = "SELECT id FROM outbox WHERE event_type = 'message.hidden'";
        let reached = "SELECT DISTINCT stream_id FROM outbox WHERE event_type = 'message.hidden'";
        assert_eq!((test.rows(events).await.len(), test.rows(reached).await.len()), (240, 240));
    });
}

/// Starts processes that make the steps and kills them, until one process makes the last step. Returns the number of
/// killed processes.
fn kill_until_done(url: Option<&str>, random: &mut Random) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let running = folder.path().join("running");
    for killed in 0.. {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([KILLED, "--exact"]).env(FOLDER, folder.path()).env_remove("DATABASE_URL");
        let mut process = command.envs(url.map(|url| ("DATABASE_URL", url))).spawn().unwrap();
        let mut time_left = Duration::from_millis(random.between(5, 60));
        let ended = loop {
            match process.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if time_left.is_zero() => break None,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
            if running.exists() {
                time_left = time_left.saturating_sub(Duration::from_millis(1));
            }
        };
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            return killed;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        std::fs::remove_file(&running).unwrap();
    }
    unreachable!("the loop ends when a process has made the last step")
}

#[test]
fn a_bulk_change_continues_at_its_cursor_after_the_process_was_killed() {
    let mut random = Random::from_environment();
    let killed = kill_until_done(None, &mut random);
    assert!(killed > 0, "the first process made all steps before it was killed");
    on_postgres(&async |test: &TestApp| {
        let killed = kill_until_done(test.url().as_deref(), &mut Random::from_environment());
        assert!(killed > 0, "the first process made all steps before it was killed");
    });
}
