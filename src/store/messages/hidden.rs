//! The statements of messages that a user has hidden: only this user does not see them.

use crate::domain::ids::{ConversationId, Seq, UserId};
use crate::domain::time::Timestamp;
use crate::store::dialect;
use crate::store::messages::MessageRow;
use sea_orm::{ConnectionTrait, DbErr};

/// Returns a subquery that counts the messages after the `seq` `after` that the participant has hidden and that would
/// otherwise count as unread. For statements in which `p` is a row of `participants`. `after` is an SQL expression.
pub fn unread_count_query(after: &str) -> String {
    format!(
        "(SELECT count(*) FROM hidden_messages h
          WHERE h.user_id = p.user_id AND h.conversation_id = p.conversation_id AND h.counts AND h.seq > {after})"
    )
}

/// Hides a message from a user. Returns false if it was hidden already.
pub async fn hide(
    conn: &impl ConnectionTrait,
    user: UserId,
    message: &MessageRow,
    at: Timestamp,
) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO hidden_messages (user_id, message_id, conversation_id, seq, counts, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, conversation_id, seq) DO NOTHING",
        vec![
            user.into(),
            message.id.into(),
            message.conversation_id.into(),
            message.seq.into(),
            message.sender.is_some().into(),
            at.into(),
        ],
    );
    Ok(dialect::run(conn, statement).await?.rows_affected() == 1)
}

/// Returns whether the user has hidden the message with this `seq`.
pub async fn is_hidden(
    conn: &impl ConnectionTrait,
    user: UserId,
    conversation: ConversationId,
    seq: Seq,
) -> Result<bool, DbErr> {
    let text = "SELECT 1 AS found FROM hidden_messages WHERE user_id = $1 AND conversation_id = $2 AND seq = $3";
    let values = vec![user.into(), conversation.into(), seq.into()];
    Ok(dialect::one(conn, dialect::plain(conn, text, values)).await?.is_some())
}
