//! A call over REST that panics fails alone.

use super::expect_failing;
use super::tasks::PanickingStatements;
use crate::harness::{TestApp, TestSend, on_each_database};
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service};
use greenroom::http;
use greenroom::usecases::logins;

#[test]
fn a_call_that_panics_fails_alone_and_is_counted() {
    on_each_database(&async |test: &TestApp| {
        let app = &test.app;
        let panics = PanickingStatements::install(app);
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let message = test.send(TestSend::new(group, &users[0], "hello")).await.unwrap().message.id;
        let tokens = logins::issue_tokens(app, users[0].user_id, "a test", "127.0.0.1").await.unwrap();
        let server = init_service(http::service(test.http_services())).await;
        let pin = async || {
            let uri = format!("/api/v1/conversations/{group}/messages/{message}/pin");
            let call = TestRequest::put().uri(&uri);
            let call = call.insert_header(("authorization", format!("Bearer {}", tokens.access_token)));
            call_service(&server, call.to_request()).await.status()
        };
        panics.at_next("SET pinned_at");
        assert_eq!(pin().await, StatusCode::INTERNAL_SERVER_ERROR);
        expect_failing(app, "use_cases").await;
        assert!(pin().await.is_success());
    });
}
