//! The door of the WebSocket: which pages may open one. Who is behind it is found out after the upgrade, because a browser
//! cannot read a refusal before it.

use super::extract::{ClientAddr, bearer};
use super::origin;
use super::problem::Problem;
use crate::realtime::session::{Credential, Opening, Session, Surroundings};
use crate::realtime::socket;
use actix::prelude::*;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

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
    responses(
        (status = 101, description = "Text frames from now on"),
        (status = 503, description = "Too many connections from this address have not signed in (`busy`)"),
        (status = 426, description = "Another version of the protocol was asked for than 13"),
    )
)]
pub async fn upgrade(
    req: HttpRequest,
    stream: web::Payload,
    around: web::Data<Surroundings>,
    client: ClientAddr,
) -> Result<HttpResponse, actix_web::Error> {
    origin::check(&req, &around.app.settings().server).map_err(Problem::from)?;
    let version = req.headers().get(header::SEC_WEBSOCKET_VERSION);
    if version.is_some_and(|version| version != VERSION) {
        return Err(Problem::upgrade_required(VERSION).into());
    }
    let (mut opening, protocol) = opening(&req);
    if opening.credential.is_none() {
        opening.place = Some(around.app.admission().stranger(client.0).map_err(Problem::from)?);
    }
    let around = around.as_ref().clone();
    socket::upgrade(&req, stream, protocol, move |socket| Session::new(around, opening, socket).start().recipient())
}

/// The version of RFC 6455, the only one.
const VERSION: &str = "13";
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
    let opening = Opening { credential, subscribe_none: query("subscribe").as_deref() == Some("none"), place: None };
    (opening, offered.contains(&PROTOCOL).then_some(PROTOCOL))
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
}
