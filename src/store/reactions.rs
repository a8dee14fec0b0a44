//! Who reacts to what. What a message shows of it is filled in by `hydrate`.

use super::dialect;
use crate::domain::emoji::Emoji;
use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::protocol::resources::Reactors;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashMap;

/// The reactions to one message with one emoji.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// How many there are.
    pub count: i64,
    /// Whether the user's is among them.
    pub mine: bool,
    /// The emoji's place among those of the message, if there is any.
    pub place: Option<i64>,
}

/// Counts the reactions to a message with one emoji.
pub async fn tally(
    conn: &impl ConnectionTrait,
    message: MessageId,
    emoji: Emoji,
    user: UserId,
) -> Result<Tally, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT count(*) AS count, min(place) AS place, COALESCE(max(CASE WHEN user_id = $3 THEN 1 ELSE 0 END), 0) AS mine
         FROM reactions WHERE message_id = $1 AND emoji = $2",
        vec![message.into(), emoji.as_str().into(), user.into()],
    );
    let Some(row) = dialect::one(conn, statement).await? else {
        return Ok(Tally { count: 0, mine: false, place: None });
    };
    Ok(Tally {
        count: row.try_get("", "count")?,
        mine: row.try_get::<i32>("", "mine")? == 1,
        place: row.try_get("", "place")?,
    })
}

/// With how many emojis people react to a message, and the last place among those.
pub async fn emojis(conn: &impl ConnectionTrait, message: MessageId) -> Result<(i64, i64), DbErr> {
    let text = "SELECT count(DISTINCT emoji) AS emojis, COALESCE(max(place), 0) AS place FROM reactions
         WHERE message_id = $1";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![message.into()])).await?;
    row.map_or(Ok((0, 0)), |row| Ok((row.try_get("", "emojis")?, row.try_get("", "place")?)))
}

/// A reaction about to be inserted.
#[derive(Clone, Copy, Debug)]
pub struct NewReaction {
    /// To which message.
    pub message_id: MessageId,
    /// With what.
    pub emoji: Emoji,
    /// Whose.
    pub user_id: UserId,
    /// Where.
    pub conversation_id: ConversationId,
    /// When.
    pub created_at: Timestamp,
    /// The emoji's place among those of the message.
    pub place: i64,
}

/// Inserts a reaction that is not there yet.
pub async fn insert(conn: &impl ConnectionTrait, new: &NewReaction) -> Result<(), DbErr> {
    let statement = dialect::plain(
        conn,
        "INSERT INTO reactions (message_id, emoji, user_id, conversation_id, created_at, place)
         VALUES ($1, $2, $3, $4, $5, $6)",
        vec![
            new.message_id.into(),
            new.emoji.as_str().into(),
            new.user_id.into(),
            new.conversation_id.into(),
            new.created_at.into(),
            new.place.into(),
        ],
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Takes a reaction away.
pub async fn delete(conn: &impl ConnectionTrait, message: MessageId, emoji: Emoji, user: UserId) -> Result<(), DbErr> {
    let text = "DELETE FROM reactions WHERE message_id = $1 AND emoji = $2 AND user_id = $3";
    let values = vec![message.into(), emoji.as_str().into(), user.into()];
    dialect::run(conn, dialect::plain(conn, text, values)).await?;
    Ok(())
}

/// The emojis people react to a message with after the given place, in the order in which they came, and with each the
/// first [`limits::REACTORS`] who do.
pub async fn page(
    conn: &impl ConnectionTrait,
    message: MessageId,
    after: i64,
    limit: u64,
) -> Result<Vec<(Reactors, i64)>, DbErr> {
    let text = "SELECT emoji, count(*) AS count, min(place) AS place FROM reactions
         WHERE message_id = $1 AND place > $2 GROUP BY emoji ORDER BY min(place) LIMIT $3";
    let values = vec![message.into(), after.into(), (limit as i64).into()];
    let rows = dialect::all(conn, dialect::plain(conn, text, values)).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let reactors =
            Reactors { emoji: row.try_get("", "emoji")?, count: row.try_get("", "count")?, user_ids: Vec::new() };
        found.push((reactors, row.try_get::<i64>("", "place")?));
    }
    let Some(last) = found.last().map(|(_, place)| *place) else { return Ok(found) };
    let mut who = reactors(conn, message, after, last).await?;
    for (reactors, _) in &mut found {
        reactors.user_ids = who.remove(&reactors.emoji).unwrap_or_default();
    }
    Ok(found)
}

async fn reactors(
    conn: &impl ConnectionTrait,
    message: MessageId,
    after: i64,
    last: i64,
) -> Result<HashMap<String, Vec<UserId>>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT emoji, user_id FROM (
             SELECT emoji, user_id, row_number() OVER (PARTITION BY emoji ORDER BY created_at, user_id) AS number
             FROM reactions WHERE message_id = $1 AND place > $2 AND place <= $3
         ) AS numbered WHERE number <= $4 ORDER BY emoji, number",
        vec![message.into(), after.into(), last.into(), limits::REACTORS.into()],
    );
    let mut found: HashMap<String, Vec<UserId>> = HashMap::new();
    for row in dialect::all(conn, statement).await? {
        found.entry(row.try_get("", "emoji")?).or_default().push(UserId(row.try_get("", "user_id")?));
    }
    Ok(found)
}
