//! Refresh tokens and tickets. Each carries the id of its login and a MAC over all of it, so that one that was made up is
//! refused, and one that was not is counted against its login, before the database is asked. What they are good for is in
//! the database, which knows their hashes alone.

use super::ids::LoginId;
use super::time::Timestamp;
use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Keeps these keys apart from each other and from the key of signatures, which is made from the same secret.
const SUCCESSOR_LABEL: &[u8] = b"greenroom refresh successor";
const REFRESH_LABEL: &[u8] = b"greenroom refresh token";
const TICKET_LABEL: &[u8] = b"greenroom ticket";

/// Bytes of a login's id.
const LOGIN: usize = 16;
/// Bytes between the login's id and the MAC.
const BODY: usize = 32;
/// Bytes of a MAC: the first half of an HMAC with SHA-256.
const MAC: usize = 16;
/// Bytes of a moment at the beginning of a ticket's body.
const MOMENT: usize = 8;
/// Characters of a refresh token as they were before they carried anything: 32 random bytes.
const PLAIN_CHARS: usize = 43;

/// A refresh token as it was presented; the database decides whether it is good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presented {
    /// One of ours, of this login.
    Sealed(LoginId),
    /// It looks like one from before they carried a login and a MAC; only the database knows more.
    Plain,
}

/// The keys that one secret makes.
pub(super) struct Seals {
    refresh: hmac::Key,
    ticket: hmac::Key,
    successor: hmac::Key,
}

impl Seals {
    pub(super) fn new(secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label).as_ref());
        Self { refresh: key(REFRESH_LABEL), ticket: key(TICKET_LABEL), successor: key(SUCCESSOR_LABEL) }
    }

    /// A new refresh token of a login.
    pub(super) fn refresh_token(&self, login: LoginId) -> String {
        seal(&self.refresh, login, &random())
    }

    /// The refresh token that follows `token`: the same every time.
    pub(super) fn successor(&self, token: &str, login: LoginId) -> String {
        seal(&self.refresh, login, &self.after(token))
    }

    /// What followed `token` before refresh tokens carried anything.
    pub(super) fn plain_successor(&self, token: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.after(token))
    }

    /// A ticket of a login, good until `expires_at`.
    pub(super) fn ticket(&self, login: LoginId, expires_at: Timestamp) -> String {
        let mut body = random();
        body[..MOMENT].copy_from_slice(&expires_at.0.to_be_bytes());
        seal(&self.ticket, login, &body)
    }

    /// Whose refresh token this is, if it is one of ours.
    pub(super) fn login_of(&self, token: &str) -> Option<LoginId> {
        open(&self.refresh, token).map(|(login, _)| login)
    }

    /// Whose ticket this is and when it runs out, if it is one of ours.
    pub(super) fn ticket_of(&self, ticket: &str) -> Option<(LoginId, Timestamp)> {
        let (login, body) = open(&self.ticket, ticket)?;
        let moment = body[..MOMENT].try_into().ok()?;
        Some((login, Timestamp(i64::from_be_bytes(moment))))
    }

    fn after(&self, token: &str) -> [u8; BODY] {
        let tag = hmac::sign(&self.successor, token.as_bytes());
        tag.as_ref().try_into().expect("an HMAC with SHA-256 has 32 bytes")
    }
}

/// Whether `token` has the look of a refresh token from before they carried anything.
pub(super) fn is_plain(token: &str) -> bool {
    token.len() == PLAIN_CHARS && URL_SAFE_NO_PAD.decode(token).is_ok()
}

/// Thirty-two random bytes as text: a word nobody guesses.
///
/// # Panics
///
/// If the operating system has no random bytes to give.
pub fn word() -> String {
    URL_SAFE_NO_PAD.encode(random())
}

fn random() -> [u8; BODY] {
    let mut bytes = [0; BODY];
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

fn seal(key: &hmac::Key, login: LoginId, body: &[u8; BODY]) -> String {
    let mut bytes = Vec::with_capacity(LOGIN + BODY + MAC);
    bytes.extend_from_slice(login.0.as_bytes());
    bytes.extend_from_slice(body);
    let mac = hmac::sign(key, &bytes);
    bytes.extend_from_slice(&mac.as_ref()[..MAC]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(key: &hmac::Key, token: &str) -> Option<(LoginId, [u8; BODY])> {
    let bytes: [u8; LOGIN + BODY + MAC] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (sealed, mac) = bytes.split_at(LOGIN + BODY);
    let expected = hmac::sign(key, sealed);
    constant_time::verify_slices_are_equal(&expected.as_ref()[..MAC], mac).ok()?;
    let (login, body) = sealed.split_at(LOGIN);
    Some((LoginId(Uuid::from_slice(login).ok()?), body.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seals() -> Seals {
        Seals::new(b"a secret of more than thirty-two bytes")
    }

    #[test]
    fn a_token_says_its_login_to_who_knows_the_secret() {
        let (seals, login) = (seals(), LoginId::new());
        let token = seals.refresh_token(login);
        assert_eq!(seals.login_of(&token), Some(login));
        assert_eq!(Seals::new(b"another secret of more than thirty-two bytes").login_of(&token), None);
        assert_ne!(token, seals.refresh_token(login), "no two are the same");
    }

    #[test]
    fn a_ticket_says_when_it_runs_out_and_is_no_refresh_token() {
        let (seals, login, end) = (seals(), LoginId::new(), Timestamp(1_700_000_000_123));
        let ticket = seals.ticket(login, end);
        assert_eq!(seals.ticket_of(&ticket), Some((login, end)));
        assert_eq!(seals.login_of(&ticket), None);
        assert_eq!(seals.ticket_of(&seals.refresh_token(login)), None);
    }

    #[test]
    fn whatever_is_altered_breaks_the_mac() {
        let seals = seals();
        let token = seals.refresh_token(LoginId::new());
        for at in 0..token.len() {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let altered = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            assert_eq!(seals.login_of(&altered), None, "the character at {at}");
        }
        for made_up in ["", "nonsense", &token[1..], &format!("{token}A"), &"A".repeat(86)] {
            assert_eq!(seals.login_of(made_up), None, "{made_up}");
        }
    }

    #[test]
    fn a_successor_is_the_same_every_time_and_of_the_same_login() {
        let (seals, login) = (seals(), LoginId::new());
        let token = seals.refresh_token(login);
        let next = seals.successor(&token, login);
        assert_eq!(next, seals.successor(&token, login));
        assert_eq!(seals.login_of(&next), Some(login));
        assert_ne!(next, token);
        assert!(is_plain(&seals.plain_successor(&token)) && !is_plain(&next));
    }
}
