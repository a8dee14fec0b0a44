//! Bulk changes that cannot continue: steps that take too long, cursors that look alike, and what `/health` names.

use super::bulk_changes::{AppendToEach, PART, count_events, list_unfinished, start, users};
use super::harness::{is_failing, write};
use crate::harness::{TestApp, on_each_database};
use crate::support::eventually;
use greenroom::domain::ids::UserId;
use greenroom::domain::time::Timestamp;
use greenroom::relay;
use greenroom::relay::bulk::{BulkChange, BulkProgress, BulkRunner, BulkStep};
use greenroom::relay::failures::MAX_ATTEMPTS;
use greenroom::store::bulk_changes::{self, DueBulkChange};
use greenroom::store::db::pools::ReadPool;
use greenroom::store::db::write_queue::WriteOwner;
use greenroom::work::transact::{WorkFuture, transact_for};
use greenroom::work::tx::Tx;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns a runner of a kind whose steps of `slow_from` users or more take too long, and the users of a bulk change
/// that has started.
async fn start_slow(test: &TestApp, slow_from: usize) -> (Arc<AppendToEach>, BulkRunner, Vec<UserId>) {
    let users = users(test, 10).await;
    let kind = Arc::new(AppendToEach::default());
    kind.slow_from.store(slow_from, Ordering::Relaxed);
    let runner = BulkRunner::new(test.app.clone(), vec![kind.clone()]);
    start(test, &users, false).await;
    (kind, runner, users)
}

#[test]
fn steps_keep_the_size_that_worked_and_grow_again() {
    on_each_database(&async |test: &TestApp| {
        let (kind, runner, users) = start_slow(test, 400).await;
        while !list_unfinished(test).await.is_empty() {
            assert_eq!(list_unfinished(test).await, [(0, "running".to_owned())], "a timeout is no attempt");
            write(test, "UPDATE bulk_changes SET next_at = 0").await;
            assert!(runner.run_step().await.unwrap());
        }
        assert_eq!(*kind.limits.lock().unwrap(), [1000, 500, 250, 312, 374, 436, 218]);
        assert_eq!(count_events(test, &users).await, [1; 10]);
    });
}

#[test]
fn a_step_that_always_takes_too_long_is_never_given_up() {
    on_each_database(&async |test: &TestApp| {
        let (kind, runner, users) = start_slow(test, 1).await;
        for _ in 0..MAX_ATTEMPTS + 3 {
            assert!(runner.run_step().await.unwrap());
            assert!(!runner.run_step().await.unwrap(), "the bulk change pauses");
            assert_eq!(list_unfinished(test).await, [(0, "running".to_owned())]);
            write(test, "UPDATE bulk_changes SET next_at = 0").await;
        }
        let relay = relay::start_with(&test.app, Vec::new(), vec![kind.clone()]);
        eventually("the bulk change is named", async || is_failing(test, PART)).await;
        kind.slow_from.store(0, Ordering::Relaxed);
        eventually("the bulk change is done", async || {
            write(test, "UPDATE bulk_changes SET next_at = 0").await;
            list_unfinished(test).await.is_empty() && !is_failing(test, PART)
        })
        .await;
        relay.stop().await;
        assert_eq!(count_events(test, &users).await, [1; 10]);
    });
}

/// Returns the bulk change of the test as a runner reads it before it locks it.
async fn read_due(test: &TestApp) -> DueBulkChange {
    let kinds = ["append to each".to_owned()];
    let conn = test.app.db().read(ReadPool::Log);
    bulk_changes::next_due(conn, &kinds, Timestamp::now()).await.unwrap().unwrap()
}

#[test]
fn an_empty_cursor_is_not_the_start() {
    on_each_database(&async |test: &TestApp| {
        start(test, &users(test, 1).await, false).await;
        let locks = async |due: &DueBulkChange| {
            let due = due.clone();
            transact_for(&test.app, WriteOwner::BulkChanges, 1, move |tx| {
                let due = due.clone();
                Box::pin(async move { Ok(bulk_changes::lock(tx.conn(), &due).await?) })
            })
            .await
            .unwrap()
        };
        let first = read_due(test).await;
        assert!(locks(&first).await);
        write(test, "UPDATE bulk_changes SET cursor = ''").await;
        assert!(!locks(&first).await, "the second node would make the first step again");
        assert!(locks(&read_due(test).await).await);
    });
}

#[test]
fn a_kind_that_no_node_knows_is_named() {
    on_each_database(&async |test: &TestApp| {
        let reports = Arc::new(AtomicUsize::new(0));
        let counter = reports.clone();
        test.app.db().observe(move |statement, _| {
            counter.fetch_add(usize::from(statement.sql.contains("AS due_since")), Ordering::Relaxed);
        });
        let relay = relay::start_with(&test.app, Vec::new(), Vec::new());
        start(test, &users(test, 1).await, false).await;
        let before = reports.load(Ordering::Relaxed);
        // The second of these reports began after the bulk change, and ended before the third.
        eventually("the kinds are reported", async || reports.load(Ordering::Relaxed) >= before + 3).await;
        assert!(!is_failing(test, PART), "a node that knows the kind may make the step soon");
        write(test, "UPDATE bulk_changes SET next_at = 0").await;
        eventually("the unknown kind is named", async || is_failing(test, PART)).await;
        write(test, "DELETE FROM bulk_changes").await;
        eventually("the kind is not named", async || !is_failing(test, PART)).await;
        relay.stop().await;
    });
}

/// A kind whose bulk changes never end.
struct Endless;

impl BulkChange for Endless {
    fn kind(&self) -> &'static str {
        "endless"
    }

    fn step<'t>(&'t self, _: &'t mut Tx, _: BulkStep<'t>) -> WorkFuture<'t, BulkProgress> {
        Box::pin(async { Ok(BulkProgress { next: Some(String::new()), frames: Vec::new() }) })
    }
}

#[test]
fn a_failed_bulk_change_is_named_while_another_one_is_always_due() {
    on_each_database(&async |test: &TestApp| {
        start(test, &users(test, 1).await, false).await;
        start(test, &users(test, 1).await, false).await;
        write(
            test,
            "UPDATE bulk_changes SET status = 'failed', last_error = 'on purpose'
             WHERE id = (SELECT id FROM bulk_changes ORDER BY id LIMIT 1)",
        )
        .await;
        write(test, "UPDATE bulk_changes SET kind = 'endless' WHERE status = 'running'").await;
        let kinds: Vec<Arc<dyn BulkChange>> = vec![Arc::new(Endless), Arc::new(AppendToEach::default())];
        let relay = relay::start_with(&test.app, Vec::new(), kinds);
        eventually("the failed bulk change is named", async || is_failing(test, PART)).await;
        relay.stop().await;
    });
}
