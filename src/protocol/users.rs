//! The resources of users, as they and other users see them.

use super::presence::PresenceStatus;
use crate::domain::accounts::UserRole;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
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

/// A user as other users see them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The short form of the user.
    #[serde(flatten)]
    pub brief: UserBrief,
    /// The id of the user in the host application. Null if it has none there.
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

/// A user without the fields that change often, such as the presence.
#[derive(Clone, Debug, Serialize)]
pub struct PublicUser {
    #[serde(flatten)]
    pub brief: UserBrief,
    /// The id of the user in the host application.
    pub external_id: Option<String>,
    pub role: UserRole,
    pub created_at: Timestamp,
}

/// Users of a conversation, such as the users who type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct UserIds {
    /// The ids of the users, each of them once.
    pub user_ids: Vec<UserId>,
}

/// The payload of `user.created` and `user.updated`.
#[derive(Clone, Debug, Serialize)]
pub struct UserEvent {
    pub user: Box<PublicUser>,
}
