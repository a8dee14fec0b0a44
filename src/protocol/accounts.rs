//! The bodies that a client sends about accounts over REST. The use cases check their content.
//!
//! None of these types implements `Debug`, because most of them carry a secret.

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The username: 3–32 of the characters `A–Z a–z 0–9 _ . -`. It is unique, and case does not count.
    pub username: String,
    /// The new password, 8–128 characters.
    pub password: String,
    /// An e-mail address to sign in with. It is unique.
    #[serde(default)]
    pub email: Option<String>,
    /// The name that other users see, 1–255 characters. It is the username when absent.
    #[serde(default)]
    pub display_name: Option<String>,
}

/// The credentials of a user who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The username or the e-mail address.
    pub login: String,
    /// The password of the account.
    pub password: String,
}

/// A request for a new access token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token. It cannot be used again, apart from a short grace period.
    pub refresh_token: String,
}

/// A change of the profile. Absent fields keep their value.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    /// The name that other users see, 1–255 characters.
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    pub display_name: Change<String>,
    /// The URL of the avatar: https, at most 2,048 characters. Null removes the avatar.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub avatar_url: Change<String>,
    /// The id of an uploaded image that becomes the avatar.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub avatar_upload_id: Change<uuid::Uuid>,
    /// The language of the user: a BCP 47 tag of at most 35 characters. Null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub locale: Change<String>,
    /// The e-mail address to sign in with. It is unique. Null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub email: Change<String>,
    /// Whether other users see what this user has read, and this user sees what they have read.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    pub share_read_receipts: Change<bool>,
}

/// A field of a partial change, in which absent and null are different.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Change<T> {
    /// The field is absent, so its value does not change.
    #[default]
    Keep,
    /// The field is null, so its value is removed.
    Clear,
    Set(T),
}

impl<T> Change<T> {
    /// Returns the new value of a field that has the value `current` now. `None` is no value.
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

/// A change of the caller's password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present password.
    pub current_password: String,
    /// The new password, 8–128 characters.
    pub new_password: String,
}

/// The users whose presence the caller asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PresenceRequest {
    /// At most 100 users, each as an id, a username or `ext:` and the id of the host application.
    pub user_ids: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_null_and_a_value_are_different() {
        let read: ProfileChange = serde_json::from_str(r#"{"avatar_url":null,"locale":"vi"}"#).unwrap();
        assert_eq!(read.email, Change::Keep);
        assert_eq!(read.avatar_url, Change::Clear);
        assert_eq!(read.locale, Change::Set("vi".to_owned()));
        assert!(serde_json::from_str::<ProfileChange>(r#"{"role":"admin"}"#).is_err());
    }
}
