//! The statements of receipts of a message: the users who received it and the users who read it, from the marks of each
//! participant.
//!
//! The statements leave out what the viewer must not see. Reads are visible only if both users share their read marks.
//! Nothing is visible between two users with a block. A read mark counts only if the user has read something: the mark
//! with which a new participant begins says nothing.

use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::protocol::receipts::{Receipt, Receipts};
use crate::store::dialect;
use crate::store::messages::target::TargetMessage;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use uuid::Uuid;

// $1: the conversation, $2: the viewer, $3: the `seq` of the message, $4: its author.
const RECEIVERS: &str = "SELECT p.user_id, p.read_at, p.delivered_at,
            p.read_at IS NOT NULL AND p.last_read_seq >= $3 AS has_read,
            p.delivered_seq >= $3 AS is_delivered,
            p.user_id = $2 OR (u.share_read_receipts AND v.share_read_receipts) AS shares
     FROM participants p JOIN users u ON u.id = p.user_id JOIN users v ON v.id = $2
     WHERE p.conversation_id = $1 AND p.left_at IS NULL AND p.user_id <> $4
       AND NOT EXISTS (SELECT 1 FROM blocks b WHERE (b.blocker_id = $2 AND b.blocked_id = p.user_id)
                                                 OR (b.blocker_id = p.user_id AND b.blocked_id = $2))";

/// Returns the receipts of a message as `viewer` may see them, with at most [`limits::LISTED_USERS`] users in each
/// list.
pub async fn get(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    target: &TargetMessage,
    viewer: UserId,
) -> Result<Receipts, DbErr> {
    let author = target.sender_id.map_or(Uuid::nil(), |author| author.0);
    let values = || -> Vec<Value> { vec![conversation.into(), viewer.into(), target.seq.into(), author.into()] };
    let list = |condition: &str, at: &str| {
        let text = format!(
            "SELECT o.user_id, {at} AS at FROM ({RECEIVERS}) o WHERE {condition} ORDER BY at DESC, o.user_id LIMIT $5"
        );
        let mut values = values();
        values.push(limits::LISTED_USERS.into());
        dialect::plain(conn, &text, values)
    };
    let delivered = dialect::all(
        conn,
        list(
            "o.has_read OR o.is_delivered",
            "CASE WHEN o.is_delivered THEN COALESCE(o.delivered_at, o.read_at, 0) ELSE o.read_at END",
        ),
    );
    let delivered = delivered.await?.iter().map(receipt).collect::<Result<Vec<_>, _>>()?;
    let read = dialect::all(conn, list("o.has_read AND o.shares", "o.read_at")).await?;
    let read = read.iter().map(receipt).collect::<Result<Vec<_>, _>>()?;
    let text = format!(
        "SELECT c.member_count,
                c.member_count - (SELECT count(*) FROM participants a WHERE a.conversation_id = $1 AND a.user_id = $4
                                                                        AND a.left_at IS NULL) AS others,
                (SELECT count(*) FROM ({RECEIVERS}) o WHERE o.has_read AND o.shares) AS readers
         FROM conversations c WHERE c.id = $1"
    );
    let (mut member_count, mut others, mut readers) = (0_i64, 0_i64, 0_i64);
    if let Some(row) = dialect::one(conn, dialect::plain(conn, &text, values())).await? {
        member_count = row.try_get("", "member_count")?;
        others = row.try_get("", "others")?;
        readers = row.try_get("", "readers")?;
    }
    let read_ratio = if others == 0 { 1.0 } else { readers as f64 / others as f64 };
    Ok(Receipts { delivered, read, member_count, read_ratio })
}

fn receipt(row: &QueryResult) -> Result<Receipt, DbErr> {
    Ok(Receipt { user_id: UserId(row.try_get("", "user_id")?), at: Timestamp(row.try_get("", "at")?) })
}
