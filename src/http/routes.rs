//! The route table: each method of each path with its access and its handler.
//!
//! The table is the source for the resources, for the methods that a 405 names, for the authentication of callers, and
//! for the access in the OpenAPI document. The first matching path answers a request, so a path with a fixed word must
//! come before a path with a parameter at the same position.

use super::middleware::authenticate;
use super::problem::Problem;
use super::{
    assets, auth, blocks, conversations, docs, health, members, messages, openapi, pins, reactions, receipts, settings,
    statistics, users, ws,
};
use crate::admission::costs;
use Access::{Anyone, ByHandler, User};
use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Resource, guard, web};

/// The path of the API.
pub const API: &str = "/api/v1";

/// The callers of a route. The use case checks the rights in a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Anyone,
    /// Callers with a valid access token.
    User,
    /// The handler checks the access itself.
    ByHandler,
}

/// One method of one path.
#[derive(Debug)]
pub struct Route {
    pub access: Access,
    /// A route with GET also answers HEAD.
    pub method: Method,
    /// The path, below [`API`] or at the root.
    pub path: &'static str,
    /// The cost of a call for its user.
    cost: u32,
    handler: fn() -> actix_web::Route,
}

/// The routes below [`API`].
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    // accounts
    post(Anyone, "/auth/register", || web::to(auth::register)),
    post(Anyone, "/auth/login", || web::to(auth::login)),
    post(Anyone, "/auth/refresh", || web::to(auth::refresh)),
    post(User, "/auth/logout", || web::to(auth::logout)),
    get(User, "/auth/sessions", || web::to(auth::sessions)),
    delete(User, "/auth/sessions/{id}", || web::to(auth::revoke_session)),
    post(User, "/ws/ticket", || web::to(auth::ticket)),
    get(User, "/users/me", || web::to(users::me)),
    patch(User, "/users/me", || web::to(users::update_me)),
    put(User, "/users/me/password", || web::to(users::set_password)),
    get(User, "/users/search", || web::to(users::search)).with_cost(costs::USER_SEARCH),
    post(User, "/users/presence", || web::to(users::presence)),
    get(User, "/users/{ref}", || web::to(users::get)),
    // conversations and their members
    post(User, "/conversations", || web::to(conversations::create)),
    get(User, "/conversations", || web::to(conversations::list)),
    get(User, "/conversations/unread-count", || web::to(conversations::unread_count)),
    get(User, "/conversations/stats", || web::to(statistics::own_stats)),
    post(User, "/conversations/with/{ref}", || web::to(conversations::create_with)),
    get(User, "/conversations/with/{ref}", || web::to(conversations::get_with)),
    get(User, "/conversations/{id}", || web::to(conversations::detail)),
    patch(User, "/conversations/{id}", || web::to(conversations::update)),
    put(User, "/conversations/{id}", || web::to(conversations::update)),
    delete(User, "/conversations/{id}", || web::to(conversations::leave)),
    get(User, "/conversations/{id}/stats", || web::to(statistics::stats)),
    get(User, "/conversations/{id}/online", || web::to(conversations::online)),
    get(User, "/conversations/{id}/typing", || web::to(conversations::typing)),
    post(User, "/conversations/{id}/archive", || web::to(settings::archive)),
    delete(User, "/conversations/{id}/archive", || web::to(settings::unarchive)),
    post(User, "/conversations/{id}/mute", || web::to(settings::mute)),
    delete(User, "/conversations/{id}/mute", || web::to(settings::unmute)),
    post(User, "/conversations/{id}/pin", || web::to(settings::pin)),
    delete(User, "/conversations/{id}/pin", || web::to(settings::unpin)),
    put(User, "/conversations/{id}/notify", || web::to(settings::notify)),
    post(User, "/conversations/{id}/read", || web::to(conversations::read)),
    get(User, "/conversations/{id}/members", || web::to(members::list)),
    post(User, "/conversations/{id}/members", || web::to(members::add)),
    get(User, "/conversations/{id}/members/{ref}", || web::to(members::get)),
    delete(User, "/conversations/{id}/members/{ref}", || web::to(members::remove)),
    put(User, "/conversations/{id}/members/{ref}/role", || web::to(members::set_role)),
    // messages
    post(User, "/conversations/{id}/messages", || web::to(messages::send)),
    get(User, "/conversations/{id}/messages", || web::to(messages::list)),
    patch(User, "/conversations/{id}/messages/{mid}", || web::to(messages::edit)),
    put(User, "/conversations/{id}/messages/{mid}", || web::to(messages::edit)),
    delete(User, "/conversations/{id}/messages/{mid}", || web::to(messages::delete)),
    get(User, "/conversations/{id}/messages/{mid}/history", || web::to(messages::history)),
    get(User, "/conversations/{id}/messages/{mid}/receipts", || web::to(receipts::get)),
    get(User, "/conversations/{id}/messages/{mid}/reactions", || web::to(reactions::list)),
    put(User, "/conversations/{id}/messages/{mid}/reactions/{emoji}", || web::to(reactions::add)),
    delete(User, "/conversations/{id}/messages/{mid}/reactions/{emoji}", || web::to(reactions::remove)),
    put(User, "/conversations/{id}/messages/{mid}/pin", || web::to(pins::add)),
    delete(User, "/conversations/{id}/messages/{mid}/pin", || web::to(pins::remove)),
    get(User, "/conversations/{id}/pins", || web::to(pins::list)),
    get(User, "/messages/{id}", || web::to(messages::get)),
    get(User, "/messages/{id}/context", || web::to(messages::context)),
    // blocks
    post(User, "/blocks", || web::to(blocks::create)),
    get(User, "/blocks", || web::to(blocks::list)),
    delete(User, "/blocks/{ref}", || web::to(blocks::delete)),
    get(User, "/blocks/{ref}/status", || web::to(blocks::status)),
    // the server
    get(Anyone, "/openapi.json", || web::to(openapi::serve)),
];

/// The routes that exist both below [`API`] and at the root.
#[rustfmt::skip]
pub const SHARED_ROUTES: &[Route] = &[
    get(ByHandler, "/ws", || web::to(ws::upgrade)),
    get(Anyone, "/health", || web::to(health::health)),
    get(Anyone, "/health/live", || web::to(health::live)),
    get(Anyone, "/health/ready", || web::to(health::ready)),
];

/// The pages at the root. The files of the client have no routes: they answer paths that no route has.
#[rustfmt::skip]
pub const PAGE_ROUTES: &[Route] = &[
    get(Anyone, "/docs", || web::to(docs::redirect)),
    get(Anyone, "/docs/{file:.*}", || web::to(docs::serve)),
];

/// Returns all routes of the API with their full paths, without pages.
pub fn all() -> impl Iterator<Item = (String, &'static Route)> {
    let api = ROUTES.iter().chain(SHARED_ROUTES).map(|route| (format!("{API}{}", route.path), route));
    api.chain(SHARED_ROUTES.iter().map(|route| (route.path.to_owned(), route)))
}

/// Registers all routes, and the handlers for paths without a route.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut api = web::scope(API).default_service(web::to(assets::not_found));
    for resource in resources(ROUTES).into_iter().chain(resources(SHARED_ROUTES)) {
        api = api.service(resource);
    }
    config.service(api);
    for resource in resources(SHARED_ROUTES).into_iter().chain(resources(PAGE_ROUTES)) {
        config.service(resource);
    }
    config.default_service(web::to(assets::serve));
}

/// Returns one resource for each path, in the order of the table. Each resource refuses other methods and names the
/// supported ones.
fn resources(routes: &'static [Route]) -> Vec<impl HttpServiceFactory + use<>> {
    let mut paths: Vec<&str> = Vec::new();
    for route in routes {
        if !paths.contains(&route.path) {
            paths.push(route.path);
        }
    }
    paths.into_iter().map(|path| resource(path, routes.iter().filter(|route| route.path == path).collect())).collect()
}

fn resource(path: &str, routes: Vec<&Route>) -> Resource {
    let allow =
        routes.iter().map(|route| if route.method == Method::GET { "GET, HEAD" } else { route.method.as_str() });
    let allow = allow.collect::<Vec<_>>().join(", ");
    let refuse_method = move || {
        let allow = allow.clone();
        async move { Err::<HttpResponse, _>(Problem::method_not_allowed(allow)) }
    };
    let resource = routes.into_iter().fold(web::resource(path), |resource, route| resource.route(route.build()));
    resource.default_service(web::to(refuse_method))
}

impl Route {
    const fn with_cost(mut self, cost: u32) -> Self {
        self.cost = cost;
        self
    }

    fn build(&self) -> actix_web::Route {
        let cost = self.cost;
        let route = if self.access == User {
            (self.handler)().wrap(from_fn(move |req, next| authenticate(cost, req, next)))
        } else {
            (self.handler)()
        };
        if self.method == Method::GET {
            route.guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            route.guard(guard::Method(self.method.clone()))
        }
    }
}

const fn get(access: Access, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { access, method: Method::GET, path, cost: 1, handler }
}

const fn post(access: Access, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { access, method: Method::POST, path, cost: 1, handler }
}

const fn put(access: Access, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { access, method: Method::PUT, path, cost: 1, handler }
}

const fn patch(access: Access, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { access, method: Method::PATCH, path, cost: 1, handler }
}

const fn delete(access: Access, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { access, method: Method::DELETE, path, cost: 1, handler }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ConversationId;
    use crate::http::middleware::edge;
    use crate::http::testing::header_text;
    use actix_web::App;
    use actix_web::dev::ServiceResponse;
    use actix_web::http::{StatusCode, header};
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
        let pages = PAGE_ROUTES.iter().map(|route| (route.path.to_owned(), route));
        for (path, route) in all().chain(pages) {
            let answer = ask(Method::TRACE, &example(&path)).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(answer.request().match_pattern().as_deref(), Some(path.as_str()), "shadowed");
            let allow = header_text(answer.headers(), header::ALLOW).to_owned();
            assert!(allow.split(", ").any(|method| method == route.method.as_str()), "{path}: {allow}");
            assert_eq!(allow.contains("HEAD"), allow.contains("GET"), "{path}: {allow}");
            assert_eq!(code(answer).await, "method_not_allowed", "{path}");
        }
    }

    #[actix_web::test]
    async fn a_route_for_users_refuses_calls_without_a_token() {
        let mut refused = 0;
        for (path, route) in all().filter(|(_, route)| route.access == User) {
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
