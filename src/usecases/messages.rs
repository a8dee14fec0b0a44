//! Messages: sending, listing and reading them.

use crate::app::App;
use crate::domain::content::{self, MessageKind};
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::limits;
use crate::domain::tokens;
use crate::error::{Error, FieldError, Result};
use crate::mailboxes::{SendJob, SentMessage};
use crate::protocol::messages::{Message, MessageContext, MessagePage, MessageStatus};
use crate::store::db::pools::ReadPool;
use crate::store::members;
use crate::store::messages::assemble::assemble;
use crate::store::messages::{self, FurthestMarks, Side};
use crate::work::read::read;
use crate::domain::caller::Caller;
use crate::work::access;
use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio::sync::oneshot;

/// A message as the client sent it, not checked yet.
#[derive(Debug, Default)]
pub struct Draft {
    pub content: Option<String>,
    /// Only for a kind that needs `data`.
    pub kind: Option<MessageKind>,
    /// What the kind needs besides text, such as a location.
    pub data: Option<serde_json::Value>,
    pub attachment_ids: Vec<uuid::Uuid>,
    pub reply_to_id: Option<MessageId>,
    /// Chosen by the client, so that a repeated send stores no second message.
    pub temp_id: Option<String>,
}

/// Checks a draft and puts it into the queue of the writer of its conversation. Messages get their `seq` in the order
/// of the calls. `answer` is called once in any case, in the order of commits, with the message as its author sees it
/// or with an error.
pub fn enqueue(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    draft: Draft,
    answer: impl FnOnce(Result<SentMessage>) + Send + Sync + 'static,
) {
    let answer = crate::mailboxes::answer(answer);
    let draft = match check_draft(draft) {
        Ok(draft) => draft,
        Err(error) => return answer(Err(error)),
    };
    let (owned_app, sender) = (app.clone(), caller.user_id);
    app.enqueue_send(SendJob {
        message_id: MessageId::new(),
        conversation_id: conversation,
        sender_id: sender,
        kind: draft.kind.unwrap_or(MessageKind::Text),
        body_hash: body_hash(&draft),
        content: draft.content.unwrap_or_default(),
        data: draft.data,
        reply_to_id: draft.reply_to_id,
        temp_id: draft.temp_id,
        times_postponed: 0,
        unknown_until: None,
        answer: Box::new(move |outcome| match outcome {
            // The status of a message that was stored by an earlier send is read in another task, so that other answers
            // do not wait.
            Ok(sent) if sent.repeated => {
                let app = owned_app.clone();
                owned_app.spawn(async move { answer(add_status(&app, sender, sent).await) });
            }
            outcome => answer(outcome.map(|mut sent| {
                sent.message.status = Some(MessageStatus::Sent);
                sent
            })),
        }),
    });
}

async fn add_status(app: &App, sender: UserId, mut sent: SentMessage) -> Result<SentMessage> {
    let conversation = sent.message.conversation_id;
    let reached = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let is_participant = members::role(conn, conversation, sender).await?.is_some();
            if is_participant {
                Ok(Some(messages::furthest_marks(conn, conversation, sender).await?))
            } else {
                Ok(None)
            }
        })
    });
    if let Some(reached) = reached.await? {
        sent.message.status = Some(FurthestMarks::status(reached, sent.message.seq));
    }
    Ok(sent)
}

/// Sends a message and waits until it is committed or refused.
pub async fn send(app: &App, caller: &Caller, conversation: ConversationId, draft: Draft) -> Result<SentMessage> {
    let (answer, answered) = oneshot::channel();
    enqueue(app, caller, conversation, draft, |outcome| drop(answer.send(outcome)));
    answered.await.unwrap_or_else(|_| Err(Error::unavailable("The server is stopping; try again.")))
}

/// Checks everything that needs no database. The error names all invalid fields.
fn check_draft(draft: Draft) -> Result<Draft> {
    let mut errors = Vec::new();
    let mut add_error = |field: &str, message: String| errors.push(FieldError { field: field.to_owned(), message });
    let text = content::parse_content(draft.content.as_deref().unwrap_or_default())
        .map_err(|message| add_error("content", message.into_owned()))
        .unwrap_or_default();
    let kind = match draft.kind {
        None | Some(MessageKind::Text) => None,
        Some(kind @ (MessageKind::Sticker | MessageKind::Location | MessageKind::Contact)) => Some(kind),
        Some(kind) => {
            add_error(
                "type",
                format!("must be absent: a message becomes {} only through its attachments", kind.as_str()),
            );
            None
        }
    };
    if let Err(message) = content::check_data(kind.unwrap_or(MessageKind::Text), draft.data.as_ref()) {
        add_error("data", message);
    }
    if let Some(temp_id) = &draft.temp_id
        && let Err(message) = content::parse_temp_id(temp_id)
    {
        add_error("temp_id", message.into_owned());
    }
    if draft.attachment_ids.len() > limits::ATTACHMENTS_PER_MESSAGE {
        add_error("attachment_ids", limits::at_most(limits::ATTACHMENTS_PER_MESSAGE, "items").into_owned());
    } else if !draft.attachment_ids.is_empty() {
        add_error("attachment_ids", "must contain only ids of uploads of yours".to_owned());
    }
    if text.is_empty() && draft.data.is_none() && draft.attachment_ids.is_empty() && errors.is_empty() {
        errors.push(FieldError { field: "content".to_owned(), message: "must not be empty".to_owned() });
    }
    if errors.is_empty() { Ok(Draft { content: Some(text), kind, ..draft }) } else { Err(Error::validation(errors)) }
}

/// Returns the hash of the draft without its `temp_id`. It shows whether a `temp_id` is repeated with the same message
/// or used again for another one.
fn body_hash(draft: &Draft) -> String {
    let body = json!([
        draft.content,
        draft.kind.map(MessageKind::as_str),
        draft.data,
        draft.attachment_ids,
        draft.reply_to_id
    ]);
    tokens::body_hash(body.to_string().as_bytes())
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
    conversation: ConversationId,
    range: MessageRange,
    limit: u64,
) -> Result<MessagePage> {
    let user_id = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { Viewer { conn, user_id, conversation }.list(range, limit).await })
    })
    .await
}

/// A user who reads a conversation, without the messages that the user has hidden.
struct Viewer<'r, C> {
    conn: &'r C,
    user_id: UserId,
    conversation: ConversationId,
}

impl<C: ConnectionTrait> Viewer<'_, C> {
    async fn list(&self, range: MessageRange, limit: u64) -> Result<MessagePage> {
        // Read the revision first. A change that is committed while the rows are read is then in the events, and may be
        // in the rows too, but is never lost.
        let Some((rev, last_seq)) = messages::newest_numbers(self.conn, self.conversation).await? else {
            return Err(Error::not_found("conversation"));
        };
        let (items, has_more_before, has_more_after) = match range {
            MessageRange::Newest => {
                let (items, more) = self.before(Seq(i64::MAX), limit).await?;
                (items, more, false)
            }
            MessageRange::Before(seq) => {
                let (items, more) = self.before(seq, limit).await?;
                let newest = items.last().map_or(Seq(seq.0 - 1), |message| message.seq);
                (items, more, self.has_any(Side::After(newest)).await?)
            }
            MessageRange::After(seq) => {
                let (items, more) = self.after(seq, limit).await?;
                let oldest = items.first().map_or(Seq(seq.0.saturating_add(1)), |message| message.seq);
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
        let items = complete(self.conn, self.user_id, self.conversation, items).await?;
        // Check membership after reading: a user removed meanwhile must not see newer rows.
        access::require_participant(self.conn, self.conversation, self.user_id).await?;
        Ok(MessagePage { items, has_more_before, has_more_after, rev })
    }

    /// Returns the messages just before `seq`, ascending, and whether there are more.
    async fn before(&self, seq: Seq, limit: u64) -> Result<(Vec<Message>, bool)> {
        let (mut items, more) = self.list_beside(Side::Before(seq), limit).await?;
        items.reverse();
        Ok((items, more))
    }

    /// Returns the messages just after `seq`, ascending, and whether there are more.
    async fn after(&self, seq: Seq, limit: u64) -> Result<(Vec<Message>, bool)> {
        self.list_beside(Side::After(seq), limit).await
    }

    async fn list_beside(&self, side: Side, limit: u64) -> Result<(Vec<Message>, bool)> {
        let mut items = messages::page(self.conn, self.conversation, self.user_id, side, limit + 1).await?;
        let more = items.len() as u64 > limit;
        items.truncate(limit as usize);
        Ok((items, more))
    }

    /// Whether there are messages on that side.
    async fn has_any(&self, side: Side) -> Result<bool> {
        Ok(messages::has_any(self.conn, self.conversation, self.user_id, side).await?)
    }
}

/// Completes messages of one conversation for a viewer: with mentions and reactions, and with the status of the
/// viewer's own messages.
pub(super) async fn complete(
    conn: &impl ConnectionTrait,
    viewer: UserId,
    conversation: ConversationId,
    mut items: Vec<Message>,
) -> Result<Vec<Message>> {
    assemble(conn, Some(viewer), &mut items).await?;
    if items.iter().any(|message| message.sender_id == Some(viewer)) {
        let reached = messages::furthest_marks(conn, conversation, viewer).await?;
        for message in items.iter_mut().filter(|message| message.sender_id == Some(viewer)) {
            message.status = Some(FurthestMarks::status(reached, message.seq));
        }
    }
    Ok(items)
}

/// Returns one message. Fails if the caller is not a participant, or has hidden it.
pub async fn get(app: &App, caller: &Caller, id: MessageId) -> Result<Message> {
    let user = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let message = find(conn, id).await?;
            let conversation = message.conversation_id;
            let mut items = complete(conn, user, conversation, vec![message]).await?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_visible(conn, conversation, id, user).await?;
            items.pop().ok_or_else(|| Error::not_found("message"))
        })
    })
    .await
}

async fn find(conn: &impl ConnectionTrait, id: MessageId) -> Result<Message> {
    let found = messages::by_ids(conn, &[id]).await?.pop();
    found.map(|(message, _)| message).ok_or_else(|| Error::not_found("message"))
}

/// Returns a message with at most `limit` neighbours in all: half of them on each side, one more before it if `limit`
/// is odd.
pub async fn get_context(app: &App, caller: &Caller, id: MessageId, limit: u64) -> Result<MessageContext> {
    let user_id = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let message = find(conn, id).await?;
            let (conversation, seq) = (message.conversation_id, message.seq);
            let viewer = Viewer { conn, user_id, conversation };
            let (mut items, has_more_before) = viewer.before(seq, limit.div_ceil(2)).await?;
            let (after, has_more_after) = viewer.after(seq, limit / 2).await?;
            let before_count = items.len();
            items.push(message);
            items.extend(after);
            let mut before = complete(conn, user_id, conversation, items).await?;
            let after = before.split_off(before_count + 1);
            let message = before.pop().ok_or_else(|| Error::not_found("message"))?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_visible(conn, conversation, id, user_id).await?;
            Ok(MessageContext { message, before, after, has_more_before, has_more_after })
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(draft: Draft) -> Vec<String> {
        let error = check_draft(draft).expect_err("a refusal");
        error.fields().iter().map(|field| field.field.clone()).collect()
    }

    #[test]
    fn a_message_must_not_be_empty() {
        assert_eq!(refused(Draft::default()), ["content"]);
        assert_eq!(refused(Draft { content: Some("  ".into()), ..Draft::default() }), ["content"]);
    }

    #[test]
    fn attachments_must_be_uploads() {
        for count in [1, limits::ATTACHMENTS_PER_MESSAGE + 1] {
            let attachment_ids = vec![uuid::Uuid::nil(); count];
            let draft = Draft { content: Some("see".into()), attachment_ids, ..Draft::default() };
            assert_eq!(refused(draft), ["attachment_ids"]);
        }
    }

    #[test]
    fn every_invalid_field_is_named() {
        let draft = Draft {
            content: Some("a\0".into()),
            kind: Some(MessageKind::System),
            temp_id: Some(String::new()),
            ..Draft::default()
        };
        assert_eq!(refused(draft), ["content", "type", "temp_id"]);
    }

    #[test]
    fn the_hash_covers_the_content_and_not_the_temp_id() {
        let draft = |content: &str, temp_id: &str| {
            check_draft(Draft { content: Some(content.into()), temp_id: Some(temp_id.into()), ..Draft::default() })
                .expect("a good draft")
        };
        assert_eq!(body_hash(&draft("hi", "1")), body_hash(&draft(" hi ", "2")));
        assert_ne!(body_hash(&draft("hi", "1")), body_hash(&draft("ho", "1")));
    }
}
