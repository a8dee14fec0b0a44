//! Bodies: read whole within a limit and a time, and strictly. What the fields mean is the handler's.

use super::problem::Problem;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::protocol::json;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::time::Duration;

/// A body that has not come within this is given up, so that nobody holds a connection by the byte.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes of a body that is too large which are still read.
const BODY_DROPPED: usize = 16 * 1024 * 1024;

/// A JSON body, read strictly: at most [`limits::BODY_BYTES`], JSON by its own account (or saying nothing about itself),
/// no field that `T` does not know. No body at all counts as `{}`, for calls whose fields are all optional; where one is
/// needed, an empty body that says it is JSON is malformed.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let claims_json = req.headers().contains_key(header::CONTENT_TYPE) && is_json(req);
        let is_readable = is_json(req);
        let payload = payload.take();
        Box::pin(async move {
            let body = whole(payload).await?;
            if body.is_empty() {
                let nothing = json::from_json("{}").map(Self);
                if nothing.is_ok() || !claims_json {
                    return Ok(nothing?);
                }
            }
            if !is_readable {
                return Err(Error::unsupported_media_type().into());
            }
            Ok(Self(json::from_json_bytes(&body)?))
        })
    }
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

/// The whole body, if it comes within [`BODY_DEADLINE`].
async fn whole(payload: Payload) -> Result<Bytes> {
    match tokio::time::timeout(BODY_DEADLINE, bounded(payload)).await {
        Ok(body) => body,
        Err(_) => Err(Error::invalid_request("the body came too slowly")),
    }
}

/// The body up to its limit. What is beyond is read and dropped, up to a limit of its own: a client that is still
/// writing would not see our answer.
async fn bounded(mut payload: Payload) -> Result<Bytes> {
    let mut body = BytesMut::new();
    let mut seen = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Error::invalid_request(format!("the body ended early: {error}")))?;
        seen += chunk.len();
        if seen <= limits::BODY_BYTES {
            body.extend_from_slice(&chunk);
        }
        if seen > BODY_DROPPED {
            break;
        }
    }
    if seen > limits::BODY_BYTES { Err(Error::payload_too_large(limits::BODY_BYTES)) } else { Ok(body.freeze()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;
    use actix_web::test::TestRequest;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(default)]
        name: Option<String>,
    }

    async fn read<T: DeserializeOwned + 'static>(req: TestRequest) -> Result<T, Code> {
        let (req, mut payload) = req.to_http_parts();
        Json::<T>::from_request(&req, &mut payload).await.map(|read| read.0).map_err(|problem| problem.code())
    }

    #[actix_web::test]
    async fn a_body_is_json_of_any_json_type_or_says_nothing_about_itself() {
        let body = || TestRequest::post().set_payload(r#"{"name":"a"}"#);
        for kind in ["application/json", "application/json; charset=utf-8", "Application/Problem+JSON"] {
            assert!(read::<Body>(body().insert_header((header::CONTENT_TYPE, kind))).await.is_ok(), "{kind}");
        }
        assert!(read::<Body>(body()).await.is_ok());
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let refused = read::<Body>(body().insert_header((header::CONTENT_TYPE, kind))).await;
            assert_eq!(refused, Err(Code::UnsupportedMediaType), "{kind}");
        }
        let packed = body().insert_header((header::CONTENT_ENCODING, "gzip"));
        assert_eq!(read::<Body>(packed).await, Err(Code::UnsupportedMediaType));
    }

    #[actix_web::test]
    async fn no_body_is_an_empty_object_where_that_will_do() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Needed {
            name: String,
        }
        let typed = |kind| TestRequest::post().insert_header((header::CONTENT_TYPE, kind));
        for req in [TestRequest::post(), typed("text/plain"), typed("application/json")] {
            assert_eq!(read::<Body>(req).await, Ok(Body::default()));
        }
        assert_eq!(read::<Needed>(TestRequest::post()).await, Err(Code::ValidationFailed));
        assert_eq!(read::<Needed>(typed("application/json")).await, Err(Code::InvalidRequest));
    }

    #[actix_web::test]
    async fn a_body_is_read_up_to_its_limit_and_strictly() {
        assert_eq!(read::<Body>(TestRequest::post().set_payload("{")).await, Err(Code::InvalidRequest));
        assert_eq!(
            read::<Body>(TestRequest::post().set_payload(&b"{\"name\":\"\xff\"}"[..])).await,
            Err(Code::InvalidRequest)
        );
        assert_eq!(read::<Body>(TestRequest::post().set_payload(r#"{"x":1}"#)).await, Err(Code::ValidationFailed));
        let exact = format!("{{\"name\":\"{}\"}}", "a".repeat(limits::BODY_BYTES - 11));
        assert_eq!(exact.len(), limits::BODY_BYTES);
        assert!(read::<Body>(TestRequest::post().set_payload(exact.clone())).await.is_ok());
        assert_eq!(read::<Body>(TestRequest::post().set_payload(exact + " ")).await, Err(Code::PayloadTooLarge));
    }
}
