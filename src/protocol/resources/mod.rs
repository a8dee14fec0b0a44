//! The resources that REST answers and events contain.

mod conversations;
mod messages;
mod statistics;
mod users;

pub use conversations::{
    ClassBrief, Conversation, ConversationDetail, JoinedParticipant, LastMessage, NotifyLevel, OwnView, Participant,
    ReadMark, UnreadCount, UserIds,
};
pub use messages::{
    Attachment, FormerText, Message, MessageContext, MessagePage, MessageStatus, Quote, Reaction, ReactionUsers,
    Receipt, Receipts,
};
pub use statistics::{ConversationStatistics, MessagesOfMember, OwnStatistics};
pub use users::{
    Block, BlockStatus, Login, Me, PresenceState, PresenceStates, PresenceStatus, Ticket, Tokens, User, UserBrief,
    UserOrMe, UserRole,
};

use serde::Serialize;
use utoipa::ToSchema;

/// One page of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// The value of `cursor` for the next page. Null on the last page.
    pub next_cursor: Option<String>,
}
