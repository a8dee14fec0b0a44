//! Counts, as REST answers with them.

use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What is counted in a conversation, up to a moment ago.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct ConversationStatistics {
    /// Messages, system messages aside; deleted ones keep their place and count.
    pub messages: i64,
    /// Files in them.
    pub attachments: i64,
    /// Links in them.
    pub links: i64,
    /// How many participants there are now.
    pub members: i64,
    /// The fifty who sent most, also those who have left.
    pub messages_by_member: Vec<MessagesOfMember>,
    /// When the first message was committed; null before it.
    pub first_message_at: Option<Timestamp>,
}

/// How much somebody sent into a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct MessagesOfMember {
    /// Who.
    pub user_id: UserId,
    /// How many messages.
    pub count: i64,
}

/// The caller's own conversations, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct OwnStatistics {
    /// All conversations the caller is in.
    pub total: i64,
    /// Direct ones.
    pub direct: i64,
    /// Groups.
    pub group: i64,
    /// Conversations of classes.
    pub class: i64,
    /// Archived ones.
    pub archived: i64,
    /// Muted ones.
    pub muted: i64,
    /// Those with unread messages.
    pub unread_conversations: i64,
    /// Unread messages, system messages aside.
    pub unread_messages: i64,
    /// What the caller sent, also into conversations that were left.
    pub messages_sent: i64,
}
