//! The door of the WebSocket: which pages may open one. Who is behind it is found out after the upgrade, because a browser
//! cannot read a refusal before it.

use super::problem::Problem;
use crate::app::App;
use crate::error::Error;
use crate::realtime::socket;
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
    app: web::Data<App>,
) -> Result<HttpResponse, actix_web::Error> {
    let server = &app.settings().server;
    let said = |name: HeaderName| req.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = said(header::ORIGIN);
    if origin.is_some_and(|origin| {
        !is_ours(origin, said(header::HOST), server.public_url.as_ref())
            && !server.allowed_origins.iter().any(|allowed| allowed == origin)
    }) {
        return Err(Problem::from(Error::forbidden("pages of this origin may not open sockets here")).into());
    }
    socket::upgrade(req, stream, app).await
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
