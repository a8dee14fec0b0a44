//! HTTP: thin. A handler extracts, calls one use case and answers; who may call it stands in [`routes`], how a refusal
//! looks in [`problem`], what every request passes in [`middleware`].

pub mod assets;
pub mod auth;
pub mod blocks;
pub mod body;
pub mod connections;
pub mod conversations;
pub mod cursor;
pub mod docs;
pub mod extract;
pub mod health;
pub mod members;
pub mod messages;
pub mod middleware;
pub mod openapi;
pub mod origin;
pub mod pins;
pub mod problem;
pub mod reactions;
pub mod receipts;
pub mod routes;
pub mod server;
pub mod settings;
pub mod statistics;
pub mod stream;
pub mod users;
pub mod ws;

use crate::realtime::session::Surroundings;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::web;
use health::Draining;

/// What every worker of the server needs, cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// What handlers act on, and what a session is given.
    pub around: Surroundings,
    /// Set when the server stops.
    pub draining: Draining,
}

/// The whole service: routes, and before them the middleware in the order that [`middleware`] tells. The last to be
/// wrapped is the first to see a request.
pub fn service(
    services: Services,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let cors = middleware::cors(&services.around.app.settings().server.allowed_origins);
    actix_web::App::new()
        .app_data(web::Data::new(services.around.app.supervision().clone()))
        .app_data(web::Data::new(services.around.app.clone()))
        .app_data(web::Data::new(services.around))
        .app_data(web::Data::new(services.draining))
        .configure(routes::configure)
        .wrap(cors)
        .wrap(from_fn(middleware::edge))
        .wrap(from_fn(middleware::headers))
        .wrap(from_fn(middleware::compress))
        .wrap(from_fn(connections::note_call))
}

#[cfg(test)]
mod testing {
    //! For the tests of this module.

    use actix_web::http::header::{HeaderMap, HeaderName};

    /// What a header says; nothing when it is not there.
    pub fn said(headers: &HeaderMap, name: HeaderName) -> &str {
        headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}
