//! Messages, with their reactions, receipts, attachments and former texts.

use super::UserBrief;
use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The status of a message: whether other participants have received or read it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// The server has stored the message.
    Sent,
    /// A client of another participant has received the message.
    Delivered,
    /// Another participant has read the message.
    Seen,
}

/// A message as it is quoted in a reply.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// The id of the quoted message.
    pub id: MessageId,
    /// The `seq` of the quoted message.
    pub seq: Seq,
    /// The author of the quoted message. Null for a system message.
    pub sender_id: Option<UserId>,
    /// The type of the quoted message.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// The first 100 characters of the quoted text. The cut is never inside of what people see as one character. Empty
    /// if the message was deleted.
    pub content: String,
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

/// The time when a client of one participant received a message, or when the participant read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// The participant.
    pub user_id: UserId,
    /// The time of the last move of the participant's mark, which is at the message or after it.
    pub at: Timestamp,
}

/// The participants who have received and read a message, without its author. Participants whose receipts the caller
/// may not see are not in the lists.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Receipts {
    /// The participants who have received the message, with those who have read it. The latest first, at most 1,000.
    pub delivered: Vec<Receipt>,
    /// The participants who have read the message. The latest first, at most 1,000.
    pub read: Vec<Receipt>,
    /// The number of participants of the conversation.
    pub member_count: i64,
    /// The number of readers divided by the number of participants without the author: from 0 to 1. It is 1 if there is
    /// no other participant.
    pub read_ratio: f64,
}

/// A file of a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// The id of the attachment.
    pub id: uuid::Uuid,
    /// The kind of file: `image`, `video`, `audio` or `file`.
    pub kind: String,
    /// The name of the file.
    pub name: String,
    /// The media type, which the server determines from the content of the file.
    pub mime: String,
    /// The size in bytes.
    pub size: i64,
    /// The width of an image or video in pixels. Absent for other files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    /// The height of an image or video in pixels. Absent for other files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// The duration of a sound or video in seconds. Absent for other files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// The URL of the file.
    pub url: String,
    /// The URL of the thumbnail. Absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
}

/// A message. In events, `status` and `reactions[].me` are absent, because all users get the same text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// The id of the message.
    pub id: MessageId,
    /// The conversation of the message.
    pub conversation_id: ConversationId,
    /// The number of the message in its conversation: 1, 2, 3 and so on, without a gap.
    pub seq: Seq,
    /// The id of the author. Null for a system message.
    pub sender_id: Option<UserId>,
    /// The author. Null for a system message.
    pub sender: Option<UserBrief>,
    /// The type of the message.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// The text. Empty if the message was deleted.
    pub content: String,
    /// The data of a message whose type needs more than text. Null for other messages, and if the message was deleted.
    pub data: Option<serde_json::Value>,
    /// The files of the message.
    pub attachments: Vec<Attachment>,
    /// The message to which this message is a reply. Null if it is not a reply.
    pub reply_to: Option<Quote>,
    /// The participants whom the message mentions by name.
    pub mentions: Vec<UserId>,
    /// Whether the message mentions all participants. Absent in stored events of older versions, in which `mentions`
    /// names all of them.
    #[serde(default)]
    pub mentions_all: bool,
    /// The reactions, one item for each emoji.
    pub reactions: Vec<Reaction>,
    /// Whether the message is pinned.
    pub pinned: bool,
    /// The status of the message. Absent unless the caller is the author and the conversation has at most 100
    /// participants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<MessageStatus>,
    /// The id that the client of the author gave the message. Null if it gave none.
    pub temp_id: Option<String>,
    /// The time of the last edit. Null if the message was not edited.
    pub edited_at: Option<Timestamp>,
    /// The time when the message was deleted for everyone. Null if it was not deleted.
    pub deleted_at: Option<Timestamp>,
    /// The time when the message was committed.
    pub created_at: Timestamp,
}

/// One page of messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessagePage {
    /// The messages in the order of their `seq`.
    pub items: Vec<Message>,
    /// Whether the conversation has messages before this page.
    pub has_more_before: bool,
    /// Whether the conversation has messages after this page.
    pub has_more_after: bool,
    /// The revision of the conversation, read before the messages. The page contains all events up to it, so a client
    /// ignores events with this `rev` or a smaller one.
    pub rev: Rev,
}

/// A message with the messages before and after it.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageContext {
    /// The message.
    pub message: Message,
    /// The messages before it, in the order of their `seq`.
    pub before: Vec<Message>,
    /// The messages after it, in the order of their `seq`.
    pub after: Vec<Message>,
    /// Whether the conversation has messages before these.
    pub has_more_before: bool,
    /// Whether the conversation has messages after these.
    pub has_more_after: bool,
}

/// A text that a message had before an edit.
#[derive(Debug, Serialize, ToSchema)]
pub struct FormerText {
    /// The former text.
    pub content: String,
    /// The time when the next text replaced it.
    pub edited_at: Timestamp,
}
