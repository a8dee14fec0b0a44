//! The resources of the participants of a conversation: joining, leaving and roles.

use super::presence::PresenceStatus;
use super::users::UserBrief;
use crate::domain::ids::{ConversationId, Seq, UserId};
use crate::domain::roles::Role;
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// The new role of a participant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// The new role. `owner` transfers the group to the participant.
    pub role: Role,
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

/// The way in which a participant left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftReason {
    /// The participant left.
    Left,
    /// Another user removed the participant.
    Removed,
}

/// The payload of `participant.joined`.
#[derive(Clone, Debug, Serialize)]
pub struct ParticipantJoined {
    pub conversation_id: ConversationId,
    pub participants: Vec<JoinedParticipant>,
}

/// The payload of `participant.left`.
#[derive(Clone, Debug, Serialize)]
pub struct ParticipantLeft {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub reason: LeftReason,
}

/// The payload of `participant.updated`.
#[derive(Clone, Debug, Serialize)]
pub struct ParticipantUpdated {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub role: Role,
}
