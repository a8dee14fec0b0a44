//! What users do with read and delivered marks, which say how far a user has read, and how far a device of the user has
//! received messages. The marks writer commits them.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::error::{Error, Result};
use crate::mailboxes::{MarkAnswer, MarkJob, MarkWork};
use crate::protocol::marks::ReadMark;
use crate::store::db::pools::ReadPool;
use crate::store::messages;
use crate::work::access;
use crate::work::read::read;
use tokio::sync::oneshot;

/// A `seq` beyond every message.
pub const END: Seq = Seq(i64::MAX);

/// How far a caller has read.
#[derive(Clone, Copy, Debug)]
pub enum ReadTarget {
    Seq(Seq),
    Message(MessageId),
    End,
}

/// Moves the caller's read mark forward and returns it when it is committed. The mark never moves back.
pub async fn update_read_mark(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    target: ReadTarget,
) -> Result<ReadMark> {
    let seq = match target {
        ReadTarget::Seq(seq) => seq,
        ReadTarget::End => END,
        ReadTarget::Message(id) => get_seq(app, caller, conversation_id, id).await?,
    };
    let (answer, answered) = oneshot::channel();
    enqueue_read(app, caller, conversation_id, seq, |outcome| drop(answer.send(outcome)));
    answered.await.unwrap_or_else(|_| Err(Error::unavailable("The server is stopping; try again.")))
}

/// Does the same as [`update_read_mark`] without waiting. It calls `answer` once, when the mark is committed or
/// refused.
pub fn enqueue_read(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    seq: Seq,
    answer: impl FnOnce(Result<ReadMark>) + Send + Sync + 'static,
) {
    enqueue(app, caller, conversation_id, MarkWork::MoveRead(seq), crate::mailboxes::answer(answer));
}

fn enqueue(app: &App, caller: &Caller, conversation_id: ConversationId, work: MarkWork, answer: MarkAnswer) {
    if let MarkWork::MoveRead(seq) | MarkWork::MoveDelivered(seq) = work
        && seq.0 < 0
    {
        return answer(Err(Error::invalid("seq", "must not be negative")));
    }
    app.enqueue_mark(MarkJob { conversation_id, user_id: caller.user_id, work, answer: Some(answer) });
}

/// Returns the `seq` of a message of the conversation. Fails if the message is not there.
pub async fn get_seq(app: &App, caller: &Caller, conversation_id: ConversationId, id: MessageId) -> Result<Seq> {
    let user = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            if let Some(seq) = messages::get_seq(conn, conversation_id, id).await? {
                return Ok(seq);
            }
            access::require_participant(conn, conversation_id, user).await?;
            Err(Error::not_found("message"))
        })
    })
    .await
}

/// Queues a delivered mark: the caller's client has received all messages up to `seq`. A `seq` beyond the last message
/// means the last message at some moment before `answer` is called.
pub fn enqueue_delivered(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    seq: Seq,
    answer: impl FnOnce(Result<ReadMark>) + Send + Sync + 'static,
) {
    enqueue(app, caller, conversation_id, MarkWork::MoveDelivered(seq), crate::mailboxes::answer(answer));
}

/// Queues a notification of the user's sessions about the unread count, after the user hid a message. Best effort, like
/// every notification about marks.
pub(super) fn notify_hidden(app: &App, conversation_id: ConversationId, user_id: UserId) {
    app.enqueue_mark(MarkJob { conversation_id, user_id, work: MarkWork::NotifyAfterHide, answer: None });
}
