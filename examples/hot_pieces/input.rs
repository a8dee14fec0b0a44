//! The ids, users and messages that the pieces share. They are the same in each run.

use greenroom::domain::content::MessageKind;
use greenroom::domain::ids::{ConversationId, MessageId, Rev, Seq, SessionId, UserId};
use greenroom::domain::stream::Stream;
use greenroom::domain::time::Timestamp;
use greenroom::protocol::envelope::Envelope;
use greenroom::protocol::events::Event;
use greenroom::protocol::shared_message::{MessageEvent, SharedMessage};
use greenroom::protocol::users::UserBrief;
use greenroom::store::messages::MessageRow;
use greenroom::work::assemble::messages::build_message;
use uuid::Uuid;

/// The time of everything.
pub const TIME: Timestamp = Timestamp(1_700_000_000_000);
/// The text of all messages, with a hundred characters.
pub const TEXT: &str =
    "A message as people write it: two sentences, and a name. It has exactly one hundred characters here.";

pub fn conversation(number: usize) -> ConversationId {
    ConversationId(id(1, number))
}

pub fn user(number: usize) -> UserId {
    UserId(id(2, number))
}

pub fn message_id(number: usize) -> MessageId {
    MessageId(id(3, number))
}

pub fn session(number: usize) -> SessionId {
    SessionId(id(4, number))
}

fn id(kind: u128, number: usize) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + (kind << 40) + number as u128)
}

pub fn brief(number: usize) -> UserBrief {
    UserBrief {
        id: user(number),
        username: format!("user{number}"),
        display_name: format!("User {number}"),
        avatar_url: None,
    }
}

/// Returns the row of a message of the first conversation. Two users write in turn.
pub fn row(number: usize) -> MessageRow {
    MessageRow {
        id: message_id(number),
        conversation_id: conversation(0),
        seq: Seq(number as i64),
        rev: Rev(number as i64),
        sender: Some(brief(number % 2)),
        kind: MessageKind::Text,
        content: TEXT.to_owned(),
        data: None,
        reply_to: None,
        mentions_all: false,
        pinned: false,
        temp_id: Some(format!("temp-{number}")),
        edited_at: None,
        deleted_at: None,
        created_at: TIME,
    }
}

/// Returns the event that tells of the message with this number.
pub fn event(number: usize) -> Event {
    let message = build_message(row(number), None, Vec::new(), Vec::new(), None);
    Event::MessageNew(MessageEvent::new(SharedMessage::new(message)))
}

/// Returns the event in its envelope. The number is its revision.
pub fn envelope(number: usize) -> Envelope {
    Envelope::new(&event(number), stream(), Rev(number as i64))
}

/// Returns the stream of the first conversation.
pub fn stream() -> Stream {
    Stream::Conversation(conversation(0))
}
