//! Jobs of the marks writer, which commits read and delivered marks.

use crate::domain::ids::{ConversationId, Seq, UserId};
use crate::error::Result;
use crate::protocol::marks::ReadMark;

/// Takes the outcome of a mark; made by [`answer`](super::answer). It must not block.
pub type MarkAnswer = Box<dyn FnOnce(Result<ReadMark>) + Send + Sync>;

/// A mark to move.
pub struct MarkJob {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub mark: Mark,
    /// `None` if no client waits for an answer.
    pub answer: Option<MarkAnswer>,
}

/// Which mark moves, and how far. A mark beyond the last message means the last message. Marks never move back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    Read(Seq),
    Delivered(Seq),
    /// A send moved the read mark from this `seq` in its own transaction. Only notifying is left to do.
    Sent(Seq),
    /// The user hid a message. Only the unread count of the user's sessions is left to do.
    Hidden,
}
