//! The resources of messages: sending, editing, deleting and reading them.

use super::reactions::Reaction;
use super::users::UserBrief;
use crate::domain::content::{Content, MessageKind};
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::json_text::JsonText;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A message to send.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// The text, 1–10,000 characters. It may be empty where `data` has the content of the message.
    #[serde(default)]
    pub content: Option<String>,
    /// The type of a message with `data`: `sticker`, `location` or `contact`. The server derives the other types.
    #[serde(default, rename = "type")]
    pub kind: Option<MessageKind>,
    /// The data that the type needs, at most 4 KiB.
    #[serde(default)]
    pub data: Option<serde_json::Value>,
    /// Must be empty or absent: this version has no uploads.
    #[serde(default)]
    pub attachment_ids: Option<Vec<Uuid>>,
    /// The message of the same conversation to which this message is a reply.
    #[serde(default)]
    pub reply_to_id: Option<MessageId>,
    /// The client's own random id of the message, 1–64 characters. A request that is repeated with it sends no second
    /// message.
    #[serde(default)]
    pub temp_id: Option<String>,
}

/// The new text of a message, as the client wrote it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewText {
    /// The text, 1–10,000 characters. It may be empty where the message has data or files.
    pub content: String,
}

impl NewText {
    /// Checks the text.
    pub fn parse(&self) -> Result<Content> {
        parse_new_text(&self.content)
    }
}

fn parse_new_text(text: &str) -> Result<Content> {
    Content::parse(text).map_err(|message| Error::invalid("content", message))
}

/// The payload of `message.send`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    pub conversation_id: ConversationId,
    #[serde(default)]
    pub content: Option<String>,
    /// The type, if it is one that needs `data`.
    #[serde(default, rename = "type")]
    pub kind: Option<MessageKind>,
    /// The data that the type needs.
    #[serde(default)]
    pub data: Option<serde_json::Value>,
    /// Must be empty or absent: this version has no uploads.
    #[serde(default)]
    pub attachment_ids: Option<Vec<Uuid>>,
    /// The message of the same conversation to which this message is a reply.
    #[serde(default)]
    pub reply_to_id: Option<MessageId>,
    /// The client's own id of the message. A send that is repeated with it sends no second message.
    #[serde(default)]
    pub temp_id: Option<String>,
}

/// The payload of `message.edit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditMessage {
    pub conversation_id: ConversationId,
    pub message_id: MessageId,
    /// The new text.
    pub content: String,
}

impl EditMessage {
    /// Checks the new text.
    pub fn parse_content(&self) -> Result<Content> {
        parse_new_text(&self.content)
    }
}

/// The payload of `message.delete`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteMessage {
    pub conversation_id: ConversationId,
    pub message_id: MessageId,
    #[serde(default, rename = "for")]
    pub audience: Audience,
}

/// The users for whom a message is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// All participants. The message keeps its `seq` and loses its content.
    #[default]
    Everyone,
    /// Only the caller.
    Me,
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
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<JsonText>,
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
    /// The id that the client of the author chose for the message. Null if it chose none.
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

/// A file of a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// The id of the attachment.
    pub id: Uuid,
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

/// The payload of `message.deleted`.
#[derive(Clone, Debug, Serialize)]
pub struct MessageDeleted {
    pub conversation_id: ConversationId,
    pub message_id: MessageId,
    /// The `seq` of the message, which no other message gets.
    pub seq: Seq,
}

/// The payload of `message.hidden`.
#[derive(Clone, Debug, Serialize)]
pub struct MessageHidden {
    pub conversation_id: ConversationId,
    pub message_id: MessageId,
}

/// The payload of `message.sent`.
#[derive(Clone, Debug, Serialize)]
pub struct MessageSent {
    pub temp_id: Option<String>,
    /// The revision of the event `message.new`.
    pub rev: Rev,
    /// The message as it is now.
    pub message: Box<Message>,
}

/// The payload of `message.status`.
#[derive(Clone, Debug, Serialize)]
pub struct StatusUpdate {
    pub conversation_id: ConversationId,
    /// The user who received or read the messages.
    pub user_id: UserId,
    pub status: MessageStatus,
    /// All messages up to this `seq` have the status.
    pub seq: Seq,
}
