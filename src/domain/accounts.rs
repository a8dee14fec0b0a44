//! The status of an account, and the role of its user on the server.

use serde::{Deserialize, Serialize};

/// The status of an account. Only an active account can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    Active,
    /// An admin suspended the account and can make it active again.
    Suspended,
    /// The account is erased and never becomes active again.
    Deleted,
}

impl AccountStatus {
    /// Returns the text in the database and in answers to clients.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the stored text. An unknown text means `Deleted`, so that the account cannot be used.
    pub fn from_stored(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "suspended" => Self::Suspended,
            _ => Self::Deleted,
        }
    }
}

/// The role of a user on the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    User,
    Admin,
}

impl UserRole {
    /// Returns the role as it is stored and as it is in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// Returns the role for its stored form. An unknown text gives `User`, which has the fewest rights.
    pub fn from_stored(text: &str) -> Self {
        if text == "admin" { Self::Admin } else { Self::User }
    }
}
