//! The resources of the caller's own view of a conversation: mute, archive, pin and notifications.

use crate::domain::ids::{ConversationId, Seq};
use crate::domain::roles::Role;
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// The messages of a conversation for which a user wants a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyLevel {
    All,
    /// Mentions of the user, and replies to the user's messages.
    Mentions,
    None,
}

impl NotifyLevel {
    /// Returns the level as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mentions => "mentions",
            Self::None => "none",
        }
    }
}

/// The caller's own view of a conversation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OwnView {
    /// The role of the caller.
    pub role: Role,
    /// The read mark of the caller: the greatest `seq` that the caller has read.
    pub last_read_seq: Seq,
    /// The end of the mute. Null if the conversation is not muted, the end of the year 9999 if the mute has no end.
    pub muted_until: Option<Timestamp>,
    /// Whether the conversation is archived. A new message ends this, unless the conversation is muted.
    pub archived: bool,
    /// Whether the conversation is at the top of the caller's list.
    pub pinned: bool,
    /// The messages for which the caller wants a notification.
    pub notify: NotifyLevel,
    /// Whether one of the two users of a direct conversation has blocked the other. False in other conversations.
    pub blocked: bool,
}

/// The payload of `conversation.settings`.
#[derive(Clone, Debug, Serialize)]
pub struct ConversationSettings {
    pub conversation_id: ConversationId,
    pub my: OwnView,
}
