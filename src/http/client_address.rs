//! The address of the client, also behind proxies.

use super::problem::Problem;
use crate::app::App;
use crate::error::{Error, Result};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use std::future::{Ready, ready};
use std::net::IpAddr;

/// The address of the client: the peer, or, if the peer is a trusted proxy, the last hop of `X-Forwarded-For` that is
/// not a trusted proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddr(pub IpAddr);

impl FromRequest for ClientAddr {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(client_addr(req).map(Self).map_err(Problem::from))
    }
}

fn client_addr(req: &HttpRequest) -> Result<IpAddr> {
    let peer = req.peer_addr().map(|peer| peer.ip().to_canonical());
    let peer = peer.ok_or_else(|| Error::internal("the address of the client is not known"))?;
    let app = req
        .app_data::<web::Data<App>>()
        .ok_or_else(|| Error::internal("the application is missing, so the trusted proxies are not known"))?;
    let hops = req.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let trusted = |addr: IpAddr| app.settings().server.trusted_proxies.iter().any(|proxy| proxy.contains(addr));
    Ok(last_untrusted(peer, hops, trusted))
}

/// Returns the address nearest to this server that is not a trusted proxy. The client at that address could invent all
/// hops before it, so they are ignored. A hop that is not an address ends the search.
fn last_untrusted<'a>(peer: IpAddr, hops: impl Iterator<Item = &'a str>, trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut nearest = peer;
    let hops: Vec<&str> = hops.flat_map(|header| header.split(',')).map(str::trim).collect();
    for hop in hops.into_iter().rev() {
        if !trusted(nearest) {
            break;
        }
        let Some(addr) = parse_address(hop) else { break };
        nearest = addr;
    }
    nearest
}

/// Parses an address as proxies write it: alone, with a port, or (version 6) in brackets.
fn parse_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|addr| addr.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    bare.or_else(with_port).or_else(bracketed).map(|addr| addr.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_address_is_used_only_behind_trusted_proxies() {
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
