//! Creates and opens sealed tokens: refresh tokens and tickets.
//!
//! A sealed token contains the id of its login or user and a MAC over all its bytes. So the server refuses a forged
//! token, and counts a genuine one against its login or user, before it reads the database. The database stores only
//! hashes of these tokens and decides whether a token is still valid.

use super::caller::TicketHolder;
use super::ids::{LoginId, ServiceTokenId, UserId};
use super::time::Timestamp;
use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// The labels make the keys different from each other and from the key of signatures, which has the same secret.
const SUCCESSOR_LABEL: &[u8] = b"greenroom refresh successor";
const REFRESH_LABEL: &[u8] = b"greenroom refresh token";
/// Each kind of ticket has a key of its own, so that the key that fits says what the ticket contains.
const TICKET_LABEL: &[u8] = b"greenroom ticket";
const HOST_TICKET_LABEL: &[u8] = b"greenroom host ticket";
const SERVICE_TICKET_LABEL: &[u8] = b"greenroom service ticket";

const ID_BYTES: usize = 16;
/// The bytes between the id and the MAC.
const BODY_BYTES: usize = 32;
/// The first half of an HMAC with SHA-256.
const MAC_BYTES: usize = 16;
/// The body of a ticket begins with the time at which it expires. What follows is, in a ticket of the host application,
/// the time at which its token expires, and in a ticket of a service token the id of that token.
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
    host_ticket: hmac::Key,
    service_ticket: hmac::Key,
    successor: hmac::Key,
}

impl SealKeys {
    pub(super) fn new(secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label).as_ref());
        Self {
            refresh: key(REFRESH_LABEL),
            ticket: key(TICKET_LABEL),
            host_ticket: key(HOST_TICKET_LABEL),
            service_ticket: key(SERVICE_TICKET_LABEL),
            successor: key(SUCCESSOR_LABEL),
        }
    }

    /// Creates a random refresh token of a login.
    pub(super) fn create_refresh_token(&self, login: LoginId) -> String {
        seal(&self.refresh, login.0, &random())
    }

    /// Returns the refresh token that replaces `token`. The result for a token is always the same.
    pub(super) fn successor(&self, token: &str, login: LoginId) -> String {
        seal(&self.refresh, login.0, &self.successor_body(token))
    }

    /// Returns the successor of `token` in the plain format, with which a server of an older version replaced it.
    pub(super) fn plain_successor(&self, token: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.successor_body(token))
    }

    /// Creates a ticket that is valid until `expires_at`.
    pub(super) fn create_ticket(&self, holder: TicketHolder, expires_at: Timestamp) -> String {
        let mut body = random();
        let (expiry, rest) = body.split_at_mut(EXPIRY_BYTES);
        expiry.copy_from_slice(&expires_at.0.to_be_bytes());
        match holder {
            TicketHolder::Login(login) => seal(&self.ticket, login.0, &body),
            TicketHolder::Host { user_id, expires_at } => {
                rest[..EXPIRY_BYTES].copy_from_slice(&expires_at.0.to_be_bytes());
                seal(&self.host_ticket, user_id.0, &body)
            }
            TicketHolder::Service { user_id, token_id } => {
                rest[..ID_BYTES].copy_from_slice(token_id.0.as_bytes());
                seal(&self.service_ticket, user_id.0, &body)
            }
        }
    }

    /// Returns the login of a refresh token; `None` if the MAC is wrong.
    pub(super) fn open_refresh_token(&self, token: &str) -> Option<LoginId> {
        open(&self.refresh, token).map(|(login, _)| LoginId(login))
    }

    /// Returns the holder of a ticket and the time at which it expires; `None` if the MAC is wrong.
    pub(super) fn open_ticket(&self, ticket: &str) -> Option<(TicketHolder, Timestamp)> {
        if let Some((login, body)) = open(&self.ticket, ticket) {
            return Some((TicketHolder::Login(LoginId(login)), time_in(&body)?));
        }
        if let Some((user, body)) = open(&self.host_ticket, ticket) {
            let holder = TicketHolder::Host { user_id: UserId(user), expires_at: time_in(&body[EXPIRY_BYTES..])? };
            return Some((holder, time_in(&body)?));
        }
        let (user, body) = open(&self.service_ticket, ticket)?;
        let token = body.get(EXPIRY_BYTES..EXPIRY_BYTES + ID_BYTES)?;
        let token_id = ServiceTokenId(Uuid::from_slice(token).ok()?);
        Some((TicketHolder::Service { user_id: UserId(user), token_id }, time_in(&body)?))
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

fn seal(key: &hmac::Key, id: Uuid, body: &[u8; BODY_BYTES]) -> String {
    let mut bytes = Vec::with_capacity(ID_BYTES + BODY_BYTES + MAC_BYTES);
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(body);
    let mac = hmac::sign(key, &bytes);
    bytes.extend_from_slice(&mac.as_ref()[..MAC_BYTES]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(key: &hmac::Key, token: &str) -> Option<(Uuid, [u8; BODY_BYTES])> {
    let bytes: [u8; ID_BYTES + BODY_BYTES + MAC_BYTES] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (sealed, mac) = bytes.split_at(ID_BYTES + BODY_BYTES);
    let expected = hmac::sign(key, sealed);
    constant_time::verify_slices_are_equal(&expected.as_ref()[..MAC_BYTES], mac).ok()?;
    let (id, body) = sealed.split_at(ID_BYTES);
    Some((Uuid::from_slice(id).ok()?, body.try_into().ok()?))
}

/// Reads the time that the first bytes contain.
fn time_in(bytes: &[u8]) -> Option<Timestamp> {
    let bytes = bytes.get(..EXPIRY_BYTES)?.try_into().ok()?;
    Some(Timestamp(i64::from_be_bytes(bytes)))
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
        let token = keys.create_refresh_token(login);
        assert_eq!(keys.open_refresh_token(&token), Some(login));
        assert_eq!(SealKeys::new(b"another secret of more than thirty-two bytes").open_refresh_token(&token), None);
        assert_ne!(token, keys.create_refresh_token(login), "every refresh token is different");
    }

    #[test]
    fn a_ticket_contains_its_holder_and_its_expiry_and_is_no_refresh_token() {
        let (keys, login, end) = (seal_keys(), LoginId::new(), Timestamp(1_700_000_000_123));
        let user_id = UserId::new();
        for holder in [
            TicketHolder::Login(login),
            TicketHolder::Host { user_id, expires_at: Timestamp(end.0 + 1) },
            TicketHolder::Service { user_id, token_id: ServiceTokenId::new() },
        ] {
            let ticket = keys.create_ticket(holder, end);
            assert_eq!(keys.open_ticket(&ticket), Some((holder, end)));
            assert_eq!(keys.open_refresh_token(&ticket), None);
            assert_ne!(ticket, keys.create_ticket(holder, end), "every ticket is different");
        }
        assert_eq!(keys.open_ticket(&keys.create_refresh_token(login)), None);
    }

    #[test]
    fn any_altered_character_breaks_the_mac() {
        let keys = seal_keys();
        let token = keys.create_refresh_token(LoginId::new());
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
        let token = keys.create_refresh_token(login);
        let next = keys.successor(&token, login);
        assert_eq!(next, keys.successor(&token, login));
        assert_eq!(keys.open_refresh_token(&next), Some(login));
        assert_ne!(next, token);
        assert!(is_plain(&keys.plain_successor(&token)) && !is_plain(&next));
    }
}
