//! The statements that read messages. What a send needs is in [`sends`], and the write of new messages in [`insert`].

pub mod edits;
pub mod hidden;
pub mod insert;
pub mod mentions;
pub mod page;
pub mod parts;
mod rows;
pub mod sends;
pub mod single_send;
pub mod target;

pub use rows::{MessageRow, QuotedRow};

use crate::domain::ids::{ConversationId, MessageId, MessageKey, Seq, UserId};
use crate::domain::limits;
use crate::store::dialect::{self, Column};
use sea_orm::{ConnectionTrait, DbErr, Value};

const MESSAGE_COLUMNS: &str = "SELECT m.id, m.conversation_id, m.seq, m.rev, m.sender_id, m.kind, m.content, m.data, m.reply_to_id, m.temp_id,
            m.edited_at, m.deleted_at, m.pinned_at, m.created_at, m.mentions_all,
            u.username, u.display_name, u.avatar_url,
            q.seq AS q_seq, q.sender_id AS q_sender_id, q.kind AS q_kind, q.content AS q_content, q.deleted_at AS q_deleted_at";
const MESSAGE_JOINS: &str = "LEFT JOIN users u ON u.id = m.sender_id
     LEFT JOIN messages q ON q.conversation_id = m.conversation_id AND q.id = m.reply_to_id";

/// Returns the message with this id, in whichever conversation it is.
pub async fn by_id(conn: &impl ConnectionTrait, id: MessageId) -> Result<Option<MessageRow>, DbErr> {
    let text = format!("{MESSAGE_COLUMNS} FROM messages m {MESSAGE_JOINS} WHERE m.id = $1");
    let row = dialect::one(conn, dialect::plain(conn, &text, vec![id.into()])).await?;
    row.as_ref().map(MessageRow::from_row).transpose()
}

/// Returns the messages with these keys, each once. The order is undefined.
pub async fn by_keys(conn: &impl ConnectionTrait, keys: &[MessageKey]) -> Result<Vec<MessageRow>, DbErr> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    let statement = dialect::statement(
        conn,
        // LIMIT keeps PostgreSQL from joining the whole table with a plan that it made when the table was small.
        &format!(
            "{MESSAGE_COLUMNS} FROM unnest($1::uuid[], $2::uuid[]) AS k(c, i)
             CROSS JOIN LATERAL (SELECT * FROM messages WHERE conversation_id = k.c AND id = k.i LIMIT 1) m
             {MESSAGE_JOINS}"
        ),
        &format!(
            "{MESSAGE_COLUMNS} FROM jsonb_each($1) AS k CROSS JOIN messages m
             ON m.conversation_id = unhex(k.value ->> 0) AND m.id = unhex(k.value ->> 1) {MESSAGE_JOINS}"
        ),
        key_parameters(conn, &keys),
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(MessageRow::from_row).collect()
}

/// Returns the parameters for a set of keys: on PostgreSQL the conversations ($1) and the ids ($2), on SQLite the pairs
/// of both ($1).
pub(super) fn key_parameters(conn: &impl ConnectionTrait, keys: &[MessageKey]) -> Vec<Value> {
    let columns = vec![
        Column::Uuid(keys.iter().map(|(conversation, _)| conversation.0).collect()),
        Column::Uuid(keys.iter().map(|(_, id)| id.0).collect()),
    ];
    dialect::rows(conn, columns)
}

/// The greatest read mark and the greatest delivered mark of the other participants, as far as a viewer may know them.
#[derive(Clone, Copy, Default, Debug)]
pub struct FurthestMarks {
    pub read: Seq,
    pub delivered: Seq,
}

/// Returns the furthest marks of the other participants, or `None` if the conversation has more than
/// [`limits::STATUS_MEMBERS`] members.
///
/// A read mark counts only if both users share their read marks, and only if the user has read something: the mark with
/// which a new participant begins says nothing. Marks of users who left count. Marks of users with a block between them
/// and the viewer do not count.
pub async fn furthest_marks(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    viewer: UserId,
) -> Result<Option<FurthestMarks>, DbErr> {
    let statement = dialect::plain(
        conn,
        // Read the number of participants first, so that no mark of a large conversation is read; sub-selects, because
        // with joins PostgreSQL reads the whole table of users instead of a few rows by index.
        "WITH size AS (SELECT member_count FROM conversations WHERE id = $1)
         SELECT (SELECT member_count FROM size) AS member_count,
                COALESCE(max(CASE WHEN NOT o.apart AND o.shares THEN o.read_to END), 0) AS seen,
                COALESCE(max(CASE WHEN o.apart THEN 0 WHEN o.read_to > o.delivered_seq THEN o.read_to
                                  ELSE o.delivered_seq END), 0) AS delivered
         FROM (SELECT CASE WHEN p.read_at IS NULL THEN p.former_read_seq ELSE p.last_read_seq END AS read_to,
                      p.delivered_seq,
                      (SELECT v.share_read_receipts FROM users v WHERE v.id = $2)
                          AND (SELECT u.share_read_receipts FROM users u WHERE u.id = p.user_id) AS shares,
                      EXISTS (SELECT 1 FROM blocks b WHERE (b.blocker_id = $2 AND b.blocked_id = p.user_id)
                                                        OR (b.blocker_id = p.user_id AND b.blocked_id = $2)) AS apart
               FROM participants p
               WHERE p.conversation_id = $1 AND p.user_id <> $2 AND (SELECT member_count FROM size) <= $3) o",
        vec![conversation.into(), viewer.into(), limits::STATUS_MEMBERS.into()],
    );
    let Some(row) = dialect::one(conn, statement).await? else { return Ok(None) };
    let member_count: Option<i64> = row.try_get("", "member_count")?;
    let marks = FurthestMarks { read: Seq(row.try_get("", "seen")?), delivered: Seq(row.try_get("", "delivered")?) };
    Ok(member_count.is_some_and(|count| count <= limits::STATUS_MEMBERS).then_some(marks))
}

/// Returns the conversation of a message and its `seq`, or `None` if there is no such message.
pub async fn locate(conn: &impl ConnectionTrait, id: MessageId) -> Result<Option<(ConversationId, Seq)>, DbErr> {
    let text = "SELECT conversation_id, seq FROM messages WHERE id = $1";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![id.into()])).await?;
    row.map(|row| Ok((ConversationId(row.try_get("", "conversation_id")?), Seq(row.try_get("", "seq")?)))).transpose()
}

/// Returns the `seq` of a message, or `None` if it is not in this conversation.
pub async fn get_seq(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    id: MessageId,
) -> Result<Option<Seq>, DbErr> {
    let text = "SELECT seq FROM messages WHERE conversation_id = $1 AND id = $2";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![conversation.into(), id.into()])).await?;
    row.map(|row| Ok(Seq(row.try_get("", "seq")?))).transpose()
}
