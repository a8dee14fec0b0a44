//! The bodies that a client sends about conversations and messages over REST. Those of the WebSocket are in `client`.

use super::accounts::Change;
use super::resources::NotifyLevel;
use crate::domain::content::MessageKind;
use crate::domain::ids::{MessageId, Seq};
use crate::domain::roles::Role;
use crate::domain::time::Timestamp;
use serde::Deserialize;
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
    /// The id of an uploaded image that becomes the avatar.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub avatar_upload_id: Change<Uuid>,
    /// The description of the group, at most 2,000 characters. Null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Change<String>,
}

/// The new role of a participant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// The new role. `owner` transfers the group to the participant.
    pub role: Role,
}

/// The time until which the caller mutes a conversation. Without `until` and `seconds` the mute has no end.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// The end of the mute. It must be in the future.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// The duration of the mute in seconds, by the clock of the server: 1 to 315,360,000 (ten years). It must be absent
    /// if `until` is present.
    #[serde(default)]
    pub seconds: Option<i64>,
}

/// The messages for which the caller wants a notification.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The new level.
    pub level: NotifyLevel,
}

/// A user to block.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBlock {
    /// The user: an id, a username or an `ext:` reference.
    pub user: String,
}

/// Users to add to a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMembers {
    /// The users: ids, usernames or `ext:` references.
    pub user_ids: Vec<String>,
    /// The role of the new members. It is `member` when absent.
    #[serde(default)]
    pub role: Option<Role>,
}

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

/// A message to send.
#[derive(Debug, Deserialize, ToSchema)]
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
    /// The ids of uploads to attach.
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

/// The new text of a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewText {
    /// The text, 1–10,000 characters. It may be empty where the message has data or files.
    pub content: String,
}
