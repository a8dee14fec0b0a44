//! Conversations as a participant sees them, and who is in them.

use super::{PresenceStatus, User, UserBrief};
use crate::domain::content::MessageKind;
use crate::domain::ids::{ClassId, ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::roles::{ConversationKind, Role};
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The class of a class conversation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClassBrief {
    /// Its id.
    pub id: ClassId,
    /// Whether it is read-only.
    pub archived: bool,
}

/// The newest message of a conversation, for lists.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LastMessage {
    /// Its id.
    pub id: MessageId,
    /// Its place.
    pub seq: Seq,
    /// Its author; null for a system message.
    pub sender_id: Option<UserId>,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// Its first 100 characters, no grapheme cut.
    pub content: String,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// Which messages of a conversation make a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyLevel {
    /// All of them.
    All,
    /// Mentions and replies.
    Mentions,
    /// None.
    None,
}

impl NotifyLevel {
    /// As stored.
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
pub struct My {
    /// The caller's role.
    pub role: Role,
    /// The caller's read mark.
    pub last_read_seq: Seq,
    /// Muted until then; null when not muted, the end of the year 9999 when for good.
    pub muted_until: Option<Timestamp>,
    /// Archived, and no later message has come.
    pub archived: bool,
    /// Pinned to the top of the list.
    pub pinned: bool,
    /// What makes a notification.
    pub notify: NotifyLevel,
    /// Whether a block stands between the two of a direct conversation.
    pub blocked: bool,
}

/// A conversation as the caller sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// direct, group or class.
    #[serde(rename = "type")]
    pub kind: ConversationKind,
    /// Its name; null for a direct one.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its class, if it is one's.
    pub class: Option<ClassBrief>,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its name, picture or description last changed.
    pub updated_at: Timestamp,
    /// The place of its newest message.
    pub last_seq: Seq,
    /// Its newest revision.
    pub last_rev: Rev,
    /// Its newest message; null in events.
    pub last_message: Option<LastMessage>,
    /// How many participants it has.
    pub member_count: i64,
    /// Messages after the caller's read mark, system messages and hidden ones aside.
    pub unread_count: i64,
    /// The caller's own view.
    pub my: My,
    /// The other one of a direct conversation.
    pub peer: Option<User>,
}

/// A conversation with its first hundred participants.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConversationDetail {
    /// The conversation.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// Its first 100 participants.
    pub members: Vec<Participant>,
}

/// Somebody in a conversation.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Participant {
    /// The user who takes part.
    pub user: UserBrief,
    /// With what rights.
    pub role: Role,
    /// Whether the user is there.
    pub presence: PresenceStatus,
    /// Since when.
    pub joined_at: Timestamp,
    /// The read mark; null where receipts are off.
    pub last_read_seq: Option<Seq>,
}

/// Somebody who joined, as `participant.joined` tells it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Joined {
    /// The user who takes part.
    pub user: UserBrief,
    /// With what rights.
    pub role: Role,
}

/// Some users of a conversation, such as those who type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct UserIds {
    /// The users, each once.
    pub user_ids: Vec<UserId>,
}

/// What is unread over all conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnreadCount {
    /// Unread messages, those of muted conversations aside.
    pub messages: i64,
    /// Conversations with any, muted ones aside.
    pub conversations: i64,
    /// Unread messages that mention the caller, by name or with everybody; those of muted conversations too.
    pub mentions: i64,
}

/// Where the caller's read mark stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReadMark {
    /// The mark.
    pub last_read_seq: Seq,
    /// Messages after it, system messages and hidden ones aside.
    pub unread_count: i64,
    /// Messages this call marked, counted as unread are.
    pub marked: i64,
}
