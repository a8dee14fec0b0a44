//! Messages that a user deleted for themself alone: everybody else sees them as before.

use super::dialect;
use crate::domain::ids::{MessageId, UserId};
use crate::domain::time::Timestamp;
use crate::protocol::resources::Message;
use sea_orm::{ConnectionTrait, DbErr};

/// What a participant `p` of a conversation has hidden of what would count as unread after the place `after`: a
/// sub-select for statements in which `p` is a row of `participants`.
pub fn counted_after(after: &str) -> String {
    format!(
        "(SELECT count(*) FROM hidden_messages h
          WHERE h.user_id = p.user_id AND h.conversation_id = p.conversation_id AND h.counts AND h.seq > {after})"
    )
}

/// Hides a message from a user; false when it was hidden before.
pub async fn hide(conn: &impl ConnectionTrait, user: UserId, message: &Message, at: Timestamp) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO hidden_messages (user_id, message_id, conversation_id, seq, counts, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, message_id) DO NOTHING",
        vec![
            user.into(),
            message.id.into(),
            message.conversation_id.into(),
            message.seq.into(),
            message.sender_id.is_some().into(),
            at.into(),
        ],
    );
    Ok(dialect::run(conn, statement).await?.rows_affected() == 1)
}

/// Whether the user has hidden the message.
pub async fn is_hidden(conn: &impl ConnectionTrait, user: UserId, id: MessageId) -> Result<bool, DbErr> {
    let text = "SELECT 1 AS found FROM hidden_messages WHERE user_id = $1 AND message_id = $2";
    Ok(dialect::one(conn, dialect::plain(conn, text, vec![user.into(), id.into()])).await?.is_some())
}
