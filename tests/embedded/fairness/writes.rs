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
fn making_large_groups_starves_nobody() {
    on_each_database(&async |test: &TestApp| {
        let app = &test.app;
        let [flooder, one, other] = test.users(3).await[..] else { unreachable!() };
        let crowd = test.users(MEMBERS).await;
        let talk = test.group(&[one, other]).await;
        let said = test.send(TestSend::new(talk, &other, "hello")).await.unwrap().message.id;
        let made = Arc::new(AtomicUsize::new(0));
        let mut flood = Vec::new();
        for _ in 0..GROUPS {
            let (app, made, group) = (app.clone(), made.clone(), new_group(&crowd));
            flood.push(tokio::spawn(async move {
                let outcome = groups::create(&app, &flooder, group).await;
                made.fetch_add(1, Ordering::SeqCst);
                outcome
            }));
        }
        let started = std::time::Instant::now();
        while made.load(Ordering::SeqCst) == 0 {
            assert!(started.elapsed() < Duration::from_mins(1), "no group is made");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        marks::update_read_mark(app, &one, talk, ReadTarget::End).await.unwrap();
        logins::issue_tokens(app, one.user_id, "a test", "127.0.0.1").await.unwrap();
        pins::add(app, &one, talk, said).await.unwrap();
        test.send(TestSend::new(talk, &one, "hello")).await.unwrap();
        let before = made.load(Ordering::SeqCst);
        assert!(before < GROUPS / 2, "{before} of {GROUPS} groups came before the work of others");
        for group in flood {
            // A group that got no turn in time is refused, because its owner has used more than others.
            if let Err(refused) = group.await.unwrap() {
                assert_eq!(refused.code(), Code::Busy, "{refused}");
            }
        }
    });
}

/// Returns how often a large transaction begins if another user sends during this many of its attempts, and how many
/// messages are stored when its last attempt begins.
async fn attempts(test: &TestApp, sends: usize) -> (usize, usize) {
    let [maker, talker, friend] = test.users(3).await[..] else { unreachable!() };
    let group = test.group(&[talker, friend]).await;
    let (begun, stored) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (app, counts) = (test.app.clone(), (begun.clone(), stored.clone()));
    let rows = limits::LARGE_TRANSACTION_ROWS as usize + 1;
    transact_for(&test.app, maker.user_id, rows, move |tx| {
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
            tx.lock_users(&[maker.user_id]).await
        })
    })
    .await
    .unwrap();
    (begun.load(Ordering::SeqCst), stored.load(Ordering::SeqCst))
}

#[test]
fn a_large_transaction_gives_way_to_sends_and_not_for_ever() {
    let most = limits::LARGE_YIELDS;
    // Each message is sent before the transaction begins again.
    for (sends, expected) in [(0, (1, 0)), (2, (3, 2)), (most + 5, (most + 1, most))] {
        on_sqlite(&async |test: &TestApp| {
            assert_eq!(attempts(test, sends).await, expected);
        });
    }
}

#[test]
fn one_user_waits_with_so_many_changes_and_no_more() {
    on_each_database(&async |test: &TestApp| {
        let [greedy, modest] = test.users(2).await[..] else { unreachable!() };
        let (db, greedy) = (test.app.db(), WriteOwner::User(greedy.user_id));
        let all = std::iter::repeat_with(|| db.take_owner_turn(greedy, 1)).take(limits::WRITES_PER_USER);
        let mut all = std::pin::pin!(join_all(all));
        assert!(futures_util::poll!(&mut all).is_pending());
        let refused = db.take_owner_turn(greedy, 1).await.err().expect("one more is too much");
        assert_eq!(refused.code(), Code::Busy, "{refused}");
        let mut other = std::pin::pin!(db.take_owner_turn(WriteOwner::User(modest.user_id), 1));
        assert!(futures_util::poll!(&mut other).is_pending(), "others wait, and are not refused");
    });
}

/// Returns as many changes of this owner as it may have under way. They end when they are dropped.
async fn crowded<'t>(db: &'t Db, account: WriteOwner, most: usize) -> Pin<Box<dyn Future<Output = ()> + 't>> {
    let all = std::iter::repeat_with(move || db.take_owner_turn(account, 1)).take(most);
    let mut all: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async { drop(join_all(all).await) });
    assert!(futures_util::poll!(&mut all).is_pending());
    all
}

/// Checks that the change is refused because of the caller's own changes, and not because it got no turn in time.
fn expect_own(refused: &Error) {
    assert_eq!(refused.code(), Code::Busy);
    assert!(refused.detail().contains("changes of yours"), "{refused}");
}

#[test]
fn what_a_user_does_to_the_own_account_waits_with_the_users_other_changes() {
    on_each_database(&async |test: &TestApp| {
        let app = &test.app;
        let password = "battery staple";
        let new = NewAccount {
            username: "greedy".to_owned(),
            password: password.to_owned(),
            email: None,
            display_name: None,
            role: UserRole::User,
        };
        let user_id = operator::create(app, new).await.unwrap().user.brief.id;
        let tokens = logins::issue_tokens(app, user_id, "a test", "127.0.0.1").await.unwrap();
        let login_id = logins::verify_access_token(app, &tokens.access_token).unwrap().sid;
        let greedy = Caller { user_id, role: UserRole::User, via: Via::Login { login_id } };
        let ticket = logins::create_ticket(app, greedy).await.unwrap().ticket;

        let waiting = crowded(app.db(), WriteOwner::User(user_id), limits::WRITES_PER_USER).await;
        let profile = || serde_json::from_str(r#"{"display_name": "Greedy"}"#).unwrap();
        let new_password =
            PasswordChange { current_password: password.to_owned(), new_password: "another staple".to_owned() };
        let here = IpAddr::from([127, 0, 0, 1]);
        for outcome in [
            accounts::update_profile(app, greedy, profile()).await.map(drop),
            accounts::update_password(app, greedy, new_password, here).await,
            logins::create_ticket(app, greedy).await.map(drop),
            logins::sign_out(app, greedy).await,
        ] {
            expect_own(&outcome.unwrap_err());
        }
        drop(waiting);
        accounts::update_profile(app, greedy, profile()).await.unwrap();

        // Of these only the login is known before the first statement.
        let waiting = crowded(app.db(), WriteOwner::Login(login_id), limits::WRITES_PER_LOGIN).await;
        expect_own(&logins::redeem_ticket(app, &ticket, TicketHolder::Login(login_id)).await.unwrap_err());
        expect_own(&refresh::refresh(app, &tokens.refresh_token, here).await.unwrap_err());
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
fn a_deletion_is_charged_by_the_rows_it_rewrites() {
    on_sqlite(&async |test: &TestApp| {
        let (app, users) = (&test.app, test.users(3).await);
        let [flooder, other, third] = users[..] else { unreachable!() };
        let (crowd, talk) = (test.group(&[flooder, third]).await, test.group(&[other, third]).await);
        let mut quoted = Vec::new();
        for _ in 0..DELETED {
            let message = test.send(TestSend::new(crowd, &flooder, "quoted")).await.unwrap().message.id;
            let answer =
                |_| test.enqueue(TestSend { reply_to: Some(message), ..TestSend::new(crowd, &third, "answer") });
            join_all((0..ANSWERS).map(answer)).await;
            quoted.push(message);
        }
        let mut said = Vec::new();
        for _ in 0..PINS {
            said.push(test.send(TestSend::new(talk, &other, "small")).await.unwrap().message.id);
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
        let held = app.db().take_owner_turn(WriteOwner::User(third.user_id), 1).await.unwrap();
        let waiting = async |count: usize| {
            let all = async {
                while app.db().waiting_writes() < count {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), all).await.expect("all of them wait");
        };
        let mut work = Vec::new();
        for message in quoted {
            let app = app.clone();
            work.push(tokio::spawn(async move {
                deletions::delete(&app, &flooder, crowd, message, Audience::Everyone).await
            }));
        }
        waiting(DELETED).await;
        for message in said {
            let app = app.clone();
            work.push(tokio::spawn(async move { pins::add(&app, &other, talk, message).await.map(drop) }));
        }
        waiting(DELETED + PINS).await;
        drop(held);
        for done in work {
            done.await.unwrap().unwrap();
        }
        let order = order.lock().unwrap();
        let second = order.iter().enumerate().filter(|(_, what)| **what == "deletion").nth(1).unwrap().0;
        let before = order[..second].iter().filter(|what| **what == "pin").count();
        assert_eq!(before, PINS, "the changes of a row come before the second deletion: {order:?}");
    });
}
