//! Bodies: read whole within a limit and a time, and strictly. What the fields mean is the handler's. From whoever has
//! shown no token only little is taken, and nothing beyond it is read.

use super::connections::Connections;
use super::problem::Problem;
use crate::domain::codes::Code;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::protocol::json;
use crate::usecases::Caller;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::pin::Pin;

/// Bytes of a caller's body that is too large which are still read.
const BODY_DROPPED: usize = 16 * 1024 * 1024;

/// A JSON body, read strictly: at most [`limits::BODY_BYTES`] (of strangers [`limits::BODY_BYTES_OF_STRANGERS`]), JSON by
/// its own account (or saying nothing about itself), no field that `T` does not know.
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

/// A [`Json`] body of a call that means something without one: none, or an empty one, is `{}`, whatever it says it is.
#[derive(Debug)]
pub struct MaybeJson<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for MaybeJson<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(req, true, payload);
        Box::pin(async move { Ok(Self(body.await?)) })
    }
}

/// The body of a call that takes none: absent, empty or `{}`. Whoever sends a field learns that it is not read.
#[derive(Debug)]
pub struct NoBody;

impl FromRequest for NoBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let body = read::<Nothing>(req, true, payload);
        Box::pin(async move { Ok(body.await.map(|Nothing {}| Self)?) })
    }
}

/// Reads what came with `req`. What a stranger announces too large is not touched.
fn read<T: DeserializeOwned>(
    req: &HttpRequest,
    may_be_empty: bool,
    payload: &mut Payload,
) -> impl Future<Output = Result<T>> + use<T> {
    let (is_readable, reach) = (is_json(req), Reach::of(req));
    let taken = if reach.exceeds(announced(req)) { Err(reach.exceeded()) } else { Ok(payload.take()) };
    let req = req.clone();
    async move {
        let body = match taken {
            Ok(payload) => whole(payload, reach).await,
            Err(error) => Err(error),
        };
        let too_large = body.as_ref().is_err_and(|error| error.code() == Code::PayloadTooLarge);
        if too_large && reach.most == limits::BODY_BYTES_OF_STRANGERS {
            Connections::stop_reading(&req);
        }
        parse(&body?, is_readable, may_be_empty)
    }
}

/// Lets go of the body of a request that nobody answers for. What has come of it would be kept for as long as the client
/// is waited for, and there may be a thousand of them.
pub fn leave_unread(req: &HttpRequest) {
    let chunked = req.headers().contains_key(header::TRANSFER_ENCODING);
    if chunked || announced(req) > limits::BODY_BYTES_OF_STRANGERS {
        Connections::stop_reading(req);
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], is_readable: bool, may_be_empty: bool) -> Result<T> {
    if body.is_empty() {
        let needed = || Error::invalid_request("a JSON body is needed; send it with Content-Type: application/json");
        return if may_be_empty { json::from_json("{}") } else { Err(needed()) };
    }
    if !is_readable {
        return Err(Error::unsupported_media_type());
    }
    json::from_json_bytes(body)
}

/// Whether a body would be JSON that we can read as it comes: no encoding, and the right type or none.
fn is_json(req: &HttpRequest) -> bool {
    let plain = |name| match req.headers().get(name) {
        None => Some(""),
        Some(value) => value.to_str().ok(),
    };
    let Some((kind, encoding)) = plain(header::CONTENT_TYPE).zip(plain(header::CONTENT_ENCODING)) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence.is_empty() || essence == "application/json" || essence.ends_with("+json");
    json && (encoding.is_empty() || encoding.eq_ignore_ascii_case("identity"))
}

/// The length that a body says it has.
fn announced(req: &HttpRequest) -> usize {
    let length = req.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// How much of a body is taken, and how much of what is beyond is read and dropped: a client that is still writing would
/// not see our answer. For strangers nothing is.
#[derive(Clone, Copy)]
struct Reach {
    most: usize,
    dropped: usize,
}

impl Reach {
    fn of(req: &HttpRequest) -> Self {
        if req.extensions().contains::<Caller>() {
            return Self { most: limits::BODY_BYTES, dropped: BODY_DROPPED };
        }
        Self { most: limits::BODY_BYTES_OF_STRANGERS, dropped: limits::BODY_BYTES_OF_STRANGERS }
    }

    /// Whether a body of so many bytes is refused without a look at it.
    fn exceeds(self, announced: usize) -> bool {
        announced > self.dropped
    }

    fn exceeded(self) -> Error {
        Error::payload_too_large(self.most)
    }
}

/// The whole body, if it comes within [`limits::BODY`].
async fn whole(payload: Payload, reach: Reach) -> Result<Bytes> {
    match tokio::time::timeout(limits::BODY, bounded(payload, reach)).await {
        Ok(body) => body,
        Err(_) => Err(Error::invalid_request("the body did not come in time; send it again")),
    }
}

/// The body as far as it is taken.
async fn bounded(mut payload: Payload, reach: Reach) -> Result<Bytes> {
    let mut body = BytesMut::new();
    let mut seen = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Error::invalid_request(format!("the body ended early: {error}")))?;
        seen += chunk.len();
        if seen <= reach.most {
            body.extend_from_slice(&chunk);
        }
        if seen > reach.dropped {
            break;
        }
    }
    if seen > reach.most { Err(reach.exceeded()) } else { Ok(body.freeze()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{LoginId, UserId};
    use crate::protocol::resources::UserRole;
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
    async fn a_body_is_json_of_any_json_type_or_says_nothing_about_itself() {
        let body = || TestRequest::post().set_payload(r#"{"name":"a"}"#);
        for kind in ["application/json", "application/json; charset=utf-8", "Application/Problem+JSON"] {
            assert!(read(body().insert_header((header::CONTENT_TYPE, kind))).await.is_ok(), "{kind}");
        }
        assert!(read(body()).await.is_ok());
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let refused = read(body().insert_header((header::CONTENT_TYPE, kind))).await;
            assert_eq!(refused, Err(Code::UnsupportedMediaType), "{kind}");
        }
        let packed = body().insert_header((header::CONTENT_ENCODING, "gzip"));
        assert_eq!(read(packed).await, Err(Code::UnsupportedMediaType));
    }

    #[actix_web::test]
    async fn without_a_body_only_a_call_that_needs_none_goes_on() {
        let typed = |kind| TestRequest::post().insert_header((header::CONTENT_TYPE, kind));
        let all = || [TestRequest::post(), typed("application/json"), typed("text/plain")];
        for req in all() {
            assert_eq!(read(req).await, Err(Code::InvalidRequest));
        }
        for req in all() {
            let (req, mut payload) = req.to_http_parts();
            let without = MaybeJson::<Body>::from_request(&req, &mut payload).await.expect("a call without a body");
            assert_eq!(without.0, Body::default());
        }
    }

    fn caller() -> Caller {
        Caller { user_id: UserId::new(), login_id: LoginId::new(), role: UserRole::User }
    }

    #[actix_web::test]
    async fn a_stranger_s_body_is_small_whatever_it_says_of_itself() {
        let of = |bytes: usize| format!("{{\"name\":\"{}\"}}", "a".repeat(bytes - 11));
        let most = limits::BODY_BYTES_OF_STRANGERS;
        assert!(read(TestRequest::post().set_payload(of(most))).await.is_ok());
        assert_eq!(read(TestRequest::post().set_payload(of(most + 1))).await, Err(Code::PayloadTooLarge));
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
