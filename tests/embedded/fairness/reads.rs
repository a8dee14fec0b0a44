//! Ordinary reads are fair by user: of all reads of one user, only a few statements wait for a connection at the same
//! time.

use super::connections::take_all;
use crate::harness::{TestApp, on_each_database};
use actix::prelude::*;
use actix_web::test::{TestRequest, call_service, init_service};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use greenroom::http::{self, HttpServices, health::Draining};
use greenroom::mailboxes::{OpenRooms, ToPresence, ToRoom};
use greenroom::realtime::session::SessionServices;
use greenroom::store::db::pools::ReadPool;
use greenroom::usecases::logins;
use std::time::{Duration, Instant};

/// An actor instead of the hub and the presence actor. No socket is opened here.
struct IdleActor;

impl Actor for IdleActor {
    type Context = Context<Self>;
}

impl Handler<OpenRooms> for IdleActor {
    type Result = greenroom::error::Result<Vec<Recipient<ToRoom>>>;

    fn handle(&mut self, _: OpenRooms, _: &mut Self::Context) -> Self::Result {
        Ok(Vec::new())
    }
}

impl Handler<ToPresence> for IdleActor {
    type Result = ();

    fn handle(&mut self, _: ToPresence, _: &mut Self::Context) {}
}

/// The time after which the test stops waiting.
const DEADLINE: Duration = Duration::from_secs(30);

/// The number of calls of one user at the same time, which is the maximum.
const CALLS: usize = 32;

#[test]
fn a_read_waits_for_only_a_few_statements_of_a_user_with_many_calls() {
    on_each_database(&async |test: &TestApp| {
        let heavy_user = test.user().await;
        let token =
            logins::issue_tokens(&test.app, heavy_user.user_id, "a test", "127.0.0.1").await.unwrap().access_token;
        let idle = IdleActor.start();
        let sessions =
            SessionServices { app: test.app.clone(), hub: idle.clone().recipient(), presence: idle.recipient() };
        let service = init_service(http::service(HttpServices { sessions, draining: Draining::default() })).await;
        for path in ["/conversations?limit=100", "/conversations/unread-count", "/users/me"] {
            let mut connections = take_all(test.app.db().read(ReadPool::Ordinary)).await;
            let mut calls: FuturesUnordered<_> = (0..CALLS)
                .map(|_| {
                    let request = TestRequest::with_uri(&format!("/api/v1{path}"))
                        .peer_addr(([127, 0, 0, 1], 1).into())
                        .insert_header(("authorization", format!("Bearer {token}")));
                    call_service(&service, request.to_request())
                })
                .collect();
            // All calls are accepted and then wait to read. Authentication has its own connections.
            let permits = test.app.database_read_permits(heavy_user.user_id);
            let started = Instant::now();
            while permits.available_permits() > 0 {
                assert!(calls.next().now_or_never().is_none(), "no connection is free");
                assert!(started.elapsed() < DEADLINE, "{path} reads nothing");
                actix::clock::sleep(Duration::from_millis(1)).await;
            }
            let mut other_read = Box::pin(test.rows("SELECT 1"));
            assert!((&mut other_read).now_or_never().is_none(), "no connection is free");
            connections.truncate(1);
            drop(connections.pop());
            let mut before = 0;
            loop {
                tokio::select! {
                    biased;
                    _ = &mut other_read => break,
                    answer = calls.next() => {
                        assert_eq!(answer.expect("the read ends before the last call").status().as_u16(), 200);
                        before += 1;
                    }
                }
            }
            assert!(before < CALLS / 2, "{path}: {before} calls were answered before the read of another user");
            while let Some(answer) = calls.next().await {
                assert_eq!(answer.status().as_u16(), 200);
            }
        }
    });
}
