//! Messages: send, and read what was said.

use super::Caller;
use super::conversations::require_participant;
use crate::app::App;
use crate::domain::content::{self, MessageKind};
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::limits;
use crate::domain::tokens;
use crate::error::{Error, FieldError, Result};
use crate::mailboxes::{SendJob, SentMessage};
use crate::protocol::resources::{Message, MessageContext, MessagePage, MessageStatus};
use crate::store::hydrate::hydrate;
use crate::store::messages::{self, Reached, Side};
use crate::store::pools::Share;
use crate::store::{hidden, participants};
use serde_json::json;
use tokio::sync::oneshot;

/// What a client asks to be sent, as it came.
#[derive(Debug, Default)]
pub struct Draft {
    /// Text.
    pub content: Option<String>,
    /// Kind, when it needs `data`.
    pub kind: Option<MessageKind>,
    /// What the kind needs.
    pub data: Option<serde_json::Value>,
    /// Uploads to attach.
    pub attachment_ids: Vec<uuid::Uuid>,
    /// What it answers.
    pub reply_to_id: Option<MessageId>,
    /// The client's own id of it.
    pub temp_id: Option<String>,
}

/// Checks a draft and puts it in the queue of its conversation's writer. The order of calls is the order of messages, and
/// outcomes come in the order of commits. `answer` is called once whatever happens, a refusal among it, and with the message as
/// its author sees it.
pub fn enqueue(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    draft: Draft,
    answer: impl FnOnce(Result<SentMessage>) + Send + Sync + 'static,
) {
    let answer = crate::mailboxes::answer(answer);
    let draft = match checked(draft) {
        Ok(draft) => draft,
        Err(error) => return answer(Err(error)),
    };
    let (owner, sender) = (app.clone(), caller.user_id);
    app.enqueue_send(SendJob {
        message_id: MessageId::new(),
        conversation_id: conversation,
        sender_id: sender,
        kind: draft.kind.unwrap_or(MessageKind::Text),
        body_hash: hash(&draft),
        content: draft.content.unwrap_or_default(),
        data: draft.data,
        reply_to_id: draft.reply_to_id,
        temp_id: draft.temp_id,
        skipped: 0,
        unknown_until: None,
        answer: Box::new(move |outcome| match outcome {
            // how far a message got that was committed before is looked up; the others do not wait for it
            Ok(sent) if sent.replayed => {
                let app = owner.clone();
                owner.spawn(async move { answer(reached(&app, sender, sent).await) });
            }
            outcome => answer(outcome.map(|mut sent| {
                sent.message.status = Some(MessageStatus::Sent);
                sent
            })),
        }),
    });
}

async fn reached(app: &App, sender: UserId, mut sent: SentMessage) -> Result<SentMessage> {
    let conversation = sent.message.conversation_id;
    let inside = participants::role(app.db().read(Share::Ordinary), conversation, sender).await?.is_some();
    if inside {
        let reached = messages::reached(app.db().read(Share::Ordinary), conversation, sender).await?;
        sent.message.status = Some(Reached::status(reached, sent.message.seq));
    }
    Ok(sent)
}

/// Sends a message.
pub async fn send(app: &App, caller: &Caller, conversation: ConversationId, draft: Draft) -> Result<SentMessage> {
    let (answer, answered) = oneshot::channel();
    enqueue(app, caller, conversation, draft, |outcome| drop(answer.send(outcome)));
    answered.await.unwrap_or_else(|_| Err(Error::unavailable("the server is stopping; try again")))
}

/// Checks all that can be checked without the database; every field that is wrong is named.
fn checked(draft: Draft) -> Result<Draft> {
    let mut wrong = Vec::new();
    let mut note = |field: &str, message: String| wrong.push(FieldError { field: field.to_owned(), message });
    let text = content::content(draft.content.as_deref().unwrap_or_default())
        .map_err(|message| note("content", message.to_owned()))
        .unwrap_or_default();
    let kind = match draft.kind {
        None | Some(MessageKind::Text) => None,
        Some(kind @ (MessageKind::Sticker | MessageKind::Location | MessageKind::Contact)) => Some(kind),
        Some(kind) => {
            note("type", format!("is {} only by what is attached; leave it out", kind.as_str()));
            None
        }
    };
    if let Err(message) = content::data(kind.unwrap_or(MessageKind::Text), draft.data.as_ref()) {
        note("data", message);
    }
    if let Some(temp_id) = &draft.temp_id
        && let Err(message) = content::temp_id(temp_id)
    {
        note("temp_id", message.to_owned());
    }
    if draft.attachment_ids.len() > limits::ATTACHMENTS {
        note("attachment_ids", "must have at most 10 items".to_owned());
    } else if !draft.attachment_ids.is_empty() {
        note("attachment_ids", "is not an upload of yours".to_owned());
    }
    if text.is_empty() && draft.data.is_none() && draft.attachment_ids.is_empty() && wrong.is_empty() {
        wrong.push(FieldError { field: "content".to_owned(), message: "must not be empty".to_owned() });
    }
    if wrong.is_empty() { Ok(Draft { content: Some(text), kind, ..draft }) } else { Err(Error::validation(wrong)) }
}

/// The hash by which a repeated `temp_id` is told from a reused one: of all that was sent, but the `temp_id`.
fn hash(draft: &Draft) -> String {
    let body = json!([
        draft.content,
        draft.kind.map(MessageKind::as_str),
        draft.data,
        draft.attachment_ids,
        draft.reply_to_id
    ]);
    tokens::body_hash(body.to_string().as_bytes())
}

/// Which messages of a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Range {
    /// The newest.
    Newest,
    /// Below a place.
    Before(Seq),
    /// Above a place.
    After(Seq),
    /// On both sides of a place, with the message there; beyond the end is the end.
    Around(Seq),
}

/// A page of messages, ascending, with the revision from which events continue it.
pub async fn list(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    range: Range,
    limit: u64,
) -> Result<MessagePage> {
    // the revision first: whatever commits while the rows are read is then in both the rows and the events
    let Some((rev, last_seq)) = messages::head(app.db().read(Share::Ordinary), conversation).await? else {
        return Err(Error::not_found("conversation"));
    };
    let around = Around { app, viewer: caller.user_id, conversation };
    let (items, has_more_before, has_more_after) = match range {
        Range::Newest => {
            let (items, more) = around.before(Seq(i64::MAX), limit).await?;
            (items, more, false)
        }
        Range::Before(seq) => {
            let (items, more) = around.before(seq, limit).await?;
            let newest = items.last().map_or(Seq(seq.0 - 1), |message| message.seq);
            (items, more, around.any(Side::After(newest)).await?)
        }
        Range::After(seq) => {
            let (items, more) = around.after(seq, limit).await?;
            let oldest = items.first().map_or(Seq(seq.0.saturating_add(1)), |message| message.seq);
            (items, around.any(Side::Before(oldest)).await?, more)
        }
        Range::Around(seq) => {
            let seq = Seq(seq.0.clamp(0, last_seq.0));
            let (mut items, before) = around.before(seq, (limit - 1) / 2).await?;
            let (after, more) = around.after(Seq(seq.0 - 1), limit - items.len() as u64).await?;
            items.extend(after);
            (items, before, more)
        }
    };
    let items = shown(app, caller.user_id, conversation, items).await?;
    // the right last: whoever is removed while the rows are read is not shown what came after
    require_participant(app, caller, conversation).await?;
    Ok(MessagePage { items, has_more_before, has_more_after, rev })
}

/// What a viewer has not hidden of a conversation, from some place on.
struct Around<'a> {
    app: &'a App,
    viewer: UserId,
    conversation: ConversationId,
}

impl Around<'_> {
    /// The nearest messages below `seq`, ascending, and whether there are more.
    async fn before(&self, seq: Seq, limit: u64) -> Result<(Vec<Message>, bool)> {
        let (mut items, more) = self.nearest(Side::Before(seq), limit).await?;
        items.reverse();
        Ok((items, more))
    }

    /// The nearest messages above `seq`, ascending, and whether there are more.
    async fn after(&self, seq: Seq, limit: u64) -> Result<(Vec<Message>, bool)> {
        self.nearest(Side::After(seq), limit).await
    }

    async fn nearest(&self, side: Side, limit: u64) -> Result<(Vec<Message>, bool)> {
        let conn = self.app.db().read(Share::Ordinary);
        let mut items = messages::beside(conn, self.conversation, self.viewer, side, limit + 1).await?;
        let more = items.len() as u64 > limit;
        items.truncate(limit as usize);
        Ok((items, more))
    }

    /// Whether there is anything on that side.
    async fn any(&self, side: Side) -> Result<bool> {
        Ok(messages::any_beside(self.app.db().read(Share::Ordinary), self.conversation, self.viewer, side).await?)
    }
}

/// Messages of one conversation as the viewer sees them: with what hangs on them, and how far the viewer's own got.
pub(super) async fn shown(
    app: &App,
    viewer: UserId,
    conversation: ConversationId,
    mut items: Vec<Message>,
) -> Result<Vec<Message>> {
    hydrate(app.db().read(Share::Ordinary), Some(viewer), &mut items).await?;
    if items.iter().any(|message| message.sender_id == Some(viewer)) {
        let reached = messages::reached(app.db().read(Share::Ordinary), conversation, viewer).await?;
        for message in items.iter_mut().filter(|message| message.sender_id == Some(viewer)) {
            message.status = Some(Reached::status(reached, message.seq));
        }
    }
    Ok(items)
}

/// One message, for a participant of its conversation who has not hidden it.
pub async fn get(app: &App, caller: &Caller, id: MessageId) -> Result<Message> {
    let message = found(app, id).await?;
    let conversation = message.conversation_id;
    let mut items = shown(app, caller.user_id, conversation, vec![message]).await?;
    require_visible(app, caller, conversation, id).await?;
    items.pop().ok_or_else(|| Error::not_found("message"))
}

async fn found(app: &App, id: MessageId) -> Result<Message> {
    let found = messages::by_ids(app.db().read(Share::Ordinary), &[id]).await?.pop();
    found.map(|(message, _)| message).ok_or_else(|| Error::not_found("message"))
}

/// The right last: whoever is removed while the rows are read is not shown what came after.
async fn require_visible(app: &App, caller: &Caller, conversation: ConversationId, id: MessageId) -> Result<()> {
    require_participant(app, caller, conversation).await?;
    if hidden::is_hidden(app.db().read(Share::Ordinary), caller.user_id, id).await? {
        return Err(Error::not_found("message"));
    }
    Ok(())
}

/// A message among its neighbours: at most `limit` of them in all, half on each side, the odd one before.
pub async fn context(app: &App, caller: &Caller, id: MessageId, limit: u64) -> Result<MessageContext> {
    let message = found(app, id).await?;
    let (conversation, seq) = (message.conversation_id, message.seq);
    let around = Around { app, viewer: caller.user_id, conversation };
    let (mut items, has_more_before) = around.before(seq, limit.div_ceil(2)).await?;
    let (after, has_more_after) = around.after(seq, limit / 2).await?;
    let own = items.len();
    items.push(message);
    items.extend(after);
    let mut before = shown(app, caller.user_id, conversation, items).await?;
    let after = before.split_off(own + 1);
    let message = before.pop().ok_or_else(|| Error::not_found("message"))?;
    require_visible(app, caller, conversation, id).await?;
    Ok(MessageContext { message, before, after, has_more_before, has_more_after })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(draft: Draft) -> Vec<String> {
        let error = checked(draft).expect_err("a refusal");
        error.fields().iter().map(|field| field.field.clone()).collect()
    }

    #[test]
    fn a_message_needs_something_in_it() {
        assert_eq!(refused(Draft::default()), ["content"]);
        assert_eq!(refused(Draft { content: Some("  ".into()), ..Draft::default() }), ["content"]);
    }

    #[test]
    fn nothing_can_be_attached_that_is_no_upload() {
        for count in [1, limits::ATTACHMENTS + 1] {
            let attachment_ids = vec![uuid::Uuid::nil(); count];
            let draft = Draft { content: Some("see".into()), attachment_ids, ..Draft::default() };
            assert_eq!(refused(draft), ["attachment_ids"]);
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let draft = Draft {
            content: Some("a\0".into()),
            kind: Some(MessageKind::System),
            temp_id: Some(String::new()),
            ..Draft::default()
        };
        assert_eq!(refused(draft), ["content", "type", "temp_id"]);
    }

    #[test]
    fn the_hash_is_of_what_is_said_and_not_of_its_name() {
        let draft = |content: &str, temp_id: &str| {
            checked(Draft { content: Some(content.into()), temp_id: Some(temp_id.into()), ..Draft::default() })
                .expect("a good draft")
        };
        assert_eq!(hash(&draft("hi", "1")), hash(&draft(" hi ", "2")));
        assert_ne!(hash(&draft("hi", "1")), hash(&draft("ho", "1")));
    }
}
