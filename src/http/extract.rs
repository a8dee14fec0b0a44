//! What handlers read from a request besides its body. Every extractor refuses with a [`Problem`], and none of them decides
//! anything: who may do what is for the use case.

use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::names::UserRef;
use crate::error::{Error, Result};
use crate::usecases::Caller;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::future::{Ready, ready};
use std::net::IpAddr;
use uuid::Uuid;

/// The query, read strictly: `T` denies unknown fields, and whatever does not fit is `invalid_request` with the
/// parameter's name.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(query(req.query_string()).map(Self).map_err(Problem::from))
    }
}

fn query<T: DeserializeOwned>(text: &str) -> Result<T> {
    let pairs = url::form_urlencoded::parse(text.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let parameter = error.path().to_string();
        let cause = error.into_inner().to_string();
        let quoted = |start: &str| cause.strip_prefix(start).and_then(|rest| rest.split('`').next());
        Error::invalid_request(if let Some(unknown) = quoted("unknown field `") {
            format!("unknown parameter {unknown:?}")
        } else if let Some(missing) = quoted("missing field `") {
            format!("the parameter {missing:?} is needed")
        } else if let Some(twice) = quoted("duplicate field `") {
            format!("the parameter {twice:?} is given twice")
        } else {
            format!("the parameter {parameter:?} is not valid: {cause}")
        })
    })
}

/// The id in the path's `{id}`.
#[derive(Clone, Copy, Debug)]
pub struct PathId<T>(pub T);

impl<T: From<Uuid>> FromRequest for PathId<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(path_id(req.match_info().get("id").unwrap_or_default()).map(Self).map_err(Problem::from))
    }
}

/// Reads an id of a path, in its hyphenated form only: an id has one spelling.
pub fn path_id<T: From<Uuid>>(id: &str) -> Result<T> {
    let read = if id.len() == 36 { Uuid::try_parse(id).ok() } else { None };
    read.map(T::from).ok_or_else(|| Error::invalid_request("the id in the path is not a UUID"))
}

/// The conversation and the message that a path names.
pub fn message_path(path: &(String, String)) -> Result<(ConversationId, MessageId)> {
    Ok((path_id(&path.0)?, path_id(&path.1)?))
}

/// The user that the path's `{ref}` names. What can name nobody is not found.
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
        // through the framework's own reader, which also decodes what the router leaves encoded (a `/` in an `ext:` id)
        let named = web::Path::<Segments>::extract(req).into_inner().ok();
        let named = named.and_then(|segments| UserRef::parse(&segments.r#ref));
        ready(named.map(Self).ok_or_else(|| Error::not_found("user").into()))
    }
}

/// Who calls. The route table puts `middleware::authenticate` before every handler that may have one, so a handler that is not
/// signed in for never runs.
#[derive(Clone, Copy, Debug)]
pub struct Auth(pub Caller);

impl FromRequest for Auth {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = req.extensions().get::<Caller>().copied();
        ready(caller.map(Self).ok_or_else(|| Error::unauthorized(NO_TOKEN).into()))
    }
}

/// What is said where no token came along.
pub const NO_TOKEN: &str = "there is no access token; sign in, and send it as Authorization: Bearer <token>";

/// The bearer token of a request.
pub fn bearer(req: &HttpRequest) -> Option<&str> {
    let value = req.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The client's address: the peer, or, when the peer is a trusted proxy, the last `X-Forwarded-For` hop that is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddr(pub IpAddr);

impl FromRequest for ClientAddr {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(client_addr(req).map(Self).map_err(Problem::from))
    }
}

/// What the client called itself: its `User-Agent`, at most 255 characters, none that controls.
#[derive(Clone, Debug)]
pub struct Device(pub String);

impl FromRequest for Device {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let named = req.headers().get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let shown = named.iter().flat_map(|agent| agent.trim().chars()).filter(|letter| !letter.is_control());
        ready(Ok(Self(shown.take(255).collect())))
    }
}

/// Names the request in answers, problems and the log. The edge puts it there.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

impl FromRequest for RequestId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = req.extensions().get::<Self>().cloned();
        ready(id.ok_or_else(|| Error::internal("a request came past the edge, which names it").into()))
    }
}

fn client_addr(req: &HttpRequest) -> Result<IpAddr> {
    let peer = req.peer_addr().map(|peer| peer.ip().to_canonical());
    let peer = peer.ok_or_else(|| Error::internal("a request came from no address"))?;
    let app = req.app_data::<web::Data<App>>().ok_or_else(|| Error::internal("no application to ask about proxies"))?;
    let hops = req.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let trusted = |addr: IpAddr| app.settings().server.trusted_proxies.iter().any(|proxy| proxy.contains(addr));
    Ok(last_untrusted(peer, hops, trusted))
}

/// The address nearest to us that no proxy of ours has. What stands left of it was written by whoever that is, so it is
/// not believed; neither is a hop that is no address.
fn last_untrusted<'a>(peer: IpAddr, hops: impl Iterator<Item = &'a str>, trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut nearest = peer;
    let hops: Vec<&str> = hops.flat_map(|header| header.split(',')).map(str::trim).collect();
    for hop in hops.into_iter().rev() {
        if !trusted(nearest) {
            break;
        }
        let Some(addr) = address(hop) else { break };
        nearest = addr;
    }
    nearest
}

/// An address as proxies write it: bare, with a port, or (version 6) in brackets.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|addr| addr.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    bare.or_else(with_port).or_else(bracketed).map(|addr| addr.to_canonical())
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
        assert_eq!(query::<List>("limit=20").expect("a query").limit, Some(20));
        assert_eq!(query::<List>("").expect("a query").limit, None);
        for bad in ["limit=x", "limit=", "limit=-1", "limit=1&limit=2"] {
            let error = query::<List>(bad).expect_err(bad);
            assert_eq!(error.code(), Code::InvalidRequest, "{bad}");
            assert!(error.detail().contains("\"limit\""), "{bad}: {}", error.detail());
        }
        assert!(query::<List>("limi=1").expect_err("unknown").detail().contains("\"limi\""));
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
    async fn a_user_that_nobody_can_be_is_not_found() {
        let with = |text: &'static str| TestRequest::default().param("ref", text).to_http_request();
        let read = UserRefPath::extract(&with("ext:a%2Fb")).await.expect("a user");
        assert_eq!(read.0, UserRef::External("a/b".into()));
        let refused = UserRefPath::extract(&with("a%00b")).await.expect_err("nobody");
        assert_eq!(refused.code(), Code::NotFound);
    }

    #[actix_web::test]
    async fn a_device_is_short_and_plain() {
        let agent = format!("Ada's\tphone {}", "x".repeat(300));
        let req = TestRequest::default().insert_header((header::USER_AGENT, agent)).to_http_request();
        let device = Device::extract(&req).await.expect("a device").0;
        assert!(device.starts_with("Ada'sphone"));
        assert_eq!(device.chars().count(), 255);
    }

    #[test]
    fn a_token_is_read_whatever_the_case_of_its_scheme() {
        let with = |value| TestRequest::default().insert_header((header::AUTHORIZATION, value)).to_http_request();
        assert_eq!(bearer(&with("bearer abc")), Some("abc"));
        assert_eq!(bearer(&with("Basic abc")), None);
        assert_eq!(bearer(&with("Bearer ")), None);
    }

    #[test]
    fn a_forwarded_address_is_believed_as_far_as_our_own_proxies_vouch_for_it() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let trusted = |addr| addr == ip("10.0.0.1") || addr == ip("10.0.0.2");
        let client = |peer, hops: &[&str]| last_untrusted(ip(peer), hops.iter().copied(), trusted);
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), ip("203.0.113.9"));
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), ip("198.51.100.1"));
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "198.51.100.1:4711"]), ip("198.51.100.1"));
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:80"]), ip("2001:db8::1"));
        assert_eq!(client("10.0.0.1", &["1.1.1.1, unknown"]), ip("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &[]), ip("10.0.0.1"));
    }
}
