//! Logins: signing in, tokens, tickets, and the end of a login or session.
//!
//! No type with a secret implements `Debug`.

use super::accounts::Me;
use crate::domain::ids::{LoginId, SessionId};
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// The tokens of a login: the answer to a registration, a sign-in and a refresh.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// The user who signed in.
    pub user: Me,
    /// The token for the header `Authorization` and for the WebSocket.
    pub access_token: String,
    /// The token for one refresh.
    pub refresh_token: String,
    /// The type of the access token. It is always `Bearer`.
    pub token_type: &'static str,
    /// The time for which the access token is valid, in seconds.
    pub expires_in: u64,
}

/// One of the caller's logins.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// The id of the login. It is `sid` in access tokens and `login_id` in the event `session.revoked`.
    pub id: LoginId,
    /// The name of the client, from the header `User-Agent` of the sign-in.
    pub device: String,
    /// The IP address from which the user signed in.
    pub ip: String,
    /// The time of the sign-in.
    pub created_at: Timestamp,
    /// The time of the last refresh.
    pub last_used_at: Timestamp,
    /// Whether this call belongs to the login.
    pub current: bool,
}

/// A single-use ticket for `/ws?ticket=`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ticket {
    /// The secret text of the ticket.
    pub ticket: String,
    /// The time for which the ticket is valid, in seconds.
    pub expires_in: u64,
}

/// The logins or sessions that ended. If both ids are null, all logins and sessions of the user ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// The login, as in `/auth/sessions`.
    pub login_id: Option<LoginId>,
    /// The live session, as in `auth.success`.
    pub session_id: Option<SessionId>,
    pub reason: RevokeReason,
}

/// Why a login or session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeReason {
    /// The user signed out, or ended the login.
    Logout,
    /// The password was changed.
    Password,
    /// A refresh token was used again.
    TokenReused,
    /// An admin ended it.
    Kicked,
    /// The account was suspended.
    Suspended,
    /// The account was deleted.
    Deleted,
}

impl RevokeReason {
    /// Returns the reason as it is stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Password => "password",
            Self::TokenReused => "token_reused",
            Self::Kicked => "kicked",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}
