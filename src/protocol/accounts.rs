//! The bodies and resources of accounts: registration, the profile and the password. The use cases check the content of
//! the bodies.
//!
//! No type with a secret implements `Debug`.

use super::change::Change;
use super::users::User;
use crate::domain::accounts::AccountStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

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
    /// Must be null or absent: this version has no uploads.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub avatar_upload_id: Change<Uuid>,
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

/// A change of the caller's password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present password.
    pub current_password: String,
    /// The new password, 8–128 characters.
    pub new_password: String,
}

/// The caller's own user.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The user as other users see them.
    #[serde(flatten)]
    pub user: User,
    /// The e-mail address. Null if there is none.
    pub email: Option<String>,
    /// The language, a BCP 47 tag. Null if there is none.
    pub locale: Option<String>,
    /// The status of the account.
    pub status: AccountStatus,
    /// Whether other users see what this user has read, and this user sees what they have read.
    pub share_read_receipts: bool,
}

/// A user as the caller sees them. The caller may be that user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum UserOrMe {
    Me(Me),
    Other(User),
}
