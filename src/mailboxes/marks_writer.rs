//! Jobs of the marks writer, which commits read and delivered marks.

use crate::domain::ids::{ConversationId, Seq, UserId};
use crate::error::Result;
use crate::protocol::marks::ReadMark;

/// Takes the outcome of a mark. [`answer`](super::answer) makes it. It must not block.
pub type MarkAnswer = Box<dyn FnOnce(Result<ReadMark>) + Send + Sync>;

/// Work for the marks writer: a mark to move, or a notification that is left to do.
pub struct MarkJob {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub work: MarkWork,
    /// `None` if no client waits for an answer.
    pub answer: Option<MarkAnswer>,
}

/// What the marks writer does. A mark beyond the last message means the last message. Marks never move back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkWork {
    MoveRead(Seq),
    MoveDelivered(Seq),
    /// A send moved the read mark from `previous` in its own transaction. Only the notification is left to do.
    NotifyAfterSend {
        previous: Seq,
    },
    /// The user hid a message. Only the notification of the user's sessions about the unread count is left to do.
    NotifyAfterHide,
}
