//! The statement that reads a message to which a command refers: the facts that decide whether a user may react to it,
//! pin it, or list its receipts.

use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

/// The facts about a message that a command refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TargetMessage {
    pub seq: Seq,
    /// `None` for a system message.
    pub sender_id: Option<UserId>,
    /// Whether the message was deleted for everyone.
    pub deleted: bool,
    pub pinned: bool,
}

/// Returns the message, or `None` if it is not in this conversation or `viewer` has hidden it.
pub async fn find(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
    viewer: UserId,
) -> Result<Option<TargetMessage>, DbErr> {
    let statement = dialect::plain(
        conn,
        // LIMIT keeps PostgreSQL from reading all messages of the conversation with a plan that it made when they were few.
        "SELECT m.seq, m.sender_id, m.deleted_at, m.pinned_at FROM (SELECT * FROM messages WHERE id = $2 LIMIT 1) m
         WHERE m.conversation_id = $1
           AND NOT EXISTS (SELECT 1 FROM hidden_messages h
                           WHERE h.user_id = $3 AND h.conversation_id = $1 AND h.seq = m.seq)",
        vec![conversation.into(), message.into(), viewer.into()],
    );
    let row = dialect::one(conn, statement).await?;
    row.map(|row| {
        Ok(TargetMessage {
            seq: Seq(row.try_get("", "seq")?),
            sender_id: row.try_get::<Option<Uuid>>("", "sender_id")?.map(UserId),
            deleted: row.try_get::<Option<i64>>("", "deleted_at")?.is_some(),
            pinned: row.try_get::<Option<i64>>("", "pinned_at")?.is_some(),
        })
    })
    .transpose()
}
