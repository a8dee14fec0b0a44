//! Defines the stream, to which events belong: a conversation or a user.

use super::ids::{ConversationId, UserId};
use uuid::Uuid;

/// A conversation or a user, with its own sequence of events and revisions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Stream {
    /// The events of a conversation, for the sessions of all participants.
    Conversation(ConversationId),
    /// The events about one user, for the sessions of that user only.
    User(UserId),
}

impl Stream {
    /// Returns the number of the kind in the log: 0 for a conversation, 1 for a user.
    pub fn kind_number(self) -> i16 {
        match self {
            Self::Conversation(_) => 0,
            Self::User(_) => 1,
        }
    }

    /// Returns the name of the kind in frames.
    pub fn kind_name(self) -> &'static str {
        match self {
            Self::Conversation(_) => "conversation",
            Self::User(_) => "user",
        }
    }

    /// Returns the id of the conversation or of the user.
    pub fn id(self) -> Uuid {
        match self {
            Self::Conversation(id) => id.0,
            Self::User(id) => id.0,
        }
    }

    /// Returns the stream for the two columns of a log row.
    pub fn from_columns(kind: i16, id: Uuid) -> Self {
        if kind == 0 { Self::Conversation(ConversationId(id)) } else { Self::User(UserId(id)) }
    }
}
