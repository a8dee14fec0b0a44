//! The statement that inserts the rows of new messages.

use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::time::Timestamp;
use crate::store::bound_rows::RowsTemplate;
use crate::store::dialect::Column;
use crate::store::table_write::TableWrite;
use uuid::Uuid;

/// A message to insert.
#[derive(Clone, Debug)]
pub struct NewMessageRow {
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub seq: Seq,
    /// The number of messages up to this one, without system messages.
    pub count: i64,
    /// The revision of the event `message.new`.
    pub rev: Rev,
    /// The author; `None` for a system message.
    pub sender_id: Option<UserId>,
    pub kind: &'static str,
    pub content: String,
    /// The JSON text that some kinds need besides the content.
    pub data: Option<String>,
    pub reply_to_id: Option<MessageId>,
    /// The id that the client chose. A repeated send has the same one.
    pub temp_id: Option<String>,
    /// The hash of the sent content, in hexadecimal.
    pub body_hash: Option<String>,
    /// Whether the message mentions all participants.
    pub mentions_all: bool,
    pub created_at: Timestamp,
}

/// Returns the write that inserts new messages; `None` if there are none.
pub fn insert_messages(messages: &[NewMessageRow]) -> Option<TableWrite> {
    if messages.is_empty() {
        return None;
    }
    let text = |pick: fn(&NewMessageRow) -> Option<&String>| {
        Column::Text(messages.iter().map(|message| pick(message).cloned().unwrap_or_default()).collect())
    };
    let columns = vec![
        Column::Uuid(messages.iter().map(|message| message.id.0).collect()),
        Column::Uuid(messages.iter().map(|message| message.conversation_id.0).collect()),
        Column::Int(messages.iter().map(|message| message.seq.0).collect()),
        Column::Int(messages.iter().map(|message| message.count).collect()),
        Column::Int(messages.iter().map(|message| message.rev.0).collect()),
        Column::Uuid(messages.iter().map(|message| message.sender_id.map_or(Uuid::nil(), |id| id.0)).collect()),
        Column::Text(messages.iter().map(|message| message.kind.to_owned()).collect()),
        text(|message| Some(&message.content)),
        text(|message| message.data.as_ref()),
        Column::Uuid(messages.iter().map(|message| message.reply_to_id.map_or(Uuid::nil(), |id| id.0)).collect()),
        text(|message| message.temp_id.as_ref()),
        Column::Hex(messages.iter().map(|message| message.body_hash.clone().unwrap_or_default()).collect()),
        Column::Int(messages.iter().map(|message| message.created_at.0).collect()),
        Column::Int(messages.iter().map(|message| i64::from(message.mentions_all)).collect()),
    ];
    Some(TableWrite {
        postgres: "INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, data, reply_to_id, temp_id,
                               body_hash, created_at, mentions_all)
         SELECT i, c, s, n, r, NULLIF(u, '00000000-0000-0000-0000-000000000000'), k, x, NULLIF(d, ''),
                NULLIF(q, '00000000-0000-0000-0000-000000000000'), NULLIF(t, ''),
                CASE WHEN h = '' THEN NULL ELSE decode(h, 'hex') END, at, a = 1
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::text[], $8::text[],
                     $9::text[], $10::uuid[], $11::text[], $12::text[], $13::bigint[], $14::bigint[])
              AS m(i, c, s, n, r, u, k, x, d, q, t, h, at, a)",
        sqlite: RowsTemplate::Table {
            text: "INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, data, reply_to_id,
                               temp_id, body_hash, created_at, mentions_all)
                   SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
            row: "($1, $2, $3, $4, $5, $6, $7, $8, NULLIF($9, ''), $10, NULLIF($11, ''), $12, $13, $14)",
        },
        columns,
        scalars: Vec::new(),
    })
}
