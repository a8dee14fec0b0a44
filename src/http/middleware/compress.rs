//! Compresses long texts with gzip for clients that accept it.
//!
//! Short answers are not worth the time, and images, sounds and videos are already compressed. An answer of unknown
//! length is sent in chunks, which HTTP/1.0 does not have. There nothing is compressed, and an answer of unknown length
//! ends with the connection.

use actix_http::ConnectionType;
use actix_http::encoding::Encoder;
use actix_web::HttpMessage;
use actix_web::body::{BodySize, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Version;
use actix_web::http::header::{self, AcceptEncoding, ContentEncoding, Encoding, HeaderMap, HeaderValue};
use actix_web::middleware::Next;

/// The least length of a text that is compressed.
const MIN_BYTES: u64 = 1024;

/// Middleware: compresses an answer, unless it is already compressed or upgrades the connection.
pub async fn compress<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<Encoder<B>, B>>, actix_web::Error> {
    let has_chunks = req.version() >= Version::HTTP_11;
    let use_gzip = has_chunks && accepts_gzip(&req);
    let mut answer = next.call(req).await?;
    if !has_chunks && matches!(answer.response().body().size(), BodySize::Stream) {
        let head = answer.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    let is_long = matches!(answer.response().body().size(), BodySize::Sized(bytes) if bytes >= MIN_BYTES);
    if !is_long || !is_text(answer.headers()) || answer.headers().contains_key(header::CONTENT_ENCODING) {
        return Ok(answer.map_body(|_, body| EitherBody::right(body)));
    }
    if !use_gzip {
        answer.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
        return Ok(answer.map_body(|_, body| EitherBody::right(body)));
    }
    // The encoder adds the header `Vary` itself.
    Ok(answer.map_body(|head, body| EitherBody::left(Encoder::response(ContentEncoding::Gzip, head, body))))
}

fn accepts_gzip(req: &ServiceRequest) -> bool {
    let choices = [Encoding::gzip(), Encoding::identity()];
    let accepted = req.get_header::<AcceptEncoding>();
    accepted.is_some_and(|accepted| accepted.negotiate(choices.iter()) == Some(Encoding::gzip()))
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/") && essence != "text/event-stream"
        || essence.ends_with("json")
        || essence.ends_with("+xml")
        || essence == "application/javascript"
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::test::{self, TestRequest};
    use actix_web::{App, HttpResponse, web};

    async fn encoding(kind: &'static str, bytes: usize, accepts: &'static str) -> Option<HeaderValue> {
        let page = web::get().to(move || async move { HttpResponse::Ok().content_type(kind).body("a".repeat(bytes)) });
        let app = test::init_service(App::new().wrap(from_fn(compress)).route("/", page)).await;
        let req = TestRequest::get().insert_header((header::ACCEPT_ENCODING, accepts)).to_request();
        let answer = test::call_service(&app, req).await;
        answer.headers().get(header::CONTENT_ENCODING).cloned()
    }

    #[actix_web::test]
    async fn long_text_is_compressed_for_clients_that_accept_it() {
        let gzip = Some(HeaderValue::from_static("gzip"));
        assert_eq!(encoding("application/json", 1024, "gzip, deflate, br").await, gzip);
        assert_eq!(encoding("text/css; charset=utf-8", 5000, "gzip").await, gzip);
        assert_eq!(encoding("image/svg+xml", 5000, "gzip").await, gzip);
        assert_eq!(encoding("application/json", 1023, "gzip").await, None);
        assert_eq!(encoding("image/png", 5000, "gzip").await, None);
        assert_eq!(encoding("text/plain", 5000, "br").await, None);
        assert_eq!(encoding("text/plain", 5000, "gzip;q=0").await, None);
    }
}
