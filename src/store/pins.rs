//! The statements of pinned messages of a conversation. The time of pinning is unique in a conversation, so that it is
//! the order of the pins.

use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::domain::time::Timestamp;
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};

/// Returns the time of the newest pin of a conversation, or `None` if no message is pinned.
pub async fn newest(conn: &impl ConnectionTrait, conversation: ConversationId) -> Result<Option<Timestamp>, DbErr> {
    let text = "SELECT max(pinned_at) AS newest FROM messages WHERE conversation_id = $1 AND pinned_at IS NOT NULL";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![conversation.into()])).await?;
    row.map_or(Ok(None), |row| Ok(row.try_get::<Option<i64>>("", "newest")?.map(Timestamp)))
}

/// Pins a message. The calling function makes sure that `at` is after the newest pin.
pub async fn set(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
    by: UserId,
    at: Timestamp,
) -> Result<(), DbErr> {
    let text = "UPDATE messages SET pinned_at = $3, pinned_by = $4 WHERE conversation_id = $1 AND id = $2";
    let values = vec![conversation.into(), message.into(), at.into(), by.into()];
    dialect::run(conn, dialect::plain(conn, text, values)).await?;
    Ok(())
}

/// Removes the pin of a message.
pub async fn remove(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
) -> Result<(), DbErr> {
    let text = "UPDATE messages SET pinned_at = NULL, pinned_by = NULL WHERE conversation_id = $1 AND id = $2";
    dialect::run(conn, dialect::plain(conn, text, vec![conversation.into(), message.into()])).await?;
    Ok(())
}

/// Returns at most `limit` messages pinned before `before` that `viewer` has not hidden, each with the time of its pin.
/// The newest pin is first.
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
           AND NOT EXISTS (SELECT 1 FROM hidden_messages h
                           WHERE h.user_id = $2 AND h.conversation_id = $1 AND h.seq = m.seq)
         ORDER BY m.pinned_at DESC LIMIT $4",
        vec![conversation.into(), viewer.into(), before.into(), (limit as i64).into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok((MessageId(row.try_get("", "id")?), Timestamp(row.try_get("", "pinned_at")?)))).collect()
}
