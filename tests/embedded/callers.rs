//! Callers by credential: what a ticket inherits, which calls need a login, and who may call a route for admins. The
//! credentials of the host application are made here, because no call creates them yet.

use crate::harness::{TestApp, on_each_database, on_sqlite};
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::{App, HttpResponse, web};
use greenroom::domain::accounts::UserRole;
use greenroom::domain::caller::{Caller, Scope, Scopes, ServiceToken, Via};
use greenroom::domain::codes::Code;
use greenroom::domain::ids::{LoginId, ServiceTokenId};
use greenroom::domain::limits;
use greenroom::domain::names::UserRef;
use greenroom::domain::time::Timestamp;
use greenroom::error::Result;
use greenroom::http::access::Access;
use greenroom::http::middleware::edge;
use greenroom::http::openapi;
use greenroom::http::route::{Route, resources};
use greenroom::usecases::{accounts, logins, operator, sessions};
use std::net::{IpAddr, Ipv4Addr};
use utoipa::OpenApi;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn code<T>(outcome: Result<T>) -> Result<(), Code> {
    outcome.map(drop).map_err(|error| error.code())
}

/// Returns a service token that may act for users and has the scope for admins.
fn service_token() -> ServiceToken {
    ServiceToken { id: ServiceTokenId::new(), scopes: Scopes::of(&[Scope::Act, Scope::Admin]) }
}

#[test]
fn a_ticket_opens_one_session_by_the_credential_that_created_it() {
    on_each_database(&async |test: &TestApp| {
        let app = &test.app;
        let user = test.user().await;
        let soon = Timestamp(Timestamp::now().0 + 5_000);
        let token = service_token();
        let act = ServiceToken { scopes: Scopes::of(&[Scope::Act]), ..token };
        for (via, inherited) in
            [(Via::Host { expires_at: soon }, Via::Host { expires_at: soon }), (Via::Service(token), Via::Service(act))]
        {
            let caller = Caller { via, ..user };
            let ticket = logins::create_ticket(app, caller).await.unwrap().ticket;
            let holder = logins::get_ticket_holder(app, &ticket).unwrap();
            let before = Timestamp::now();
            let (redeemed, session_end) = logins::redeem_ticket(app, &ticket, holder).await.unwrap();
            assert_eq!(redeemed, Caller { via: inherited, ..user });
            if let Via::Host { .. } = via {
                assert_eq!(session_end, soon, "the session ends with the token of the host application");
            } else {
                assert!(session_end >= before.plus(limits::ACCESS_TOKEN_LIFETIME));
            }
            sessions::read_user_rev_of_valid_caller(app, &redeemed).await.unwrap();
            assert_eq!(code(logins::redeem_ticket(app, &ticket, holder).await), Err(Code::Unauthorized));
        }

        let caller = Caller { via: Via::Host { expires_at: soon }, ..user };
        let ticket = logins::create_ticket(app, caller).await.unwrap().ticket;
        let holder = logins::get_ticket_holder(app, &ticket).unwrap();
        test.run(&format!("UPDATE users SET status = 'suspended' WHERE id = {}", test.id_literal(user.user_id))).await;
        assert_eq!(code(sessions::read_user_rev_of_valid_caller(app, &caller).await), Err(Code::Suspended));
        assert_eq!(code(logins::redeem_ticket(app, &ticket, holder).await), Err(Code::Suspended));
    });
}

#[test]
fn calls_about_logins_depend_on_the_credential() {
    on_sqlite(&async |test: &TestApp| {
        let app = &test.app;
        let user = test.user().await;
        logins::issue_tokens(app, user.user_id, "a test", "127.0.0.1").await.unwrap();
        let change = || {
            let change = serde_json::json!({ "current_password": "correct horse", "new_password": "a longer horse" });
            serde_json::from_value(change).unwrap()
        };
        let host = Caller { via: Via::Host { expires_at: Timestamp::FAR_FUTURE }, ..user };
        assert_eq!(code(logins::list(app, host, None, 20).await), Err(Code::HostAccount));
        assert_eq!(code(logins::sign_out(app, host).await), Err(Code::HostAccount));
        assert_eq!(code(logins::revoke(app, host, LoginId::new()).await), Err(Code::HostAccount));
        assert_eq!(code(accounts::update_password(app, host, change(), HERE).await), Err(Code::HostAccount));

        let service = Caller { via: Via::Service(service_token()), ..user };
        assert_eq!(code(logins::sign_out(app, service).await), Err(Code::Forbidden));
        let (listed, _) = logins::list(app, service, None, 20).await.unwrap();
        assert!(listed.len() == 1 && !listed[0].current);
        logins::revoke(app, service, listed[0].id).await.unwrap();
        assert!(logins::list(app, service, None, 20).await.unwrap().0.is_empty());
    });
}

/// A route for the test below, for admins.
#[utoipa::path(get, path = "/for-admins", responses((status = 204)))]
async fn for_admins() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// Another route for the test below, for service tokens with a scope.
#[utoipa::path(get, path = "/for-scope", responses((status = 204)))]
async fn for_scope() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

#[derive(OpenApi)]
#[openapi(paths(for_admins))]
struct ForAdmins;

#[derive(OpenApi)]
#[openapi(paths(for_scope))]
struct ForScope;

/// Returns the two routes with their access.
fn routes() -> Vec<Route> {
    let mut routes = Route::all_of(Access::Admin, 1, || web::to(for_admins), ForAdmins::openapi);
    let scope = Access::Scope(Scope::UsersWrite);
    routes.extend(Route::all_of(scope, 1, || web::to(for_scope), ForScope::openapi));
    routes
}

#[test]
fn a_route_for_admins_refuses_other_users() {
    on_sqlite(&async |test: &TestApp| {
        let app = &test.app;
        let with_routes = resources(&routes()).into_iter().fold(App::new(), App::service);
        let with_app = with_routes.app_data(web::Data::new(app.clone())).wrap(from_fn(edge));
        let server = init_service(with_app).await;
        let user = test.user().await;
        let issued = logins::issue_tokens(app, user.user_id, "a test", "127.0.0.1").await.unwrap();
        let call = async |path: &str, token: Option<&str>| {
            let request = TestRequest::get().uri(path);
            let request = match token {
                Some(token) => request.insert_header(("authorization", format!("Bearer {token}"))),
                None => request,
            };
            let answer = call_service(&server, request.to_request()).await;
            if answer.status().is_success() {
                return answer.status().to_string();
            }
            let problem: serde_json::Value = read_body_json(answer).await;
            problem["code"].as_str().unwrap().to_owned()
        };
        for path in ["/for-admins", "/for-scope"] {
            assert_eq!(call(path, None).await, "unauthorized");
            assert_eq!(call(path, Some(&issued.access_token)).await, "forbidden");
        }
        operator::update_role(app, &UserRef::Id(user.user_id), UserRole::Admin).await.unwrap();
        for path in ["/for-admins", "/for-scope"] {
            assert_eq!(
                call(path, Some(&issued.access_token)).await,
                "204 No Content",
                "each call reads the role again"
            );
        }
    });
}

#[test]
fn the_document_names_the_access_of_a_route() {
    let document = serde_json::to_value(openapi::describe(&routes())).unwrap();
    let security = |path: &str| document["paths"][path]["get"]["security"].clone();
    assert_eq!(security("/for-admins"), serde_json::json!([{ "bearer": ["admin"] }]));
    assert_eq!(security("/for-scope"), serde_json::json!([{ "bearer": ["users:write"] }]));
}
