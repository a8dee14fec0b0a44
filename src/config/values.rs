//! Reads the values of settings that are more than a number or a text.

use std::fmt;
use std::net::IpAddr;
use url::Url;

/// A secret text, which neither `Debug` nor `Display` shows.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that must not be shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text. The caller must not log it or show it to a client.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A range of addresses, such as `10.0.0.0/8` or `2001:db8::/32`. A single address is a range of one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads an address with an optional prefix length; `None` if the text is not valid.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let max_prefix = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            // A sign or many leading zeros are probably a mistake of the operator.
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            Some(_) => return None,
            None => max_prefix,
        };
        (prefix <= max_prefix).then_some(Self { address, prefix })
    }

    /// Returns whether the range contains `address`. An IPv4 address in IPv6 form (`::ffff:10.0.0.1`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// Reads a list separated by commas; `None` if an item is not valid.
pub(super) fn list<T>(text: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(item).collect()
}

/// Reads `true` or `false`, or one of their synonyms, without case.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Reads an origin and returns it as browsers send it: scheme and host in lower case, no default port, no path.
pub(super) fn origin(text: &str) -> Option<String> {
    let url = without_path(Url::parse(text).ok()?)?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", url.scheme(), host.to_ascii_lowercase()))
}

/// Reads the URL of the server, such as `https://chat.example.org`.
pub(super) fn public_url(text: &str) -> Option<Url> {
    web_url(text).and_then(without_path)
}

/// Reads an http or https URL.
pub(super) fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
}

/// Returns `url` if it consists of scheme, host and port only.
fn without_path(url: Url) -> Option<Url> {
    let nothing_else = ["", "/"].contains(&url.path())
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    nothing_else.then_some(url)
}

/// Reads the URL of the uploads: `file:///srv/uploads` or `s3://bucket`.
pub(super) fn uploads_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    match url.scheme() {
        "file" => url.path().len() > 1,
        "s3" => url.has_host(),
        _ => false,
    }
    .then_some(url)
}

/// Reads a `redis://` or `rediss://` URL.
pub(super) fn redis_url(text: &str) -> Option<Secret> {
    let url = Url::parse(text).ok()?;
    (["redis", "rediss"].contains(&url.scheme()) && url.has_host()).then(|| Secret::new(text))
}

/// Reads the URL of a database. SQLite in memory is not accepted, because each connection would have a separate
/// database.
pub(super) fn database_url(text: &str) -> Option<Secret> {
    let valid = match text.split_once(':')? {
        ("postgres" | "postgresql", _) => Url::parse(text).is_ok(),
        ("sqlite", rest) => {
            let (file, parameters) = rest.split_once('?').unwrap_or((rest, ""));
            !file.trim_start_matches('/').is_empty()
                && !file.contains(":memory:")
                && !parameters.contains("mode=memory")
        }
        _ => false,
    };
    valid.then(|| Secret::new(text))
}

/// Returns the URL of a SQLite file that is created if it does not exist.
pub(super) fn sqlite_url(file: &str) -> Secret {
    let mut escaped = String::with_capacity(file.len());
    for letter in file.chars() {
        match letter {
            '%' => escaped.push_str("%25"),
            '?' => escaped.push_str("%3F"),
            '#' => escaped.push_str("%23"),
            _ => escaped.push(letter),
        }
    }
    Secret::new(format!("sqlite://{escaped}?mode=rwc"))
}

/// Reads a secret that signs tokens: at least 32 bytes, because a shorter one could be guessed from a token.
pub(super) fn signing_secret(text: &str) -> Option<Secret> {
    (text.len() >= super::JWT_SECRET_BYTES).then(|| Secret::new(text))
}

/// Reads the name of a schema that SQL accepts without quotes.
pub(super) fn identifier(text: &str) -> Option<String> {
    let valid = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    (valid && text.len() <= 63 && !text.starts_with(|first: char| first.is_ascii_digit())).then(|| text.to_owned())
}

/// Reads the name of a node: at most 64 of `[A-Za-z0-9_.-]`.
pub(super) fn node_id(text: &str) -> Option<String> {
    let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    (valid && text.len() <= 64).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_with_its_prefix() {
        let contains = |network: &str, address: &str| {
            Network::parse(network).expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(contains("10.0.0.0/8", "10.255.1.2"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("10.1.2.3", "10.1.2.3"));
        assert!(!contains("10.1.2.3", "10.1.2.4"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(!contains("::/0", "10.0.0.1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.0.0.1"));
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/+8", "10.0.0.0/", "example.org"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_origin_is_stored_as_browsers_send_it() {
        assert_eq!(origin("https://Chat.Example.org:443/").as_deref(), Some("https://chat.example.org"));
        assert_eq!(origin("http://localhost:3000").as_deref(), Some("http://localhost:3000"));
        assert_eq!(origin("capacitor://localhost").as_deref(), Some("capacitor://localhost"));
        for bad in ["*", "null", "example.org", "https://example.org/chat", "https://a@example.org", "https://"] {
            assert_eq!(origin(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret} {secret:?}").contains("hunter2"));
    }

    #[test]
    fn a_database_in_memory_is_refused() {
        for bad in
            ["sqlite::memory:", "sqlite://?mode=memory", "sqlite://a.db?mode=memory", "mysql://localhost/a", "a.db"]
        {
            assert!(database_url(bad).is_none(), "{bad}");
        }
        for good in ["sqlite://a.db", "sqlite:a.db?mode=rwc", "postgres://a:b@localhost/c", "postgresql://localhost/c"]
        {
            assert!(database_url(good).is_some(), "{good}");
        }
    }
}
