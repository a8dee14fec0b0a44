//! Answers with a long JSON body, which is written once into a buffer of about its size.

use super::problem::Problem;
use crate::error::Error;
use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use serde::Serialize;

/// Returns the answer 200 with this body. `bytes` is about its length: a buffer that grows copies what it contains.
pub fn ok_json(body: &impl Serialize, bytes: usize) -> Result<HttpResponse, Problem> {
    let mut text = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut text, body).map_err(Error::internal)?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(text))
}
