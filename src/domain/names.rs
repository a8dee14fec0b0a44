//! Checks usernames, e-mail addresses, passwords, display names, titles and other short texts of users.
//!
//! The errors here are the ends of sentences that begin with the name of the field, such as "username is reserved".

use super::{invisible, limits, precis};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// A valid username: 3–32 of `[A-Za-z0-9_.-]`, unique without case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Username(String);

/// These usernames have another meaning in a mention or a path.
const RESERVED_USERNAMES: [&str; 8] = ["me", "all", "here", "everyone", "search", "system", "presence", "ext"];

impl Username {
    /// Checks the length and the characters of a username, and that it is not reserved.
    pub fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        if !limits::USERNAME_CHARS.contains(&text.chars().count()) {
            return Err(limits::out_of_range(&limits::USERNAME_CHARS));
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
            return Err("may contain only the letters A to Z, digits, and _ . -".into());
        }
        if RESERVED_USERNAMES.contains(&text.to_ascii_lowercase().as_str()) {
            return Err("is reserved; choose another one".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the username with the case that the user chose.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the lower-case form, in which usernames are unique.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// A plausible e-mail address: a local part, one `@`, and a domain with a dot or `localhost`; at most 254 bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Email(String);

impl Email {
    /// Trims and checks an e-mail address.
    pub fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        let text = text.trim();
        let valid = text.len() <= limits::EMAIL_BYTES
            && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && local.len() <= limits::EMAIL_LOCAL_BYTES
                    && !domain.contains('@')
                    && is_domain(domain)
            });
        if valid { Ok(Self(text.to_owned())) } else { Err("is not an e-mail address".into()) }
    }

    /// Returns the address with the case that the user chose.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form in which addresses are unique: NFC and lower case.
    pub fn key(&self) -> String {
        self.0.nfc().collect::<String>().to_lowercase().nfc().collect()
    }
}

fn is_domain(domain: &str) -> bool {
    domain == "localhost"
        || (domain.contains('.') && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-')))
}

/// A valid password in its prepared form (see [`precis`]), 8–128 characters. Its `Debug` output does not contain it.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Prepares and checks a new password.
    pub fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        let prepared = precis::prepare_password(text)
            .ok_or("must not contain control characters, invisible characters, or unassigned Unicode characters")?;
        if !limits::PASSWORD_CHARS.contains(&prepared.chars().count()) {
            return Err(limits::out_of_range(&limits::PASSWORD_CHARS));
        }
        Ok(Self(prepared))
    }

    /// Returns the prepared form, which is hashed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Trims and checks a display name or the name of a conversation: 1–255 characters, no invisible character that neither
/// a script nor an emoji needs, and at most four combining marks on a letter.
pub fn parse_name(text: &str) -> Result<String, Cow<'static, str>> {
    let text = text.trim();
    if super::text::is_blank(text) {
        return Err("must not be empty".into());
    }
    if text.chars().count() > limits::NAME_CHARS {
        return Err(limits::at_most(limits::NAME_CHARS, "characters"));
    }
    if invisible::has_needless_invisible(text) {
        return Err("must not contain invisible characters".into());
    }
    if invisible::has_too_many_marks(text) {
        return Err(limits::at_most(limits::COMBINING_MARKS_PER_LETTER, "marks on a letter"));
    }
    Ok(text.to_owned())
}

/// Trims and checks a description: at most 2,000 characters, no control characters except line breaks and tabs. Other
/// control characters would take six bytes each in every event with the description. An empty description becomes
/// `None`.
pub fn parse_description(text: &str) -> Result<Option<String>, Cow<'static, str>> {
    let text = text.trim();
    if text.chars().count() > limits::DESCRIPTION_CHARS {
        return Err(limits::at_most(limits::DESCRIPTION_CHARS, "characters"));
    }
    if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        return Err("must not contain control characters other than line breaks and tabs".into());
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Checks the URL of an avatar: https, at most 2,048 characters. The limit holds for the URL from the client and for
/// the stored URL, in which each byte of a character outside ASCII takes three characters.
pub fn parse_avatar_url(text: &str) -> Result<String, Cow<'static, str>> {
    let too_long = || limits::at_most(limits::URL_CHARS, "characters, with those that are not ASCII percent-encoded");
    if text.chars().count() > limits::URL_CHARS {
        return Err(too_long());
    }
    match url::Url::parse(text) {
        Ok(url) if url.as_str().len() > limits::URL_CHARS => Err(too_long()),
        Ok(url) if url.scheme() == "https" && url.has_host() => Ok(url.into()),
        _ => Err("must be an https URL".into()),
    }
}

/// Checks the format of a language tag (BCP 47): letters first, then parts of up to 8 letters and digits, joined by
/// `-`; at most 35 characters. It does not check that the language exists.
pub fn parse_locale(text: &str) -> Result<String, Cow<'static, str>> {
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let language = text.split('-').next().unwrap_or_default();
    let valid = text.len() <= limits::LOCALE_CHARS
        && text.split('-').all(is_part)
        && language.len() >= 2
        && language.bytes().all(|byte| byte.is_ascii_alphabetic());
    if valid { Ok(text.to_owned()) } else { Err("is not a language tag such as en or pt-BR".into()) }
}

/// A reference to a user in a body or a path.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum UserRef {
    Id(super::ids::UserId),
    /// The username in lower case.
    Username(String),
    /// The id of the user in the host application.
    External(String),
}

impl UserRef {
    /// Reads a reference: an id, `ext:…`, or otherwise a username. Returns `None` if no user can have such a name.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > limits::USER_REF_BYTES || text.contains('\0') {
            return None;
        }
        if let Some(external) = text.strip_prefix("ext:") {
            return Some(Self::External(external.to_owned()));
        }
        if text.len() == 36
            && let Ok(id) = uuid::Uuid::try_parse(text)
        {
            return Some(Self::Id(id.into()));
        }
        Some(Self::Username(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_has_three_to_thirty_two_plain_characters_and_is_not_reserved() {
        assert!(Username::parse("a.b-C_9").is_ok());
        for bad in ["ab", "a b c", "héllo", "Everyone", "ext", &"a".repeat(33)] {
            assert!(Username::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_may_be_in_any_script_and_has_no_directional_marks() {
        for good in ["Ada", " Nguyễn Thị Hoa ", "محمد", "דנה", "👩‍👩‍👧 family"] {
            assert_eq!(parse_name(good).as_deref(), Ok(good.trim()));
        }
        for bad in ["", "  ", "\u{200B}", "a\nb", "a\u{202E}b", "\u{2067}a", "a\u{200F}b", &"a".repeat(256)] {
            assert!(parse_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_description_has_line_breaks_and_no_other_control_characters() {
        assert_eq!(parse_description(" one\r\n\ttwo\n"), Ok(Some("one\r\n\ttwo".to_owned())));
        for bad in ["a\0b", "a\u{1}b", "a\u{7F}b", "a\u{85}b", "\u{1B}[0m"] {
            assert!(parse_description(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_limit_of_an_avatar_url_holds_for_its_stored_form() {
        let path_chars = limits::URL_CHARS - "https://x/".len();
        let parse = |path: &str| parse_avatar_url(&format!("https://x/{path}"));
        assert_eq!(parse(&"a".repeat(path_chars)).map(|url| url.len()), Ok(limits::URL_CHARS));
        assert!(parse(&"a".repeat(path_chars + 1)).is_err());
        assert!(parse(&"\u{1F600}".repeat(path_chars)).is_err());
        assert_eq!(parse(&"\u{1F600}".repeat(path_chars / 12)).map(|url| url.len() <= limits::URL_CHARS), Ok(true));
    }

    #[test]
    fn an_email_has_one_at_and_a_domain() {
        assert!(Email::parse("ada@example.org").is_ok());
        for bad in ["", "ada", "@example.org", "ada@", "a@b@c.d", "ada@example", "a da@example.org"] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_composition_of_an_email_has_the_same_key() {
        let key = |text| Email::parse(text).unwrap().key();
        assert_eq!(key("Ren\u{E9}@example.org"), key("rene\u{301}@EXAMPLE.org"));
        assert_ne!(key("rene@example.org"), key("ren\u{E9}@example.org"));
    }

    #[test]
    fn the_length_of_a_password_is_that_of_its_prepared_form() {
        assert!(Password::parse("12345678").is_ok() && Password::parse(&"e\u{301}".repeat(128)).is_ok());
        for bad in ["1234567", "e\u{301}234567", "1234\u{7}5678", &"a".repeat(129)] {
            assert!(Password::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_locale_is_a_language_tag() {
        for good in ["vi", "pt-BR", "zh-Hant-TW", "de-CH-1996"] {
            assert_eq!(parse_locale(good).as_deref(), Ok(good));
        }
        for bad in ["", "x", "en_US", "en-", "12", "en-\0", "en-toolongapart", &"en-abcdefgh".repeat(4)] {
            assert!(parse_locale(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_user_reference_is_an_id_a_username_or_an_external_id() {
        let id = super::super::ids::UserId::new();
        assert_eq!(UserRef::parse(&id.to_string()), Some(UserRef::Id(id)));
        assert_eq!(UserRef::parse("Ada"), Some(UserRef::Username("ada".into())));
        assert_eq!(UserRef::parse("ext:42"), Some(UserRef::External("42".into())));
    }
}
