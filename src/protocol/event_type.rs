//! The types of durable events: the one list of the names that the log stores and that clients get.

/// Defines [`EventType`] from one table, so that no type is missing in one of its functions.
macro_rules! event_types {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// The type of a durable event. Match it without a wildcard: then the compiler asks everywhere what to do with
        /// a new event.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum EventType {
            $($variant,)*
        }

        impl EventType {
            /// All types, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the name as clients and the log have it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Returns the type with this name, if this version of the server knows it.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

event_types! {
    MessageNew = "message.new",
    MessageEdited = "message.edited",
    MessageDeleted = "message.deleted",
    MessagePinned = "message.pinned",
    MessageUnpinned = "message.unpinned",
    ReactionUpdated = "reaction.updated",
    ConversationUpdated = "conversation.updated",
    ParticipantJoined = "participant.joined",
    ParticipantLeft = "participant.left",
    ParticipantUpdated = "participant.updated",
    ConversationCreated = "conversation.created",
    ConversationRemoved = "conversation.removed",
    ConversationSettings = "conversation.settings",
    MessageHidden = "message.hidden",
    SessionRevoked = "session.revoked",
    UserCreated = "user.created",
    UserUpdated = "user.updated",
}

/// The type of an event that was read from the log, which may have been written by a newer version of the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoredEventType {
    Known(EventType),
    /// A name that this version does not know. Clients get such an event like any other.
    Unknown(String),
}

impl From<String> for StoredEventType {
    fn from(name: String) -> Self {
        EventType::parse(&name).map_or(Self::Unknown(name), Self::Known)
    }
}

impl StoredEventType {
    /// Returns the name as clients and the log have it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(event_type) => event_type.as_str(),
            Self::Unknown(name) => name,
        }
    }
}
