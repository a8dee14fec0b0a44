//! Conversations as a participant sees them, and their participants.

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

/// A user who is in a conversation.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Participant {
    /// The participant.
    pub user: UserBrief,
    /// The role of the participant in the conversation.
    pub role: Role,
    /// The presence of the participant. It is `offline` if the caller may not see it.
    pub presence: PresenceStatus,
    /// The time when the participant joined.
    pub joined_at: Timestamp,
    /// The read mark of the participant. Null if the caller may not see it.
    pub last_read_seq: Option<Seq>,
}

/// A user who joined, in the event `participant.joined`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct JoinedParticipant {
    /// The user who joined.
    pub user: UserBrief,
    /// The role with which the user joined.
    pub role: Role,
}

/// Users of a conversation, such as the users who type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct UserIds {
    /// The ids of the users, each of them once.
    pub user_ids: Vec<UserId>,
}

/// The unread totals over all conversations of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnreadCount {
    /// The number of unread messages, without those of muted conversations.
    pub messages: i64,
    /// The number of conversations with unread messages, without muted conversations.
    pub conversations: i64,
    /// The number of unread messages that mention the caller by name or with `@all`, with those of muted conversations.
    pub mentions: i64,
}

/// The read mark of the caller after a call or command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReadMark {
    /// The read mark: the greatest `seq` that the caller has read.
    pub last_read_seq: Seq,
    /// The number of messages after the read mark, without system messages and hidden messages.
    pub unread_count: i64,
    /// The number of messages that this call marked as read, counted like unread messages.
    pub marked: i64,
}
