//! Serves the files of the bundled client and its SDK.
//!
//! The files are in the binary. Debug builds read them from `static/`, so that a reload shows a change. Each file has
//! its own path and an `ETag` with the hash of its content. No other file can be reached.

use super::problem::Problem;
use crate::error::Error;
use actix_web::http::header::{self, Accept, EntityTag, Header, IfNoneMatch};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// Files in the folder that only tools need. They are not served.
const PRIVATE_FILES: [&str; 1] = ["package.json"];

/// The page that a browser gets if the page that it asked for does not exist.
const NO_PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Not found</title>\n\
    <h1>There is no such page</h1>\n<p><a href=\"/\">Greenroom</a></p>\n</html>\n";

/// Answers all paths without a route: with a file of the client, or with `not_found`.
pub async fn serve(req: HttpRequest) -> Result<HttpResponse, Problem> {
    let file = if matches!(*req.method(), Method::GET | Method::HEAD) { find_file(req.path()) } else { None };
    match file {
        Some((path, file)) => Ok(answer(&req, &path, file)),
        None if accepts_html(&req) => {
            Ok(HttpResponse::NotFound().content_type("text/html; charset=utf-8").body(NO_PAGE))
        }
        None => Err(Error::not_found("path").into()),
    }
}

/// Answers all paths of the API without a route with `not_found`.
pub async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Error::not_found("path").into())
}

/// Returns the file at a path, which is not decoded. `/` is the page of the client.
fn find_file(path: &str) -> Option<(Cow<'_, str>, EmbeddedFile)> {
    let path = path.strip_prefix('/')?;
    if path.is_empty() {
        return Some(("index.html".into(), Static::get("index.html")?));
    }
    // The names of our files need no other characters, and so a path cannot leave the folder.
    let is_plain = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if !path.split('/').all(is_plain) || PRIVATE_FILES.contains(&path) {
        return None;
    }
    Some((path.into(), Static::get(path)?))
}

fn answer(req: &HttpRequest, path: &str, file: EmbeddedFile) -> HttpResponse {
    // The tag is weak, because the same content may be sent compressed.
    let tag = EntityTag::new_weak(URL_SAFE_NO_PAD.encode(&file.metadata.sha256_hash()[..16]));
    let is_cached = match IfNoneMatch::parse(req) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut answer = HttpResponse::build(if is_cached { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    answer.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    if is_cached {
        return answer.finish();
    }
    answer.content_type(media_type(path, &file));
    answer.body(match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    })
}

/// Returns the media type by the extension of the file. All text files are UTF-8.
fn media_type(path: &str, file: &EmbeddedFile) -> String {
    if path.ends_with(".webmanifest") {
        return "application/manifest+json".to_owned();
    }
    let guessed = file.metadata.mimetype();
    if guessed.starts_with("text/") { format!("{guessed}; charset=utf-8") } else { guessed.to_owned() }
}

fn accepts_html(req: &HttpRequest) -> bool {
    Accept::parse(req).is_ok_and(|accept| accept.iter().any(|range| range.item.essence_str() == "text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::MEDIA_TYPE;
    use crate::http::testing::header_text;
    use actix_web::body::to_bytes;
    use actix_web::http::header::HeaderMap;
    use actix_web::test::TestRequest;

    async fn ask(req: TestRequest) -> (StatusCode, HeaderMap, Bytes) {
        use actix_web::ResponseError;
        let answer = match serve(req.to_http_request()).await {
            Ok(answer) => answer,
            Err(problem) => problem.error_response(),
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, to_bytes(answer.into_body()).await.expect("a body in memory"))
    }

    #[actix_web::test]
    async fn the_client_is_at_the_root_and_its_modules_under_their_paths() {
        let (status, headers, body) = ask(TestRequest::with_uri("/")).await;
        assert_eq!((status, header_text(&headers, header::CONTENT_TYPE)), (StatusCode::OK, "text/html; charset=utf-8"));
        assert!(body.starts_with(b"<!doctype html>"));
        for (path, kind) in [
            ("/sdk/greenroom.js", "text/javascript; charset=utf-8"),
            ("/css/base.css", "text/css; charset=utf-8"),
            ("/favicon.svg", "image/svg+xml"),
            ("/manifest.webmanifest", "application/manifest+json"),
        ] {
            let (status, headers, _) = ask(TestRequest::with_uri(path)).await;
            assert_eq!((status, header_text(&headers, header::CONTENT_TYPE)), (StatusCode::OK, kind), "{path}");
            assert_eq!(header_text(&headers, header::CACHE_CONTROL), "no-cache", "{path}");
        }
    }

    #[actix_web::test]
    async fn a_file_in_the_cache_of_a_browser_is_not_sent_again() {
        let (_, headers, _) = ask(TestRequest::with_uri("/sdk/greenroom.js")).await;
        let tag = header_text(&headers, header::ETAG);
        let again = |tag: &str| {
            TestRequest::with_uri("/sdk/greenroom.js").insert_header((header::IF_NONE_MATCH, tag.to_owned()))
        };
        let (status, headers, body) = ask(again(tag)).await;
        assert_eq!((status, header_text(&headers, header::ETAG), body.len()), (StatusCode::NOT_MODIFIED, tag, 0));
        let (status, _, body) = ask(again("\"other\"")).await;
        assert!(status == StatusCode::OK && !body.is_empty());
    }

    #[actix_web::test]
    async fn no_other_file_can_be_reached() {
        for path in [
            "/package.json",
            "/../Cargo.toml",
            "/app/../../Cargo.toml",
            "/%2e%2e/Cargo.toml",
            "/..%2fCargo.toml",
            "/app\\..\\..\\Cargo.toml",
            "//etc/passwd",
            "/.env",
            "/app/",
            "/app",
            "/index.html/",
            "/nowhere",
        ] {
            let (status, _, body) = ask(TestRequest::with_uri(path)).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert!(!body.windows(9).any(|bytes| bytes == b"[package]"), "{path}");
        }
        let (status, _, _) = ask(TestRequest::post().uri("/")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }

    #[actix_web::test]
    async fn a_browser_gets_a_page_and_a_program_a_problem() {
        let page = TestRequest::with_uri("/nowhere").insert_header((header::ACCEPT, "text/html,*/*;q=0.8"));
        assert_eq!(header_text(&ask(page).await.1, header::CONTENT_TYPE), "text/html; charset=utf-8");
        let program = TestRequest::with_uri("/nowhere").insert_header((header::ACCEPT, "*/*"));
        assert_eq!(header_text(&ask(program).await.1, header::CONTENT_TYPE), MEDIA_TYPE);
    }
}
