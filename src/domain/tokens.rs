//! Tokens: what signs them, what they carry, and how they are recognised. Nothing secret here is stored in plain: of
//! refresh tokens and tickets the database knows the hash alone, and the successor of a spent refresh token is derived
//! from it, so that it can be given out a second time without having been kept. What those two look like is in
//! [`super::sealed`].

use super::ids::{LoginId, UserId};
use super::limits;
use super::sealed::{self, Presented, Seals};
use super::time::Timestamp;
use aws_lc_rs::digest;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

const ISSUER: &str = "greenroom";
/// The audience of file tokens. Access tokens have none, and neither passes as the other.
const FILES: &str = "files";
const HOUR_SECONDS: i64 = 3600;

/// What an access token says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    /// The user.
    pub sub: UserId,
    /// The login it belongs to.
    pub sid: LoginId,
    /// The generation of the refresh token it came with; 0 in a token of before they were counted.
    #[serde(default, rename = "gen")]
    pub generation: i64,
    /// The user's part in the server when it was signed; rights are read from the database.
    pub role: String,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// When it runs out, in seconds since 1970.
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

/// Why a token is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejected {
    /// It was good once.
    Expired,
    /// It is none of ours, or was altered, or is meant for something else.
    Invalid,
}

/// Signs and checks tokens. A secondary secret only checks, so that a secret can be changed without signing anybody out.
pub struct Keys {
    primary: Secret,
    secondary: Option<Secret>,
    plain_until: Timestamp,
}

struct Secret {
    encoding: EncodingKey,
    decoding: DecodingKey,
    seals: Seals,
}

impl Secret {
    fn new(secret: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            seals: Seals::new(secret),
        }
    }
}

impl Keys {
    /// Of one secret, and the one it replaces. Their length was checked where the settings are read.
    pub fn new(secret: &[u8], secondary: Option<&[u8]>) -> Self {
        Self { primary: Secret::new(secret), secondary: secondary.map(Secret::new), plain_until: Timestamp(0) }
    }

    /// Takes refresh tokens from before they carried a login and a MAC as well, until this moment.
    #[must_use]
    pub fn taking_plain_until(self, plain_until: Timestamp) -> Self {
        Self { plain_until, ..self }
    }

    /// An access token for a login and the generation of its refresh token, good from `now` for
    /// [`limits::ACCESS_TOKEN`].
    pub fn access_token(
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
            exp: now.plus(limits::ACCESS_TOKEN).seconds(),
            jti: Uuid::new_v4(),
        })
    }

    /// What an access token says, if it is one of ours and still good.
    pub fn verify(&self, token: &str) -> Result<Claims, Rejected> {
        self.check(token, &validation())
    }

    /// A token for fetching files: the same one within a clock hour, so that a URL that carries it can be cached, and
    /// good for [`limits::FILE_TOKEN`] from the beginning of that hour.
    pub fn file_token(&self, user_id: UserId, now: Timestamp) -> String {
        let hour = now.seconds().div_euclid(HOUR_SECONDS) * HOUR_SECONDS;
        self.sign(&FileClaims {
            iss: ISSUER.to_owned(),
            aud: FILES.to_owned(),
            sub: user_id,
            iat: hour,
            exp: hour + limits::FILE_TOKEN.as_secs() as i64,
        })
    }

    /// Whose file token this is, if it is one of ours and still good.
    pub fn verify_file_token(&self, token: &str) -> Result<UserId, Rejected> {
        let mut wanted = validation();
        wanted.set_audience(&[FILES]);
        wanted.required_spec_claims.insert("aud".to_owned());
        self.check::<FileClaims>(token, &wanted).map(|claims| claims.sub)
    }

    /// A new refresh token of a login.
    pub fn refresh_token(&self, login: LoginId) -> String {
        self.primary.seals.refresh_token(login)
    }

    /// What a refresh token looks like that was presented; `None` if it was made up, which the database need not be asked
    /// about.
    pub fn presented(&self, token: &str, now: Timestamp) -> Option<Presented> {
        if let Some(login) = self.seals().find_map(|seals| seals.login_of(token)) {
            return Some(Presented::Sealed(login));
        }
        (now < self.plain_until && sealed::is_plain(token)).then_some(Presented::Plain)
    }

    /// What a refresh token of a login is replaced by. The first is the one to give out; another was given out before the
    /// secret was changed, or by a server of before tokens carried anything.
    pub fn successors(&self, token: &str, login: LoginId, presented: Presented) -> Vec<String> {
        let sealed = self.seals().map(|seals| seals.successor(token, login));
        let plain = self.seals().map(|seals| seals.plain_successor(token));
        match presented {
            Presented::Sealed(_) => sealed.collect(),
            Presented::Plain => sealed.chain(plain).collect(),
        }
    }

    /// A ticket of a login that runs out at `expires_at`.
    pub fn ticket(&self, login: LoginId, expires_at: Timestamp) -> String {
        self.primary.seals.ticket(login, expires_at)
    }

    /// Whose ticket this is; `None` if it was made up or has run out, which the database need not be asked about.
    pub fn verify_ticket(&self, ticket: &str, now: Timestamp) -> Option<LoginId> {
        let (login, expires_at) = self.seals().find_map(|seals| seals.ticket_of(ticket))?;
        (now < expires_at).then_some(login)
    }

    fn seals(&self) -> impl Iterator<Item = &Seals> {
        std::iter::once(&self.primary).chain(&self.secondary).map(|secret| &secret.seals)
    }

    fn sign(&self, claims: &impl Serialize) -> String {
        encode(&Header::new(Algorithm::HS256), claims, &self.primary.encoding)
            .expect("claims have string keys, and an HMAC has no failure")
    }

    fn check<C: DeserializeOwned>(&self, token: &str, wanted: &Validation) -> Result<C, Rejected> {
        use jsonwebtoken::errors::ErrorKind;
        let read = |secret: &Secret| decode::<C>(token, &secret.decoding, wanted).map(|read| read.claims);
        let mut result = read(&self.primary);
        if let (Err(error), Some(secondary)) = (&result, &self.secondary)
            && matches!(error.kind(), ErrorKind::InvalidSignature)
        {
            result = read(secondary);
        }
        result.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => Rejected::Expired,
            _ => Rejected::Invalid,
        })
    }
}

/// What every token of ours must be; the library's own choices are wider.
fn validation() -> Validation {
    let mut wanted = Validation::new(Algorithm::HS256);
    wanted.leeway = 0;
    wanted.set_issuer(&[ISSUER]);
    wanted.set_required_spec_claims(&["iss", "sub", "exp"]);
    wanted
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// What is stored of a refresh token or a ticket.
pub fn hash(token: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, token.as_bytes()).as_ref().to_vec()
}

/// The hash by which a repeated body is recognised, in hexadecimal.
pub fn body_hash(body: &[u8]) -> String {
    use std::fmt::Write;
    digest::digest(&digest::SHA256, body).as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
        keys.access_token(UserId::new(), LoginId::new(), 0, "user", now)
    }

    /// A token signed by hand, to say what [`Keys`] would not.
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
    fn a_token_says_who_and_which_login_for_fifteen_minutes() {
        let (user, login, now) = (UserId::new(), LoginId::new(), Timestamp::now());
        let read = keys().verify(&keys().access_token(user, login, 3, "admin", now)).unwrap();
        assert_eq!((read.sub, read.sid, read.generation, read.role.as_str()), (user, login, 3, "admin"));
        assert_eq!((read.iat, read.exp), (now.seconds(), now.seconds() + 900));
        let of_before = keys().verify(&forged(Algorithm::HS256, &claims(|_| ()), SECRET)).unwrap();
        assert_eq!(of_before.generation, 0);
    }

    #[test]
    fn an_expired_token_is_told_from_an_invalid_one() {
        let then = Timestamp::now().minus(limits::ACCESS_TOKEN).minus(std::time::Duration::from_secs(2));
        assert_eq!(keys().verify(&access_token(&keys(), then)), Err(Rejected::Expired));
        assert_eq!(keys().verify("nonsense"), Err(Rejected::Invalid));
    }

    #[test]
    fn another_secret_another_algorithm_and_none_are_refused() {
        let good = claims(|_| ());
        for token in [
            forged(Algorithm::HS256, &good, OTHER),
            forged(Algorithm::HS384, &good, SECRET),
            forged(Algorithm::HS512, &good, SECRET),
        ] {
            assert_eq!(keys().verify(&token), Err(Rejected::Invalid));
        }
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for name in ["none", "None", "NONE"] {
            let unsigned = format!("{}.{}.", part(&json!({ "alg": name, "typ": "JWT" })), part(&good));
            assert_eq!(keys().verify(&unsigned), Err(Rejected::Invalid));
        }
    }

    #[test]
    fn altered_claims_break_the_signature() {
        let token = access_token(&keys(), Timestamp::now());
        let parts: Vec<&str> = token.split('.').collect();
        let altered = URL_SAFE_NO_PAD.encode(claims(|claims| claims["role"] = json!("admin")).to_string());
        assert_eq!(keys().verify(&format!("{}.{altered}.{}", parts[0], parts[2])), Err(Rejected::Invalid));
    }

    #[test]
    fn a_token_needs_its_issuer_subject_login_and_end() {
        let accepted = |claims: &serde_json::Value| keys().verify(&forged(Algorithm::HS256, claims, SECRET)).is_ok();
        for claim in ["iss", "sub", "sid", "exp", "iat", "role", "jti"] {
            assert!(!accepted(&claims(|claims| drop(claims.remove(claim)))), "without {claim}");
        }
        assert!(!accepted(&claims(|claims| claims["iss"] = json!("elsewhere"))));
        assert!(!accepted(&claims(|claims| drop(claims.insert("aud".into(), json!("files"))))));
    }

    #[test]
    fn the_secondary_secret_checks_and_does_not_sign() {
        let (old, new) = (Keys::new(OTHER, None), Keys::new(SECRET, Some(OTHER)));
        let now = Timestamp::now();
        assert!(new.verify(&access_token(&old, now)).is_ok());
        assert!(keys().verify(&access_token(&new, now)).is_ok());
        assert_eq!(old.verify(&access_token(&new, now)), Err(Rejected::Invalid));
    }

    #[test]
    fn a_file_token_and_an_access_token_do_not_pass_as_each_other() {
        let (user, now) = (UserId::new(), Timestamp::now());
        let file = keys().file_token(user, now);
        assert_eq!(keys().verify_file_token(&file), Ok(user));
        assert_eq!(keys().verify(&file), Err(Rejected::Invalid));
        assert_eq!(keys().verify_file_token(&access_token(&keys(), now)), Err(Rejected::Invalid));
        let elsewhere = claims(|claims| drop(claims.insert("aud".into(), json!("elsewhere"))));
        assert_eq!(keys().verify_file_token(&forged(Algorithm::HS256, &elsewhere, SECRET)), Err(Rejected::Invalid));
    }

    #[test]
    fn a_file_token_is_the_same_within_an_hour_and_another_in_the_next() {
        let user = UserId::new();
        let hour = Timestamp(1_700_000_000_000 / 3_600_000 * 3_600_000);
        let last = hour.plus(std::time::Duration::from_millis(3_599_999));
        assert_eq!(keys().file_token(user, hour), keys().file_token(user, last));
        assert_ne!(
            keys().file_token(user, hour),
            keys().file_token(user, last.plus(std::time::Duration::from_millis(1)))
        );
    }

    #[test]
    fn what_a_refresh_token_is_replaced_by_outlives_a_change_of_the_secret() {
        let (login, now) = (LoginId::new(), Timestamp::now());
        let before = Keys::new(OTHER, None);
        let token = before.refresh_token(login);
        let presented = before.presented(&token, now).unwrap();
        assert_eq!(presented, Presented::Sealed(login));
        let given = before.successors(&token, login, presented).remove(0);
        let changed = Keys::new(SECRET, Some(OTHER));
        assert_eq!(changed.presented(&token, now), Some(presented));
        let known = changed.successors(&token, login, presented);
        assert!(known[0] != given && known.contains(&given));
        assert_eq!(keys().presented(&token, now), None);
        assert_eq!(changed.presented(&known[0], now), Some(presented));
    }

    #[test]
    fn a_token_of_before_is_taken_until_the_last_of_them_has_run_out() {
        let (login, now) = (LoginId::new(), Timestamp::now());
        let keys = keys().taking_plain_until(now);
        let plain = URL_SAFE_NO_PAD.encode([7; 32]);
        assert_eq!(keys.presented(&plain, Timestamp(now.0 - 1)), Some(Presented::Plain));
        assert_eq!(keys.presented(&plain, now), None);
        assert_eq!(keys.presented("nonsense", Timestamp(now.0 - 1)), None);
        let successors = keys.successors(&plain, login, Presented::Plain);
        assert_eq!(keys.presented(&successors[0], now), Some(Presented::Sealed(login)));
        assert_eq!(successors.len(), 2, "and the one that a server of before gave out");
    }

    #[test]
    fn a_ticket_is_known_until_it_runs_out() {
        let (login, end) = (LoginId::new(), Timestamp::now());
        let ticket = keys().ticket(login, end);
        assert_eq!(keys().verify_ticket(&ticket, Timestamp(end.0 - 1)), Some(login));
        assert_eq!(keys().verify_ticket(&ticket, end), None);
        assert_eq!(
            Keys::new(SECRET, Some(OTHER)).verify_ticket(&Keys::new(OTHER, None).ticket(login, end), Timestamp(0)),
            Some(login)
        );
        assert_eq!(keys().verify_ticket("nonsense", Timestamp(0)), None);
    }

    #[test]
    fn a_body_has_its_sha_256() {
        assert_eq!(body_hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
