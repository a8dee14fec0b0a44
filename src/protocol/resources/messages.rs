//! Messages and what belongs to them.

use super::UserBrief;
use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a message got; only of the caller's own, and only up to 100 members.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Stored.
    Sent,
    /// Acknowledged by another participant's client.
    Delivered,
    /// Read by another participant.
    Seen,
}

/// A message as another one quotes it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// The quoted message.
    pub id: MessageId,
    /// Its place.
    pub seq: Seq,
    /// Its author; null for a system message.
    pub sender_id: Option<UserId>,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// Its first 100 characters, no grapheme cut; empty when it was deleted.
    pub content: String,
}

/// One emoji's reactions to a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reaction {
    /// The emoji.
    pub emoji: String,
    /// How many reacted with it.
    pub count: i64,
    /// Whether the caller did; left out of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub me: Option<bool>,
}

/// Who reacts to a message with one emoji.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Reactors {
    /// The emoji.
    pub emoji: String,
    /// How many react with it.
    pub count: i64,
    /// Who, the earliest first; at most 1,000.
    pub user_ids: Vec<UserId>,
}

/// When one participant's client had a message, or when one had read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// Whose.
    pub user_id: UserId,
    /// When their mark came to the message or beyond it, for the last time it moved.
    pub at: Timestamp,
}

/// Who has a message, and who has read it: the participants but its author, those left out whose receipts the caller
/// does not see.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Receipts {
    /// Whose client has it, the readers too, the latest first; at most 1,000.
    pub delivered: Vec<Receipt>,
    /// Who has read it, the latest first; at most 1,000.
    pub read: Vec<Receipt>,
    /// How many are in the conversation.
    pub member_count: i64,
    /// The readers' part of all but the author, from 0 to 1; 1 when there is nobody else.
    pub read_ratio: f64,
}

/// A file that belongs to a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// Its id.
    pub id: uuid::Uuid,
    /// image, video, audio or file.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its type, read from its bytes.
    pub mime: String,
    /// Bytes.
    pub size: i64,
    /// Pixels, of an image or video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    /// Pixels, of an image or video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// Seconds, of a sound or video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Where it is fetched.
    pub url: String,
    /// Where its thumbnail is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
}

/// A message. In an event, `status` and `reactions[].me` are left out: one text serves all who see it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Where it stands.
    pub conversation_id: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Its author; null for a system message.
    pub sender_id: Option<UserId>,
    /// Its author; null for a system message.
    pub sender: Option<UserBrief>,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// Its text; empty when it was deleted.
    pub content: String,
    /// What its kind needs beside text.
    pub data: Option<serde_json::Value>,
    /// Its files.
    pub attachments: Vec<Attachment>,
    /// What it answers.
    pub reply_to: Option<Quote>,
    /// Whom it mentions by name.
    pub mentions: Vec<UserId>,
    /// Whether it mentions everybody; absent in frames of older versions, which name them all.
    #[serde(default)]
    pub mentions_all: bool,
    /// Reactions by emoji.
    pub reactions: Vec<Reaction>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// How far it got; only of the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<MessageStatus>,
    /// What its author's client called it.
    pub temp_id: Option<String>,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted for everyone.
    pub deleted_at: Option<Timestamp>,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// A page of messages, always ascending by `seq`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessagePage {
    /// The messages.
    pub items: Vec<Message>,
    /// Whether older ones exist.
    pub has_more_before: bool,
    /// Whether newer ones exist.
    pub has_more_after: bool,
    /// The conversation's revision, read before the messages: drop events at or below it.
    pub rev: Rev,
}

/// A message and what stands around it.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageContext {
    /// The message.
    pub message: Message,
    /// Those before it, ascending by `seq`.
    pub before: Vec<Message>,
    /// Those after it, ascending by `seq`.
    pub after: Vec<Message>,
    /// Whether older ones exist.
    pub has_more_before: bool,
    /// Whether newer ones exist.
    pub has_more_after: bool,
}

/// A text that a message had.
#[derive(Debug, Serialize, ToSchema)]
pub struct FormerText {
    /// The text.
    pub content: String,
    /// When it was replaced by the next one.
    pub edited_at: Timestamp,
}
