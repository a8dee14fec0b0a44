//! Makes the resources of messages as a viewer sees them, and as all users get them in events.
//!
//! Each further table takes one statement for any number of messages.

use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, MessageId, MessageKey, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::text::preview;
use crate::error::{Error, Result};
use crate::protocol::messages::{Message, MessageStatus, Quote};
use crate::protocol::reactions::Reaction;
use crate::protocol::shared_message::SharedMessage;
use crate::store::messages::page::PageRows;
use crate::store::messages::page::extras::PageExtras;
use crate::store::messages::parts::{self, ReactionRow};
use crate::store::messages::{self, FurthestMarks, MessageRow, QuotedRow};
use sea_orm::ConnectionTrait;
use std::collections::HashMap;

/// Returns messages of one conversation as `viewer` sees them, in the order of `rows`.
pub async fn list_for_viewer(
    conn: &impl ConnectionTrait,
    viewer: UserId,
    conversation: ConversationId,
    rows: Vec<MessageRow>,
) -> Result<Vec<Message>> {
    let mut found = MessageExtras::read(conn, Some(viewer), &rows).await?;
    let is_own = |row: &MessageRow| row.sender_id() == Some(viewer);
    let marks =
        if rows.iter().any(is_own) { messages::furthest_marks(conn, conversation, viewer).await? } else { None };
    let to_message = |row: MessageRow| {
        let status = is_own(&row).then(|| status_of(marks, row.seq));
        let (mentions, reactions) = found.take(&row);
        let reactions = reactions.into_iter().map(|row| to_reaction(row, true)).collect();
        build_message(row, None, mentions, reactions, status)
    };
    Ok(rows.into_iter().map(to_message).collect())
}

/// Returns messages of a page as `viewer` sees them, in the order of `rows`, with what was read for the whole page.
pub fn list_of_page(viewer: UserId, rows: Vec<MessageRow>, page: &PageRows, extras: &mut PageExtras) -> Vec<Message> {
    let to_message = |row: MessageRow| {
        let status = (row.sender_id() == Some(viewer)).then(|| status_of(Some(page.marks), row.seq));
        let quote = page.replies.get(&row.id).and_then(|quoted| extras.quotes.get(quoted)).map(quote_row);
        let mentions = extras.mentions.remove(&row.id).unwrap_or_default();
        let reactions = extras.reactions.remove(&row.id).unwrap_or_default();
        let reactions = reactions.into_iter().map(|row| to_reaction(row, true)).collect();
        build_message(row, quote, mentions, reactions, status)
    };
    rows.into_iter().map(to_message).collect()
}

/// Returns a message as `viewer` sees it.
pub async fn get_for_viewer(conn: &impl ConnectionTrait, viewer: UserId, row: MessageRow) -> Result<Message> {
    let conversation = row.conversation_id;
    let mut messages = list_for_viewer(conn, viewer, conversation, vec![row]).await?;
    messages.pop().ok_or_else(|| Error::internal("a row has no message"))
}

/// A stored message, with what its author needs to see it.
#[derive(Clone, Debug)]
pub struct AuthorMessage {
    pub message: SharedMessage,
    /// The emojis with which the author has reacted to the message.
    pub own_emojis: Vec<String>,
    /// The revision of its `message.new`.
    pub rev: Rev,
}

/// Returns messages that are each sent to their author. [`SharedMessage::for_viewer`] adds the status.
pub async fn list_for_authors(
    conn: &impl ConnectionTrait,
    rows: Vec<MessageRow>,
) -> Result<HashMap<MessageId, AuthorMessage>> {
    let mut found = MessageExtras::read(conn, None, &rows).await?;
    let reacted: Vec<MessageKey> =
        rows.iter().filter(|row| found.reactions.contains_key(&row.id)).map(MessageRow::key).collect();
    let mut own_emojis = parts::list_author_emojis(conn, &reacted).await?;
    let to_message = |row: MessageRow| {
        let (id, rev) = (row.id, row.rev);
        let (mentions, reactions) = found.take(&row);
        let reactions = reactions.into_iter().map(|row| to_reaction(row, false)).collect();
        let message = SharedMessage::new(build_message(row, None, mentions, reactions, None));
        (id, AuthorMessage { message, own_emojis: own_emojis.remove(&id).unwrap_or_default(), rev })
    };
    Ok(rows.into_iter().map(to_message).collect())
}

/// Returns what an author who has left the conversation may see of a message: neither what other users did since, nor
/// the text that it quotes, which another user may have changed.
pub fn for_former_participant(message: &SharedMessage) -> SharedMessage {
    let mut message = Message::clone(message);
    message.reactions.clear();
    message.pinned = false;
    if let Some(quote) = &mut message.reply_to {
        quote.content.clear();
    }
    SharedMessage::new(message)
}

/// Returns the status of a viewer's own message.
pub async fn get_status(
    conn: &impl ConnectionTrait,
    viewer: UserId,
    conversation: ConversationId,
    seq: Seq,
) -> Result<MessageStatus> {
    Ok(status_of(messages::furthest_marks(conn, conversation, viewer).await?, seq))
}

/// Returns the status of a message that the other participants have received or read up to these marks. `None`: there
/// is no status beyond `sent`.
fn status_of(marks: Option<FurthestMarks>, seq: Seq) -> MessageStatus {
    match marks {
        Some(marks) if marks.read >= seq => MessageStatus::Seen,
        Some(marks) if marks.delivered >= seq => MessageStatus::Delivered,
        _ => MessageStatus::Sent,
    }
}

/// Returns the quote of a message of the same transaction.
pub(in crate::work) fn quote_message(message: &SharedMessage) -> Quote {
    build_quote(message.id, message.seq, message.sender_id, message.kind, &message.content)
}

fn build_quote(id: MessageId, seq: Seq, sender_id: Option<UserId>, kind: MessageKind, content: &str) -> Quote {
    Quote { id, seq, sender_id, kind, content: preview(content, limits::PREVIEW_CHARS) }
}

/// Returns the quote of a stored message.
pub(in crate::work) fn quote_row(row: &QuotedRow) -> Quote {
    build_quote(row.id, row.seq, row.sender_id, row.kind, &row.content)
}

fn to_reaction(row: ReactionRow, has_viewer: bool) -> Reaction {
    Reaction { emoji: row.emoji, count: row.count, me: has_viewer.then_some(row.is_own) }
}

/// What other tables add to messages.
struct MessageExtras {
    mentions: HashMap<MessageId, Vec<UserId>>,
    reactions: HashMap<MessageId, Vec<ReactionRow>>,
}

impl MessageExtras {
    async fn read(conn: &impl ConnectionTrait, viewer: Option<UserId>, rows: &[MessageRow]) -> Result<Self> {
        let keys: Vec<MessageKey> = rows.iter().filter(|row| row.deleted_at.is_none()).map(MessageRow::key).collect();
        Ok(Self {
            mentions: parts::list_mentions(conn, &keys).await?,
            reactions: parts::list_reactions(conn, &keys, viewer).await?,
        })
    }

    fn take(&mut self, row: &MessageRow) -> (Vec<UserId>, Vec<ReactionRow>) {
        (self.mentions.remove(&row.id).unwrap_or_default(), self.reactions.remove(&row.id).unwrap_or_default())
    }
}

/// Builds a message. `quote` replaces the quote of the row, which is empty for a message of a page and for one that is
/// not stored yet.
pub fn build_message(
    row: MessageRow,
    quote: Option<Quote>,
    mentions: Vec<UserId>,
    reactions: Vec<Reaction>,
    status: Option<MessageStatus>,
) -> Message {
    Message {
        id: row.id,
        conversation_id: row.conversation_id,
        seq: row.seq,
        sender_id: row.sender_id(),
        kind: row.kind,
        content: row.content,
        data: row.data,
        attachments: Vec::new(),
        reply_to: quote.or_else(|| row.reply_to.as_ref().map(quote_row)),
        mentions,
        mentions_all: row.mentions_all,
        reactions,
        pinned: row.pinned,
        status,
        temp_id: row.temp_id,
        edited_at: row.edited_at,
        deleted_at: row.deleted_at,
        created_at: row.created_at,
        sender: row.sender,
    }
}
