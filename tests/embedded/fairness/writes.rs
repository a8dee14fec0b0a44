//! The queue of writes is fair by user and charges by rows: a user who creates one large group after another waits
//! behind users who change a row.

use crate::harness::{TestApp, TestSend, new_group, on_each_database, on_sqlite};
use futures_util::future::join_all;
use greenroom::domain::accounts::UserRole;
use greenroom::domain::caller::{Caller, TicketHolder, Via};
use greenroom::domain::codes::Code;
use greenroom::domain::limits;
use greenroom::error::Error;
use greenroom::protocol::accounts::PasswordChange;
use greenroom::protocol::messages::Audience;
use greenroom::store::db::Db;
use greenroom::store::db::write_queue::WriteOwner;
use greenroom::usecases::accounts::{self, NewAccount};
use greenroom::usecases::marks::{self, ReadTarget};
use greenroom::usecases::{deletions, groups, logins, operator, pins, refresh};
use greenroom::work::transact::transact_for;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The number of groups that wait to be created, and of the members of each.
const GROUPS: usize = 30;
const MEMBERS: usize = 200;

#[test]
fn a_user_who_creates_large_groups_delays_no_other_user() {
    on_each_database(&async |test: &TestApp| {
        let app = &test.app;
        let [heavy_user, one, other] = test.users(3).await[..] else { unreachable!() };
        let members = test.users(MEMBERS).await;
        let other_group = test.group(&[one, other]).await;
        let message = test.send(TestSend::new(other_group, &other, "hello")).await.unwrap().message.id;
        let created = Arc::new(AtomicUsize::new(0));
        let mut creations = Vec::new();
        for _ in 0..GROUPS {
            let (app, created, group) = (app.clone(), created.clone(), new_group(&members));
            creations.push(tokio::spawn(async move {
                let outcome = groups::create(&app, &heavy_user, group).await;
                created.fetch_add(1, Ordering::SeqCst);
                outcome
            }));
        }
        let started = std::time::Instant::now();
        while created.load(Ordering::SeqCst) == 0 {
            assert!(started.elapsed() < Duration::from_mins(1), "no group is created");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        marks::update_read_mark(app, &one, other_group, ReadTarget::End).await.unwrap();
        logins::issue_tokens(app, one.user_id, "a test", "127.0.0.1").await.unwrap();
        pins::add(app, &one, other_group, message).await.unwrap();
        test.send(TestSend::new(other_group, &one, "hello")).await.unwrap();
        let before = created.load(Ordering::SeqCst);
        assert!(before < GROUPS / 2, "{before} of {GROUPS} groups were created before the changes of another user");
        for group in creations {
            // A group that got no turn in time is refused, because its owner has used more than others.
            if let Err(refused) = group.await.unwrap() {
                assert_eq!(refused.code(), Code::Busy, "{refused}");
            }
        }
    });
}

/// Returns how often a large transaction begins if another user sends during this many of its attempts, and how many
/// messages are stored when its last attempt begins.
async fn run_large_transaction(test: &TestApp, sends: usize) -> (usize, usize) {
    let [creator, talker, friend] = test.users(3).await[..] else { unreachable!() };
    let group = test.group(&[talker, friend]).await;
    let (begun, stored) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (app, counts) = (test.app.clone(), (begun.clone(), stored.clone()));
    let rows = limits::LARGE_TRANSACTION_ROWS as usize + 1;
    transact_for(&test.app, creator.user_id, rows, move |tx| {
        let (app, (begun, stored)) = (app.clone(), counts.clone());
        Box::pin(async move {
            let query = "SELECT count(*) AS count FROM messages WHERE kind = 'text'";
            let row = tx.conn().query_one_raw(Statement::from_string(DatabaseBackend::Sqlite, query)).await?.unwrap();
            stored.store(row.try_get::<i64>("", "count")? as usize, Ordering::SeqCst);
            if begun.fetch_add(1, Ordering::SeqCst) < sends {
                app.enqueue_send(TestSend::new(group, &talker, "hello").job(drop));
                while !app.db().has_waiting_sends() {
                    tokio::task::yield_now().await;
                }
            }
            tx.lock_users(&[creator.user_id]).await
        })
    })
    .await
    .unwrap();
    (begun.load(Ordering::SeqCst), stored.load(Ordering::SeqCst))
}

#[test]
fn a_large_transaction_yields_to_a_limited_number_of_sends() {
    let most = limits::LARGE_YIELDS;
    // Each message is sent before the transaction begins again.
    for (sends, expected) in [(0, (1, 0)), (2, (3, 2)), (most + 5, (most + 1, most))] {
        on_sqlite(&async |test: &TestApp| {
            assert_eq!(run_large_transaction(test, sends).await, expected);
        });
    }
}

#[test]
fn one_user_may_have_only_a_limited_number_of_waiting_changes() {
    on_each_database(&async |test: &TestApp| {
        let [heavy_user, light_user] = test.users(2).await[..] else { unreachable!() };
        let (db, heavy_user) = (test.app.db(), WriteOwner::User(heavy_user.user_id));
        let all = std::iter::repeat_with(|| db.take_owner_turn(heavy_user, 1)).take(limits::WRITES_PER_USER);
        let mut all = std::pin::pin!(join_all(all));
        assert!(futures_util::poll!(&mut all).is_pending());
        let refused = db.take_owner_turn(heavy_user, 1).await.err().expect("one more change is refused");
        assert_eq!(refused.code(), Code::Busy, "{refused}");
        let mut other = std::pin::pin!(db.take_owner_turn(WriteOwner::User(light_user.user_id), 1));
        assert!(futures_util::poll!(&mut other).is_pending(), "the change of another user waits and is not refused");
    });
}

/// Takes as many turns of this owner as it may have. They are returned when the result is dropped.
async fn take_all_turns<'t>(db: &'t Db, owner: WriteOwner, max_turns: usize) -> Pin<Box<dyn Future<Output = ()> + 't>> {
    let all = std::iter::repeat_with(move || db.take_owner_turn(owner, 1)).take(max_turns);
    let mut all: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async { drop(join_all(all).await) });
    assert!(futures_util::poll!(&mut all).is_pending());
    all
}

/// Checks that the change is refused because of the caller's own changes, and not because it got no turn in time.
fn expect_busy_with_own_changes(refused: &Error) {
    assert_eq!(refused.code(), Code::Busy);
    assert!(refused.detail().contains("changes of yours"), "{refused}");
}

#[test]
fn a_change_of_the_own_account_counts_as_a_change_of_the_user() {
    on_each_database(&async |test: &TestApp| {
        let app = &test.app;
        let password = "battery staple";
        let new = NewAccount {
            username: "heavy_user".to_owned(),
            password: password.to_owned(),
            email: None,
            display_name: None,
            role: UserRole::User,
        };
        let user_id = operator::create(app, new).await.unwrap().user.brief.id;
        let tokens = logins::issue_tokens(app, user_id, "a test", "127.0.0.1").await.unwrap();
        let login_id = logins::verify_access_token(app, &tokens.access_token).unwrap().sid;
        let heavy_user = Caller { user_id, role: UserRole::User, via: Via::Login { login_id } };
        let ticket = logins::create_ticket(app, heavy_user).await.unwrap().ticket;

        let waiting = take_all_turns(app.db(), WriteOwner::User(user_id), limits::WRITES_PER_USER).await;
        let profile = || serde_json::from_str(r#"{"display_name": "Heavy"}"#).unwrap();
        let new_password =
            PasswordChange { current_password: password.to_owned(), new_password: "another staple".to_owned() };
        let here = IpAddr::from([127, 0, 0, 1]);
        for outcome in [
            accounts::update_profile(app, heavy_user, profile()).await.map(drop),
            accounts::update_password(app, heavy_user, new_password, here).await,
            logins::create_ticket(app, heavy_user).await.map(drop),
            logins::sign_out(app, heavy_user).await,
        ] {
            expect_busy_with_own_changes(&outcome.unwrap_err());
        }
        drop(waiting);
        accounts::update_profile(app, heavy_user, profile()).await.unwrap();

        // For these calls only the login is known before the first statement.
        let waiting = take_all_turns(app.db(), WriteOwner::Login(login_id), limits::WRITES_PER_LOGIN).await;
        expect_busy_with_own_changes(
            &logins::redeem_ticket(app, &ticket, TicketHolder::Login(login_id)).await.unwrap_err(),
        );
        expect_busy_with_own_changes(&refresh::refresh(app, &tokens.refresh_token, here).await.unwrap_err());
        drop(waiting);
        logins::redeem_ticket(app, &ticket, TicketHolder::Login(login_id)).await.unwrap();
    });
}

/// The number of messages to delete, of replies to each, and of small changes of another user.
const DELETED: usize = 3;
const ANSWERS: usize = 200;
const PINS: usize = 20;

/// On SQLite one transaction writes at a time, so the order of the turns is the order of the changes.
#[test]
fn a_deletion_is_charged_by_the_rows_that_it_rewrites() {
    on_sqlite(&async |test: &TestApp| {
        let (app, users) = (&test.app, test.users(3).await);
        let [heavy_user, other, third] = users[..] else { unreachable!() };
        let (group, other_group) = (test.group(&[heavy_user, third]).await, test.group(&[other, third]).await);
        let mut quoted = Vec::new();
        for _ in 0..DELETED {
            let message = test.send(TestSend::new(group, &heavy_user, "quoted")).await.unwrap().message.id;
            let answer =
                |_| test.enqueue(TestSend { reply_to: Some(message), ..TestSend::new(group, &third, "answer") });
            join_all((0..ANSWERS).map(answer)).await;
            quoted.push(message);
        }
        let mut messages = Vec::new();
        for _ in 0..PINS {
            messages.push(test.send(TestSend::new(other_group, &other, "small")).await.unwrap().message.id);
        }
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let recorded = order.clone();
        app.db().observe(move |statement, _| {
            for (text, what) in [("deleted_by = $", "deletion"), ("pinned_at = $", "pin")] {
                if statement.sql.contains(text) {
                    recorded.lock().unwrap().push(what);
                }
            }
        });
        let held_turn = app.db().take_owner_turn(WriteOwner::User(third.user_id), 1).await.unwrap();
        let wait_for_waiting = async |count: usize| {
            let all = async {
                while app.db().waiting_writes() < count {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), all).await.expect("all changes wait");
        };
        let mut work = Vec::new();
        for message in quoted {
            let app = app.clone();
            work.push(tokio::spawn(async move {
                deletions::delete(&app, &heavy_user, group, message, Audience::Everyone).await
            }));
        }
        wait_for_waiting(DELETED).await;
        for message in messages {
            let app = app.clone();
            work.push(tokio::spawn(async move { pins::add(&app, &other, other_group, message).await.map(drop) }));
        }
        wait_for_waiting(DELETED + PINS).await;
        drop(held_turn);
        for done in work {
            done.await.unwrap().unwrap();
        }
        let order = order.lock().unwrap();
        let second = order.iter().enumerate().filter(|(_, what)| **what == "deletion").nth(1).unwrap().0;
        let before = order[..second].iter().filter(|what| **what == "pin").count();
        assert_eq!(before, PINS, "a pin came after the second deletion: {order:?}");
    });
}
