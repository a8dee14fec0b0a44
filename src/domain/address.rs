//! What counts as one address: whoever has one IPv6 address has its /64.

use std::net::IpAddr;

/// What limits count an address as: itself, or the /64 of one of version 6, which is what one customer gets.
pub fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => IpAddr::V6((addr.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The same for a text; none if that is no address.
pub fn network_of(addr: &str) -> Option<String> {
    addr.parse().ok().map(|addr| network(addr).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_version_6_counts_by_its_first_half() {
        let of = |text| network_of(text).expect("an address");
        assert_eq!(of("2001:db8:0:1:ffff::2"), of("2001:db8:0:1::1"));
        assert_ne!(of("2001:db8:0:2::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:203.0.113.1"), "203.0.113.1");
        assert_eq!(network_of(""), None);
    }
}
