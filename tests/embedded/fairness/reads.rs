//! Ordinary reads are fair by user: of all that one has under way, a few statements at a time ask for a connection.

use super::connections::all_of;
use crate::harness::{Inside, on_each_database};
use actix::prelude::*;
use actix_web::test::{TestRequest, call_service, init_service};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use greenroom::http::{self, HttpServices, health::Draining};
use greenroom::mailboxes::{OpenRooms, ToPresence, ToRoom};
use greenroom::realtime::session::SessionServices;
use greenroom::store::db::pools::ReadPool;
use greenroom::usecases::logins;
use std::time::{Duration, Instant};

/// Stands where the hub and the presence registry stand; no socket is opened here.
struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<OpenRooms> for Nobody {
    type Result = greenroom::error::Result<Vec<Recipient<ToRoom>>>;

    fn handle(&mut self, _: OpenRooms, _: &mut Self::Context) -> Self::Result {
        Ok(Vec::new())
    }
}

impl Handler<ToPresence> for Nobody {
    type Result = ();

    fn handle(&mut self, _: ToPresence, _: &mut Self::Context) {}
}

/// Far above what any single condition needs.
const DEADLINE: Duration = Duration::from_secs(30);

/// Calls of one user at a time: as many as may be under way.
const CALLS: usize = 32;

#[test]
fn a_reader_waits_behind_a_few_statements_of_one_who_asks_for_much() {
    on_each_database(&async |inside: &Inside| {
        let greedy = inside.user().await;
        let token =
            logins::issue_tokens(&inside.app, greedy.user_id, "a test", "127.0.0.1").await.unwrap().access_token;
        let nobody = Nobody.start();
        let sessions =
            SessionServices { app: inside.app.clone(), hub: nobody.clone().recipient(), presence: nobody.recipient() };
        let service = init_service(http::service(HttpServices { sessions, draining: Draining::default() })).await;
        for path in ["/conversations?limit=100", "/conversations/unread-count", "/users/me"] {
            let mut connections = all_of(inside.app.db().read(ReadPool::Ordinary).pool()).await;
            let mut calls: FuturesUnordered<_> = (0..CALLS)
                .map(|_| {
                    let request = TestRequest::with_uri(&format!("/api/v1{path}"))
                        .peer_addr(([127, 0, 0, 1], 1).into())
                        .insert_header(("authorization", format!("Bearer {token}")));
                    call_service(&service, request.to_request())
                })
                .collect();
            // all of them are let in, and then want to read; authentication has connections of its own
            let places = inside.app.read_permits(greedy.user_id);
            let started = Instant::now();
            while places.available_permits() > 0 {
                assert!(calls.next().now_or_never().is_none(), "there is no connection");
                assert!(started.elapsed() < DEADLINE, "{path} reads nothing");
                actix::clock::sleep(Duration::from_millis(1)).await;
            }
            let mut bystander = Box::pin(inside.rows("SELECT 1"));
            assert!((&mut bystander).now_or_never().is_none(), "there is no connection");
            connections.truncate(1);
            drop(connections.pop());
            let mut before = 0;
            loop {
                tokio::select! {
                    biased;
                    _ = &mut bystander => break,
                    answer = calls.next() => {
                        assert_eq!(answer.expect("the bystander comes first").status().as_u16(), 200);
                        before += 1;
                    }
                }
            }
            assert!(before < CALLS / 2, "{path}: {before} of the others were answered before");
            while let Some(answer) = calls.next().await {
                assert_eq!(answer.status().as_u16(), 200);
            }
        }
    });
}
