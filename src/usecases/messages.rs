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
use crate::store::messages::page::{PageEnd, PageRange, PageSides};
use crate::store::messages::{self, MessageRow};
use crate::work::access;
use crate::work::assemble::messages::{get_for_viewer, get_status};
use crate::work::pages::read_page;
use crate::work::read::read;
use crate::work::unchecked_caller::UncheckedCaller;
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

impl MessageRange {
    /// Returns what to read for a page of `limit` messages: one more where the page ends, which shows whether there are
    /// more.
    fn to_page_range(self, limit: u64) -> PageRange {
        let end = PageEnd::AfterNewest;
        match self {
            Self::Newest => PageRange { point: Seq(i64::MAX), end, sides: PageSides::Before(limit + 1) },
            Self::Before(seq) => PageRange { point: seq, end, sides: PageSides::Before(limit + 1) },
            Self::After(seq) => {
                PageRange { point: Seq(seq.0.saturating_add(1)), end, sides: PageSides::After(limit + 1) }
            }
            Self::Around(seq) => PageRange {
                point: seq,
                end: PageEnd::BeforeNewest,
                sides: PageSides::Both { before: Self::before_around(limit) + 1, after: limit + 1 },
            },
        }
    }

    /// Returns how many messages of a page around a message are before it.
    fn before_around(limit: u64) -> u64 {
        (limit - 1) / 2
    }
}

/// Lists messages in ascending order, with the revision after which events continue the page.
pub async fn list(
    app: &App,
    caller: &UncheckedCaller,
    conversation_id: ConversationId,
    range: MessageRange,
    limit: u64,
) -> Result<MessagePage> {
    let (user_id, login_id) = (caller.user_id(), caller.login_to_read());
    let found = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(read_page(conn, conversation_id, user_id, login_id, range.to_page_range(limit)))
    });
    let found = found.await?;
    caller.decide(app, found.login).await?;
    let mut page = found.check()?;
    let (has_more_before, has_more_after) = match range {
        MessageRange::Newest => (cut_oldest(&mut page.before, limit), false),
        MessageRange::Before(_) => (cut_oldest(&mut page.before, limit), page.has_other_side),
        MessageRange::After(_) => (page.has_other_side, cut_newest(&mut page.after, limit)),
        MessageRange::Around(_) => {
            let has_more_before = cut_oldest(&mut page.before, MessageRange::before_around(limit));
            let rest = limit - page.before.len() as u64;
            (has_more_before, cut_newest(&mut page.after, rest))
        }
    };
    let mut rows = std::mem::take(&mut page.before);
    rows.append(&mut page.after);
    Ok(MessagePage { items: page.to_messages(rows), has_more_before, has_more_after, rev: page.rev })
}

/// Removes the oldest messages beyond `limit`, and returns whether there were any.
fn cut_oldest(messages: &mut Vec<MessageRow>, limit: u64) -> bool {
    let excess = messages.len().saturating_sub(limit as usize);
    messages.drain(..excess);
    excess > 0
}

/// Removes the newest messages beyond `limit`, and returns whether there were any.
fn cut_newest(messages: &mut Vec<MessageRow>, limit: u64) -> bool {
    let has_excess = messages.len() as u64 > limit;
    messages.truncate(limit as usize);
    has_excess
}

/// Returns one message. Fails if the caller is not a participant, or has hidden it.
pub async fn get(app: &App, caller: &Caller, id: MessageId) -> Result<Message> {
    let user = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let row = messages::by_id(conn, id).await?.ok_or_else(|| Error::not_found("message"))?;
            let (conversation_id, seq) = (row.conversation_id, row.seq);
            let message = get_for_viewer(conn, user, row).await?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_visible(conn, conversation_id, seq, user).await?;
            Ok(message)
        })
    })
    .await
}

/// Returns a message with at most `limit` neighbours in all: half of them on each side, one more before it if `limit`
/// is odd.
pub async fn get_context(app: &App, caller: &Caller, id: MessageId, limit: u64) -> Result<MessageContext> {
    let user_id = caller.user_id;
    let (before_limit, after_limit) = (limit.div_ceil(2), limit / 2 + 1);
    let sides = PageSides::Both { before: before_limit + 1, after: after_limit + 1 };
    let found = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let (conversation_id, seq) =
                messages::locate(conn, id).await?.ok_or_else(|| Error::not_found("message"))?;
            let range = PageRange { point: seq, end: PageEnd::AfterNewest, sides };
            read_page(conn, conversation_id, user_id, None, range).await
        })
    });
    let mut page = found.await?.check()?;
    // The message itself is the first one after the point, unless the caller has hidden it.
    if page.after.first().is_none_or(|row| row.id != id) {
        return Err(Error::not_found("message"));
    }
    let has_more_before = cut_oldest(&mut page.before, before_limit);
    let has_more_after = cut_newest(&mut page.after, after_limit);
    let (before, mut after) = (std::mem::take(&mut page.before), std::mem::take(&mut page.after));
    let message = after.remove(0);
    let (before, after) = (page.to_messages(before), page.to_messages(after));
    let message = page.to_messages(vec![message]).pop().ok_or_else(|| Error::internal("a row has no message"))?;
    Ok(MessageContext { message, before, after, has_more_before, has_more_after })
}
