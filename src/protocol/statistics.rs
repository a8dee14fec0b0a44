//! The resources of statistics: counts about conversations.

use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// The counts of one conversation. They follow the messages within about a second.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct ConversationStatistics {
    /// The number of messages, with deleted messages and without system messages.
    pub messages: i64,
    /// The number of files in these messages.
    pub attachments: i64,
    /// The number of links in these messages.
    pub links: i64,
    /// The number of participants now.
    pub members: i64,
    /// The 50 users who sent the most messages. They may have left the conversation.
    pub messages_by_member: Vec<MessagesOfMember>,
    /// The time when the first message was committed. Null if there is no message.
    pub first_message_at: Option<Timestamp>,
}

/// The number of messages that one user sent into a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct MessagesOfMember {
    /// The user.
    pub user_id: UserId,
    /// The number of messages.
    pub count: i64,
}

/// The counts over all conversations of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct OwnStatistics {
    /// The number of all conversations that the caller is in.
    pub total: i64,
    /// The number of direct conversations.
    pub direct: i64,
    /// The number of groups.
    pub group: i64,
    /// The number of conversations of classes.
    pub class: i64,
    /// The number of archived conversations.
    pub archived: i64,
    /// The number of muted conversations.
    pub muted: i64,
    /// The number of conversations with unread messages, without muted conversations.
    pub unread_conversations: i64,
    /// The number of unread messages, without system messages and those of muted conversations.
    pub unread_messages: i64,
    /// The number of messages that the caller sent, also into conversations that the caller has left.
    pub messages_sent: i64,
}
