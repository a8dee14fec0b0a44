//! A stream is what events are ordered in: a conversation or a user.

use super::ids::{ConversationId, UserId};
use uuid::Uuid;

/// The owner of one sequence of revisions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Stream {
    /// What happens in a conversation; every participant's sessions see it.
    Conversation(ConversationId),
    /// What concerns one user alone; that user's sessions see it.
    User(UserId),
}

impl Stream {
    /// The number of the kind as the log stores it.
    pub fn kind(self) -> i16 {
        match self {
            Self::Conversation(_) => 0,
            Self::User(_) => 1,
        }
    }

    /// The name of the kind as frames carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conversation(_) => "conversation",
            Self::User(_) => "user",
        }
    }

    /// The id without its kind.
    pub fn id(self) -> Uuid {
        match self {
            Self::Conversation(id) => id.0,
            Self::User(id) => id.0,
        }
    }

    /// The stream that the log's two columns name.
    pub fn from_parts(kind: i16, id: Uuid) -> Self {
        if kind == 0 { Self::Conversation(ConversationId(id)) } else { Self::User(UserId(id)) }
    }
}
