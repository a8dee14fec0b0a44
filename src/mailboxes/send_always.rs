//! Sending a message that must not be lost.

use actix::prelude::{Message, Recipient};

/// Sends a message even if the mailbox of the receiver is full. A receiver that has ended does not get it.
///
/// This is for messages that nothing repeats: the begin and the end of something, and answers that the receiver waits
/// for. Their number is bounded by what they are about: a session, a subscription or a read. All others are sent with
/// `try_send`, and the sender handles a full mailbox. No other function ignores the capacity of a mailbox.
pub fn send_always<M>(receiver: &Recipient<M>, message: M)
where
    M: Message<Result: Send> + Send + 'static,
{
    receiver.do_send(message);
}
