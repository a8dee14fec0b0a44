//! Resources: what REST answers with and events carry. Shapes only; nothing here reads a database.

mod conversations;
mod messages;
mod statistics;
mod users;

pub use conversations::{
    ClassBrief, Conversation, ConversationDetail, Joined, LastMessage, My, NotifyLevel, Participant, ReadMark,
    UnreadCount, UserIds,
};
pub use messages::{
    Attachment, FormerText, Message, MessageContext, MessagePage, MessageStatus, Quote, Reaction, Reactors, Receipt,
    Receipts,
};
pub use statistics::{ConversationStatistics, MessagesOfMember, OwnStatistics};
pub use users::{
    Block, BlockStatus, Login, Me, PresenceState, PresenceStates, PresenceStatus, Ticket, Tokens, User, UserBrief,
    UserOrMe, UserRole,
};

use serde::Serialize;
use utoipa::ToSchema;

/// A page of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// For the next page; null at the end.
    pub next_cursor: Option<String>,
}
