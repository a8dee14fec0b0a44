//! Signing in: which statements it sends to the database, and which refusals are counted.

use crate::harness::{TestApp, on_each_database, on_sqlite};
use actix_web::test::{TestRequest, call_service, init_service};
use greenroom::domain::caller::TicketHolder;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::LoginId;
use greenroom::domain::limits;
use greenroom::domain::time::Timestamp;
use greenroom::domain::tokens::Keys;
use greenroom::error::Result;
use greenroom::http;
use greenroom::protocol::accounts::Register;
use greenroom::protocol::logins::{SignIn, Tokens};
use greenroom::usecases::logins::ClientInfo;
use greenroom::usecases::{accounts, logins, refresh};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Returns the client of all sign-ins here.
fn client() -> ClientInfo {
    ClientInfo { device: "a test".to_owned(), ip: HERE.to_string() }
}

#[test]
fn every_refusal_by_a_limit_on_signing_in_is_counted() {
    on_sqlite(&async |test: &TestApp| {
        let app = &test.app;
        let counts = || app.admission().refusal_counts();
        let user = test.user().await;
        let mut token = logins::issue_tokens(app, user.user_id, "a test", "127.0.0.1").await.unwrap().refresh_token;
        let refused = loop {
            match refresh::refresh(app, &token, HERE).await {
                Ok(renewed) => token = renewed.refresh_token,
                Err(refused) => break refused,
            }
        };
        assert_eq!((refused.code(), counts().sign_ins), (Code::RateLimited, 1));

        let ada = || SignIn { login: "ada".to_owned(), password: "not hers at all".to_owned() };
        let mut tried = 0;
        while logins::sign_in(app, ada(), client(), HERE).await.unwrap_err().code() == Code::InvalidCredentials {
            tried += 1;
        }
        assert_eq!((tried, counts().sign_ins), (limits::WRONG_PASSWORDS_PER_MINUTE, 2));

        let queue: Vec<_> = std::iter::from_fn(|| app.hashing().acquire_queue_permit().ok()).collect();
        let bob = SignIn { login: "bob".to_owned(), ..ada() };
        let full = logins::sign_in(app, bob, client(), HERE).await.unwrap_err();
        assert_eq!((full.code(), counts().busy), (Code::Busy, 1));
        drop(queue);

        let server = init_service(http::service(test.http_services())).await;
        let call_route = async |path: &str, token: Option<&str>| {
            let request = TestRequest::get().uri(path);
            let request = match token {
                Some(token) => request.insert_header(("authorization", format!("Bearer {token}"))),
                None => request,
            };
            call_service(&server, request.to_request()).await.status().as_u16()
        };
        let known = logins::issue_tokens(app, user.user_id, "a test", "127.0.0.1").await.unwrap().access_token;
        assert_eq!(call_route("/api/v1/users/unknown", Some(&known)).await, 404);
        assert_eq!(counts().uncharged, 0, "a caller with a valid token is charged instead");
        for token in [None, Some("a.b.c")] {
            assert_eq!(call_route("/api/v1/users/me", token).await, 401);
        }
        assert_eq!(counts().uncharged, 2);
    });
}

/// Records the statements that the application sends from now on.
fn record_statements(test: &TestApp) -> Arc<Mutex<Vec<String>>> {
    let statements: Arc<Mutex<Vec<String>>> = Arc::default();
    let recorded = statements.clone();
    test.app.db().observe(move |statement, _| recorded.lock().unwrap().push(statement.sql.clone()));
    statements
}

#[test]
fn an_invented_refresh_token_or_ticket_costs_no_statement() {
    on_each_database(&async |test: &TestApp| {
        let other_keys = Keys::new(b"another secret of more than thirty-two bytes", None);
        let soon = Timestamp(Timestamp::now().0 + 10_000);
        let expired = test.app.keys().create_ticket(TicketHolder::Login(LoginId::new()), Timestamp(soon.0 - 20_000));
        test.wait_for_transactions().await;
        let statements = record_statements(test);
        // Wait until the tasks of the start have sent their last statements.
        statements.lock().unwrap().clear();
        for invented in [
            String::new(),
            "nonsense".to_owned(),
            // Tickets of an older version name no login.
            "A".repeat(43),
            "A".repeat(86),
            other_keys.create_refresh_token(LoginId::new()),
            other_keys.create_ticket(TicketHolder::Login(LoginId::new()), soon),
            expired,
        ] {
            assert!(refresh::refresh(&test.app, &invented, HERE).await.is_err(), "{invented}");
            assert!(logins::get_ticket_holder(&test.app, &invented).is_err(), "{invented}");
        }
        let statements: Vec<String> = statements.lock().unwrap().clone();
        assert!(statements.is_empty(), "{statements:#?}");
    });
}

async fn sign_in(test: &TestApp, login: &str, password: &str) -> Result<Tokens> {
    let input = SignIn { login: login.to_owned(), password: password.to_owned() };
    logins::sign_in(&test.app, input, client(), HERE).await
}

#[test]
fn invented_names_from_an_address_without_permits_cost_no_statement_each() {
    on_each_database(&async |test: &TestApp| {
        let register = |name: &str| Register {
            username: name.to_owned(),
            password: "correct horse".to_owned(),
            email: Some(format!("{name}@example.org")),
            display_name: None,
        };
        accounts::register(&test.app, register("ada"), client(), HERE).await.unwrap();
        // A user from another address.
        let other_client = ClientInfo { ip: "198.51.100.1".to_owned(), ..client() };
        accounts::register(&test.app, register("bob"), other_client, "198.51.100.1".parse().unwrap()).await.unwrap();
        let wrong = futures_util::future::join_all((0..5).map(|_| sign_in(test, "bob", "wrong")));
        assert!(wrong.await.into_iter().all(|outcome| outcome.is_err_and(|e| e.code() == Code::InvalidCredentials)));
        let statements = record_statements(test);
        let take_statement_count = || {
            statements
                .lock()
                .unwrap()
                .extract_if(.., |text| text.contains("logins") || text.contains("\"users\""))
                .count()
        };
        take_statement_count();
        let refused =
            async |login: &str| sign_in(test, login, "wrong").await.is_err_and(|e| e.code() == Code::RateLimited);
        for _ in 0..100 {
            assert!(refused("bob").await);
        }
        assert_eq!(
            take_statement_count(),
            1,
            "the first sign-in reads the account of the name, and the result is kept"
        );
        // The address has five permits left.
        for number in 0..5 {
            let outcome = sign_in(test, &format!("unknown-{number}"), "wrong").await;
            assert!(outcome.is_err_and(|error| error.code() == Code::InvalidCredentials));
        }
        assert_eq!(take_statement_count(), 5);
        let sign_ins =
            futures_util::future::join_all((0..200).map(async |n| sign_in(test, &format!("invented-{n}"), "?").await));
        assert!(
            sign_ins.await.into_iter().all(|outcome| outcome.is_err_and(|error| error.code() == Code::RateLimited))
        );
        for number in 0..100 {
            assert!(refused(&format!("invented-{number}")).await);
        }
        // The list of accounts that are known there, in two pages: one account, and then none.
        assert_eq!(take_statement_count(), 2);
        for login in ["ada", " ADA@example.org"] {
            sign_in(test, login, "correct horse").await.unwrap();
        }
        assert!(refused("bob@example.org").await, "no user has signed in to this account from this address");
    });
}

#[test]
fn only_the_first_call_after_a_refresh_writes() {
    on_each_database(&async |test: &TestApp| {
        let user = test.user().await;
        let issued = logins::issue_tokens(&test.app, user.user_id, "a test", "127.0.0.1").await.unwrap();
        let renewed = refresh::refresh(&test.app, &issued.refresh_token, HERE).await.unwrap();
        test.wait_for_transactions().await;
        let statements = record_statements(test);
        let count_updates = || statements.lock().unwrap().iter().filter(|text| text.contains("UPDATE logins")).count();
        let claims = |tokens: &Tokens| logins::verify_access_token(&test.app, &tokens.access_token).unwrap();
        for _ in 0..3 {
            logins::authenticate(&test.app, &claims(&issued)).await.unwrap();
        }
        assert_eq!(count_updates(), 0, "the generation of this token was seen before");
        for _ in 0..3 {
            logins::authenticate(&test.app, &claims(&renewed)).await.unwrap();
        }
        assert_eq!(count_updates(), 1);
        let rows = test.rows("SELECT generation, seen_generation FROM logins").await;
        assert_eq!(rows.len(), 1);
        let stored = |column| rows[0].try_get::<i64>("", column).unwrap();
        assert_eq!((stored("generation"), stored("seen_generation")), (1, 1));
    });
}
