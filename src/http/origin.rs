//! Decides which pages may open a socket, by their origin.
//!
//! Behind a proxy that rewrites `Host`, the server's own page looks like a foreign one. So the error and the log line
//! name the settings that fix this.

use crate::config::ServerSettings;
use crate::domain::limits;
use crate::error::Error;
use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use url::Url;

/// Refuses a page of a foreign origin with `forbidden`. A client that is not a browser sends no origin and may open
/// sockets.
pub fn check(req: &HttpRequest, server: &ServerSettings) -> Result<(), Error> {
    let header_text = |name: HeaderName| req.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(origin) = header_text(header::ORIGIN) else { return Ok(()) };
    let host = header_text(header::HOST);
    if is_ours(origin, host, server.public_url.as_ref()) || server.allowed_origins.iter().any(|known| known == origin) {
        return Ok(());
    }
    let origin: String = origin.chars().take(limits::ORIGIN_CHARS).collect();
    log_once(&origin, host.unwrap_or_default());
    Err(Error::forbidden(format!(
        "Pages of the origin {origin:?} may not open sockets on this server. If it is the address of this server, the \
         operator must set GREENROOM_PUBLIC_URL to it, or make the proxy forward the header Host."
    )))
}

/// Returns true if `origin` is that of this server: the host of this request, or the public URL that the operator set.
/// The scheme is not compared with that of the request, because a proxy may have changed it.
fn is_ours(origin: &str, host: Option<&str>, public_url: Option<&Url>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let same_host = authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host));
    same_host || public_url.is_some_and(|url| url.origin().ascii_serialization() == origin)
}

/// Logs a refused origin with what the operator can set: once for each pair of origin and host.
fn log_once(origin: &str, host: &str) {
    static LOGGED: Mutex<Option<LoggedOrigins>> = Mutex::new(None);
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let host: String = host.chars().take(limits::ORIGIN_CHARS).collect();
    if logged.get_or_insert_default().is_new(origin, &host) {
        tracing::warn!(
            origin,
            host,
            "a page of this origin may not open sockets, because the request is for another host; if the origin is the \
             address of Greenroom, a proxy rewrites Host: set GREENROOM_PUBLIC_URL to the origin, or make the proxy \
             forward Host; if it is another page of yours, add the origin to GREENROOM_ALLOWED_ORIGINS"
        );
    }
}

/// The pairs of origin and host that are in the log. Any client can invent new pairs, so their number is bounded, and
/// the set is emptied after a time.
struct LoggedOrigins {
    pairs: HashSet<(String, String)>,
    since: Instant,
}

impl Default for LoggedOrigins {
    fn default() -> Self {
        Self { pairs: HashSet::new(), since: Instant::now() }
    }
}

impl LoggedOrigins {
    fn is_new(&mut self, origin: &str, host: &str) -> bool {
        if self.pairs.len() >= limits::LOGGED_ORIGINS {
            if self.since.elapsed() < limits::ORIGIN_LOG_PAUSE {
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
    fn an_origin_is_ours_by_the_host_of_the_request_or_by_the_public_url() {
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
    fn each_pair_is_logged_once_and_their_number_is_bounded() {
        let mut logged = LoggedOrigins::default();
        assert!(logged.is_new("a", "b") && logged.is_new("a", "c") && !logged.is_new("a", "b"));
        for number in 0..limits::LOGGED_ORIGINS {
            logged.is_new(&number.to_string(), "b");
        }
        assert!(!logged.is_new("z", "b"));
        assert_eq!(logged.pairs.len(), limits::LOGGED_ORIGINS);
    }
}
