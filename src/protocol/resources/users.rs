//! Users, with their logins, presence and blocks.

use crate::domain::ids::{LoginId, UserId};
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A user in short form, as part of a message or a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct UserBrief {
    /// The id of the user.
    pub id: UserId,
    /// The unique name.
    pub username: String,
    /// The name that other users see.
    pub display_name: String,
    /// The URL of the avatar. Null if the user has none.
    pub avatar_url: Option<String>,
}

/// The presence of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceStatus {
    /// At least one session of the user is not away.
    Online,
    /// All sessions of the user are away.
    Away,
    /// The user has had no session for five seconds.
    Offline,
}

/// The role of a user on the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
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

/// A user as other users see them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The short form of the user.
    #[serde(flatten)]
    pub brief: UserBrief,
    /// The id of the user in the host application. Null if it gave none.
    pub external_id: Option<String>,
    /// The role on the server: `user` or `admin`.
    pub role: UserRole,
    /// The presence. It is `offline` if the caller may not see it.
    pub presence: PresenceStatus,
    /// The time when the user was last online. Null if the user never was, or if the caller may not see it.
    pub last_seen_at: Option<Timestamp>,
    /// The time when the account was created.
    pub created_at: Timestamp,
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
    /// The status of the account: `active`, `suspended` or `deleted`.
    pub status: String,
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

/// The presence of a user, with the time when the user was last online.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PresenceState {
    /// The presence: `online`, `away` or `offline`.
    pub status: PresenceStatus,
    /// The time when the user was last online. Null if the user never was.
    pub last_seen_at: Option<Timestamp>,
}

/// A user whom the caller has blocked.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Block {
    /// The blocked user.
    pub user: UserBrief,
    /// The time when the caller blocked the user.
    pub created_at: Timestamp,
}

/// The blocks between the caller and another user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct BlockStatus {
    /// Whether the caller has blocked the user.
    pub is_blocked: bool,
    /// Whether the user has blocked the caller.
    pub is_blocked_by: bool,
    /// Whether the caller can send the user direct messages.
    pub can_send_message: bool,
}

/// The presence of the requested users, without those whose presence the caller may not see.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresenceStates {
    /// The presence of each user, by user id.
    pub users: BTreeMap<UserId, PresenceState>,
}
