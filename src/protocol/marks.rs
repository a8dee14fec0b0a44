//! The payloads of the read mark and the delivered mark of a participant.

use crate::domain::ids::{ConversationId, MessageId, Seq};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The new read mark: a `seq`, a message, or without either the newest message.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadUpTo {
    /// The `seq` up to which the caller has read. It must be absent if `message_id` is present.
    #[serde(default)]
    pub seq: Option<Seq>,
    /// The message up to which the caller has read.
    #[serde(default)]
    pub message_id: Option<MessageId>,
}

/// The payload of `message.read`. Without `seq` and `message_id` the mark moves to the newest message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadMessage {
    pub conversation_id: ConversationId,
    /// The `seq` up to which the user has read.
    #[serde(default)]
    pub seq: Option<Seq>,
    /// The message up to which the user has read. Only one of `seq` and `message_id` may be present.
    #[serde(default)]
    pub message_id: Option<MessageId>,
}

/// The payload of `message.delivered`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveredMessage {
    pub conversation_id: ConversationId,
    /// The `seq` up to which the client has received messages.
    pub seq: Seq,
}

/// The read mark of the caller after a call or command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReadMark {
    /// The read mark: the greatest `seq` that the caller has read.
    pub last_read_seq: Seq,
    /// The number of messages after the read mark, without system messages and hidden messages.
    pub unread_count: i64,
    /// The number of messages that this call marked as read, counted like unread messages.
    #[serde(rename = "marked")]
    pub newly_read_count: i64,
}

/// The payload of `conversation.read`.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationRead {
    pub conversation_id: ConversationId,
    pub last_read_seq: Seq,
    pub unread_count: i64,
}
