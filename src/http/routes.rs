//! The route table: every handler with its access. The attribute of the handler says its methods and its path.
//!
//! The table is the source for the resources, for the methods that a 405 names, for the authentication of callers, and
//! for the OpenAPI document. The first matching path answers a request, so a path with a fixed word must come before a
//! path with a parameter at the same position.

use super::access::Access::{Anyone, ByHandler, User, UserInRead};
use super::openapi::{self, DocumentText};
use super::route::{API, Route, page, resources, route};
use super::{
    accounts, assets, blocks, conversations, docs, health, logins, marks, members, messages, pins, presence, reactions,
    receipts, settings, statistics, typing, users, ws,
};
use crate::domain::limits;
use actix_web::web;
use std::sync::LazyLock;

/// The routes below [`API`].
pub static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let routes = [
        // The routes that are called most often come first: each path with a parameter that comes before one costs it a
        // regular expression.
        route!(UserInRead, conversations::list),
        route!(User, conversations::create),
        route!(User, conversations::create_with),
        route!(User, conversations::get_with),
        route!(UserInRead, messages::list),
        route!(User, messages::send),
        route!(User, marks::read),
        // The routes of accounts.
        route!(Anyone, accounts::register),
        route!(Anyone, logins::login),
        route!(Anyone, logins::refresh),
        route!(User, logins::logout),
        route!(User, logins::sessions),
        route!(User, logins::revoke_session),
        route!(User, logins::ticket),
        route!(User, accounts::me),
        route!(User, accounts::update_me),
        route!(User, accounts::set_password),
        route!(User, users::search, limits::USER_SEARCH_COST),
        route!(User, presence::presence),
        route!(User, users::get),
        // The routes of conversations and their members.
        route!(User, conversations::unread_count),
        route!(User, statistics::own_stats),
        route!(User, conversations::detail),
        route!(User, conversations::update),
        route!(User, conversations::leave),
        route!(User, statistics::stats),
        route!(User, presence::online),
        route!(User, typing::typing),
        route!(User, settings::archive),
        route!(User, settings::unarchive),
        route!(User, settings::mute),
        route!(User, settings::unmute),
        route!(User, settings::pin),
        route!(User, settings::unpin),
        route!(User, settings::notify),
        route!(User, members::list),
        route!(User, members::add),
        route!(User, members::get),
        route!(User, members::remove),
        route!(User, members::set_role),
        // The routes of messages.
        route!(User, messages::edit),
        route!(User, messages::delete),
        route!(User, messages::history),
        route!(User, receipts::get),
        route!(User, reactions::list),
        route!(User, reactions::add),
        route!(User, reactions::remove),
        route!(User, pins::add),
        route!(User, pins::remove),
        route!(User, pins::list),
        route!(User, messages::get),
        route!(User, messages::context),
        // The routes of blocks.
        route!(User, blocks::create),
        route!(User, blocks::list),
        route!(User, blocks::delete),
        route!(User, blocks::status),
        // The routes of the server itself.
        route!(Anyone, openapi::serve),
    ];
    routes.into_iter().flatten().collect()
});

/// The routes that exist both below [`API`] and at the root.
pub static SHARED_ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let routes = [
        route!(ByHandler, ws::upgrade),
        route!(Anyone, health::health),
        route!(Anyone, health::live),
        route!(Anyone, health::ready),
    ];
    routes.into_iter().flatten().collect()
});

/// The OpenAPI document of all routes. The handler of its route gets it from here.
static DOCUMENT: DocumentText = DocumentText::new(document);

/// Returns the OpenAPI document of all routes.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::describe(ROUTES.iter().chain(SHARED_ROUTES.iter()))
}

/// Returns all routes of the API with their full paths, without pages.
pub fn all() -> impl Iterator<Item = (String, &'static Route)> {
    let api = ROUTES.iter().chain(SHARED_ROUTES.iter()).map(|route| (format!("{API}{}", route.path), route));
    api.chain(SHARED_ROUTES.iter().map(|route| (route.path.clone(), route)))
}

/// Registers all routes and pages, and the handlers for paths without a route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.app_data(web::Data::new(&DOCUMENT));
    let mut api = web::scope(API).default_service(web::to(assets::not_found));
    for resource in resources(&ROUTES).into_iter().chain(resources(&SHARED_ROUTES)) {
        api = api.service(resource);
    }
    config.service(api);
    for resource in resources(&SHARED_ROUTES) {
        config.service(resource);
    }
    // The files of the client have no routes: they answer paths that no route has.
    config.service(page("/docs", || web::to(docs::redirect)));
    config.service(page("/docs/{file:.*}", || web::to(docs::serve)));
    config.default_service(web::to(assets::serve));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ConversationId;
    use crate::http::middleware::edge;
    use crate::http::route::{METHODS, operation};
    use crate::http::testing::header_text;
    use actix_web::App;
    use actix_web::dev::ServiceResponse;
    use actix_web::http::{Method, StatusCode, header};
    use actix_web::middleware::from_fn;
    use actix_web::test::{self, TestRequest};
    use serde_json::Value;

    /// Calls a route without an application, so only routes that need none can answer.
    async fn ask(method: Method, path: &str) -> ServiceResponse {
        let app = test::init_service(App::new().configure(configure).wrap(from_fn(edge))).await;
        let answer = test::call_service(&app, TestRequest::with_uri(path).method(method).to_request()).await;
        answer.map_into_boxed_body()
    }

    async fn code(answer: ServiceResponse) -> String {
        let body: Value = test::read_body_json(answer).await;
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns a path that matches the pattern of the route.
    fn example(path: &str) -> String {
        path.replace("{id}", &ConversationId::new().to_string())
            .replace("{mid}", &ConversationId::new().to_string())
            .replace("{ref}", "ada")
            .replace("{file:.*}", "index.css")
    }

    #[actix_web::test]
    async fn every_route_can_be_reached_and_names_its_methods() {
        let pages = ["/docs", "/docs/{file:.*}"].map(|path| (path.to_owned(), Method::GET));
        for (path, expected) in all().map(|(path, route)| (path, route.method.clone())).chain(pages) {
            let answer = ask(Method::TRACE, &example(&path)).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(answer.request().match_pattern().as_deref(), Some(path.as_str()), "shadowed");
            let allow = header_text(answer.headers(), header::ALLOW).to_owned();
            assert!(allow.split(", ").any(|method| method == expected.as_str()), "{path}: {allow}");
            assert_eq!(allow.contains("HEAD"), allow.contains("GET"), "{path}: {allow}");
            assert_eq!(code(answer).await, "method_not_allowed", "{path}");
        }
    }

    #[test]
    fn the_document_has_one_operation_for_each_route() {
        let mut described = Vec::new();
        for (path, mut item) in document().paths.paths {
            for method in METHODS.into_iter().filter(|method| operation(&mut item, method).is_some()) {
                described.push(format!("{method} {path}"));
            }
        }
        let routes = ROUTES.iter().chain(SHARED_ROUTES.iter());
        let mut routes: Vec<_> = routes.map(|route| format!("{} {}", route.method, route.path)).collect();
        described.sort_unstable();
        routes.sort_unstable();
        assert_eq!(described, routes);
    }

    #[actix_web::test]
    async fn a_route_that_needs_a_token_refuses_calls_without_one() {
        let mut refused = 0;
        for (path, route) in all().filter(|(_, route)| route.access.roles().is_some()) {
            let answer = ask(route.method.clone(), &example(&path)).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{} {path}", route.method);
            assert_eq!(header_text(answer.headers(), header::WWW_AUTHENTICATE), "Bearer");
            assert_eq!(code(answer).await, "unauthorized", "{} {path}", route.method);
            refused += 1;
        }
        assert!(refused > 0);
    }

    #[actix_web::test]
    async fn a_path_without_a_route_is_not_found() {
        for path in ["/api/v1", "/api/v1/", "/api/v1/nowhere", "/api/v1/users/me/", "/api/v2/users", "/nowhere"] {
            let answer = ask(Method::GET, path).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(code(answer).await, "not_found", "{path}");
        }
    }

    #[actix_web::test]
    async fn the_document_can_be_read_in_a_browser() {
        let redirect = ask(Method::GET, "/docs").await;
        assert_eq!((redirect.status().as_u16(), header_text(redirect.headers(), header::LOCATION)), (308, "/docs/"));
        let page = ask(Method::GET, "/docs/").await;
        assert_eq!((page.status(), header_text(page.headers(), header::CONTENT_TYPE)), (StatusCode::OK, "text/html"));
        let set_up = test::read_body(ask(Method::GET, "/docs/swagger-initializer.js").await).await;
        assert!(set_up.windows(20).any(|text| text == b"/api/v1/openapi.json"));
        assert_eq!(code(ask(Method::GET, "/docs/nowhere").await).await, "not_found");
    }
}
