//! What every request passes on its way in and every answer on its way out, from outside to inside:
//!
//! 0. `connections::note_call`: which connection has a call under way
//! 1. [`compress`]: long text travels as gzip, whatever stands further in
//! 2. [`headers()`]: what keeps browsers safe
//! 3. [`edge`]: the request's id and span, one form for every refusal, panics among them, and the log
//! 4. [`cors`]: other origins that the operator allows
//! 5. [`authenticate`]: only before the routes that the table gives to signed-in users

mod authenticate;
mod compress;
mod cors;
mod edge;
pub mod headers;

pub use authenticate::authenticate;
pub use compress::compress;
pub use cors::cors;
pub use edge::edge;
pub use headers::headers;

use actix_web::http::header::HeaderName;

/// The header that names a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
