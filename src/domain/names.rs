//! Names that cannot be built invalid: usernames, display names, e-mail addresses, passwords, titles.

use super::{invisible, limits, precis};
use unicode_normalization::UnicodeNormalization;

/// A username: 3–32 of `[A-Za-z0-9_.-]`, unique without case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Username(String);

/// Usernames that mean something else in a mention or a path.
const RESERVED: [&str; 8] = ["me", "all", "here", "everyone", "search", "system", "presence", "ext"];

impl Username {
    /// Checks `text`; the error is a sentence for its owner.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !(3..=32).contains(&text.chars().count()) {
            return Err("must have 3 to 32 characters");
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
            return Err("may hold only letters A to Z, digits, and _ . -");
        }
        if RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
            return Err("is reserved");
        }
        Ok(Self(text.to_owned()))
    }

    /// As its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which it is unique.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// An e-mail address: something, one `@`, a domain with a dot or `localhost`; at most 254 characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Email(String);

impl Email {
    /// Checks `text`; the error is a sentence for its owner.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let sound = text.len() <= 254
            && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && local.len() <= 64 && !domain.contains('@') && is_domain(domain)
            });
        if sound { Ok(Self(text.to_owned())) } else { Err("is not an e-mail address") }
    }

    /// As its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which it is unique: NFC and lower case.
    pub fn key(&self) -> String {
        self.0.nfc().collect::<String>().to_lowercase().nfc().collect()
    }
}

fn is_domain(domain: &str) -> bool {
    domain == "localhost"
        || (domain.contains('.') && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-')))
}

/// A password, prepared as it is compared: 8–128 characters then. It never shows itself.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Checks `text`; the error is a sentence for its owner.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let prepared = precis::opaque(text).ok_or(
            "must not contain control characters, invisible characters, or characters that Unicode does not name",
        )?;
        if !(8..=128).contains(&prepared.chars().count()) {
            return Err("must have 8 to 128 characters");
        }
        Ok(Self(prepared))
    }

    /// What is hashed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Trims a name (a person's, a conversation's) and checks that it has 1–255 characters, none of them invisible unless a
/// script or an emoji needs it, and no towers of marks.
pub fn name(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if super::text::is_blank(text) {
        return Err("must not be empty");
    }
    if text.chars().count() > limits::NAME_CHARS {
        return Err("must have at most 255 characters");
    }
    if invisible::is_in(text) {
        return Err("must not contain invisible characters");
    }
    if invisible::has_towers(text) {
        return Err("must have at most 4 marks on a letter");
    }
    Ok(text.to_owned())
}

/// Trims a description and checks that it has at most 2,000 characters, none of which controls but line breaks and tabs; an
/// empty one is none. Each other control character would take six bytes in every event that shows it.
pub fn description(text: &str) -> Result<Option<String>, &'static str> {
    let text = text.trim();
    if text.chars().count() > limits::DESCRIPTION_CHARS {
        return Err("must have at most 2000 characters");
    }
    if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        return Err("must not contain control characters other than line breaks and tabs");
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Checks the address of a picture: https, at most 2,048 characters, as it comes and as it is stored, where each byte of a
/// letter beyond ASCII takes three.
pub fn picture_url(text: &str) -> Result<String, &'static str> {
    const TOO_LONG: &str = "must have at most 2048 characters, with those that are not ASCII percent-encoded";
    if text.chars().count() > limits::URL_CHARS {
        return Err(TOO_LONG);
    }
    match url::Url::parse(text) {
        Ok(url) if url.as_str().len() > limits::URL_CHARS => Err(TOO_LONG),
        Ok(url) if url.scheme() == "https" && url.has_host() => Ok(url.into()),
        _ => Err("must be an https URL"),
    }
}

/// Checks a language tag by its look (BCP 47): letters first, then parts of up to 8 letters and digits, joined by `-`; at
/// most 35 characters.
pub fn locale(text: &str) -> Result<String, &'static str> {
    let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let language = text.split('-').next().unwrap_or_default();
    let sound = text.len() <= 35
        && text.split('-').all(part)
        && language.len() >= 2
        && language.bytes().all(|byte| byte.is_ascii_alphabetic());
    if sound { Ok(text.to_owned()) } else { Err("is not a language tag such as en or pt-BR") }
}

/// How a body or a path names a user (SPEC 1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum UserRef {
    /// By id.
    Id(super::ids::UserId),
    /// By username, in its unique form.
    Username(String),
    /// By the host application's id.
    External(String),
}

impl UserRef {
    /// Reads a reference; whatever is neither an id nor `ext:…` is a username. `None` when it can name nobody.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > 256 || text.contains('\0') {
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
    fn a_name_is_in_any_script_and_turns_no_text_around_it() {
        for good in ["Ada", " Nguyễn Thị Hoa ", "محمد", "דנה", "👩‍👩‍👧 family"] {
            assert_eq!(name(good).as_deref(), Ok(good.trim()));
        }
        for bad in ["", "  ", "\u{200B}", "a\nb", "a\u{202E}b", "\u{2067}a", "a\u{200F}b", &"a".repeat(256)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_description_has_lines_and_nothing_else_that_controls() {
        assert_eq!(description(" one\r\n\ttwo\n"), Ok(Some("one\r\n\ttwo".to_owned())));
        for bad in ["a\0b", "a\u{1}b", "a\u{7F}b", "a\u{85}b", "\u{1B}[0m"] {
            assert!(description(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_address_of_a_picture_is_as_long_as_it_is_stored() {
        let room = limits::URL_CHARS - "https://x/".len();
        let address = |path: &str| picture_url(&format!("https://x/{path}"));
        assert_eq!(address(&"a".repeat(room)).map(|url| url.len()), Ok(limits::URL_CHARS));
        assert!(address(&"a".repeat(room + 1)).is_err());
        assert!(address(&"\u{1F600}".repeat(room)).is_err());
        assert_eq!(address(&"\u{1F600}".repeat(room / 12)).map(|url| url.len() <= limits::URL_CHARS), Ok(true));
    }

    #[test]
    fn an_email_has_one_at_and_a_domain() {
        assert!(Email::parse("ada@example.org").is_ok());
        for bad in ["", "ada", "@example.org", "ada@", "a@b@c.d", "ada@example", "a da@example.org"] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_email_is_one_however_it_is_composed() {
        let key = |text| Email::parse(text).unwrap().key();
        assert_eq!(key("Ren\u{E9}@example.org"), key("rene\u{301}@EXAMPLE.org"));
        assert_ne!(key("rene@example.org"), key("ren\u{E9}@example.org"));
    }

    #[test]
    fn a_password_is_counted_as_it_is_prepared() {
        assert!(Password::parse("12345678").is_ok() && Password::parse(&"e\u{301}".repeat(128)).is_ok());
        for bad in ["1234567", "e\u{301}234567", "1234\u{7}5678", &"a".repeat(129)] {
            assert!(Password::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_language_is_named_by_a_tag() {
        for good in ["vi", "pt-BR", "zh-Hant-TW", "de-CH-1996"] {
            assert_eq!(locale(good).as_deref(), Ok(good));
        }
        for bad in ["", "x", "en_US", "en-", "12", "en-\0", "en-toolongapart", &"en-abcdefgh".repeat(4)] {
            assert!(locale(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_user_is_named_by_id_username_or_external_id() {
        let id = super::super::ids::UserId::new();
        assert_eq!(UserRef::parse(&id.to_string()), Some(UserRef::Id(id)));
        assert_eq!(UserRef::parse("Ada"), Some(UserRef::Username("ada".into())));
        assert_eq!(UserRef::parse("ext:42"), Some(UserRef::External("42".into())));
    }
}
