//! The statements of reactions to messages. [`super::messages::parts`] reads them for the messages that clients get.
//! The column `position` orders the emojis of a message: an emoji gets the next number when the first user reacts with
//! it.

use crate::domain::emoji::Emoji;
use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::protocol::reactions::ReactionUsers;
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashMap;

/// The reactions to one message with one emoji.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReactionCount {
    pub count: i64,
    /// Whether the user reacted with this emoji.
    pub mine: bool,
    /// The order of the emoji among the emojis of the message. `None` if there is no reaction with it.
    pub order: Option<i64>,
}

/// Counts the reactions to a message with one emoji, and looks for the reaction of `user` among them.
pub async fn count(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
    emoji: Emoji,
    user: UserId,
) -> Result<ReactionCount, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT count(*) AS count, min(position) AS first,
                COALESCE(max(CASE WHEN user_id = $4 THEN 1 ELSE 0 END), 0) AS mine
         FROM reactions WHERE conversation_id = $1 AND message_id = $2 AND emoji = $3",
        vec![conversation.into(), message.into(), emoji.as_str().into(), user.into()],
    );
    let Some(row) = dialect::one(conn, statement).await? else {
        return Ok(ReactionCount { count: 0, mine: false, order: None });
    };
    Ok(ReactionCount {
        count: row.try_get("", "count")?,
        mine: row.try_get::<i32>("", "mine")? == 1,
        order: row.try_get("", "first")?,
    })
}

/// Returns the number of different emojis among the reactions to a message, and the greatest order among them: 0 if
/// there are none.
pub async fn count_emojis(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
) -> Result<(i64, i64), DbErr> {
    let text = "SELECT count(DISTINCT emoji) AS emojis, COALESCE(max(position), 0) AS last FROM reactions
         WHERE conversation_id = $1 AND message_id = $2";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![conversation.into(), message.into()])).await?;
    row.map_or(Ok((0, 0)), |row| Ok((row.try_get("", "emojis")?, row.try_get("", "last")?)))
}

/// A reaction to insert.
#[derive(Clone, Copy, Debug)]
pub struct NewReaction {
    pub message_id: MessageId,
    pub emoji: Emoji,
    pub user_id: UserId,
    pub conversation_id: ConversationId,
    pub created_at: Timestamp,
    /// The order of the emoji among the emojis of the message.
    pub order: i64,
}

/// Inserts a reaction. Fails if the user reacted to the message with this emoji already.
pub async fn insert(conn: &impl ConnectionTrait, new: &NewReaction) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO reactions (message_id, emoji, user_id, conversation_id, created_at, position)
         VALUES ($1, $2, $3, $4, $5, $6)",
        vec![
            new.message_id.into(),
            new.emoji.as_str().into(),
            new.user_id.into(),
            new.conversation_id.into(),
            new.created_at.into(),
            new.order.into(),
        ],
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Removes a reaction. Does nothing if there is none.
pub async fn remove(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
    emoji: Emoji,
    user: UserId,
) -> Result<(), DbErr> {
    let text = "DELETE FROM reactions WHERE conversation_id = $1 AND message_id = $2 AND emoji = $3 AND user_id = $4";
    let values = vec![conversation.into(), message.into(), emoji.as_str().into(), user.into()];
    dialect::run(conn, dialect::plain(conn, text, values)).await?;
    Ok(())
}

/// Returns at most `limit` emojis of a message after the order `after`, each with its order and with the first
/// [`limits::LISTED_USERS`] users who reacted with it.
pub async fn page(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
    after: i64,
    limit: u64,
) -> Result<Vec<(ReactionUsers, i64)>, DbErr> {
    let text = "SELECT emoji, count(*) AS count, min(position) AS first FROM reactions
         WHERE conversation_id = $1 AND message_id = $2 AND position > $3
         GROUP BY emoji ORDER BY min(position) LIMIT $4";
    let values = vec![conversation.into(), message.into(), after.into(), (limit as i64).into()];
    let rows = dialect::all(conn, dialect::plain(conn, text, values)).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let reactors =
            ReactionUsers { emoji: row.try_get("", "emoji")?, count: row.try_get("", "count")?, user_ids: Vec::new() };
        found.push((reactors, row.try_get::<i64>("", "first")?));
    }
    let Some(last) = found.last().map(|(_, order)| *order) else { return Ok(found) };
    let mut user_ids = list_user_ids(conn, conversation, message, after, last).await?;
    for (reactors, _) in &mut found {
        reactors.user_ids = user_ids.remove(&reactors.emoji).unwrap_or_default();
    }
    Ok(found)
}

/// Returns the first users of each emoji whose order is after `after` and not after `last`.
async fn list_user_ids(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
    after: i64,
    last: i64,
) -> Result<HashMap<String, Vec<UserId>>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT emoji, user_id FROM (
             SELECT emoji, user_id, row_number() OVER (PARTITION BY emoji ORDER BY created_at, user_id) AS number
             FROM reactions WHERE conversation_id = $1 AND message_id = $2 AND position > $3 AND position <= $4
         ) AS numbered WHERE number <= $5 ORDER BY emoji, number",
        vec![conversation.into(), message.into(), after.into(), last.into(), limits::LISTED_USERS.into()],
    );
    let mut found: HashMap<String, Vec<UserId>> = HashMap::new();
    for row in dialect::all(conn, statement).await? {
        found.entry(row.try_get("", "emoji")?).or_default().push(UserId(row.try_get("", "user_id")?));
    }
    Ok(found)
}
