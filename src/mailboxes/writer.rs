//! The queue of the writer, which commits sends in batches, and its jobs.

use crate::domain::ids::{MessageId, Rev};
use crate::error::Error;
use crate::protocol::sends::CheckedSend;
use crate::protocol::shared_message::SharedMessage;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

/// Takes the outcome of a send. [`answer`](super::answer) makes it. The writer calls it in the order of commits, so it
/// must not block.
pub type SendAnswer = Box<dyn FnOnce(Result<SentMessage, Error>) + Send + Sync>;

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
    /// The permit of the queue, until the send is answered. [`SendSender::send`] sets it.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// The sending end of the writer's queue. It counts the sends that are not answered yet, and refuses further ones when
/// there are too many.
#[derive(Clone)]
pub struct SendSender {
    channel: mpsc::UnboundedSender<SendJob>,
    permits: Arc<Semaphore>,
    capacity: usize,
}

impl SendSender {
    /// Returns a queue for at most `capacity` sends that are not answered yet.
    pub fn new(capacity: usize) -> (Self, mpsc::UnboundedReceiver<SendJob>) {
        let (channel, receiver) = mpsc::unbounded_channel();
        (Self { channel, permits: Arc::new(Semaphore::new(capacity)), capacity }, receiver)
    }

    /// Puts a send into the queue, or returns it if the queue is full or the writer has ended.
    pub fn send(&self, mut job: SendJob) -> Result<(), Box<SendJob>> {
        match self.permits.clone().try_acquire_owned() {
            Ok(permit) => job.permit = Some(permit),
            Err(_) => return Err(Box::new(job)),
        }
        self.channel.send(job).map_err(|refused| Box::new(refused.0))
    }

    /// Returns whether all sends are answered.
    pub fn is_idle(&self) -> bool {
        self.permits.available_permits() == self.capacity
    }
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
