//! Jobs of the writer, which commits sends in batches.

use crate::domain::ids::{MessageId, Rev};
use crate::error::Result;
use crate::protocol::sends::CheckedSend;
use crate::protocol::shared_message::SharedMessage;
use tokio::time::Instant;

/// Takes the outcome of a send. [`answer`](super::answer) makes it. The writer calls it in the order of commits, so it
/// must not block.
pub type SendAnswer = Box<dyn FnOnce(Result<SentMessage>) + Send + Sync>;

/// A send in the queue of a writer.
pub struct SendJob {
    /// Created before the commit, so that a send with an unknown outcome can be looked up.
    pub message_id: MessageId,
    pub send: CheckedSend,
    /// How often the send was postponed because another transaction had locked its conversation.
    pub times_postponed: u32,
    /// Set when a COMMIT got no answer, so that the message may be stored. Until this moment the message is looked up
    /// by its id, under the lock of its conversation, before it is written again.
    pub unknown_until: Option<Instant>,
    pub answer: SendAnswer,
}

/// A committed send.
#[derive(Clone, Debug)]
pub struct SentMessage {
    /// The revision of its `message.new`.
    pub rev: Rev,
    /// The message as it is now.
    pub message: SharedMessage,
    /// The emojis with which its author has reacted to it.
    pub own_emojis: Vec<String>,
    /// Whether an earlier send with the same `temp_id` had stored it.
    pub repeated: bool,
}
