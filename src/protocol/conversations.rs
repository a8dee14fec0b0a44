//! The resources of conversations, as a participant sees them, and the bodies that create and change conversations.

use super::change::Change;
use super::members::Participant;
use super::settings::OwnView;
use super::users::User;
use crate::domain::content::MessageKind;
use crate::domain::ids::{ClassId, ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::roles::ConversationKind;
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A new conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConversation {
    /// The type: `direct` or `group`. The server creates the conversation of a class.
    #[serde(rename = "type")]
    pub kind: NewConversationKind,
    /// The participants without the caller: ids, usernames or `ext:` references. Exactly one for a direct conversation.
    pub participant_ids: Vec<String>,
    /// The name of a group, 1–255 characters.
    #[serde(default)]
    pub name: Option<String>,
    /// The URL of the avatar of a group: https, at most 2,048 characters.
    #[serde(default)]
    pub avatar_url: Option<String>,
    /// The description of a group, at most 2,000 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// The client's own random id of a group, 1–64 characters. A request that is repeated with it creates no second
    /// group.
    #[serde(default)]
    pub temp_id: Option<String>,
}

/// The type of a conversation that a client can create.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewConversationKind {
    Direct,
    Group,
}

/// A change of the name, the avatar or the description of a group. Absent fields keep their value.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversationChange {
    /// The name of the group, 1–255 characters.
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    pub name: Change<String>,
    /// The URL of the avatar: https, at most 2,048 characters. Null removes the avatar.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub avatar_url: Change<String>,
    /// Must be null or absent: this version has no uploads.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub avatar_upload_id: Change<Uuid>,
    /// The description of the group, at most 2,000 characters. Null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Change<String>,
}

/// A conversation as the caller sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// The id of the conversation.
    pub id: ConversationId,
    /// The type: `direct`, `group` or `class`.
    #[serde(rename = "type")]
    pub kind: ConversationKind,
    /// The name. Null for a direct conversation.
    pub name: Option<String>,
    /// The description. Null if there is none.
    pub description: Option<String>,
    /// The URL of the avatar. Null if there is none.
    pub avatar_url: Option<String>,
    /// The class of a class conversation. Null for other conversations.
    pub class: Option<ClassBrief>,
    /// The user who created the conversation. Null if no user did.
    pub created_by: Option<UserId>,
    /// The time when the conversation was created.
    pub created_at: Timestamp,
    /// The time of the last change of the name, the avatar or the description.
    pub updated_at: Timestamp,
    /// The `seq` of the newest message.
    pub last_seq: Seq,
    /// The newest revision of the conversation.
    pub last_rev: Rev,
    /// The newest message. Null in events, and in a conversation without a message.
    pub last_message: Option<LastMessage>,
    /// The number of participants.
    pub member_count: i64,
    /// The number of messages after the caller's read mark, without system messages and hidden messages.
    pub unread_count: i64,
    /// The caller's own view of the conversation.
    pub my: OwnView,
    /// The other participant of a direct conversation. Null for other conversations.
    pub peer: Option<User>,
}

/// A conversation with its first 100 participants.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConversationDetail {
    /// The conversation as the caller sees it.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// The first 100 participants, in the order in which they joined.
    pub members: Vec<Participant>,
}

/// The class of a class conversation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClassBrief {
    /// The id of the class.
    pub id: ClassId,
    /// Whether the class is archived, so that its conversation is read-only.
    pub archived: bool,
}

/// The newest message of a conversation, for lists of conversations.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LastMessage {
    /// The id of the message.
    pub id: MessageId,
    /// The number of the message in its conversation.
    pub seq: Seq,
    /// The author. Null for a system message.
    pub sender_id: Option<UserId>,
    /// The type of the message.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// The first 100 characters of the text. The cut is never inside of what people see as one character.
    pub content: String,
    /// The time when the message was committed.
    pub created_at: Timestamp,
}

/// The unread totals over all conversations of the caller.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnreadCount {
    /// The number of unread messages, without those of muted conversations.
    pub messages: i64,
    /// The number of conversations with unread messages, without muted conversations.
    pub conversations: i64,
    /// The number of unread messages that mention the caller by name or with `@all`, with those of muted conversations.
    pub mentions: i64,
}

/// The payload of `conversation.updated`.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationUpdated {
    pub conversation_id: ConversationId,
    pub name: Option<String>,
    pub description: Option<String>,
    pub avatar_url: Option<String>,
    /// The class of a class conversation.
    pub class: Option<ClassBrief>,
    pub updated_at: Timestamp,
}

/// The payload of `conversation.created`.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationCreated {
    /// The conversation as this user sees it. Its `last_message` is null.
    pub conversation: Box<Conversation>,
}

/// The payload of `conversation.removed`.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationRemoved {
    pub conversation_id: ConversationId,
}
