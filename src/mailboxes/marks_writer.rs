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

/// The marks of one participant after a transaction that moved at least one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MovedMarks {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub last_read_seq: Seq,
    /// The number of messages up to the read mark, without system messages.
    pub last_read_count: i64,
    /// `None` if the transaction did not read the delivered mark.
    pub delivered_seq: Option<Seq>,
    pub cause: MarkCause,
}

/// Why a transaction moved marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkCause {
    /// The user asked for it. The marks writer notifies of it.
    Request,
    /// The user sent a message, and so has read all earlier ones. `previous_read_seq` is the read mark before, if there
    /// were unread messages after it.
    Send { previous_read_seq: Option<Seq> },
}

/// What the marks writer does. A mark beyond the last message means the last message. Marks never move back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkWork {
    MoveRead(Seq),
    MoveDelivered(Seq),
    /// A send moved the read mark from `previous_read_seq` past unread messages, in its own transaction. Only the
    /// notification is left to do.
    NotifyAfterSend {
        previous_read_seq: Seq,
    },
    /// The user hid a message. Only the notification of the user's sessions about the unread count is left to do.
    NotifyAfterHide,
}
