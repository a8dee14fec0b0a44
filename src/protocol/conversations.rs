//! What a client sends about conversations and messages over REST: shapes only. The WebSocket's are in `client`.

use super::accounts::Change;
use super::resources::NotifyLevel;
use crate::domain::content::MessageKind;
use crate::domain::ids::{MessageId, Seq};
use crate::domain::roles::Role;
use crate::domain::time::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Makes a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConversation {
    /// `direct` or `group`; a class makes its own.
    #[serde(rename = "type")]
    pub kind: NewKind,
    /// Whom it is with, the caller aside: ids, usernames or `ext:` references. Exactly one for a direct one.
    pub participant_ids: Vec<String>,
    /// A group's name, 1–255 characters.
    #[serde(default)]
    pub name: Option<String>,
    /// A group's picture, an https URL.
    #[serde(default)]
    pub avatar_url: Option<String>,
    /// A group's description, at most 2,000 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// The client's own random id of a group, 1–64 characters; sending it again makes no second one.
    #[serde(default)]
    pub temp_id: Option<String>,
}

/// What can be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewKind {
    /// With one other.
    Direct,
    /// With any number.
    Group,
}

/// Changes what a group is called and looks like. What is absent stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversationChange {
    /// 1–255 characters.
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    pub name: Change<String>,
    /// An https URL of at most 2,048 characters; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub avatar_url: Change<String>,
    /// An image uploaded before.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub avatar_upload_id: Change<Uuid>,
    /// At most 2,000 characters; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Change<String>,
}

/// Gives a participant another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// The role; `owner` transfers the group.
    pub role: Role,
}

/// Mutes a conversation for oneself.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// Until then; for good when both are absent.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// For so many seconds from now, by the server's clock: 1 to 315,360,000 (ten years). Not beside `until`.
    #[serde(default)]
    pub seconds: Option<i64>,
}

/// Says which messages make a notification.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The level.
    pub level: NotifyLevel,
}

/// Blocks a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBlock {
    /// An id, a username or an `ext:` reference.
    pub user: String,
}

/// Adds members.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMembers {
    /// Ids, usernames or `ext:` references.
    pub user_ids: Vec<String>,
    /// Their role; `member` when absent.
    #[serde(default)]
    pub role: Option<Role>,
}

/// Moves the read mark: to a place, to a message, or to the end.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadUpTo {
    /// Up to this place.
    #[serde(default)]
    pub seq: Option<Seq>,
    /// Up to this message.
    #[serde(default)]
    pub message_id: Option<MessageId>,
}

/// Sends a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// 1–10,000 characters, unless `data` says it all.
    #[serde(default)]
    pub content: Option<String>,
    /// `sticker`, `location` or `contact`; otherwise derived.
    #[serde(default, rename = "type")]
    pub kind: Option<MessageKind>,
    /// What the type needs, at most 4 KiB.
    #[serde(default)]
    pub data: Option<serde_json::Value>,
    /// Uploads to attach.
    #[serde(default)]
    pub attachment_ids: Option<Vec<Uuid>>,
    /// The message of the same conversation that it answers.
    #[serde(default)]
    pub reply_to_id: Option<MessageId>,
    /// The client's own random id of it, 1–64 characters; sending it again sends nothing twice.
    #[serde(default)]
    pub temp_id: Option<String>,
}

/// Gives a message another text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedText {
    /// 1–10,000 characters; empty only where the message holds data or files.
    pub content: String,
}
