//! The call that opens a WebSocket.
//!
//! The origin of the page is checked before the upgrade. The credential is checked after it, because a browser cannot
//! read the answer to a handshake that is refused.

use super::client_address::ClientAddr;
use super::extract::bearer_token;
use super::origin;
use super::problem::Problem;
use crate::realtime::session::{Credential, Handshake, Session, SessionServices};
use crate::realtime::socket;
use actix::prelude::*;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

/// Open a WebSocket
///
/// The client sends its credential as `?token=`, as `?ticket=`, in the header `Authorization`, in
/// `Sec-WebSocket-Protocol: greenroom.v1, bearer.…`, or in a first frame `auth` within ten seconds. The server refuses
/// pages of a foreign origin. `docs/websocket.md` describes the frames.
#[utoipa::path(
    get, path = "/ws", tag = "operations",
    params(
        ("token" = Option<String>, Query, description = "An access token"),
        ("ticket" = Option<String>, Query, description = "A ticket, which can be used once"),
        ("subscribe" = Option<String>, Query, description = "`none`: the session subscribes only to the user stream"),
    ),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 503, description = "Too many connections from this address are not authenticated (`busy`)"),
        (status = 426, description = "The client asked for another version of the WebSocket protocol than 13"),
    )
)]
pub async fn upgrade(
    req: HttpRequest,
    stream: web::Payload,
    services: web::Data<SessionServices>,
    client: ClientAddr,
) -> Result<HttpResponse, actix_web::Error> {
    origin::check(&req, &services.app.settings().server).map_err(Problem::from)?;
    let version = req.headers().get(header::SEC_WEBSOCKET_VERSION);
    if version.is_some_and(|version| version != VERSION) {
        return Err(Problem::upgrade_required(VERSION).into());
    }
    let (mut handshake, protocol) = read_handshake(&req);
    if handshake.credential.is_none() {
        handshake.permit =
            Some(services.app.admission().acquire_unauthenticated_permit(client.0).map_err(Problem::from)?);
    }
    let services = services.as_ref().clone();
    socket::upgrade(&req, stream, protocol, move |transport| {
        Session::new(services, handshake, transport).start().recipient()
    })
}

/// The only version of the WebSocket protocol, as RFC 6455 defines it.
const VERSION: &str = "13";
/// The subprotocol that a client may offer, in addition to one that contains its token.
const PROTOCOL: &str = "greenroom.v1";

/// Reads the credential and the options of a handshake. The second value is the subprotocol for the answer.
fn read_handshake(req: &HttpRequest) -> (Handshake, Option<&'static str>) {
    let offered: Vec<&str> = req
        .headers()
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(req.query_string().as_bytes()).into_owned().collect();
    let query = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let in_protocol = offered.iter().find_map(|offer| offer.strip_prefix("bearer.")).map(str::to_owned);
    let credential = query("token")
        .map(Credential::Token)
        .or_else(|| query("ticket").map(Credential::Ticket))
        .or_else(|| bearer_token(req).map(|token| Credential::Token(token.to_owned())))
        .or_else(|| in_protocol.map(Credential::Token));
    let handshake =
        Handshake { credential, subscribe_none: query("subscribe").as_deref() == Some("none"), permit: None };
    (handshake, offered.contains(&PROTOCOL).then_some(PROTOCOL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_token_may_come_in_the_query_a_header_or_a_protocol() {
        let token = |req: TestRequest| match read_handshake(&req.to_http_request()).0.credential {
            Some(Credential::Token(token)) => token,
            other => format!("{other:?}"),
        };
        assert_eq!(token(TestRequest::with_uri("/ws?token=a.b.c&subscribe=none")), "a.b.c");
        assert_eq!(token(TestRequest::default().insert_header((header::AUTHORIZATION, "Bearer a.b.c"))), "a.b.c");
        let offers = |offers| TestRequest::default().insert_header((header::SEC_WEBSOCKET_PROTOCOL, offers));
        assert_eq!(token(offers("greenroom.v1, bearer.a.b.c")), "a.b.c");
        assert_eq!(token(offers("other")), "None");
        let protocol = |req: TestRequest| read_handshake(&req.to_http_request()).1;
        assert_eq!(protocol(offers("bearer.a.b.c,greenroom.v1")), Some(PROTOCOL));
        assert_eq!(protocol(offers("other")), None);
        let none = |req: TestRequest| read_handshake(&req.to_http_request()).0.subscribe_none;
        assert!(none(TestRequest::with_uri("/ws?subscribe=none")) && !none(TestRequest::with_uri("/ws")));
    }
}
