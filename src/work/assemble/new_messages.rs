//! Makes the row, the mentions and the event of a new message, of a user or of the server, in one function.

use super::messages::build_message;
use crate::domain::content::{MessageKind, TempId};
use crate::domain::ids::{ConversationId, MessageId, Rev};
use crate::domain::json_text::JsonText;
use crate::domain::stream::Stream;
use crate::protocol::events::Event;
use crate::protocol::messages::Quote;
use crate::protocol::shared_message::{MessageEvent, SharedMessage};
use crate::protocol::users::UserBrief;
use crate::store::messages::MessageRow;
use crate::store::messages::insert::NewMessageRow;
use crate::work::mentions::Mentioned;
use crate::work::tx::{MessageNumbers, Tx};
use serde_json::Value;

/// What a new message consists of before it has its numbers.
pub struct NewMessageFields<'a> {
    pub id: MessageId,
    pub conversation_id: ConversationId,
    /// `None` for a system message.
    pub author: Option<MessageAuthor<'a>>,
    pub kind: MessageKind,
    pub text: &'a str,
    /// What the kind needs besides text, such as a location.
    pub data: Option<&'a Value>,
    pub reply_to: Option<Quote>,
    pub mentioned: Mentioned,
}

/// The author of a new message, and what identifies the send.
pub struct MessageAuthor<'a> {
    pub brief: &'a UserBrief,
    pub temp_id: Option<&'a TempId>,
    /// The hash of the send without its `temp_id`, in hexadecimal.
    pub body_hash: &'a str,
}

/// A message that a transaction will insert.
pub struct InsertedMessage {
    pub numbers: MessageNumbers,
    /// The revision of its `message.new`.
    pub rev: Rev,
    pub message: SharedMessage,
}

/// Gives a message its numbers in a locked conversation, inserts it with its mentions, and appends `message.new`. A
/// system message does not count as unread.
pub fn insert(tx: &mut Tx, new: NewMessageFields<'_>) -> InsertedMessage {
    let NewMessageFields { id, conversation_id, author, kind, text, data, reply_to, mentioned } = new;
    let numbers = tx.next_message_numbers(conversation_id, author.is_some());
    let temp_id = author.as_ref().and_then(|author| author.temp_id).map(TempId::as_str);
    tx.insert_message(NewMessageRow {
        id,
        conversation_id,
        seq: numbers.seq,
        count: numbers.count,
        rev: numbers.rev,
        sender_id: author.as_ref().map(|author| author.brief.id),
        kind: kind.as_str(),
        content: text.to_owned(),
        data: data.map(ToString::to_string),
        reply_to_id: reply_to.as_ref().map(|quote| quote.id),
        temp_id: temp_id.map(str::to_owned),
        body_hash: author.as_ref().map(|author| author.body_hash.to_owned()),
        mentions_all: mentioned.all,
        created_at: tx.now(),
    });
    tx.insert_mentions(mentioned.rows(conversation_id, numbers.seq, id));
    let row = MessageRow {
        id,
        conversation_id,
        seq: numbers.seq,
        rev: numbers.rev,
        sender: author.as_ref().map(|author| author.brief.clone()),
        kind,
        content: text.to_owned(),
        data: data.map(JsonText::from),
        reply_to: None,
        mentions_all: mentioned.all,
        pinned: false,
        temp_id: temp_id.map(str::to_owned),
        edited_at: None,
        deleted_at: None,
        created_at: tx.now(),
    };
    let message = SharedMessage::new(build_message(row, reply_to, mentioned.users, Vec::new(), None));
    let event = Event::MessageNew(MessageEvent::new(message.clone()));
    let rev = tx.append(Stream::Conversation(conversation_id), &event);
    InsertedMessage { numbers, rev, message }
}
