//! Reads the bodies of requests: completely, strictly, and within a limit of bytes and time.
//!
//! An unauthenticated client may send only a small body, and the rest of a larger one is not read.

use super::connections::Connections;
use super::problem::Problem;
use crate::domain::caller::Principal;
use crate::domain::codes::Code;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::protocol::json;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::pin::Pin;

/// A JSON body without fields that `T` does not have.
///
/// It has at most [`limits::BODY_BYTES`], or [`limits::UNAUTHENTICATED_BODY_BYTES`] from an unauthenticated client. Its
/// `Content-Type` is a JSON type or missing.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(req, false, payload);
        Box::pin(async move { Ok(Self(body.await?)) })
    }
}

/// A [`Json`] body that may be missing. A missing or empty body is read as `{}`, with any `Content-Type`.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(req, true, payload);
        Box::pin(async move { Ok(Self(body.await?)) })
    }
}

/// The body of a call without parameters: missing, empty or `{}`. A field in it is an error, so that the client learns
/// that the server does not read it.
#[derive(Debug)]
pub struct NoBody;

impl FromRequest for NoBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct EmptyBody {}
        let body = read::<EmptyBody>(req, true, payload);
        Box::pin(async move { Ok(body.await.map(|EmptyBody {}| Self)?) })
    }
}

/// Reads the body of `req`. It reads nothing if `Content-Length` is already too large.
fn read<T: DeserializeOwned>(
    req: &HttpRequest,
    may_be_empty: bool,
    payload: &mut Payload,
) -> impl Future<Output = Result<T>> + use<T> {
    let (is_readable, body_limits) = (is_json(req), BodyLimits::of(req));
    let payload =
        if content_length(req) > body_limits.read_bytes { Err(body_limits.error()) } else { Ok(payload.take()) };
    let req = req.clone();
    async move {
        let body = match payload {
            Ok(payload) => read_in_time(payload, body_limits).await,
            Err(error) => Err(error),
        };
        let too_large = body.as_ref().is_err_and(|error| error.code() == Code::PayloadTooLarge);
        if too_large && body_limits.max_bytes == limits::UNAUTHENTICATED_BODY_BYTES {
            Connections::stop_reading(&req);
        }
        parse(&body?, is_readable, may_be_empty)
    }
}

/// Stops reading the body of a request without a token. Otherwise the received bytes would stay in memory until the
/// client has sent the whole body, and there may be thousands of such requests.
pub fn discard_body(req: &HttpRequest) {
    let chunked = req.headers().contains_key(header::TRANSFER_ENCODING);
    if chunked || content_length(req) > limits::UNAUTHENTICATED_BODY_BYTES {
        Connections::stop_reading(req);
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], is_readable: bool, may_be_empty: bool) -> Result<T> {
    if body.is_empty() {
        let missing =
            || Error::invalid_request("This call needs a JSON body. Send it with Content-Type: application/json.");
        return if may_be_empty { json::from_json("{}") } else { Err(missing()) };
    }
    if !is_readable {
        return Err(Error::unsupported_media_type());
    }
    json::from_json_bytes(body)
}

/// Returns true if the headers say that the body is JSON without a content encoding, or say nothing about it.
fn is_json(req: &HttpRequest) -> bool {
    let header_text = |name| match req.headers().get(name) {
        None => Some(""),
        Some(value) => value.to_str().ok(),
    };
    let Some((kind, encoding)) = header_text(header::CONTENT_TYPE).zip(header_text(header::CONTENT_ENCODING)) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence.is_empty() || essence == "application/json" || essence.ends_with("+json");
    json && (encoding.is_empty() || encoding.eq_ignore_ascii_case("identity"))
}

/// Returns the value of `Content-Length`, or 0 if the header is missing or malformed.
fn content_length(req: &HttpRequest) -> usize {
    let length = req.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// The limits of one body. `read_bytes` is greater than `max_bytes` for authenticated callers, because a client that
/// still writes its body does not read the answer. For unauthenticated clients the two are equal.
#[derive(Clone, Copy)]
struct BodyLimits {
    /// The most bytes that a body may have.
    max_bytes: usize,
    /// The most bytes that are read. Those after `max_bytes` are dropped.
    read_bytes: usize,
}

impl BodyLimits {
    fn of(req: &HttpRequest) -> Self {
        if req.extensions().contains::<Principal>() {
            return Self { max_bytes: limits::BODY_BYTES, read_bytes: limits::REFUSED_BODY_READ_BYTES };
        }
        Self { max_bytes: limits::UNAUTHENTICATED_BODY_BYTES, read_bytes: limits::UNAUTHENTICATED_BODY_BYTES }
    }

    fn error(self) -> Error {
        Error::payload_too_large(self.max_bytes)
    }
}

/// Reads the whole body. Fails if it does not arrive within [`limits::BODY_DEADLINE`].
async fn read_in_time(payload: Payload, body_limits: BodyLimits) -> Result<Bytes> {
    match tokio::time::timeout(limits::BODY_DEADLINE, read_bounded(payload, body_limits)).await {
        Ok(body) => body,
        Err(_) => Err(Error::invalid_request("The body did not arrive in time. Send it again.")),
    }
}

/// Reads the whole body. Fails if it has more than `max_bytes`.
async fn read_bounded(mut payload: Payload, body_limits: BodyLimits) -> Result<Bytes> {
    let mut body = BytesMut::new();
    let mut received = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Error::invalid_request(format!("The body is incomplete: {error}.")))?;
        received += chunk.len();
        if received <= body_limits.max_bytes {
            body.extend_from_slice(&chunk);
        }
        if received > body_limits.read_bytes {
            break;
        }
    }
    if received > body_limits.max_bytes { Err(body_limits.error()) } else { Ok(body.freeze()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accounts::UserRole;
    use crate::domain::caller::{Caller, Via};
    use crate::domain::ids::{LoginId, UserId};
    use actix_web::test::TestRequest;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(default)]
        name: Option<String>,
    }

    async fn read(req: TestRequest) -> Result<Body, Code> {
        let (req, mut payload) = req.to_http_parts();
        Json::<Body>::from_request(&req, &mut payload).await.map(|read| read.0).map_err(|problem| problem.code())
    }

    #[actix_web::test]
    async fn a_body_has_a_json_type_or_no_type() {
        let body = || TestRequest::post().set_payload(r#"{"name":"a"}"#);
        for kind in ["application/json", "application/json; charset=utf-8", "Application/Problem+JSON"] {
            assert!(read(body().insert_header((header::CONTENT_TYPE, kind))).await.is_ok(), "{kind}");
        }
        assert!(read(body()).await.is_ok());
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let refused = read(body().insert_header((header::CONTENT_TYPE, kind))).await;
            assert_eq!(refused, Err(Code::UnsupportedMediaType), "{kind}");
        }
        let compressed = body().insert_header((header::CONTENT_ENCODING, "gzip"));
        assert_eq!(read(compressed).await, Err(Code::UnsupportedMediaType));
    }

    #[actix_web::test]
    async fn a_missing_body_is_accepted_only_by_a_call_that_needs_none() {
        let typed = |kind| TestRequest::post().insert_header((header::CONTENT_TYPE, kind));
        let all = || [TestRequest::post(), typed("application/json"), typed("text/plain")];
        for req in all() {
            assert_eq!(read(req).await, Err(Code::InvalidRequest));
        }
        for req in all() {
            let (req, mut payload) = req.to_http_parts();
            let without = OptionalJson::<Body>::from_request(&req, &mut payload).await.expect("a call without a body");
            assert_eq!(without.0, Body::default());
        }
    }

    fn caller() -> Principal {
        let via = Via::Login { login_id: LoginId::new() };
        Principal::User(Caller { user_id: UserId::new(), role: UserRole::User, via })
    }

    #[actix_web::test]
    async fn an_unauthenticated_body_is_small_with_any_content_length() {
        let body = |bytes: usize| format!("{{\"name\":\"{}\"}}", "a".repeat(bytes - 11));
        let most = limits::UNAUTHENTICATED_BODY_BYTES;
        assert!(read(TestRequest::post().set_payload(body(most))).await.is_ok());
        assert_eq!(read(TestRequest::post().set_payload(body(most + 1))).await, Err(Code::PayloadTooLarge));
        let announced = TestRequest::post().set_payload("{}").insert_header((header::CONTENT_LENGTH, most + 1));
        assert_eq!(read(announced).await, Err(Code::PayloadTooLarge));
    }

    #[actix_web::test]
    async fn a_body_is_read_up_to_its_limit_and_strictly() {
        assert_eq!(read(TestRequest::post().set_payload("{")).await, Err(Code::InvalidRequest));
        assert_eq!(read(TestRequest::post().set_payload(&b"{\"name\":\"\xff\"}"[..])).await, Err(Code::InvalidRequest));
        assert_eq!(read(TestRequest::post().set_payload(r#"{"x":1}"#)).await, Err(Code::ValidationFailed));
        let exact = format!("{{\"name\":\"{}\"}}", "a".repeat(limits::BODY_BYTES - 11));
        assert_eq!(exact.len(), limits::BODY_BYTES);
        let post = |body| async move {
            let (req, mut payload) = TestRequest::post().set_payload(body).to_http_parts();
            req.extensions_mut().insert(caller());
            Json::<Body>::from_request(&req, &mut payload).await.map(drop).map_err(|problem| problem.code())
        };
        assert_eq!(post(exact.clone()).await, Ok(()));
        assert_eq!(post(exact + " ").await, Err(Code::PayloadTooLarge));
    }
}
