//! `/docs`: shows the OpenAPI document in a browser. The pages are in the binary and load nothing from other servers.

use super::problem::Problem;
use super::route::API;
use crate::error::Error;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use std::sync::Arc;
use utoipa_swagger_ui::Config;

/// Redirects `/docs` to `/docs/`, because the relative paths in the page need the slash.
pub async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// Serves one file of the pages.
pub async fn serve(req: HttpRequest) -> Result<HttpResponse, Problem> {
    let config = Config::new([format!("{API}/openapi.json")]).try_it_out_enabled(true);
    let path = req.match_info().get("file").unwrap_or_default();
    let file = utoipa_swagger_ui::serve(path, Arc::new(config)).map_err(|error| Error::internal(error.to_string()))?;
    let file = file.ok_or_else(|| Error::not_found("path"))?;
    let mut answer = HttpResponse::Ok();
    if file.gzpipped {
        answer.insert_header((header::CONTENT_ENCODING, header::ContentEncoding::Gzip));
    }
    answer.insert_header((header::CACHE_CONTROL, "no-cache"));
    Ok(answer.content_type(file.content_type).body(file.bytes.into_owned()))
}
