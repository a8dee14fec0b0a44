//! Users, their logins and their presence.

use crate::domain::ids::{LoginId, UserId};
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A user as others see one beside a message or in a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct UserBrief {
    /// Its id.
    pub id: UserId,
    /// Its unique name.
    pub username: String,
    /// The name it shows.
    pub display_name: String,
    /// Its picture, if it has one.
    pub avatar_url: Option<String>,
}

/// Whether a user is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceStatus {
    /// Has a live session that is not away.
    Online,
    /// All live sessions are away.
    Away,
    /// Has had no session for five seconds.
    Offline,
}

/// A user's part in the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    /// Uses it.
    User,
    /// Also administers it.
    Admin,
}

impl UserRole {
    /// As stored and as in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// From the stored form; what is unknown has the fewest rights.
    pub fn from_stored(text: &str) -> Self {
        if text == "admin" { Self::Admin } else { Self::User }
    }
}

/// A user as others see one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Who.
    #[serde(flatten)]
    pub brief: UserBrief,
    /// The host application's id of the user.
    pub external_id: Option<String>,
    /// User or admin.
    pub role: UserRole,
    /// Whether the user is there.
    pub presence: PresenceStatus,
    /// When the user was last there; null if never seen.
    pub last_seen_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// A user as seen by that user.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// What others see.
    #[serde(flatten)]
    pub user: User,
    /// The e-mail address, if one was given.
    pub email: Option<String>,
    /// The language, if one was given.
    pub locale: Option<String>,
    /// `active`, or what ended it.
    pub status: String,
    /// Whether others see what one has read, and one what they have.
    pub share_read_receipts: bool,
}

/// A user as seen by somebody, who may be that user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum UserOrMe {
    /// The user's own view.
    Me(Me),
    /// What others see.
    Other(User),
}

/// What signing in, up or a refresh answers with.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// Who signed in.
    pub user: Me,
    /// For the `Authorization` header and the WebSocket.
    pub access_token: String,
    /// For one refresh.
    pub refresh_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds the access token is good for.
    pub expires_in: u64,
}

/// One of the caller's logins.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// Its id; `sid` in its access tokens, `login_id` in `session.revoked`.
    pub id: LoginId,
    /// What the client called itself.
    pub device: String,
    /// Where it signed in from.
    pub ip: String,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it last refreshed its token.
    pub last_used_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A single-use ticket for `/ws?ticket=`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ticket {
    /// The ticket.
    pub ticket: String,
    /// Seconds it is good for.
    pub expires_in: u64,
}

/// Whether a user is there, and when last.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PresenceState {
    /// Online, away or offline.
    pub status: PresenceStatus,
    /// When the user was last there.
    pub last_seen_at: Option<Timestamp>,
}

/// A user whom the caller has blocked.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Block {
    /// Who.
    pub user: UserBrief,
    /// Since when.
    pub created_at: Timestamp,
}

/// What stands between the caller and a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct BlockStatus {
    /// The caller has blocked the user.
    pub is_blocked: bool,
    /// The user has blocked the caller.
    pub is_blocked_by: bool,
    /// The caller can write to the user directly.
    pub can_send_message: bool,
}

/// The presence of the users asked for and visible to the caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresenceStates {
    /// By user id.
    pub users: BTreeMap<UserId, PresenceState>,
}
