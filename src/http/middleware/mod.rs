//! The middleware that runs for every request and answer, from the outermost to the innermost:
//!
//! 0. `connections::count_call`: counts the calls in progress of each connection
//! 1. [`compress`]: compresses long texts
//! 2. [`headers()`]: adds the headers that keep browsers safe
//! 3. [`edge`]: the id and the span of the request, the form of all errors and panics, and the log
//! 4. [`cors`]: the other origins that the operator allows
//! 5. [`authenticate`]: only before the routes that need a token

mod authenticate;
mod compress;
mod cors;
mod edge;
pub mod headers;

pub use authenticate::{authenticate, authenticate_in_read};
pub use compress::compress;
pub use cors::cors;
pub use edge::edge;
pub use headers::headers;

use actix_web::http::header::HeaderName;

/// The header with the id of the request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
