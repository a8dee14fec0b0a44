//! A transaction happens completely or not at all, wherever it fails and whichever caller disappears. This holds for rows,
//! log and delivery.

mod changes;
mod connection_ownership;
mod cut_connection;
mod failing_statements;
mod unanswered_commits;

use crate::harness::{Inside, Post, new_group, on_each_database, on_postgres, through};
use crate::support::Random;
use changes::{DEEDS, Deed, Stage};
use cut_connection::{Plan, Wire};
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

/// Polls `work` until it is done, or so often at most, and drops it then: at each of its awaits in turn, as the number
/// grows.
async fn polled<T>(mut work: impl Future<Output = T> + Unpin, polls: u32) -> Option<T> {
    let mut made = 0;
    poll_fn(move |context| {
        made += 1;
        match std::pin::Pin::new(&mut work).poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if made >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[test]
fn a_caller_that_vanishes_at_any_await_changes_nothing_about_a_transaction() {
    on_each_database(&async |inside: &Inside| {
        for deed in DEEDS {
            // a wake may stand for two, so one pass may miss the await in question
            let mut passes = 0;
            while abandoned_at_each_await(inside, deed).await == 0 {
                passes += 1;
                assert!(passes < 50, "{deed:?} never happened without its caller");
            }
        }
    });
}

/// Drops the caller after one poll, after two, and so on until it comes to its end; returns how often the deed happened
/// without it.
async fn abandoned_at_each_await(inside: &Inside, deed: Deed) -> usize {
    let mut abandoned = 0;
    for polls in 1.. {
        let stage = Stage::new(inside).await;
        let done = polled(stage.act(inside, deed), polls).await;
        stage.decided(inside).await;
        let times = stage.times(&inside.audit().await, deed);
        if let Some(result) = done {
            result.unwrap();
            assert_eq!(times, 1, "{deed:?} was done");
            break;
        }
        assert!(times <= 1, "{deed:?} happened {times} times");
        abandoned += times;
    }
    abandoned
}

#[test]
fn a_caller_that_vanishes_while_its_transaction_runs_does_not_stop_it() {
    on_each_database(&async |inside: &Inside| {
        let mut random = Random::from_environment();
        for round in 0..60 {
            let deed = DEEDS[round % DEEDS.len()];
            let stage = Stage::new(inside).await;
            let mut act = stage.act(inside, deed);
            let mut done = None;
            // lets it run for a while that is different each time, and looks only now and then
            for _ in 0..random.between(1, 12) {
                done = polled(&mut act, 1).await;
                if done.is_some() {
                    break;
                }
                for _ in 0..random.between(0, 200) {
                    tokio::task::yield_now().await;
                }
            }
            drop(act);
            stage.decided(inside).await;
            let times = stage.times(&inside.audit().await, deed);
            assert!(times <= 1, "{deed:?} happened {times} times");
            if let Some(result) = done {
                result.unwrap();
                assert_eq!(times, 1, "{deed:?} was done");
            }
        }
    });
}

#[test]
fn a_transaction_that_fails_at_any_row_leaves_nothing() {
    on_each_database(&async |inside: &Inside| {
        failing_statements::install(inside).await;
        // the data is refused; the statement took too long; the database wants it run again
        let codes: &[&str] = if inside.is_postgres() { &["23514", "57014", "40001"] } else { &[""] };
        for deed in DEEDS {
            for code in codes {
                for row in 1.. {
                    let stage = Stage::new(inside).await;
                    failing_statements::at_row(inside, row, code).await;
                    let outcome = stage.act(inside, deed).await;
                    failing_statements::off(inside).await;
                    let times = stage.times(&inside.audit().await, deed);
                    if outcome.is_ok() {
                        assert_eq!(times, 1, "{deed:?} was done");
                        assert!(row > 1, "{deed:?} changes a row at least");
                        break;
                    }
                    fails_alone(inside, &stage, deed, outcome, times).await;
                }
            }
        }
    });
}

#[test]
fn a_commit_that_fails_leaves_nothing() {
    on_each_database(&async |inside: &Inside| {
        failing_statements::install(inside).await;
        for deed in DEEDS {
            let stage = Stage::new(inside).await;
            failing_statements::at_commit(inside).await;
            let outcome = stage.act(inside, deed).await;
            failing_statements::off(inside).await;
            let times = stage.times(&inside.audit().await, deed);
            fails_alone(inside, &stage, deed, outcome, times).await;
        }
    });
}

/// What failed has not happened, and succeeds when it is tried again.
async fn fails_alone(inside: &Inside, stage: &Stage, deed: Deed, outcome: Result<()>, times: usize) {
    let error = outcome.unwrap_err();
    assert!([Code::Internal, Code::Unavailable].contains(&error.code()), "{deed:?}: {error}");
    assert_eq!(times, 0, "{deed:?} failed: {error}");
    stage.act(inside, deed).await.unwrap();
    assert_eq!(stage.times(&inside.audit().await, deed), 1, "{deed:?} works again");
}

#[test]
fn what_the_database_wants_run_again_is_run_again() {
    on_postgres(&async |inside: &Inside| {
        // a sequence counts on when its transaction is rolled back
        inside
            .run(
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
        for deed in [Deed::Send, Deed::Create, Deed::Add, Deed::Leave] {
            let stage = Stage::new(inside).await;
            inside
                .run(
                    "CREATE TRIGGER fail_at_first AFTER INSERT ON outbox EXECUTE FUNCTION fail_at_first();
                     ALTER SEQUENCE tries RESTART",
                )
                .await;
            stage.act(inside, deed).await.unwrap();
            inside.run("DROP TRIGGER fail_at_first ON outbox").await;
            assert_eq!(stage.times(&inside.audit().await, deed), 1, "{deed:?}");
        }
    });
}

#[test]
fn a_connection_that_breaks_at_any_request_leaves_no_half() {
    // each break is followed by a wait for the database, so all deeds wait at the same time
    std::thread::scope(|threads| {
        for deed in DEEDS {
            threads.spawn(move || {
                let wire = Wire::new();
                through(|url| wire.to(&url), &async |inside: &Inside| {
                    for request in 1.. {
                        let stage = Stage::new(inside).await;
                        wire.plan(Plan::Before(request));
                        let outcome = stage.act(inside, deed).await;
                        if !wire.is_cut() {
                            wire.plan(Plan::Whole);
                            outcome.unwrap();
                            assert!(request > 3, "{deed:?} makes more than {request} requests");
                            return;
                        }
                        inside.back().await;
                        let times = stage.times(&inside.audit().await, deed);
                        assert!(times == 1 || outcome.is_err() && times == 0, "{deed:?}, {request}: {outcome:?}");
                        // an error may follow the commit, when the answer is put together; the send that was not
                        // committed is one more message, whatever its temp_id
                        if times == 0 {
                            stage.act(inside, deed).await.unwrap();
                            assert_eq!(stage.times(&inside.audit().await, deed), 1, "{deed:?} works again");
                        }
                    }
                });
            });
        }
    });
}

#[test]
fn a_commit_of_which_nobody_hears_is_looked_up_or_told_as_unavailable() {
    let wire = Wire::new();
    through(|url| wire.to(&url), &async |inside: &Inside| {
        for deed in DEEDS {
            for plan in [Plan::BeforeCommit, Plan::AfterCommit] {
                let stage = Stage::new(inside).await;
                wire.plan(plan);
                let outcome = stage.act(inside, deed).await;
                assert!(wire.is_cut(), "{deed:?} commits");
                inside.back().await;
                // what was committed unheard was not delivered: the catch-up is told to look
                inside.catch_up_woken().await;
                let times = stage.times(&inside.ledger().await, deed);
                if deed == Deed::Send {
                    outcome.unwrap();
                    assert_eq!(times, 1, "{plan:?}: the retry looks the message up");
                } else {
                    assert_eq!(outcome.unwrap_err().code(), Code::Unavailable);
                    assert_eq!(times, usize::from(plan == Plan::AfterCommit), "{deed:?}, {plan:?}");
                }
            }
        }
    });
}

/// Whoever is let in by a token may be suspended before the transaction has its locks.
#[test]
fn a_user_who_is_suspended_meanwhile_changes_nothing() {
    on_each_database(&async |inside: &Inside| {
        let [caller, other, third]: [_; 3] = inside.users(3).await.try_into().unwrap();
        let group = inside.group(&[caller, other]).await;
        let message = inside.send(Post::new(group, &caller, "said")).await.unwrap().message.id;
        let suspend = format!("UPDATE users SET status = 'suspended' WHERE id = {}", inside.literal(caller.user_id));
        inside.run(&suspend).await;
        let (app, peer) = (&inside.app, UserRef::Id(third.user_id));
        let rows = async || inside.rows("SELECT id FROM outbox").await.len();
        let before = rows().await;
        let outcomes = [
            ("direct", conversations::get_or_create_direct(app, &caller, std::slice::from_ref(&peer)).await.map(drop)),
            ("group", groups::create(app, &caller, new_group(&[third])).await.map(drop)),
            ("block", blocks::create(app, &caller, &peer).await.map(drop)),
            ("unblock", blocks::delete(app, &caller, &peer).await),
            ("send", messages::send(app, Post::new(group, &caller, "more").checked()).await.map(drop)),
            ("edit", edits::edit(app, &caller, group, message, Content::parse("other").unwrap()).await.map(drop)),
            ("delete", deletions::delete(app, &caller, group, message, Audience::Everyone).await),
            ("hide", deletions::delete(app, &caller, group, message, Audience::Me).await),
            ("react", reactions::add(app, &caller, group, message, "👍").await.map(drop)),
            ("pin", pins::add(app, &caller, group, message).await.map(drop)),
            ("archive", settings::update(app, &caller, group, SettingChange::Archive(true)).await.map(drop)),
            ("leave", members::leave(app, &caller, group).await),
        ];
        for (deed, outcome) in outcomes {
            assert_eq!(outcome.expect_err(deed).code(), Code::Suspended, "{deed}");
        }
        assert_eq!(rows().await, before);
        assert!(inside.rows("SELECT created_at FROM blocks").await.is_empty());
    });
}

#[test]
fn a_transaction_has_its_id_before_it_can_append() {
    on_postgres(&async |inside: &Inside| {
        let users = inside.users(2).await;
        let group = inside.group(&users).await;
        let user = users[0].user_id;
        // how a stream comes into the hands of a transaction, without which `append` panics; making one is an insert
        for way in 0..3 {
            let has_id = transact_for(&inside.app, WriteOwner::Operator, limits::FEW_ROWS, move |tx| {
                Box::pin(async move {
                    match way {
                        0 => tx.lock_conversations(&[group]).await?,
                        1 => tx.try_lock_conversations(&[group]).await?,
                        _ => tx.lock_users(&[user]).await?,
                    }
                    let query = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS assigned";
                    let asked = Statement::from_string(DatabaseBackend::Postgres, query);
                    let row = tx.conn().query_one_raw(asked).await?.unwrap();
                    Ok(row.try_get::<bool>("", "assigned")?)
                })
            });
            assert!(has_id.await.unwrap(), "the lock of way {way} gives no transaction id");
        }
    });
}
