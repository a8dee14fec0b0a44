//! What users do with messages: sending, listing and reading them.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use crate::error::{Error, Result};
use crate::mailboxes::{SendJob, SentMessage};
use crate::protocol::messages::{Message, MessageContext, MessagePage, MessageStatus};
use crate::protocol::sends::CheckedSend;
use crate::store::db::pools::ReadPool;
use crate::store::members;
use crate::store::messages::{self, MessageRow, Side};
use crate::work::access;
use crate::work::assemble::messages::{get_for_viewer, get_status, list_for_viewer};
use crate::work::read::read;
use sea_orm::ConnectionTrait;
use tokio::sync::oneshot;

/// A send that is committed, as its author sees it.
#[derive(Clone, Debug)]
pub struct AcknowledgedSend {
    /// The revision of its `message.new`.
    pub rev: Rev,
    /// The message as it is now.
    pub message: Message,
    /// Whether an earlier send with the same `temp_id` had stored it.
    pub repeated: bool,
}

/// Puts a send into the queue of the writer of its conversation. Messages get their `seq` in the order of the calls.
/// `answer` is called once in any case, in the order of commits.
pub fn enqueue(app: &App, checked: CheckedSend, answer: impl FnOnce(Result<AcknowledgedSend>) + Send + Sync + 'static) {
    let answer = crate::mailboxes::answer(answer);
    let (owned_app, sender) = (app.clone(), checked.sender_id());
    app.enqueue_send(SendJob {
        message_id: MessageId::new(),
        send: checked,
        times_postponed: 0,
        unknown_until: None,
        permit: None,
        answer: Box::new(move |outcome| match outcome {
            // The status of a message that was stored by an earlier send is read in another task, so that other answers
            // do not wait.
            Ok(sent) if sent.repeated => {
                let app = owned_app.clone();
                owned_app.spawn(async move {
                    let status = read_status(&app, sender, sent.message.conversation_id, sent.message.seq).await;
                    answer(status.map(|status| acknowledge(sent, status)));
                });
            }
            outcome => answer(outcome.map(|sent| acknowledge(sent, Some(MessageStatus::Sent)))),
        }),
    });
}

fn acknowledge(sent: SentMessage, status: Option<MessageStatus>) -> AcknowledgedSend {
    let SentMessage { rev, message, own_emojis, repeated, .. } = sent;
    AcknowledgedSend { rev, message: message.for_viewer(&own_emojis, status), repeated }
}

/// Returns the status of a message of `sender`, or `None` if the sender has left the conversation.
async fn read_status(
    app: &App,
    sender: UserId,
    conversation_id: ConversationId,
    seq: Seq,
) -> Result<Option<MessageStatus>> {
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            if members::role(conn, conversation_id, sender).await?.is_none() {
                return Ok(None);
            }
            get_status(conn, sender, conversation_id, seq).await.map(Some)
        })
    })
    .await
}

/// Sends a message and waits until it is committed or refused.
pub async fn send(app: &App, checked: CheckedSend) -> Result<AcknowledgedSend> {
    let (answer, answered) = oneshot::channel();
    enqueue(app, checked, |outcome| drop(answer.send(outcome)));
    answered.await.unwrap_or_else(|_| Err(Error::unavailable("The server is stopping; try again.")))
}

/// Selects messages of a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageRange {
    Newest,
    /// Messages with a smaller `seq`.
    Before(Seq),
    /// Messages with a greater `seq`.
    After(Seq),
    /// The message with this `seq` and its neighbours. A `seq` beyond the end means the end.
    Around(Seq),
}

/// Lists messages in ascending order, with the revision after which events continue the page.
pub async fn list(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    range: MessageRange,
    limit: u64,
) -> Result<MessagePage> {
    let user_id = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { Viewer { conn, user_id, conversation_id }.list(range, limit).await })
    })
    .await
}

/// A user who reads a conversation, without the messages that the user has hidden.
struct Viewer<'r, C> {
    conn: &'r C,
    user_id: UserId,
    conversation_id: ConversationId,
}

impl<C: ConnectionTrait> Viewer<'_, C> {
    async fn list(&self, range: MessageRange, limit: u64) -> Result<MessagePage> {
        // Read the revision first. A change that is committed while the rows are read is then in the events, and may be
        // in the rows too, but is never lost.
        let Some((rev, last_seq)) = messages::newest_numbers(self.conn, self.conversation_id).await? else {
            return Err(Error::not_found("conversation"));
        };
        let (items, has_more_before, has_more_after) = match range {
            MessageRange::Newest => {
                let (items, more) = self.before(Seq(i64::MAX), limit).await?;
                (items, more, false)
            }
            MessageRange::Before(seq) => {
                let (items, more) = self.before(seq, limit).await?;
                let newest = items.last().map_or(Seq(seq.0 - 1), |row| row.seq);
                (items, more, self.has_any(Side::After(newest)).await?)
            }
            MessageRange::After(seq) => {
                let (items, more) = self.after(seq, limit).await?;
                let oldest = items.first().map_or(Seq(seq.0.saturating_add(1)), |row| row.seq);
                (items, self.has_any(Side::Before(oldest)).await?, more)
            }
            MessageRange::Around(seq) => {
                let seq = Seq(seq.0.clamp(0, last_seq.0));
                let (mut items, before) = self.before(seq, (limit - 1) / 2).await?;
                let (after, more) = self.after(Seq(seq.0 - 1), limit - items.len() as u64).await?;
                items.extend(after);
                (items, before, more)
            }
        };
        let items = list_for_viewer(self.conn, self.user_id, self.conversation_id, items).await?;
        // Check membership after reading: a user removed meanwhile must not see newer rows.
        access::require_participant(self.conn, self.conversation_id, self.user_id).await?;
        Ok(MessagePage { items, has_more_before, has_more_after, rev })
    }

    /// Returns the messages just before `seq`, ascending, and whether there are more.
    async fn before(&self, seq: Seq, limit: u64) -> Result<(Vec<MessageRow>, bool)> {
        let (mut items, more) = self.list_beside(Side::Before(seq), limit).await?;
        items.reverse();
        Ok((items, more))
    }

    /// Returns the messages just after `seq`, ascending, and whether there are more.
    async fn after(&self, seq: Seq, limit: u64) -> Result<(Vec<MessageRow>, bool)> {
        self.list_beside(Side::After(seq), limit).await
    }

    async fn list_beside(&self, side: Side, limit: u64) -> Result<(Vec<MessageRow>, bool)> {
        let mut items = messages::page(self.conn, self.conversation_id, self.user_id, side, limit + 1).await?;
        let more = items.len() as u64 > limit;
        items.truncate(limit as usize);
        Ok((items, more))
    }

    /// Whether there are messages on that side.
    async fn has_any(&self, side: Side) -> Result<bool> {
        Ok(messages::has_any(self.conn, self.conversation_id, self.user_id, side).await?)
    }
}

/// Returns one message. Fails if the caller is not a participant, or has hidden it.
pub async fn get(app: &App, caller: &Caller, id: MessageId) -> Result<Message> {
    let user = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let row = find(conn, id).await?;
            let (conversation_id, seq) = (row.conversation_id, row.seq);
            let message = get_for_viewer(conn, user, row).await?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_visible(conn, conversation_id, seq, user).await?;
            Ok(message)
        })
    })
    .await
}

async fn find(conn: &impl ConnectionTrait, id: MessageId) -> Result<MessageRow> {
    messages::by_id(conn, id).await?.ok_or_else(|| Error::not_found("message"))
}

/// Returns a message with at most `limit` neighbours in all: half of them on each side, one more before it if `limit`
/// is odd.
pub async fn get_context(app: &App, caller: &Caller, id: MessageId, limit: u64) -> Result<MessageContext> {
    let user_id = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let row = find(conn, id).await?;
            let (conversation_id, seq) = (row.conversation_id, row.seq);
            let viewer = Viewer { conn, user_id, conversation_id };
            let (mut items, has_more_before) = viewer.before(seq, limit.div_ceil(2)).await?;
            let (after, has_more_after) = viewer.after(seq, limit / 2).await?;
            let before_count = items.len();
            items.push(row);
            items.extend(after);
            let mut before = list_for_viewer(conn, user_id, conversation_id, items).await?;
            let after = before.split_off(before_count + 1);
            let message = before.pop().ok_or_else(|| Error::not_found("message"))?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_visible(conn, conversation_id, seq, user_id).await?;
            Ok(MessageContext { message, before, after, has_more_before, has_more_after })
        })
    })
    .await
}
