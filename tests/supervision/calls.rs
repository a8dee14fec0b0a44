//! A call over REST, in the middle of what it does: it fails alone.

use crate::expect_failing;
use crate::inside::{Inside, Post, on_each_database};
use crate::tasks::Mine;
use actix::prelude::*;
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service};
use greenroom::http::health::Draining;
use greenroom::http::{self, Services};
use greenroom::realtime::hub::Hub;
use greenroom::realtime::presence::Presence;
use greenroom::realtime::session::Surroundings;
use greenroom::usecases::logins;
use std::sync::Arc;
use tokio::sync::mpsc;

#[test]
fn a_call_that_panics_fails_alone_and_is_counted() {
    on_each_database(&async |inside: &Inside| {
        let app = &inside.app;
        let mine = Mine::lay(app);
        let users = inside.users(1).await;
        let group = inside.group(&users).await;
        let said = inside.send(Post::new(group, &users[0], "hello")).await.unwrap().message.id;
        let tokens = logins::issue(app, users[0].user_id, "a test", "127.0.0.1").await.unwrap();
        let (log, _) = mpsc::channel(16);
        let hub = Hub::new(vec![Arbiter::new().handle()], log, Arc::default(), app.supervision()).start();
        let presence = Presence::new(app.clone()).start();
        let around = Surroundings { app: app.clone(), hub: hub.recipient(), presence: presence.recipient() };
        let server = init_service(http::service(Services { around, draining: Draining::default() })).await;
        let pin = async || {
            let uri = format!("/api/v1/conversations/{group}/messages/{said}/pin");
            let call = TestRequest::put().uri(&uri);
            let call = call.insert_header(("authorization", format!("Bearer {}", tokens.access_token)));
            call_service(&server, call.to_request()).await.status()
        };
        mine.arm("SET pinned_at");
        assert_eq!(pin().await, StatusCode::INTERNAL_SERVER_ERROR);
        expect_failing(app, "use_cases").await;
        assert!(pin().await.is_success());
    });
}
