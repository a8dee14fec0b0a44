//! A change of an account is charged to the user, the login or the network: a flood of refreshes, tickets or
//! registrations delays only writes of the same user, login or network.

use crate::harness::{TestApp, on_each_database, on_sqlite};
use futures_util::FutureExt;
use greenroom::domain::caller::{Caller, TicketHolder, Via};
use greenroom::domain::codes::Code;
use greenroom::domain::limits;
use greenroom::error::Result;
use greenroom::protocol::accounts::{ProfileChange, Register};
use greenroom::protocol::logins::SignIn;
use greenroom::store::db::write_queue::WriteOwner;
use greenroom::usecases::logins::ClientInfo;
use greenroom::usecases::{accounts, logins, refresh};
use greenroom::work::transact::transact_for;
use sea_orm::ConnectionTrait;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, Semaphore};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

type HeldTurn<'t> = Pin<Box<dyn Future<Output = ()> + 't>>;

/// Takes as many turns of this owner as it may have. The first ones are granted and held, and the others wait.
fn fill_queue(test: &TestApp, owner: WriteOwner, max_turns: usize) -> Vec<HeldTurn<'_>> {
    let mut turns: Vec<HeldTurn> = Vec::new();
    for _ in 0..max_turns {
        let db = test.app.db();
        let mut turn: HeldTurn = Box::pin(async move {
            let _turn = db.take_owner_turn(owner, 1).await.unwrap();
            std::future::pending::<()>().await;
        });
        assert!((&mut turn).now_or_never().is_none());
        turns.push(turn);
    }
    turns
}

#[track_caller]
fn assert_busy_with_own_changes<T>(what: &str, outcome: Result<T>) {
    let refused = outcome.err().unwrap_or_else(|| panic!("{what} is charged to another owner"));
    assert_eq!(refused.code(), Code::Busy, "{what}: {refused}");
    assert!(refused.detail().contains("yours"), "{what} waits for other owners: {refused}");
}

fn client() -> ClientInfo {
    ClientInfo { device: "a test".to_owned(), ip: HERE.to_string() }
}

fn ada() -> Register {
    serde_json::from_value(serde_json::json!({ "username": "ada", "password": "correct horse" })).unwrap()
}

#[test]
fn a_change_of_an_account_is_charged_to_this_account() {
    on_each_database(&async |test: &TestApp| {
        let app = &test.app;
        let tokens = accounts::register(app, ada(), client(), HERE).await.unwrap();
        let claims = logins::verify_access_token(app, &tokens.access_token).unwrap();
        let login_id = claims.sid;
        let caller = Caller { user_id: claims.sub, via: Via::Login { login_id }, ..test.user().await };
        let ticket = logins::create_ticket(app, caller).await.unwrap().ticket;
        let change = |name: &str| -> ProfileChange {
            serde_json::from_value(serde_json::json!({ "display_name": name })).unwrap()
        };
        let sign_in = |password: &str| SignIn { login: "ada".to_owned(), password: password.to_owned() };

        let of_user = fill_queue(test, caller.user_id.into(), limits::WRITES_PER_USER);
        assert_busy_with_own_changes("a ticket", logins::create_ticket(app, caller).await);
        assert_busy_with_own_changes("the end of a login", logins::revoke(app, caller, login_id).await);
        assert_busy_with_own_changes("a profile", accounts::update_profile(app, caller, change("Ada")).await);
        assert_busy_with_own_changes("a sign-in", logins::sign_in(app, sign_in("correct horse"), client(), HERE).await);
        let password = serde_json::json!({ "current_password": "correct horse", "new_password": "a longer horse" });
        let password = serde_json::from_value(password).unwrap();
        assert_busy_with_own_changes("a password", accounts::update_password(app, caller, password, HERE).await);
        drop(of_user);

        let of_login = fill_queue(test, login_id.into(), limits::WRITES_PER_LOGIN);
        assert_busy_with_own_changes("a refresh", refresh::refresh(app, &tokens.refresh_token, HERE).await);
        assert_busy_with_own_changes(
            "the use of a ticket",
            logins::redeem_ticket(app, &ticket, TicketHolder::Login(login_id)).await,
        );
        drop(of_login);

        let of_network = fill_queue(test, WriteOwner::from_address(HERE), limits::WRITES_PER_NETWORK);
        let bob = Register { username: "bob".to_owned(), ..ada() };
        assert_busy_with_own_changes("a registration", accounts::register(app, bob, client(), HERE).await);
        drop(of_network);
    });
}

#[test]
fn rows_above_the_estimate_are_charged_too() {
    // On SQLite one transaction writes at a time, so the order of the turns is the order of the changes.
    on_sqlite(&async |test: &TestApp| {
        let [heavy_user, light_user] = test.users(2).await[..] else { unreachable!() };
        let others = test.users(100).await;
        let order = Mutex::new(Vec::new());
        let (has_begun, permit_to_end) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let (app, started, may_end) = (test.app.clone(), has_begun.clone(), permit_to_end.clone());
        let large = tokio::spawn(async move {
            transact_for(&app, heavy_user.user_id, 1, move |tx| {
                let (started, may_end) = (started.clone(), may_end.clone());
                Box::pin(async move {
                    tx.conn().execute_unprepared("UPDATE users SET updated_at = updated_at + 1").await?;
                    started.notify_one();
                    drop(may_end.acquire().await);
                    Ok(())
                })
            })
            .await
        });
        has_begun.notified().await;
        let small = [
            ("heavy_user", heavy_user),
            ("light_user", light_user),
            ("heavy_user", heavy_user),
            ("light_user", light_user),
        ];
        let small = small.map(async |(name, user)| {
            let turn = test.app.db().take_owner_turn(user.user_id.into(), 1).await.unwrap();
            order.lock().unwrap().push(name);
            drop(turn);
        });
        let mut small = std::pin::pin!(futures_util::future::join_all(small));
        assert!((&mut small).now_or_never().is_none(), "all small changes wait");
        permit_to_end.add_permits(1);
        large.await.unwrap().unwrap();
        small.await;
        assert_eq!(
            *order.lock().unwrap(),
            ["light_user", "light_user", "heavy_user", "heavy_user"],
            "after {} rows",
            others.len() + 2
        );
    });
}
