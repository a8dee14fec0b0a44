//! HTTP: each handler reads a request, calls one use case and answers.
//!
//! [`routes`] lists the handlers and says who may call them, [`problem`] gives errors their form, and [`middleware`]
//! runs for every request.

pub mod access;
pub mod accounts;
mod answer;
pub mod assets;
pub mod blocks;
pub mod body;
pub mod client_address;
pub mod connections;
pub mod conversations;
pub mod cursor;
pub mod docs;
pub mod extract;
pub mod health;
pub mod logins;
pub mod marks;
pub mod members;
pub mod messages;
pub mod middleware;
pub mod openapi;
pub mod origin;
pub mod paced_connection;
pub mod pins;
pub mod presence;
pub mod problem;
pub mod reactions;
pub mod receipts;
pub mod route;
pub mod routes;
pub mod server;
pub mod settings;
pub mod statistics;
pub mod successor;
pub mod typing;
pub mod upgrade;
pub mod users;
pub mod ws;

use crate::realtime::session::SessionServices;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::web;
use health::Draining;

/// The values that every worker of the server needs. They are cheap to clone.
#[derive(Clone)]
pub struct HttpServices {
    pub sessions: SessionServices,
    pub draining: Draining,
}

/// Returns the whole service: the middleware, in the order that [`middleware`] lists, and the routes. The middleware
/// that is wrapped last sees a request first.
pub fn service(
    services: HttpServices,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let cors = middleware::cors(&services.sessions.app.settings().server.allowed_origins);
    actix_web::App::new()
        .app_data(web::Data::new(services.sessions.app.supervision().clone()))
        .app_data(web::Data::new(services.sessions.app.clone()))
        .app_data(web::Data::new(services.sessions))
        .app_data(web::Data::new(services.draining))
        .configure(routes::configure)
        .wrap(cors)
        .wrap(from_fn(middleware::edge))
        .wrap(from_fn(middleware::headers))
        .wrap(from_fn(middleware::compress))
        .wrap(from_fn(connections::count_call))
}

#[cfg(test)]
mod testing {
    //! Functions for the tests of this module.

    use actix_web::http::header::{HeaderMap, HeaderName};

    /// Returns the value of a header, or an empty text if the header is missing.
    pub fn header_text(headers: &HeaderMap, name: HeaderName) -> &str {
        headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}
