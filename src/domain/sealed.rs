//! Creates and opens sealed tokens: refresh tokens and tickets.
//!
//! A sealed token contains the id of its login and a MAC over all its bytes. So the server refuses a forged token, and
//! counts a genuine one against its login, before it reads the database. The database stores only hashes of these
//! tokens and decides whether a token is still valid.

use super::ids::LoginId;
use super::time::Timestamp;
use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// The labels make the keys different from each other and from the key of signatures, which has the same secret.
const SUCCESSOR_LABEL: &[u8] = b"greenroom refresh successor";
const REFRESH_LABEL: &[u8] = b"greenroom refresh token";
const TICKET_LABEL: &[u8] = b"greenroom ticket";

const LOGIN_ID_BYTES: usize = 16;
/// The bytes between the login id and the MAC.
const BODY_BYTES: usize = 32;
/// The first half of an HMAC with SHA-256.
const MAC_BYTES: usize = 16;
/// The body of a ticket begins with the time at which it expires.
const EXPIRY_BYTES: usize = 8;
/// The length of a plain refresh token: 32 random bytes in base64.
const PLAIN_CHARS: usize = 43;

/// The form of a refresh token from a client. The database decides whether the token is valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshTokenForm {
    /// The MAC is correct, so this server issued the token for this login.
    Sealed(LoginId),
    /// The token may be from an older version, which issued random bytes without a login and a MAC.
    Plain,
}

/// The keys for sealed tokens that are derived from one secret.
pub(super) struct SealKeys {
    refresh: hmac::Key,
    ticket: hmac::Key,
    successor: hmac::Key,
}

impl SealKeys {
    pub(super) fn new(secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label).as_ref());
        Self { refresh: key(REFRESH_LABEL), ticket: key(TICKET_LABEL), successor: key(SUCCESSOR_LABEL) }
    }

    /// Creates a random refresh token of a login.
    pub(super) fn refresh_token(&self, login: LoginId) -> String {
        seal(&self.refresh, login, &random())
    }

    /// Returns the refresh token that replaces `token`. The result for a token is always the same.
    pub(super) fn successor(&self, token: &str, login: LoginId) -> String {
        seal(&self.refresh, login, &self.successor_body(token))
    }

    /// Returns the refresh token with which a server of an older version replaced `token`.
    pub(super) fn plain_successor(&self, token: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.successor_body(token))
    }

    /// Creates a ticket of a login that is valid until `expires_at`.
    pub(super) fn ticket(&self, login: LoginId, expires_at: Timestamp) -> String {
        let mut body = random();
        body[..EXPIRY_BYTES].copy_from_slice(&expires_at.0.to_be_bytes());
        seal(&self.ticket, login, &body)
    }

    /// Returns the login of a refresh token; `None` if the MAC is wrong.
    pub(super) fn open_refresh_token(&self, token: &str) -> Option<LoginId> {
        open(&self.refresh, token).map(|(login, _)| login)
    }

    /// Returns the login of a ticket and the time at which it expires; `None` if the MAC is wrong.
    pub(super) fn open_ticket(&self, ticket: &str) -> Option<(LoginId, Timestamp)> {
        let (login, body) = open(&self.ticket, ticket)?;
        let expires_at = body[..EXPIRY_BYTES].try_into().ok()?;
        Some((login, Timestamp(i64::from_be_bytes(expires_at))))
    }

    fn successor_body(&self, token: &str) -> [u8; BODY_BYTES] {
        let tag = hmac::sign(&self.successor, token.as_bytes());
        tag.as_ref().try_into().expect("an HMAC with SHA-256 has 32 bytes")
    }
}

/// Returns whether `token` has the format of a plain refresh token, which older versions issued.
pub(super) fn is_plain(token: &str) -> bool {
    token.len() == PLAIN_CHARS && URL_SAFE_NO_PAD.decode(token).is_ok()
}

/// Returns 32 random bytes in base64: a secret that cannot be guessed.
///
/// # Panics
///
/// If the operating system provides no random bytes.
pub fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(random())
}

fn random() -> [u8; BODY_BYTES] {
    let mut bytes = [0; BODY_BYTES];
    rand::fill(&mut bytes).expect("the operating system provides random bytes");
    bytes
}

fn seal(key: &hmac::Key, login: LoginId, body: &[u8; BODY_BYTES]) -> String {
    let mut bytes = Vec::with_capacity(LOGIN_ID_BYTES + BODY_BYTES + MAC_BYTES);
    bytes.extend_from_slice(login.0.as_bytes());
    bytes.extend_from_slice(body);
    let mac = hmac::sign(key, &bytes);
    bytes.extend_from_slice(&mac.as_ref()[..MAC_BYTES]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(key: &hmac::Key, token: &str) -> Option<(LoginId, [u8; BODY_BYTES])> {
    let bytes: [u8; LOGIN_ID_BYTES + BODY_BYTES + MAC_BYTES] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (sealed, mac) = bytes.split_at(LOGIN_ID_BYTES + BODY_BYTES);
    let expected = hmac::sign(key, sealed);
    constant_time::verify_slices_are_equal(&expected.as_ref()[..MAC_BYTES], mac).ok()?;
    let (login, body) = sealed.split_at(LOGIN_ID_BYTES);
    Some((LoginId(Uuid::from_slice(login).ok()?), body.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal_keys() -> SealKeys {
        SealKeys::new(b"a secret of more than thirty-two bytes")
    }

    #[test]
    fn the_login_of_a_token_can_be_read_only_with_the_same_secret() {
        let (keys, login) = (seal_keys(), LoginId::new());
        let token = keys.refresh_token(login);
        assert_eq!(keys.open_refresh_token(&token), Some(login));
        assert_eq!(SealKeys::new(b"another secret of more than thirty-two bytes").open_refresh_token(&token), None);
        assert_ne!(token, keys.refresh_token(login), "every refresh token is different");
    }

    #[test]
    fn a_ticket_contains_its_expiry_and_is_no_refresh_token() {
        let (keys, login, end) = (seal_keys(), LoginId::new(), Timestamp(1_700_000_000_123));
        let ticket = keys.ticket(login, end);
        assert_eq!(keys.open_ticket(&ticket), Some((login, end)));
        assert_eq!(keys.open_refresh_token(&ticket), None);
        assert_eq!(keys.open_ticket(&keys.refresh_token(login)), None);
    }

    #[test]
    fn any_altered_character_breaks_the_mac() {
        let keys = seal_keys();
        let token = keys.refresh_token(LoginId::new());
        for at in 0..token.len() {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let altered = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            assert_eq!(keys.open_refresh_token(&altered), None, "the character at {at}");
        }
        for forged in ["", "nonsense", &token[1..], &format!("{token}A"), &"A".repeat(86)] {
            assert_eq!(keys.open_refresh_token(forged), None, "{forged}");
        }
    }

    #[test]
    fn a_successor_is_always_the_same_and_of_the_same_login() {
        let (keys, login) = (seal_keys(), LoginId::new());
        let token = keys.refresh_token(login);
        let next = keys.successor(&token, login);
        assert_eq!(next, keys.successor(&token, login));
        assert_eq!(keys.open_refresh_token(&next), Some(login));
        assert_ne!(next, token);
        assert!(is_plain(&keys.plain_successor(&token)) && !is_plain(&next));
    }
}
