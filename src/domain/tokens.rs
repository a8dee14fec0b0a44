//! Signs and verifies tokens.
//!
//! The database stores only the hashes of refresh tokens and tickets. The successor of a spent refresh token is derived
//! from the spent token, so the server can return it again without storing it. The format of refresh tokens and tickets
//! is in [`super::sealed`].

use super::caller::TicketHolder;
use super::ids::{LoginId, UserId};
use super::limits;
use super::sealed::{self, RefreshTokenForm, SealKeys};
use super::time::Timestamp;
use aws_lc_rs::digest;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

const ISSUER: &str = "greenroom";
/// The audience of file tokens. Access tokens have no audience, so neither kind is accepted as the other.
const FILE_AUDIENCE: &str = "files";
const HOUR_SECONDS: i64 = 3600;

/// The claims of an access token.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    pub sub: UserId,
    pub sid: LoginId,
    /// The generation of the refresh token that was issued together with it; 0 in tokens of older versions.
    #[serde(default, rename = "gen")]
    pub generation: i64,
    /// The role of the user on the server when the token was signed. Rights are always read from the database.
    pub role: String,
    /// The time of signing, in seconds since 1970.
    pub iat: i64,
    /// The time at which the token expires, in seconds since 1970.
    pub exp: i64,
    jti: Uuid,
}

#[derive(Serialize, Deserialize)]
struct FileClaims {
    iss: String,
    aud: String,
    sub: UserId,
    iat: i64,
    exp: i64,
}

/// The reason why a token is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenError {
    /// The token was valid earlier.
    Expired,
    /// Another server signed the token, or it was altered, or it is of another kind.
    Invalid,
}

/// Signs and verifies tokens. The secondary secret only verifies, so an operator can replace the secret while all users
/// stay signed in.
pub struct Keys {
    primary: SecretKeys,
    secondary: Option<SecretKeys>,
    plain_until: Timestamp,
}

struct SecretKeys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    seals: SealKeys,
}

impl SecretKeys {
    fn new(secret: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            seals: SealKeys::new(secret),
        }
    }
}

impl Keys {
    /// Derives the keys from a secret and the secret that it replaces. The settings have checked the length of both.
    pub fn new(secret: &[u8], secondary: Option<&[u8]>) -> Self {
        Self { primary: SecretKeys::new(secret), secondary: secondary.map(SecretKeys::new), plain_until: Timestamp(0) }
    }

    /// Makes the keys also accept plain refresh tokens, which older versions issued, until this time.
    #[must_use]
    pub fn accept_plain_until(self, plain_until: Timestamp) -> Self {
        Self { plain_until, ..self }
    }

    /// Creates an access token for a login and the generation of its refresh token. It is valid from `now` for
    /// [`limits::ACCESS_TOKEN_LIFETIME`].
    pub fn create_access_token(
        &self,
        user_id: UserId,
        login_id: LoginId,
        generation: i64,
        role: &str,
        now: Timestamp,
    ) -> String {
        self.sign(&Claims {
            iss: ISSUER.to_owned(),
            sub: user_id,
            sid: login_id,
            generation,
            role: role.to_owned(),
            iat: now.seconds(),
            exp: now.plus(limits::ACCESS_TOKEN_LIFETIME).seconds(),
            jti: Uuid::new_v4(),
        })
    }

    /// Returns the claims of an access token that this server signed and that has not expired.
    pub fn verify_access_token(&self, token: &str) -> Result<Claims, TokenError> {
        self.decode_claims(token, &validation())
    }

    /// Creates a token for fetching files. It is the same within a clock hour, so that clients can cache a URL that
    /// contains it. It is valid for [`limits::FILE_TOKEN_LIFETIME`] from the beginning of that hour.
    pub fn create_file_token(&self, user_id: UserId, now: Timestamp) -> String {
        let hour = now.seconds().div_euclid(HOUR_SECONDS) * HOUR_SECONDS;
        self.sign(&FileClaims {
            iss: ISSUER.to_owned(),
            aud: FILE_AUDIENCE.to_owned(),
            sub: user_id,
            iat: hour,
            exp: hour + limits::FILE_TOKEN_LIFETIME.as_secs() as i64,
        })
    }

    /// Returns the user of a file token that this server signed and that has not expired.
    pub fn verify_file_token(&self, token: &str) -> Result<UserId, TokenError> {
        let mut validation = validation();
        validation.set_audience(&[FILE_AUDIENCE]);
        validation.required_spec_claims.insert("aud".to_owned());
        self.decode_claims::<FileClaims>(token, &validation).map(|claims| claims.sub)
    }

    /// Creates a random refresh token of a login.
    pub fn create_refresh_token(&self, login: LoginId) -> String {
        self.primary.seals.create_refresh_token(login)
    }

    /// Returns the form of a refresh token from a client; `None` if the token is forged, so that no database read is
    /// needed.
    pub fn refresh_token_form(&self, token: &str, now: Timestamp) -> Option<RefreshTokenForm> {
        if let Some(login) = self.seals().find_map(|seals| seals.open_refresh_token(token)) {
            return Some(RefreshTokenForm::Sealed(login));
        }
        (now < self.plain_until && sealed::is_plain(token)).then_some(RefreshTokenForm::Plain)
    }

    /// Returns the possible successors of a refresh token. The first is the one to issue now. The others may have been
    /// issued before the secret was replaced, or by a server of an older version.
    pub fn successors(&self, token: &str, login: LoginId, form: RefreshTokenForm) -> Vec<String> {
        let sealed = self.seals().map(|seals| seals.successor(token, login));
        let plain = self.seals().map(|seals| seals.plain_successor(token));
        match form {
            RefreshTokenForm::Sealed(_) => sealed.collect(),
            RefreshTokenForm::Plain => sealed.chain(plain).collect(),
        }
    }

    /// Creates a ticket that expires at `expires_at`.
    pub fn create_ticket(&self, holder: TicketHolder, expires_at: Timestamp) -> String {
        self.primary.seals.create_ticket(holder, expires_at)
    }

    /// Returns the holder of a ticket; `None` if it is forged or has expired, so that no database read is needed.
    pub fn verify_ticket(&self, ticket: &str, now: Timestamp) -> Option<TicketHolder> {
        let (holder, expires_at) = self.seals().find_map(|seals| seals.open_ticket(ticket))?;
        (now < expires_at).then_some(holder)
    }

    fn seals(&self) -> impl Iterator<Item = &SealKeys> {
        std::iter::once(&self.primary).chain(&self.secondary).map(|secret| &secret.seals)
    }

    fn sign(&self, claims: &impl Serialize) -> String {
        encode(&Header::new(Algorithm::HS256), claims, &self.primary.encoding)
            .expect("claims have string keys, and an HMAC cannot fail")
    }

    fn decode_claims<C: DeserializeOwned>(&self, token: &str, validation: &Validation) -> Result<C, TokenError> {
        use jsonwebtoken::errors::ErrorKind;
        let decode_with = |keys: &SecretKeys| decode::<C>(token, &keys.decoding, validation).map(|data| data.claims);
        let mut result = decode_with(&self.primary);
        if let (Err(error), Some(secondary)) = (&result, &self.secondary)
            && matches!(error.kind(), ErrorKind::InvalidSignature)
        {
            result = decode_with(secondary);
        }
        result.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => TokenError::Expired,
            _ => TokenError::Invalid,
        })
    }
}

/// Returns the checks for every token. The defaults of the library are less strict.
fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["iss", "sub", "exp"]);
    validation
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// Returns the hash under which the database stores a refresh token or a ticket.
pub fn hash(token: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, token.as_bytes()).as_ref().to_vec()
}

/// Returns the SHA-256 of a request body in hexadecimal, with which a repeated request is recognised.
pub fn body_hash(body: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    let hash = digest::digest(&digest::SHA256, body);
    hash.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    const SECRET: &[u8] = b"a secret of more than thirty-two bytes";
    const OTHER: &[u8] = b"another secret of more than thirty-two bytes";

    fn keys() -> Keys {
        Keys::new(SECRET, None)
    }

    fn access_token(keys: &Keys, now: Timestamp) -> String {
        keys.create_access_token(UserId::new(), LoginId::new(), 0, "user", now)
    }

    /// Signs a token without [`Keys`], so that it can contain claims that [`Keys`] never signs.
    fn forged(algorithm: Algorithm, claims: &serde_json::Value, secret: &[u8]) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).unwrap()
    }

    fn claims(change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> serde_json::Value {
        let now = Timestamp::now().seconds();
        let mut claims = json!({
            "iss": "greenroom", "sub": UserId::new(), "sid": LoginId::new(), "role": "user",
            "iat": now, "exp": now + 900, "jti": Uuid::new_v4(),
        });
        change(claims.as_object_mut().unwrap());
        claims
    }

    #[test]
    fn a_token_names_user_and_login_and_is_valid_for_fifteen_minutes() {
        let (user, login, now) = (UserId::new(), LoginId::new(), Timestamp::now());
        let read = keys().verify_access_token(&keys().create_access_token(user, login, 3, "admin", now)).unwrap();
        assert_eq!((read.sub, read.sid, read.generation, read.role.as_str()), (user, login, 3, "admin"));
        assert_eq!((read.iat, read.exp), (now.seconds(), now.seconds() + 900));
        let older = keys().verify_access_token(&forged(Algorithm::HS256, &claims(|_| ()), SECRET)).unwrap();
        assert_eq!(older.generation, 0);
    }

    #[test]
    fn an_expired_token_is_distinguished_from_an_invalid_one() {
        let then = Timestamp::now().minus(limits::ACCESS_TOKEN_LIFETIME).minus(std::time::Duration::from_secs(2));
        assert_eq!(keys().verify_access_token(&access_token(&keys(), then)), Err(TokenError::Expired));
        assert_eq!(keys().verify_access_token("nonsense"), Err(TokenError::Invalid));
    }

    #[test]
    fn another_secret_another_algorithm_and_no_algorithm_are_refused() {
        let good = claims(|_| ());
        for token in [
            forged(Algorithm::HS256, &good, OTHER),
            forged(Algorithm::HS384, &good, SECRET),
            forged(Algorithm::HS512, &good, SECRET),
        ] {
            assert_eq!(keys().verify_access_token(&token), Err(TokenError::Invalid));
        }
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for name in ["none", "None", "NONE"] {
            let unsigned = format!("{}.{}.", part(&json!({ "alg": name, "typ": "JWT" })), part(&good));
            assert_eq!(keys().verify_access_token(&unsigned), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn altered_claims_break_the_signature() {
        let token = access_token(&keys(), Timestamp::now());
        let parts: Vec<&str> = token.split('.').collect();
        let altered = URL_SAFE_NO_PAD.encode(claims(|claims| claims["role"] = json!("admin")).to_string());
        assert_eq!(
            keys().verify_access_token(&format!("{}.{altered}.{}", parts[0], parts[2])),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn a_token_without_a_required_claim_is_refused() {
        let accepted =
            |claims: &serde_json::Value| keys().verify_access_token(&forged(Algorithm::HS256, claims, SECRET)).is_ok();
        for claim in ["iss", "sub", "sid", "exp", "iat", "role", "jti"] {
            assert!(!accepted(&claims(|claims| drop(claims.remove(claim)))), "without {claim}");
        }
        assert!(!accepted(&claims(|claims| claims["iss"] = json!("elsewhere"))));
        assert!(!accepted(&claims(|claims| drop(claims.insert("aud".into(), json!("files"))))));
    }

    #[test]
    fn the_secondary_secret_verifies_and_does_not_sign() {
        let (old, new) = (Keys::new(OTHER, None), Keys::new(SECRET, Some(OTHER)));
        let now = Timestamp::now();
        assert!(new.verify_access_token(&access_token(&old, now)).is_ok());
        assert!(keys().verify_access_token(&access_token(&new, now)).is_ok());
        assert_eq!(old.verify_access_token(&access_token(&new, now)), Err(TokenError::Invalid));
    }

    #[test]
    fn a_file_token_is_no_access_token_and_an_access_token_is_no_file_token() {
        let (user, now) = (UserId::new(), Timestamp::now());
        let file = keys().create_file_token(user, now);
        assert_eq!(keys().verify_file_token(&file), Ok(user));
        assert_eq!(keys().verify_access_token(&file), Err(TokenError::Invalid));
        assert_eq!(keys().verify_file_token(&access_token(&keys(), now)), Err(TokenError::Invalid));
        let elsewhere = claims(|claims| drop(claims.insert("aud".into(), json!("elsewhere"))));
        assert_eq!(keys().verify_file_token(&forged(Algorithm::HS256, &elsewhere, SECRET)), Err(TokenError::Invalid));
    }

    #[test]
    fn a_file_token_is_the_same_within_an_hour_and_another_in_the_next() {
        let user = UserId::new();
        let hour = Timestamp(1_700_000_000_000 / 3_600_000 * 3_600_000);
        let last = hour.plus(std::time::Duration::from_millis(3_599_999));
        assert_eq!(keys().create_file_token(user, hour), keys().create_file_token(user, last));
        assert_ne!(
            keys().create_file_token(user, hour),
            keys().create_file_token(user, last.plus(std::time::Duration::from_millis(1)))
        );
    }

    #[test]
    fn the_successor_of_a_refresh_token_is_known_after_the_secret_is_replaced() {
        let (login, now) = (LoginId::new(), Timestamp::now());
        let before = Keys::new(OTHER, None);
        let token = before.create_refresh_token(login);
        let form = before.refresh_token_form(&token, now).unwrap();
        assert_eq!(form, RefreshTokenForm::Sealed(login));
        let issued = before.successors(&token, login, form).remove(0);
        let after = Keys::new(SECRET, Some(OTHER));
        assert_eq!(after.refresh_token_form(&token, now), Some(form));
        let known = after.successors(&token, login, form);
        assert!(known[0] != issued && known.contains(&issued));
        assert_eq!(keys().refresh_token_form(&token, now), None);
        assert_eq!(after.refresh_token_form(&known[0], now), Some(form));
    }

    #[test]
    fn a_plain_token_of_an_older_version_is_accepted_until_the_given_time() {
        let (login, now) = (LoginId::new(), Timestamp::now());
        let keys = keys().accept_plain_until(now);
        let plain = URL_SAFE_NO_PAD.encode([7; 32]);
        assert_eq!(keys.refresh_token_form(&plain, Timestamp(now.0 - 1)), Some(RefreshTokenForm::Plain));
        assert_eq!(keys.refresh_token_form(&plain, now), None);
        assert_eq!(keys.refresh_token_form("nonsense", Timestamp(now.0 - 1)), None);
        let successors = keys.successors(&plain, login, RefreshTokenForm::Plain);
        assert_eq!(keys.refresh_token_form(&successors[0], now), Some(RefreshTokenForm::Sealed(login)));
        assert_eq!(successors.len(), 2, "the second is the one that an older version issued");
    }

    #[test]
    fn a_ticket_is_valid_until_it_expires() {
        let (holder, end) = (TicketHolder::Login(LoginId::new()), Timestamp::now());
        let ticket = keys().create_ticket(holder, end);
        assert_eq!(keys().verify_ticket(&ticket, Timestamp(end.0 - 1)), Some(holder));
        assert_eq!(keys().verify_ticket(&ticket, end), None);
        let older = Keys::new(OTHER, None).create_ticket(holder, end);
        assert_eq!(Keys::new(SECRET, Some(OTHER)).verify_ticket(&older, Timestamp(0)), Some(holder));
        assert_eq!(keys().verify_ticket("nonsense", Timestamp(0)), None);
    }

    #[test]
    fn the_hash_of_a_body_is_its_sha_256() {
        assert_eq!(body_hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
