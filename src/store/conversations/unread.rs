//! The statement that counts the unread messages of users over all their conversations.

use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::protocol::conversations::UnreadCount;
use crate::store::dialect;
use crate::store::messages::hidden;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::collections::HashMap;
use uuid::Uuid;

/// The totals of the rows `u`, one for each conversation.
const TOTALS: &str = "CAST(COALESCE(sum(CASE WHEN u.loud THEN u.unread END), 0) AS bigint) AS messages,
     count(CASE WHEN u.loud AND u.unread > 0 THEN 1 END) AS conversations,
     CAST(COALESCE(sum(u.named + u.with_all), 0) AS bigint) AS mentions";

/// Returns the unread totals of a user at `now`: see [`list_unread_counts`].
pub async fn get_unread_count(conn: &impl ConnectionTrait, user: UserId, now: Timestamp) -> Result<UnreadCount, DbErr> {
    Ok(list_unread_counts(conn, &[user], now).await?.remove(&user).unwrap_or_default())
}

/// Returns the unread totals over all conversations of each user at `now`, including archived ones. A conversation that
/// is muted then counts for its mentions alone. A message that mentions the user by name and with all members counts
/// once. A user without unread messages may be left out.
pub async fn list_unread_counts(
    conn: &impl ConnectionTrait,
    users: &[UserId],
    now: Timestamp,
) -> Result<HashMap<UserId, UnreadCount>, DbErr> {
    // Compare with NULL instead of using NOT EXISTS: PostgreSQL turns the latter into a join that reads all rows of the
    // table for each conversation.
    let absent = |table: &str, seq: &str| {
        format!(
            "(SELECT t.seq FROM {table} t WHERE t.user_id = p.user_id AND t.conversation_id = p.conversation_id
              AND t.seq = {seq} LIMIT 1) IS NULL"
        )
    };
    let conversations = format!(
        "SELECT p.user_id, COALESCE(p.muted_until, 0) <= $2 AS loud, c.last_count - p.last_read_count - {hidden} AS unread,
                (SELECT count(*) FROM mentions n
                 WHERE n.user_id = p.user_id AND n.conversation_id = p.conversation_id
                   AND n.seq > p.last_read_seq AND {named_shown}) AS named,
                (SELECT count(*) FROM messages m
                 WHERE m.conversation_id = p.conversation_id AND m.seq > p.last_read_seq AND m.mentions_all
                   AND m.sender_id <> p.user_id AND {shown} AND {unnamed}) AS with_all
         FROM participants p JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
         WHERE p.left_at IS NULL AND c.last_count > p.last_read_count AND p.user_id",
        hidden = hidden::unread_count_query("p.last_read_seq"),
        named_shown = absent("hidden_messages", "n.seq"),
        shown = absent("hidden_messages", "m.seq"),
        unnamed = absent("mentions", "m.seq"),
    );
    // On PostgreSQL each user is counted alone, so that no plan joins whole tables.
    let text = if dialect::is_postgres(conn) {
        format!(
            "SELECT k.id AS user_id, x.* FROM unnest($1::uuid[]) AS k(id)
             CROSS JOIN LATERAL (SELECT {TOTALS} FROM ({conversations} = k.id) u) x"
        )
    } else {
        format!("SELECT u.user_id, {TOTALS} FROM ({conversations} IN ({{set}})) u GROUP BY u.user_id")
    };
    let ids: Vec<Uuid> = users.iter().map(|user| user.0).collect();
    let rows = dialect::all(conn, dialect::over_ids(conn, &text, &ids, vec![now.into()])).await?;
    let count = |row: &QueryResult| -> Result<UnreadCount, DbErr> {
        Ok(UnreadCount {
            messages: row.try_get("", "messages")?,
            conversations: row.try_get("", "conversations")?,
            mentions: row.try_get("", "mentions")?,
        })
    };
    rows.iter().map(|row| Ok((UserId(row.try_get("", "user_id")?), count(row)?))).collect()
}
