//! Maps IP addresses to the networks that limits count: an IPv4 address or an IPv6 /64.

use std::net::IpAddr;

/// Returns the network that limits count for an address: the IPv4 address itself, or the /64 of an IPv6 address. A
/// provider assigns at least a /64 to each customer, so one client can use all its addresses.
pub fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => IpAddr::V6((addr.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Returns the [`network`] of an address in text form; `None` if the text is no address.
pub fn network_of_text(addr: &str) -> Option<String> {
    addr.parse().ok().map(|addr| network(addr).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_counts_by_its_first_64_bits() {
        let of = |text| network_of_text(text).expect("an address");
        assert_eq!(of("2001:db8:0:1:ffff::2"), of("2001:db8:0:1::1"));
        assert_ne!(of("2001:db8:0:2::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:203.0.113.1"), "203.0.113.1");
        assert_eq!(network_of_text(""), None);
    }
}
