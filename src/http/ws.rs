//! The door of the WebSocket: which pages may open one. Who is behind it is found out after the upgrade, because a browser
//! cannot read a refusal before it.

use super::extract::{Query, bearer};
use super::problem::Problem;
use crate::app::App;
use crate::error::Error;
use crate::protocol::client::SubscribeNone;
use crate::realtime::session::{Credential, Opening, Session, Surroundings};
use crate::realtime::socket;
use actix::prelude::*;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use url::Url;
use utoipa::IntoParams;

/// The subprotocol that a browser names to carry its token in a header.
const PROTOCOL: &str = "greenroom.v1";

/// How a connection begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Handshake {
    /// An access token.
    token: Option<String>,
    /// A ticket, used once.
    ticket: Option<String>,
    /// `none`: subscribe to nothing but one's own stream.
    #[param(value_type = Option<String>)]
    subscribe: Option<SubscribeNone>,
}

/// Open a WebSocket
///
/// The token comes as `?token=`, as `?ticket=`, in `Authorization`, in `Sec-WebSocket-Protocol: greenroom.v1, bearer.…`,
/// or in a first frame `auth` within ten seconds. A page of a foreign origin is refused. `docs/websocket.md` tells the
/// frames.
#[utoipa::path(
    get, path = "/ws", tag = "operations",
    responses((status = 101, description = "Text frames from now on"))
)]
pub async fn upgrade(
    req: HttpRequest,
    stream: web::Payload,
    app: web::Data<App>,
    around: web::Data<Surroundings>,
    handshake: Query<Handshake>,
) -> Result<HttpResponse, actix_web::Error> {
    if !is_known_page(&req, &app) {
        return Err(Problem::from(Error::forbidden("pages of this origin may not open sockets here")).into());
    }
    let (protocol, by_protocol) = offered(&req);
    let Handshake { token, ticket, subscribe } = handshake.0;
    let token = token.or_else(|| bearer(&req).map(str::to_owned)).or(by_protocol);
    let opening = Opening {
        credential: ticket.map(Credential::Ticket).or_else(|| token.map(Credential::Token)),
        subscribe_none: subscribe.is_some(),
    };
    let around = Surroundings::clone(&around);
    socket::upgrade(&req, stream, protocol, move |socket| Session::new(around, opening, socket).start().recipient())
}

/// Whether no page asks, or one of ours, or one of an origin that the operator allows.
fn is_known_page(req: &HttpRequest, app: &App) -> bool {
    let server = &app.settings().server;
    let said = |name: HeaderName| req.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    said(header::ORIGIN).is_none_or(|origin| {
        is_ours(origin, said(header::HOST), server.public_url.as_ref())
            || server.allowed_origins.iter().any(|allowed| allowed == origin)
    })
}

/// What `Sec-WebSocket-Protocol` offers: our protocol, to be answered with, and a token.
fn offered(req: &HttpRequest) -> (Option<&'static str>, Option<String>) {
    let headers = req.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    let offers: Vec<&str> = headers.flat_map(|value| value.split(',')).map(str::trim).collect();
    let token = offers.iter().find_map(|offer| offer.strip_prefix("bearer."));
    (offers.contains(&PROTOCOL).then_some(PROTOCOL), token.map(str::to_owned))
}

/// Whether a page of `origin` came from us: from the host that this request asks, or from the address that the operator
/// says is ours. The scheme is not compared, because a proxy may have taken it away.
fn is_ours(origin: &str, host: Option<&str>, public_url: Option<&Url>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let same_host = authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host));
    same_host || public_url.is_some_and(|url| url.origin().ascii_serialization() == origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_token_may_come_as_a_protocol() {
        let with =
            |text| TestRequest::default().insert_header((header::SEC_WEBSOCKET_PROTOCOL, text)).to_http_request();
        let token = Some("a.b.c".to_owned());
        assert_eq!(offered(&with("greenroom.v1, bearer.a.b.c")), (Some(PROTOCOL), token.clone()));
        assert_eq!(offered(&with("bearer.a.b.c,greenroom.v1")), (Some(PROTOCOL), token));
        assert_eq!(offered(&with("other")), (None, None));
    }

    #[test]
    fn a_page_is_ours_by_the_host_it_asks_or_by_the_address_that_is_ours() {
        let public = Url::parse("https://chat.example.org").expect("a URL");
        let ours = |origin, host| is_ours(origin, host, Some(&public));
        assert!(ours("http://127.0.0.1:8080", Some("127.0.0.1:8080")));
        assert!(ours("https://Chat.example.org", Some("chat.example.org")));
        assert!(ours("https://chat.example.org", Some("10.0.0.7:8080")));
        for foreign in
            ["null", "", "https://evil.example.org", "https://chat.example.org.evil.org", "http://127.0.0.1:81"]
        {
            assert!(!ours(foreign, Some("127.0.0.1:8080")), "{foreign}");
            assert!(!ours(foreign, None), "{foreign}");
        }
    }
}
