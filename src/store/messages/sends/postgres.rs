//! The statements that read the state of a batch on PostgreSQL. They are [prepared](crate::store::prepared), so that they
//! take one round trip together with the locks.

use super::{SendQuery, columns, quote_columns};
use crate::domain::content::TempId;
use crate::store::messages::mentions::NameKey;
use crate::store::prepared::{Argument, Hex, PreparedCall, PreparedStatement};
use uuid::Uuid;

/// The statements: one for batches without replies and mentions, which are most, and one for all others. A part of a
/// statement costs PostgreSQL time even if it has nothing to read.
pub const PREPARED: [&PreparedStatement; 2] = [
    &PreparedStatement {
        name: "read_plain_sends",
        types: "uuid[], uuid[], text[], uuid[]",
        text: || format!("{COLUMNS}, {NO_QUOTE} {JOINS}"),
    },
    &PreparedStatement {
        name: "read_sends",
        types: "uuid[], uuid[], text[], uuid[], uuid[], text[]",
        text: || {
            let quote = quote_columns!();
            format!("{COLUMNS}, {quote} {JOINS} {QUOTE_JOIN} UNION ALL SELECT -t.n, {NAME_COLUMNS} {NAMES}")
        },
    },
];

const COLUMNS: &str = concat!("SELECT t.n - 1 AS n, ", columns!(), ", encode(s.body_hash, 'hex') AS body_hash");
/// The columns of the quoted message, if no send replies.
const NO_QUOTE: &str = "NULL::uuid AS reply_to_id, NULL::bigint AS q_seq, NULL::uuid AS q_sender_id, NULL AS q_kind,
       NULL AS q_content, NULL::bigint AS q_deleted_at";
// LIMIT keeps PostgreSQL from joining whole tables with a plan that it made when the tables were small. The order by
// `temp_id`, which is no equality, keeps it from the primary key: in a small table reading all messages of the
// conversation seems to cost the same. The collation is that of the indexes; convert_from would have another one.
const JOINS: &str = "FROM (SELECT c, u, convert_from(decode(k, 'hex'), 'UTF8') COLLATE \"default\" AS k, q, n
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) WITH ORDINALITY AS t(c, u, k, q, n)) t
     LEFT JOIN LATERAL (SELECT * FROM conversations WHERE id = t.c LIMIT 1) c ON TRUE
     LEFT JOIN LATERAL (SELECT * FROM users WHERE id = t.u LIMIT 1) u ON TRUE
     LEFT JOIN LATERAL (
         SELECT * FROM participants WHERE conversation_id = t.c AND user_id = t.u AND left_at IS NULL LIMIT 1
     ) p ON TRUE
     LEFT JOIN LATERAL (SELECT archived_at FROM classes WHERE id = c.class_id LIMIT 1) l ON TRUE
     LEFT JOIN LATERAL (
         SELECT id, body_hash FROM messages
         WHERE t.k <> '' AND conversation_id = t.c AND sender_id = t.u AND temp_id >= t.k AND temp_id <= t.k
         ORDER BY temp_id LIMIT 1
     ) s ON TRUE";
const QUOTE_JOIN: &str = "LEFT JOIN LATERAL (
         SELECT * FROM messages
         WHERE t.q <> '00000000-0000-0000-0000-000000000000' AND conversation_id = t.c AND id = t.q LIMIT 1
     ) q ON TRUE";

/// The rows of `t` here are a conversation and a name each.
const NAMES: &str = "FROM (SELECT c, convert_from(decode(k, 'hex'), 'UTF8') COLLATE \"default\" AS k, n
           FROM unnest($5::uuid[], $6::text[]) WITH ORDINALITY AS t(c, k, n)) t
     CROSS JOIN LATERAL (SELECT id FROM users WHERE username_key = t.k AND status <> 'deleted' LIMIT 1) u
     CROSS JOIN LATERAL (
         SELECT 1 FROM participants WHERE conversation_id = t.c AND user_id = u.id AND left_at IS NULL LIMIT 1
     ) p";

/// The columns of a row for a name, which has only its number and a user.
const NAME_COLUMNS: &str =
    "u.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";

/// Returns the call that reads the state. The first name has the number -1, and the first send 0.
pub fn read_call(queries: &[SendQuery<'_>], names: &[NameKey]) -> PreparedCall {
    let mut arguments = vec![
        Argument::Uuids(queries.iter().map(|query| query.conversation_id.0).collect()),
        Argument::Uuids(queries.iter().map(|query| query.sender_id.0).collect()),
        Argument::Hexes(queries.iter().map(|query| Hex::encode_text(query.temp_id.map(TempId::as_str))).collect()),
        Argument::Uuids(queries.iter().map(|query| query.reply_to_id.map_or(Uuid::nil(), |id| id.0)).collect()),
    ];
    if names.is_empty() && queries.iter().all(|query| query.reply_to_id.is_none()) {
        return PreparedCall { statement: PREPARED[0], arguments };
    }
    arguments.push(Argument::Uuids(names.iter().map(|(conversation, _)| conversation.0).collect()));
    arguments.push(Argument::Hexes(names.iter().map(|(_, name)| Hex::encode_text(Some(name))).collect()));
    PreparedCall { statement: PREPARED[1], arguments }
}
