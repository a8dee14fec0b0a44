//! Which pages may open a socket here, and what the operator and the page are told when one may not: behind a proxy that
//! rewrites `Host`, the server's own page looks like a foreign one.

use crate::config::Server;
use crate::domain::limits;
use crate::error::Error;
use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use url::Url;

/// Refuses a page of a foreign origin. A client that is no browser names none.
pub fn check(req: &HttpRequest, server: &Server) -> Result<(), Error> {
    let said = |name: HeaderName| req.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(origin) = said(header::ORIGIN) else { return Ok(()) };
    let host = said(header::HOST);
    if is_ours(origin, host, server.public_url.as_ref()) || server.allowed_origins.iter().any(|known| known == origin) {
        return Ok(());
    }
    let origin: String = origin.chars().take(limits::ORIGIN_CHARS).collect();
    tell_operator(&origin, host.unwrap_or_default());
    Err(Error::forbidden(format!(
        "pages of {origin:?} may not open sockets here; if it is this server's own address, its operator sets \
         GREENROOM_PUBLIC_URL to it, or has the proxy pass on the Host header"
    )))
}

/// Whether a page of `origin` came from us: from the host that this request asks, or from the address that the operator
/// says is ours. The scheme is not compared, because a proxy may have taken it away.
fn is_ours(origin: &str, host: Option<&str>, public_url: Option<&Url>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let same_host = authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host));
    same_host || public_url.is_some_and(|url| url.origin().ascii_serialization() == origin)
}

/// Says in the log, once for each origin and host, what is wrong and what to set.
fn tell_operator(origin: &str, host: &str) {
    static TOLD: Mutex<Option<Told>> = Mutex::new(None);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let host: String = host.chars().take(limits::ORIGIN_CHARS).collect();
    if told.get_or_insert_default().is_new(origin, &host) {
        tracing::warn!(
            origin,
            host,
            "a page of this origin may not open sockets, because it asked for another host; if it is Greenroom's own \
             address, a proxy rewrites Host: set GREENROOM_PUBLIC_URL to the origin, or have the proxy pass Host on; if \
             it is a page of yours elsewhere, name it in GREENROOM_ALLOWED_ORIGINS"
        );
    }
}

/// The pairs that the operator was told of. Anybody can make up new ones, so they are bounded, and begin anew after a
/// while.
struct Told {
    pairs: HashSet<(String, String)>,
    since: Instant,
}

impl Default for Told {
    fn default() -> Self {
        Self { pairs: HashSet::new(), since: Instant::now() }
    }
}

impl Told {
    fn is_new(&mut self, origin: &str, host: &str) -> bool {
        if self.pairs.len() >= limits::ORIGINS_TOLD {
            if self.since.elapsed() < limits::ORIGINS_TOLD_ANEW {
                return false;
            }
            *self = Self::default();
        }
        self.pairs.insert((origin.to_owned(), host.to_owned()))
    }
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

    #[test]
    fn each_pair_is_told_once_and_not_too_many_of_them() {
        let mut told = Told::default();
        assert!(told.is_new("a", "b") && told.is_new("a", "c") && !told.is_new("a", "b"));
        for number in 0..limits::ORIGINS_TOLD {
            told.is_new(&number.to_string(), "b");
        }
        assert!(!told.is_new("z", "b"));
        assert_eq!(told.pairs.len(), limits::ORIGINS_TOLD);
    }
}
