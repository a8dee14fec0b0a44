//! Messages that a user deleted for themself alone: everybody else sees them as before.

use super::dialect;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbErr};

/// Hides a message from a user; false when it was hidden before.
pub async fn hide(
    conn: &impl ConnectionTrait,
    user: UserId,
    place: (ConversationId, Seq),
    id: MessageId,
    at: Timestamp,
) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO hidden_messages (user_id, message_id, conversation_id, seq, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, message_id) DO NOTHING",
        vec![user.into(), id.into(), place.0.into(), place.1.into(), at.into()],
    );
    Ok(dialect::run(conn, statement).await?.rows_affected() == 1)
}

/// Whether the user has hidden the message.
pub async fn is_hidden(conn: &impl ConnectionTrait, user: UserId, id: MessageId) -> Result<bool, DbErr> {
    let text = "SELECT 1 AS found FROM hidden_messages WHERE user_id = $1 AND message_id = $2";
    Ok(dialect::one(conn, dialect::plain(conn, text, vec![user.into(), id.into()])).await?.is_some())
}
