//! The extractors: the parts of a request, except the body, that handlers read.
//!
//! Each extractor fails with a [`Problem`]. None of them checks rights, because the use cases do.

use super::problem::Problem;
use crate::domain::caller::{Caller, Principal};
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::error::{Error, Result};
use crate::work::access;
use crate::work::unchecked_caller::UncheckedCaller;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::future::{Ready, ready};
use std::sync::Arc;
use uuid::Uuid;

/// The parameters of the query. `T` must deny unknown fields. A parameter that does not fit is `invalid_request` with
/// its name.
#[derive(Debug)]
pub struct StrictQuery<T>(pub T);

impl<T: DeserializeOwned> FromRequest for StrictQuery<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse_query(req.query_string()).map(Self).map_err(Problem::from))
    }
}

fn parse_query<T: DeserializeOwned>(text: &str) -> Result<T> {
    let pairs = url::form_urlencoded::parse(text.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let parameter = error.path().to_string();
        let cause = error.into_inner().to_string();
        let quoted = |start: &str| cause.strip_prefix(start).and_then(|rest| rest.split('`').next());
        Error::invalid_request(if let Some(unknown) = quoted("unknown field `") {
            format!("There is no parameter {unknown:?}.")
        } else if let Some(missing) = quoted("missing field `") {
            format!("The parameter {missing:?} is missing.")
        } else if let Some(twice) = quoted("duplicate field `") {
            format!("The parameter {twice:?} is present twice.")
        } else {
            format!("The parameter {parameter:?} is not valid: {cause}.")
        })
    })
}

/// The id at `{id}` of the path.
#[derive(Clone, Copy, Debug)]
pub struct PathId<T>(pub T);

impl<T: From<Uuid>> FromRequest for PathId<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse_id(req.match_info().get("id").unwrap_or_default()).map(Self).map_err(Problem::from))
    }
}

/// Parses an id of a path. Only the form with hyphens is valid, so that each id has one spelling.
pub fn parse_id<T: From<Uuid>>(id: &str) -> Result<T> {
    let uuid = if id.len() == 36 { Uuid::try_parse(id).ok() } else { None };
    uuid.map(T::from).ok_or_else(|| Error::invalid_request("The id in the path is not a UUID with hyphens."))
}

/// Parses the ids of the conversation and the message in a path.
pub fn parse_message_path(path: &(String, String)) -> Result<(ConversationId, MessageId)> {
    Ok((parse_id(&path.0)?, parse_id(&path.1)?))
}

/// The reference to a user at `{ref}` of the path. A reference that no user can have is `not_found`.
#[derive(Clone, Debug)]
pub struct UserRefPath(pub UserRef);

impl FromRequest for UserRefPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        #[derive(Deserialize)]
        struct Segments {
            r#ref: String,
        }
        // The extractor of the framework also decodes the characters that the router leaves encoded (`/` in an `ext:`
        // id).
        let segments = web::Path::<Segments>::extract(req).into_inner().ok();
        let user = segments.and_then(|segments| UserRef::parse(&segments.r#ref));
        ready(user.map(Self).ok_or_else(|| Error::not_found("user").into()))
    }
}

/// The authenticated user. The route table wraps all handlers for users into `middleware::authenticate`, so they never
/// run without a user. A handler for admins and service tokens takes `web::ReqData<Principal>`.
#[derive(Clone, Copy, Debug)]
pub struct AuthCaller(pub Caller);

impl FromRequest for AuthCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let principal = req.extensions().get::<Principal>().copied();
        let principal = principal.ok_or_else(|| Error::unauthorized(NO_TOKEN));
        ready(principal.and_then(|principal| access::require_caller(&principal)).map(Self).map_err(Problem::from))
    }
}

/// The caller of a route with the access `UserInRead`. The use case decides whether the caller may act.
#[derive(Clone, Debug)]
pub struct CallerInRead(pub Arc<UncheckedCaller>);

impl FromRequest for CallerInRead {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = req.extensions().get::<Arc<UncheckedCaller>>().cloned();
        ready(caller.map(Self).ok_or_else(|| Error::unauthorized(NO_TOKEN).into()))
    }
}

/// The error text for a request without an access token.
pub const NO_TOKEN: &str = "The access token is missing. Sign in, and send it as Authorization: Bearer <token>.";

/// Returns the bearer token of a request: `None` if the header is missing or has another scheme.
pub fn bearer_token(req: &HttpRequest) -> Option<&str> {
    let value = req.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The name of the client: its `User-Agent` without control characters, at most 255 characters.
#[derive(Clone, Debug)]
pub struct Device(pub String);

impl FromRequest for Device {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let agent = req.headers().get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let printable = agent.iter().flat_map(|agent| agent.trim().chars()).filter(|letter| !letter.is_control());
        ready(Ok(Self(printable.take(limits::DEVICE_CHARS).collect())))
    }
}

/// The id of the request in answers, problems and the log. The middleware `edge` sets it.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

impl FromRequest for RequestId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = req.extensions().get::<Self>().cloned();
        ready(id.ok_or_else(|| Error::internal("a request has no id, so it did not pass the middleware `edge`").into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;
    use crate::domain::ids::ConversationId;
    use actix_web::test::TestRequest;

    #[test]
    fn a_query_names_the_parameter_that_does_not_fit() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct List {
            #[serde(default)]
            limit: Option<u64>,
        }
        assert_eq!(parse_query::<List>("limit=20").expect("a query").limit, Some(20));
        assert_eq!(parse_query::<List>("").expect("a query").limit, None);
        for bad in ["limit=x", "limit=", "limit=-1", "limit=1&limit=2"] {
            let error = parse_query::<List>(bad).expect_err(bad);
            assert_eq!(error.code(), Code::InvalidRequest, "{bad}");
            assert!(error.detail().contains("\"limit\""), "{bad}: {}", error.detail());
        }
        assert!(parse_query::<List>("limi=1").expect_err("unknown").detail().contains("\"limi\""));
    }

    #[actix_web::test]
    async fn an_id_has_one_spelling() {
        let id = ConversationId::new();
        let with = |text: String| TestRequest::default().param("id", text).to_http_request();
        let read = PathId::<ConversationId>::extract(&with(id.to_string())).await;
        assert_eq!(read.expect("an id").0, id);
        for bad in ["x".to_owned(), id.0.simple().to_string(), format!("{{{id}}}"), format!("{id}0")] {
            let refused = PathId::<ConversationId>::extract(&with(bad.clone())).await.expect_err("no id");
            assert_eq!(refused.code(), Code::InvalidRequest, "{bad}");
        }
    }

    #[actix_web::test]
    async fn a_reference_that_no_user_can_have_is_not_found() {
        let with = |text: &'static str| TestRequest::default().param("ref", text).to_http_request();
        let read = UserRefPath::extract(&with("ext:a%2Fb")).await.expect("a user");
        assert_eq!(read.0, UserRef::External("a/b".into()));
        let refused = UserRefPath::extract(&with("a%00b")).await.expect_err("no user");
        assert_eq!(refused.code(), Code::NotFound);
    }

    #[actix_web::test]
    async fn a_device_is_short_and_plain() {
        let agent = format!("Ada's\tphone {}", "x".repeat(300));
        let req = TestRequest::default().insert_header((header::USER_AGENT, agent)).to_http_request();
        let device = Device::extract(&req).await.expect("a device").0;
        assert!(device.starts_with("Ada'sphone"));
        assert_eq!(device.chars().count(), limits::DEVICE_CHARS);
    }

    #[test]
    fn a_token_is_read_with_its_scheme_in_any_case() {
        let with = |value| TestRequest::default().insert_header((header::AUTHORIZATION, value)).to_http_request();
        assert_eq!(bearer_token(&with("bearer abc")), Some("abc"));
        assert_eq!(bearer_token(&with("Basic abc")), None);
        assert_eq!(bearer_token(&with("Bearer ")), None);
    }
}
