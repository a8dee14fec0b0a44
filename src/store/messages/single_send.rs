//! The statement that writes everything of a transaction that stores one message, for PostgreSQL.
//!
//! Under light load almost every transaction is of this kind. The statement writes the same rows as the
//! [writes](crate::store::table_write) of a batch, but for one row a statement without sets takes PostgreSQL much less
//! time. It is [prepared](crate::store::prepared), so that it takes one round trip together with COMMIT.

use crate::domain::stream::Stream;
use crate::protocol::envelope::Envelope;
use crate::store::locks::LockedConversation;
use crate::store::marks::SenderMark;
use crate::store::messages::insert::NewMessageRow;
use crate::store::prepared::{Argument, Hex, PreparedCall, PreparedStatement};
use uuid::Uuid;

/// The number of rows that the statement writes.
pub const ROWS: u64 = 4;

/// The greatest size of an event, in bytes. In hexadecimal it is twice as long, so a message with a longer one is
/// written like a batch, whose values are parameters.
const MAX_EVENT_BYTES: usize = 4096;

/// The statement. $1: the conversation, $2: the message, $3: its `seq`, $4: its count, $5: the revision, $6: the sender,
/// $7: the kind, $8: the content, $9: the data, $10: the quoted message, $11: the `temp_id`, $12: the hash of the body,
/// $13: the time, $14: the kind of the stream, $15: the type of the event, $16: the event.
pub const PREPARED: &PreparedStatement = &PreparedStatement {
    name: "write_single_send",
    types: "uuid, uuid, bigint, bigint, bigint, uuid, text, text, text, uuid, text, text, bigint, bigint, text, text",
    text: || {
        let text = |number: u32| format!("convert_from(decode(${number}, 'hex'), 'UTF8')");
        let quoted = "NULLIF($10, '00000000-0000-0000-0000-000000000000')";
        format!(
            "WITH head AS (
                 UPDATE conversations SET last_seq = $3, last_count = $4, last_rev = $5, last_message_at = $13 WHERE id = $1
             ), message AS (
                 INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, data, reply_to_id,
                                       temp_id, body_hash, created_at, mentions_all)
                 VALUES ($2, $1, $3, $4, $5, $6, {kind}, {content}, NULLIF({data}, ''), {quoted},
                         NULLIF({temp_id}, ''), CASE WHEN $12 = '' THEN NULL ELSE decode($12, 'hex') END, $13, FALSE)
             ), mark AS (
                 UPDATE participants SET last_read_seq = $3, last_read_count = $4, read_at = $13
                 WHERE conversation_id = $1 AND user_id = $6 AND last_read_seq < $3
             )
             INSERT INTO outbox (stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload, created_at)
             VALUES ($14::smallint, $1, $5, {event_type}, $2, {quoted}, {event}, $13)",
            kind = text(7),
            content = text(8),
            data = text(9),
            temp_id = text(11),
            event_type = text(15),
            event = text(16),
        )
    },
};

/// Returns the call that writes a message, its event, the numbers of its locked conversation and the mark of its sender.
/// `None` if they do not belong together in the way that the statement assumes.
pub fn call(
    head: &LockedConversation,
    message: &NewMessageRow,
    mark: &SenderMark,
    event: &Envelope,
) -> Option<PreparedCall> {
    let is_of_message = event.stream == Stream::Conversation(message.conversation_id)
        && event.message_id == Some(message.id)
        && event.quoted_id == message.reply_to_id
        && event.rev == message.rev;
    let head_ends_with_it = (head.last_seq, head.last_count, head.last_rev, head.last_message_at)
        == (message.seq, message.count, message.rev, Some(message.created_at));
    let marks_it = (mark.conversation_id, Some(mark.user_id), mark.last_read_seq, mark.last_read_count)
        == (message.conversation_id, message.sender_id, message.seq, message.count);
    if !is_of_message || !head_ends_with_it || !marks_it || message.mentions_all || event.text.len() > MAX_EVENT_BYTES {
        return None;
    }
    let text = |text: Option<&str>| Argument::Hex(Hex::encode_text(text));
    let arguments = vec![
        Argument::Uuid(message.conversation_id.0),
        Argument::Uuid(message.id.0),
        Argument::Int(message.seq.0),
        Argument::Int(message.count),
        Argument::Int(message.rev.0),
        Argument::Uuid(mark.user_id.0),
        text(Some(message.kind)),
        text(Some(&message.content)),
        text(message.data.as_deref()),
        Argument::Uuid(message.reply_to_id.map_or(Uuid::nil(), |id| id.0)),
        text(message.temp_id.as_deref()),
        Argument::Hex(Hex::from_digits(message.body_hash.as_deref().unwrap_or_default())?),
        Argument::Int(message.created_at.0),
        Argument::Int(i64::from(event.stream.kind_number())),
        text(Some(event.event_type.as_str())),
        text(Some(&event.text)),
    ];
    Some(PreparedCall { statement: PREPARED, arguments })
}
