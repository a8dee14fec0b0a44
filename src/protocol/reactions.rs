//! The resources of reactions to messages.

use crate::domain::ids::{ConversationId, MessageId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The payload of `reaction.add` and `reaction.remove`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReactMessage {
    pub conversation_id: ConversationId,
    pub message_id: MessageId,
    pub emoji: String,
}

/// The reactions to a message with one emoji.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reaction {
    /// The emoji.
    pub emoji: String,
    /// The number of users who react with the emoji.
    pub count: i64,
    /// Whether the caller is one of them. Absent in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub me: Option<bool>,
}

/// The users who react to a message with one emoji.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct ReactionUsers {
    /// The emoji.
    pub emoji: String,
    /// The number of users who react with the emoji.
    pub count: i64,
    /// The users, the earliest reaction first. At most 1,000.
    pub user_ids: Vec<UserId>,
}

/// The change of a reaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionAction {
    Added,
    Removed,
}

/// The effect of a command on a reaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionOutcome {
    Added,
    Removed,
    Unchanged,
}

impl From<Option<ReactionAction>> for ReactionOutcome {
    fn from(action: Option<ReactionAction>) -> Self {
        match action {
            Some(ReactionAction::Added) => Self::Added,
            Some(ReactionAction::Removed) => Self::Removed,
            None => Self::Unchanged,
        }
    }
}

/// The payload of `reaction.updated`.
#[derive(Clone, Debug, Serialize)]
pub struct ReactionUpdated {
    pub conversation_id: ConversationId,
    pub message_id: MessageId,
    pub emoji: String,
    pub user_id: UserId,
    pub action: ReactionAction,
    /// The number of users who react with this emoji now.
    pub count: i64,
}

/// The payload of the answer to `reaction.add` and `reaction.remove`.
#[derive(Clone, Debug, Serialize)]
pub struct ReactionAck {
    pub action: ReactionOutcome,
}
