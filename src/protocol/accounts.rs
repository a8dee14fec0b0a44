//! What a client sends about accounts, over REST: shapes only; the rules for what is in them are the use cases'. None of
//! these shows itself, since most carry a secret.

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// Makes an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// 3–32 of `A–Z a–z 0–9 _ . -`, unique without case.
    pub username: String,
    /// 8–128 characters.
    pub password: String,
    /// An address to sign in with, unique.
    #[serde(default)]
    pub email: Option<String>,
    /// 1–255 characters; the username when absent.
    #[serde(default)]
    pub display_name: Option<String>,
}

/// Signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The username or the e-mail address.
    pub login: String,
    /// The password.
    pub password: String,
}

/// Renews an access token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token, which this spends.
    pub refresh_token: String,
}

/// Changes a profile. What is absent stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    /// 1–255 characters.
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    pub display_name: Change<String>,
    /// An https URL of at most 2,048 characters; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub avatar_url: Change<String>,
    /// An image uploaded before.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub avatar_upload_id: Change<uuid::Uuid>,
    /// A BCP 47 language tag of at most 35 characters; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub locale: Change<String>,
    /// An address to sign in with, unique; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub email: Change<String>,
    /// Whether others see what one has read, and one what they have.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    pub share_read_receipts: Change<bool>,
}

/// A field of a partial change: absent and null are not the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Change<T> {
    /// The field is absent: it stays as it is.
    #[default]
    Keep,
    /// The field is null.
    Clear,
    /// The field has a value.
    Set(T),
}

impl<T> Change<T> {
    /// What becomes of a value that may be none.
    pub fn applied_to(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

/// Changes one's password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one in use.
    pub current_password: String,
    /// 8–128 characters.
    pub new_password: String,
}

/// Asks who is there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PresenceQuestion {
    /// At most 100 users, by id, username or `ext:` id.
    pub user_ids: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_null_and_a_value_are_told_apart() {
        let read: ProfileChange = serde_json::from_str(r#"{"avatar_url":null,"locale":"vi"}"#).unwrap();
        assert_eq!(read.email, Change::Keep);
        assert_eq!(read.avatar_url, Change::Clear);
        assert_eq!(read.locale, Change::Set("vi".to_owned()));
        assert!(serde_json::from_str::<ProfileChange>(r#"{"role":"admin"}"#).is_err());
    }
}
