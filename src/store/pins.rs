//! Pinned messages of a conversation. No two of one conversation were pinned at the same moment: the moment is their
//! order.

use super::dialect;
use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbErr};

/// When the newest pin of a conversation was set.
pub async fn newest(conn: &impl ConnectionTrait, conversation: ConversationId) -> Result<Option<Timestamp>, DbErr> {
    let text = "SELECT max(pinned_at) AS newest FROM messages WHERE conversation_id = $1 AND pinned_at IS NOT NULL";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![conversation.into()])).await?;
    row.map_or(Ok(None), |row| Ok(row.try_get::<Option<i64>>("", "newest")?.map(Timestamp)))
}

/// Pins a message.
pub async fn set(conn: &impl ConnectionTrait, message: MessageId, by: UserId, at: Timestamp) -> Result<(), DbErr> {
    let text = "UPDATE messages SET pinned_at = $2, pinned_by = $3 WHERE id = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![message.into(), at.into(), by.into()])).await?;
    Ok(())
}

/// Takes a message's pin away.
pub async fn clear(conn: &impl ConnectionTrait, message: MessageId) -> Result<(), DbErr> {
    let text = "UPDATE messages SET pinned_at = NULL, pinned_by = NULL WHERE id = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![message.into()])).await?;
    Ok(())
}

/// The messages pinned before the given moment that `viewer` has not hidden, the newest pin first, each with its moment.
pub async fn page(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    viewer: UserId,
    before: Timestamp,
    limit: u64,
) -> Result<Vec<(MessageId, Timestamp)>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT m.id, m.pinned_at FROM messages m
         WHERE m.conversation_id = $1 AND m.pinned_at IS NOT NULL AND m.pinned_at < $3
           AND NOT EXISTS (SELECT 1 FROM hidden_messages h WHERE h.user_id = $2 AND h.message_id = m.id)
         ORDER BY m.pinned_at DESC LIMIT $4",
        vec![conversation.into(), viewer.into(), before.into(), (limit as i64).into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok((MessageId(row.try_get("", "id")?), Timestamp(row.try_get("", "pinned_at")?)))).collect()
}
