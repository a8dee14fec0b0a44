//! A transaction happens completely or not at all, wherever it fails and whichever caller disappears. This holds for
//! the rows, the log and the delivery.

mod changes;
mod connection_ownership;
mod cut_connection;
mod failing_statements;
mod unanswered_commits;

use crate::harness::{TestApp, TestSend, new_group, on_each_database, on_postgres, on_postgres_through};
use crate::support::Random;
use changes::{CHANGES, Change, Fixture};
use cut_connection::{CutPlan, CuttingProxy};
use greenroom::domain::codes::Code;
use greenroom::domain::content::Content;
use greenroom::domain::limits;
use greenroom::domain::names::UserRef;
use greenroom::error::Result;
use greenroom::protocol::messages::Audience;
use greenroom::store::db::write_queue::WriteOwner;
use greenroom::usecases::settings::{self, SettingChange};
use greenroom::usecases::{blocks, conversations, deletions, edits, groups, members, messages, pins, reactions};
use greenroom::work::transact::transact_for;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use std::future::poll_fn;
use std::task::Poll;

/// Polls `work` at most `polls` times and then drops it. If `polls` grows from call to call, the work is dropped at
/// each of its awaits.
async fn poll_at_most<T>(mut work: impl Future<Output = T> + Unpin, polls: u32) -> Option<T> {
    let mut made_polls = 0;
    poll_fn(move |context| {
        made_polls += 1;
        match std::pin::Pin::new(&mut work).poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if made_polls >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[test]
fn a_caller_that_disappears_at_any_await_leaves_no_partial_transaction() {
    on_each_database(&async |test: &TestApp| {
        for change in CHANGES {
            // Two wakes may be merged into one, so one pass may miss an await.
            let mut passes = 0;
            while drop_caller_at_each_await(test, change).await == 0 {
                passes += 1;
                assert!(passes < 50, "{change:?} never happened without its caller");
            }
        }
    });
}

/// Drops the caller after one poll, then after two, and so on, until the call ends before. Returns how often the change
/// happened although the caller was dropped.
async fn drop_caller_at_each_await(test: &TestApp, change: Change) -> usize {
    let mut count = 0;
    for polls in 1.. {
        let fixture = Fixture::new(test).await;
        let done = poll_at_most(fixture.run(test, change), polls).await;
        fixture.wait_for_writers(test).await;
        let times = fixture.count(&test.check_stored_state().await, change);
        if let Some(result) = done {
            result.unwrap();
            assert_eq!(times, 1, "{change:?} was done");
            break;
        }
        assert!(times <= 1, "{change:?} happened {times} times");
        count += times;
    }
    count
}

#[test]
fn a_caller_that_disappears_during_its_transaction_does_not_stop_it() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        for round in 0..60 {
            let change = CHANGES[round % CHANGES.len()];
            let fixture = Fixture::new(test).await;
            let mut call = fixture.run(test, change);
            let mut done = None;
            // The call runs for a different time in each round, and is polled only sometimes.
            for _ in 0..random.between(1, 12) {
                done = poll_at_most(&mut call, 1).await;
                if done.is_some() {
                    break;
                }
                for _ in 0..random.between(0, 200) {
                    tokio::task::yield_now().await;
                }
            }
            drop(call);
            fixture.wait_for_writers(test).await;
            let times = fixture.count(&test.check_stored_state().await, change);
            assert!(times <= 1, "{change:?} happened {times} times");
            if let Some(result) = done {
                result.unwrap();
                assert_eq!(times, 1, "{change:?} was done");
            }
        }
    });
}

#[test]
fn a_transaction_that_fails_at_any_row_stores_nothing() {
    on_each_database(&async |test: &TestApp| {
        failing_statements::install(test).await;
        // The database refuses the data, the statement took too long, or the database asks to repeat the transaction.
        let codes: &[&str] = if test.is_postgres() { &["23514", "57014", "40001"] } else { &[""] };
        for change in CHANGES {
            for code in codes {
                for row in 1.. {
                    let fixture = Fixture::new(test).await;
                    failing_statements::fail_at_row(test, row, code).await;
                    let outcome = fixture.run(test, change).await;
                    failing_statements::stop_failing(test).await;
                    let times = fixture.count(&test.check_stored_state().await, change);
                    if outcome.is_ok() {
                        assert_eq!(times, 1, "{change:?} was done");
                        assert!(row > 1, "{change:?} changes at least one row");
                        break;
                    }
                    assert_failed_alone(test, &fixture, change, outcome, times).await;
                }
            }
        }
    });
}

#[test]
fn a_commit_that_fails_stores_nothing() {
    on_each_database(&async |test: &TestApp| {
        failing_statements::install(test).await;
        for change in CHANGES {
            let fixture = Fixture::new(test).await;
            failing_statements::fail_at_commit(test).await;
            let outcome = fixture.run(test, change).await;
            failing_statements::stop_failing(test).await;
            let times = fixture.count(&test.check_stored_state().await, change);
            assert_failed_alone(test, &fixture, change, outcome, times).await;
        }
    });
}

/// Checks that a failed change has not happened and succeeds when it is tried again.
async fn assert_failed_alone(test: &TestApp, fixture: &Fixture, change: Change, outcome: Result<()>, times: usize) {
    let error = outcome.unwrap_err();
    assert!([Code::Internal, Code::Unavailable].contains(&error.code()), "{change:?}: {error}");
    assert_eq!(times, 0, "{change:?} failed: {error}");
    fixture.run(test, change).await.unwrap();
    assert_eq!(fixture.count(&test.check_stored_state().await, change), 1, "{change:?} works again");
}

#[test]
fn a_transaction_is_repeated_if_the_database_asks_for_it() {
    on_postgres(&async |test: &TestApp| {
        // A sequence keeps its value when its transaction is rolled back.
        test.run(
            "CREATE SEQUENCE tries;
                 CREATE FUNCTION fail_at_first() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN
                     IF nextval('tries') <= 2 THEN
                         RAISE EXCEPTION 'again' USING ERRCODE = 'serialization_failure';
                     END IF;
                     RETURN NULL;
                 END $$",
        )
        .await;
        for change in [Change::Send, Change::Create, Change::Add, Change::Leave] {
            let fixture = Fixture::new(test).await;
            test.run(
                "CREATE TRIGGER fail_at_first AFTER INSERT ON outbox EXECUTE FUNCTION fail_at_first();
                     ALTER SEQUENCE tries RESTART",
            )
            .await;
            fixture.run(test, change).await.unwrap();
            test.run("DROP TRIGGER fail_at_first ON outbox").await;
            assert_eq!(fixture.count(&test.check_stored_state().await, change), 1, "{change:?}");
        }
    });
}

#[test]
fn a_connection_that_breaks_at_any_request_stores_no_partial_change() {
    // After each cut the application waits for the database, so all changes wait at the same time.
    std::thread::scope(|threads| {
        for change in CHANGES {
            threads.spawn(move || {
                let proxy = CuttingProxy::new();
                on_postgres_through(|url| proxy.to(&url), &async |test: &TestApp| {
                    for request in 1.. {
                        let fixture = Fixture::new(test).await;
                        proxy.plan(CutPlan::Before(request));
                        let outcome = fixture.run(test, change).await;
                        if !proxy.is_cut() {
                            proxy.plan(CutPlan::Never);
                            outcome.unwrap();
                            assert!(request > 2, "{change:?} makes more than one request");
                            return;
                        }
                        test.wait_until_writable().await;
                        let times = fixture.count(&test.check_stored_state().await, change);
                        assert!(times == 1 || outcome.is_err() && times == 0, "{change:?}, {request}: {outcome:?}");
                        // An error may also happen after the commit, while the answer is built. A send that
                        // was not committed is a new message when it is repeated.
                        if times == 0 {
                            fixture.run(test, change).await.unwrap();
                            assert_eq!(
                                fixture.count(&test.check_stored_state().await, change),
                                1,
                                "{change:?} works again"
                            );
                        }
                    }
                });
            });
        }
    });
}

#[test]
fn an_unanswered_commit_is_looked_up_or_answered_with_unavailable() {
    let proxy = CuttingProxy::new();
    on_postgres_through(|url| proxy.to(&url), &async |test: &TestApp| {
        for change in CHANGES {
            for plan in [CutPlan::BeforeCommit, CutPlan::AfterCommit] {
                let fixture = Fixture::new(test).await;
                proxy.plan(plan);
                let outcome = fixture.run(test, change).await;
                assert!(proxy.is_cut(), "{change:?} commits");
                test.wait_until_writable().await;
                // A commit without an answer is not delivered, so it wakes the catch-up.
                test.wait_for_catch_up().await;
                let times = fixture.count(&test.stored_state().await, change);
                if change == Change::Send {
                    outcome.unwrap();
                    assert_eq!(times, 1, "{plan:?}: the retry looks the message up");
                } else {
                    assert_eq!(outcome.unwrap_err().code(), Code::Unavailable);
                    assert_eq!(times, usize::from(plan == CutPlan::AfterCommit), "{change:?}, {plan:?}");
                }
            }
        }
    });
}

/// A user with a valid token may be suspended before the transaction has its locks.
#[test]
fn a_user_who_is_suspended_after_authentication_changes_nothing() {
    on_each_database(&async |test: &TestApp| {
        let [caller, other, third]: [_; 3] = test.users(3).await.try_into().unwrap();
        let group = test.group(&[caller, other]).await;
        let message = test.send(TestSend::new(group, &caller, "hello")).await.unwrap().message.id;
        let suspend = format!("UPDATE users SET status = 'suspended' WHERE id = {}", test.id_literal(caller.user_id));
        test.run(&suspend).await;
        let (app, peer) = (&test.app, UserRef::Id(third.user_id));
        let rows = async || test.rows("SELECT id FROM outbox").await.len();
        let before = rows().await;
        let outcomes = [
            ("direct", conversations::get_or_create_direct(app, &caller, std::slice::from_ref(&peer)).await.map(drop)),
            ("group", groups::create(app, &caller, new_group(&[third])).await.map(drop)),
            ("block", blocks::create(app, &caller, &peer).await.map(drop)),
            ("unblock", blocks::delete(app, &caller, &peer).await),
            ("send", messages::send(app, TestSend::new(group, &caller, "more").checked()).await.map(drop)),
            ("edit", edits::edit(app, &caller, group, message, Content::parse("other").unwrap()).await.map(drop)),
            ("delete", deletions::delete(app, &caller, group, message, Audience::Everyone).await),
            ("hide", deletions::delete(app, &caller, group, message, Audience::Me).await),
            ("react", reactions::add(app, &caller, group, message, "👍").await.map(drop)),
            ("pin", pins::add(app, &caller, group, message).await.map(drop)),
            ("archive", settings::update(app, &caller, group, SettingChange::Archive(true)).await.map(drop)),
            ("leave", members::leave(app, &caller, group).await),
        ];
        for (change, outcome) in outcomes {
            assert_eq!(outcome.expect_err(change).code(), Code::Suspended, "{change}");
        }
        assert_eq!(rows().await, before);
        assert!(test.rows("SELECT created_at FROM blocks").await.is_empty());
    });
}

#[test]
fn a_transaction_has_its_id_before_it_can_append() {
    on_postgres(&async |test: &TestApp| {
        let users = test.users(2).await;
        let group = test.group(&users).await;
        let user = users[0].user_id;
        // A transaction can lock a stream in three ways; without a lock `append` panics.
        for lock_kind in 0..3 {
            let has_id = transact_for(&test.app, WriteOwner::Operator, limits::FEW_ROWS, move |tx| {
                Box::pin(async move {
                    match lock_kind {
                        0 => tx.lock_conversations(&[group]).await?,
                        1 => tx.try_lock_conversations(&[group]).await?,
                        _ => tx.lock_users(&[user]).await?,
                    }
                    let query = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS assigned";
                    let statement = Statement::from_string(DatabaseBackend::Postgres, query);
                    let row = tx.conn().query_one_raw(statement).await?.unwrap();
                    Ok(row.try_get::<bool>("", "assigned")?)
                })
            });
            assert!(has_id.await.unwrap(), "lock kind {lock_kind} assigns no transaction id");
        }
    });
}
