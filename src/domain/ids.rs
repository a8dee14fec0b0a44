//! Defines a separate type for each kind of id and number. Ids are UUIDv7, so they sort by the time of their creation.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Creates an id that is greater than all ids which this process created before.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<$name> for sea_orm::Value {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }
    };
}

id!(
    /// The id of a person or a program with an account.
    UserId
);
id!(
    /// The id of one signed-in device of a user; the `sid` of its access tokens.
    LoginId
);
id!(
    /// The id of a service token of the host application.
    ServiceTokenId
);
id!(
    /// The id of the session of one WebSocket connection.
    SessionId
);
id!(
    /// The id of a change that is too large for one transaction and is done in steps.
    BulkChangeId
);
id!(
    /// The id of a direct, group or class conversation.
    ConversationId
);
id!(
    /// The id of a message in any conversation.
    MessageId
);
id!(
    /// The id of a class of the host application.
    ClassId
);

/// Names a message in calls and commands: its conversation and its id, which must fit together.
pub type MessageKey = (ConversationId, MessageId);

macro_rules! count {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// Returns the number that is greater by one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for sea_orm::Value {
            fn from(number: $name) -> Self {
                number.0.into()
            }
        }
    };
}

count!(
    /// The number of a message in its conversation: 1, 2, 3 … without a gap; 0 is before the first message.
    Seq
);
count!(
    /// The number of a durable event in its stream: 1, 2, 3 … without a gap; 0 is before the first event.
    Rev
);
