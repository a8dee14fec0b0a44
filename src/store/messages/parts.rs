//! The statements that read what other tables add to messages: the users that they mention, and their reactions. A
//! deleted message has neither.

use crate::domain::ids::{MessageId, MessageKey, UserId};
use crate::store::dialect;
use crate::store::messages::key_parameters;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashMap;
use uuid::Uuid;

/// The reactions to one message with one emoji.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReactionRow {
    pub emoji: String,
    pub count: i64,
    /// Whether the viewer has made one of them.
    pub is_own: bool,
}

/// Returns the users that each message mentions by name, in the order of the text.
pub async fn list_mentions(
    conn: &impl ConnectionTrait,
    keys: &[MessageKey],
) -> Result<HashMap<MessageId, Vec<UserId>>, DbErr> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = dialect::statement(
        conn,
        // OFFSET keeps PostgreSQL from joining the whole table with a plan that it made when the table was small.
        "SELECT k.i AS message_id, n.user_id FROM unnest($1::uuid[], $2::uuid[]) AS k(c, i)
         CROSS JOIN LATERAL (
             SELECT user_id, position FROM mentions WHERE conversation_id = k.c AND message_id = k.i OFFSET 0
         ) n ORDER BY k.i, n.position, n.user_id",
        "SELECT n.message_id, n.user_id FROM jsonb_each($1) AS k CROSS JOIN mentions n
         ON n.conversation_id = unhex(k.value ->> 0) AND n.message_id = unhex(k.value ->> 1)
         ORDER BY n.message_id, n.position, n.user_id",
        key_parameters(conn, keys),
    );
    let rows = dialect::all(conn, statement).await?;
    let mut found: HashMap<MessageId, Vec<UserId>> = HashMap::new();
    for row in rows {
        let message = MessageId(row.try_get("", "message_id")?);
        found.entry(message).or_default().push(UserId(row.try_get("", "user_id")?));
    }
    Ok(found)
}

/// Returns the reactions to each message, ordered by the first use of each emoji. Without a viewer no reaction is an
/// own one.
pub async fn list_reactions(
    conn: &impl ConnectionTrait,
    keys: &[MessageKey],
    viewer: Option<UserId>,
) -> Result<HashMap<MessageId, Vec<ReactionRow>>, DbErr> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let mut values = key_parameters(conn, keys);
    values.push(viewer.map_or(Uuid::nil(), |viewer| viewer.0).into());
    let statement = dialect::statement(
        conn,
        "SELECT k.i AS message_id, r.emoji, count(*) AS count, max(CASE WHEN r.user_id = $3 THEN 1 ELSE 0 END) AS me
         FROM unnest($1::uuid[], $2::uuid[]) AS k(c, i)
         CROSS JOIN LATERAL (
             SELECT emoji, user_id, position FROM reactions WHERE conversation_id = k.c AND message_id = k.i OFFSET 0
         ) r GROUP BY k.i, r.emoji ORDER BY k.i, min(r.position)",
        "SELECT r.message_id, r.emoji, count(*) AS count, max(CASE WHEN r.user_id = $2 THEN 1 ELSE 0 END) AS me
         FROM jsonb_each($1) AS k CROSS JOIN reactions r
         ON r.conversation_id = unhex(k.value ->> 0) AND r.message_id = unhex(k.value ->> 1)
         GROUP BY r.message_id, r.emoji ORDER BY r.message_id, min(r.position)",
        values,
    );
    let rows = dialect::all(conn, statement).await?;
    let mut found: HashMap<MessageId, Vec<ReactionRow>> = HashMap::new();
    for row in rows {
        found.entry(MessageId(row.try_get("", "message_id")?)).or_default().push(ReactionRow {
            emoji: row.try_get("", "emoji")?,
            count: row.try_get("", "count")?,
            is_own: row.try_get::<i32>("", "me")? == 1,
        });
    }
    Ok(found)
}

/// Returns the emojis with which the author of each message has reacted to it.
pub async fn list_author_emojis(
    conn: &impl ConnectionTrait,
    keys: &[MessageKey],
) -> Result<HashMap<MessageId, Vec<String>>, DbErr> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = dialect::statement(
        conn,
        "SELECT k.i AS message_id, r.emoji FROM unnest($1::uuid[], $2::uuid[]) AS k(c, i)
         CROSS JOIN LATERAL (SELECT sender_id FROM messages WHERE conversation_id = k.c AND id = k.i LIMIT 1) m
         CROSS JOIN LATERAL (
             SELECT emoji FROM reactions
             WHERE conversation_id = k.c AND message_id = k.i AND user_id = m.sender_id OFFSET 0
         ) r",
        "SELECT r.message_id, r.emoji FROM jsonb_each($1) AS k CROSS JOIN messages m
         ON m.conversation_id = unhex(k.value ->> 0) AND m.id = unhex(k.value ->> 1)
         CROSS JOIN reactions r
         ON r.conversation_id = m.conversation_id AND r.message_id = m.id AND r.user_id = m.sender_id",
        key_parameters(conn, keys),
    );
    let rows = dialect::all(conn, statement).await?;
    let mut found: HashMap<MessageId, Vec<String>> = HashMap::new();
    for row in rows {
        found.entry(MessageId(row.try_get("", "message_id")?)).or_default().push(row.try_get("", "emoji")?);
    }
    Ok(found)
}
