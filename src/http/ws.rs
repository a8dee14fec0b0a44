//! The door of the WebSocket: which pages may open one. Who is behind it is found out after the upgrade, because a browser
//! cannot read a refusal before it.

use super::extract::bearer;
use super::problem::Problem;
use crate::error::Error;
use crate::realtime::session::{Credential, Opening, Session, Surroundings};
use crate::realtime::socket;
use actix::prelude::*;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use url::Url;

/// Open a WebSocket
///
/// The token comes as `?token=`, as `?ticket=`, in `Authorization`, in `Sec-WebSocket-Protocol: greenroom.v1, bearer.…`,
/// or in a first frame `auth` within ten seconds. A page of a foreign origin is refused. `docs/websocket.md` tells the
/// frames.
#[utoipa::path(
    get, path = "/ws", tag = "operations",
    params(
        ("token" = Option<String>, Query, description = "An access token"),
        ("ticket" = Option<String>, Query, description = "A ticket, used once"),
        ("subscribe" = Option<String>, Query, description = "`none`: subscribe to nothing but one's own stream"),
    ),
    responses((status = 101, description = "Text frames from now on"))
)]
pub async fn upgrade(
    req: HttpRequest,
    stream: web::Payload,
    around: web::Data<Surroundings>,
) -> Result<HttpResponse, actix_web::Error> {
    let server = &around.app.settings().server;
    let said = |name: HeaderName| req.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = said(header::ORIGIN);
    if origin.is_some_and(|origin| {
        !is_ours(origin, said(header::HOST), server.public_url.as_ref())
            && !server.allowed_origins.iter().any(|allowed| allowed == origin)
    }) {
        return Err(Problem::from(Error::forbidden("pages of this origin may not open sockets here")).into());
    }
    let (opening, protocol) = opening(&req);
    let around = around.as_ref().clone();
    socket::upgrade(&req, stream, protocol, move |socket| Session::new(around, opening, socket).start().recipient())
}

/// The subprotocol that a client may offer, beside one that carries its token.
const PROTOCOL: &str = "greenroom.v1";

/// What a handshake brings, and the subprotocol to answer with.
fn opening(req: &HttpRequest) -> (Opening, Option<&'static str>) {
    let offered: Vec<&str> = req
        .headers()
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let asked: Vec<(String, String)> =
        url::form_urlencoded::parse(req.query_string().as_bytes()).into_owned().collect();
    let query = |name: &str| asked.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let in_protocol = offered.iter().find_map(|offer| offer.strip_prefix("bearer.")).map(str::to_owned);
    let credential = query("token")
        .map(Credential::Token)
        .or_else(|| query("ticket").map(Credential::Ticket))
        .or_else(|| bearer(req).map(|token| Credential::Token(token.to_owned())))
        .or_else(|| in_protocol.map(Credential::Token));
    let opening = Opening { credential, subscribe_none: query("subscribe").as_deref() == Some("none") };
    (opening, offered.contains(&PROTOCOL).then_some(PROTOCOL))
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
    fn a_token_may_come_in_the_query_a_header_or_a_protocol() {
        let token = |req: TestRequest| match opening(&req.to_http_request()).0.credential {
            Some(Credential::Token(token)) => token,
            other => format!("{other:?}"),
        };
        assert_eq!(token(TestRequest::with_uri("/ws?token=a.b.c&subscribe=none")), "a.b.c");
        assert_eq!(token(TestRequest::default().insert_header((header::AUTHORIZATION, "Bearer a.b.c"))), "a.b.c");
        let offers = |offers| TestRequest::default().insert_header((header::SEC_WEBSOCKET_PROTOCOL, offers));
        assert_eq!(token(offers("greenroom.v1, bearer.a.b.c")), "a.b.c");
        assert_eq!(token(offers("other")), "None");
        let protocol = |req: TestRequest| opening(&req.to_http_request()).1;
        assert_eq!(protocol(offers("bearer.a.b.c,greenroom.v1")), Some(PROTOCOL));
        assert_eq!(protocol(offers("other")), None);
        let none = |req: TestRequest| opening(&req.to_http_request()).0.subscribe_none;
        assert!(none(TestRequest::with_uri("/ws?subscribe=none")) && !none(TestRequest::with_uri("/ws")));
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
