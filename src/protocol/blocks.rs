//! The resources of blocks between two users.

use super::users::UserBrief;
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A user to block.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBlock {
    /// The user: an id, a username or an `ext:` reference.
    pub user: String,
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
