//! The payloads of typing in a conversation.

use crate::domain::ids::{ConversationId, UserId};
use serde::{Deserialize, Serialize};

/// The payload of `typing.start` and `typing.stop`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypingConversation {
    pub conversation_id: ConversationId,
}

/// The payload of `typing.start` and `typing.stop`: a user and the conversation in which the user types.
#[derive(Clone, Debug, Serialize)]
pub struct Typing {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub username: String,
    pub display_name: String,
}
