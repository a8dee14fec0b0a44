//! Completes messages with data of other tables: the users that they mention, and their reactions.
//!
//! Each table takes one statement for any number of messages. A deleted message has neither mentions nor reactions.

use crate::domain::ids::{MessageId, UserId};
use crate::protocol::messages::Message;
use crate::protocol::reactions::Reaction;
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Sets `mentions` and `reactions` of messages. With a `viewer`, each reaction says in `me` whether the viewer has made
/// it; otherwise `me` is `None`.
pub async fn assemble(
    conn: &impl ConnectionTrait,
    viewer: Option<UserId>,
    messages: &mut [Message],
) -> Result<(), DbErr> {
    let ids = undeleted_ids(messages);
    if ids.is_empty() {
        return Ok(());
    }
    let mut mentions = list_mentions(conn, &ids).await?;
    let mut reactions = list_reactions(conn, &ids, viewer).await?;
    for message in messages.iter_mut().filter(|message| message.deleted_at.is_none()) {
        message.mentions = mentions.remove(&message.id).unwrap_or_default();
        message.reactions = reactions.remove(&message.id).unwrap_or_default();
    }
    Ok(())
}

/// Does the same as [`assemble`] for messages that are each sent to their author: the author of a message is its
/// viewer.
pub async fn assemble_for_authors(conn: &impl ConnectionTrait, messages: &mut [Message]) -> Result<(), DbErr> {
    assemble(conn, None, messages).await?;
    if messages.iter().all(|message| message.reactions.is_empty()) {
        return Ok(());
    }
    let text = "SELECT r.message_id, r.emoji FROM reactions r JOIN messages m ON m.id = r.message_id
         WHERE r.message_id IN ({set}) AND r.user_id = m.sender_id";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &undeleted_ids(messages), vec![])).await?;
    let mut own = HashSet::new();
    for row in rows {
        own.insert((MessageId(row.try_get("", "message_id")?), row.try_get::<String>("", "emoji")?));
    }
    for message in messages {
        for reaction in &mut message.reactions {
            reaction.me = Some(own.contains(&(message.id, reaction.emoji.clone())));
        }
    }
    Ok(())
}

fn undeleted_ids(messages: &[Message]) -> Vec<Uuid> {
    messages.iter().filter(|message| message.deleted_at.is_none()).map(|message| message.id.0).collect()
}

/// Returns the users that each message mentions by name, in the order of the text.
async fn list_mentions(conn: &impl ConnectionTrait, ids: &[Uuid]) -> Result<HashMap<MessageId, Vec<UserId>>, DbErr> {
    let text =
        "SELECT message_id, user_id FROM mentions WHERE message_id IN ({set}) ORDER BY message_id, position, user_id";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, ids, vec![])).await?;
    let mut found: HashMap<MessageId, Vec<UserId>> = HashMap::new();
    for row in rows {
        let message = MessageId(row.try_get("", "message_id")?);
        found.entry(message).or_default().push(UserId(row.try_get("", "user_id")?));
    }
    Ok(found)
}

/// Returns the reactions to each message, ordered by the first use of each emoji.
async fn list_reactions(
    conn: &impl ConnectionTrait,
    ids: &[Uuid],
    viewer: Option<UserId>,
) -> Result<HashMap<MessageId, Vec<Reaction>>, DbErr> {
    let text = "SELECT message_id, emoji, count(*) AS count, min(place) AS place,
                max(CASE WHEN user_id = $2 THEN 1 ELSE 0 END) AS me
         FROM reactions WHERE message_id IN ({set}) GROUP BY message_id, emoji ORDER BY message_id, place";
    let viewer_id = viewer.map_or(Uuid::nil(), |viewer| viewer.0);
    let rows = dialect::all(conn, dialect::over_ids(conn, text, ids, vec![viewer_id.into()])).await?;
    let mut found: HashMap<MessageId, Vec<Reaction>> = HashMap::new();
    for row in rows {
        let me = row.try_get::<i32>("", "me")? == 1;
        found.entry(MessageId(row.try_get("", "message_id")?)).or_default().push(Reaction {
            emoji: row.try_get("", "emoji")?,
            count: row.try_get("", "count")?,
            me: viewer.map(|_| me),
        });
    }
    Ok(found)
}
