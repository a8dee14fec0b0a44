//! The resources of pinned messages.

use crate::domain::ids::{ConversationId, MessageId, UserId};
use serde::Serialize;

/// A message that a user pinned or unpinned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Pin {
    pub conversation_id: ConversationId,
    pub message_id: MessageId,
    pub user_id: UserId,
}
