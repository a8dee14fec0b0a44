//! What is counted in conversations. The reader 'statistics' of the log writes these tables and `message_links`; beside it
//! only a deletion for everyone takes links away, because it leaves nothing of a text. Everybody else reads.

use super::dialect::{self, ABSENT, Column};
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// What to add to the counts of one conversation.
#[derive(Clone, Copy, Default, Debug)]
pub struct Growth {
    /// Messages that somebody wrote.
    pub messages: i64,
    /// Links in them; negative when links went.
    pub links: i64,
    /// When the first of the messages was committed.
    pub first_message_at: Option<Timestamp>,
}

/// Adds to the counts of conversations.
pub async fn grow(conn: &impl ConnectionTrait, grown: &[(ConversationId, Growth)]) -> Result<(), DbErr> {
    if grown.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(grown.iter().map(|(id, _)| id.0).collect()),
        Column::Int(grown.iter().map(|(_, growth)| growth.messages).collect()),
        Column::Int(grown.iter().map(|(_, growth)| growth.links).collect()),
        Column::Int(grown.iter().map(|(_, growth)| growth.first_message_at.map_or(ABSENT, |at| at.0)).collect()),
    ];
    let add =
        "ON CONFLICT (conversation_id) DO UPDATE SET messages = conversation_statistics.messages + excluded.messages,
                   links = conversation_statistics.links + excluded.links,
                   first_message_at = COALESCE(conversation_statistics.first_message_at, excluded.first_message_at)";
    let statement = dialect::statement(
        conn,
        &format!(
            "INSERT INTO conversation_statistics (conversation_id, messages, links, first_message_at)
             SELECT c, m, l, NULLIF(f, -1) FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) AS t(c, m, l, f)
             {add}"
        ),
        &format!(
            "INSERT INTO conversation_statistics (conversation_id, messages, links, first_message_at)
             SELECT unhex(value ->> 0), value ->> 1, value ->> 2, NULLIF(value ->> 3, -1) FROM jsonb_each($1) WHERE TRUE
             {add}"
        ),
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Adds to the counts of senders in conversations.
pub async fn grow_senders(conn: &impl ConnectionTrait, grown: &[((ConversationId, UserId), i64)]) -> Result<(), DbErr> {
    if grown.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(grown.iter().map(|((id, _), _)| id.0).collect()),
        Column::Uuid(grown.iter().map(|((_, user), _)| user.0).collect()),
        Column::Int(grown.iter().map(|(_, messages)| *messages).collect()),
    ];
    let add = "ON CONFLICT (conversation_id, user_id) DO UPDATE SET messages = sender_statistics.messages + excluded.messages";
    let statement = dialect::statement(
        conn,
        &format!(
            "INSERT INTO sender_statistics (conversation_id, user_id, messages)
             SELECT c, u, m FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS t(c, u, m) {add}"
        ),
        &format!(
            "INSERT INTO sender_statistics (conversation_id, user_id, messages)
             SELECT unhex(value ->> 0), unhex(value ->> 1), value ->> 2 FROM jsonb_each($1) WHERE TRUE {add}"
        ),
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// A link about to be stored.
#[derive(Clone, Debug)]
pub struct Link {
    /// The message it stands in.
    pub message_id: MessageId,
    /// Its place among the message's links, from 0.
    pub position: i64,
    /// The message's conversation.
    pub conversation_id: ConversationId,
    /// The message's place there.
    pub seq: Seq,
    /// The address.
    pub url: String,
}

/// Those of `messages` that are not deleted. They are held so until the transaction ends: a deletion for everyone waits, and
/// takes away what is stored meanwhile. Called before [`remove_links`], as a deletion locks its message before its links.
pub async fn hold(conn: &impl ConnectionTrait, messages: &[MessageId]) -> Result<HashSet<MessageId>, DbErr> {
    if messages.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Uuid> = messages.iter().map(|id| id.0).collect();
    let lock = if dialect::is_postgres(conn) { "FOR SHARE" } else { "" };
    let text = format!("SELECT id FROM messages WHERE id IN ({{set}}) AND deleted_at IS NULL ORDER BY id {lock}");
    let rows = dialect::all(conn, dialect::over_ids(conn, &text, &ids, vec![])).await?;
    rows.iter().map(|row| Ok(MessageId(row.try_get("", "id")?))).collect()
}

/// Stores the links of messages that have none stored. The messages are [held](hold).
pub async fn add_links(conn: &impl ConnectionTrait, links: &[Link]) -> Result<(), DbErr> {
    if links.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(links.iter().map(|link| link.message_id.0).collect()),
        Column::Int(links.iter().map(|link| link.position).collect()),
        Column::Uuid(links.iter().map(|link| link.conversation_id.0).collect()),
        Column::Int(links.iter().map(|link| link.seq.0).collect()),
        Column::Text(links.iter().map(|link| link.url.clone()).collect()),
    ];
    let statement = dialect::statement(
        conn,
        "INSERT INTO message_links (message_id, position, conversation_id, seq, url)
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[])",
        "INSERT INTO message_links (message_id, position, conversation_id, seq, url)
         SELECT unhex(value ->> 0), value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4 FROM jsonb_each($1)",
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Removes the links of these messages and returns how many each conversation lost. The rows that this statement deleted
/// are counted, because a deletion for everyone and the reader may both be at it.
pub async fn remove_links(
    conn: &impl ConnectionTrait,
    messages: &[MessageId],
) -> Result<BTreeMap<ConversationId, i64>, DbErr> {
    let mut gone = BTreeMap::new();
    if messages.is_empty() {
        return Ok(gone);
    }
    let ids: Vec<Uuid> = messages.iter().map(|id| id.0).collect();
    let delete = "DELETE FROM message_links WHERE message_id IN ({set}) RETURNING conversation_id";
    for row in dialect::all(conn, dialect::over_ids(conn, delete, &ids, vec![])).await? {
        *gone.entry(ConversationId(row.try_get("", "conversation_id")?)).or_default() += 1;
    }
    Ok(gone)
}

/// The counts of one conversation.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counted {
    /// Messages that somebody wrote.
    pub messages: i64,
    /// Files in them.
    pub attachments: i64,
    /// Links in them.
    pub links: i64,
    /// When the first was committed.
    pub first_message_at: Option<Timestamp>,
}

/// The counts of a conversation; zeros before the first message.
pub async fn counted(conn: &impl ConnectionTrait, id: ConversationId) -> Result<Counted, DbErr> {
    let text = "SELECT messages, attachments, links, first_message_at FROM conversation_statistics
                WHERE conversation_id = $1";
    let Some(row) = dialect::one(conn, dialect::plain(conn, text, vec![id.into()])).await? else {
        return Ok(Counted::default());
    };
    Ok(Counted {
        messages: row.try_get("", "messages")?,
        attachments: row.try_get("", "attachments")?,
        links: row.try_get("", "links")?,
        first_message_at: row.try_get::<Option<i64>>("", "first_message_at")?.map(Timestamp),
    })
}

/// Who sent most into a conversation, at most `limit` of them, also who has left; with how much.
pub async fn top_senders(
    conn: &impl ConnectionTrait,
    id: ConversationId,
    limit: u64,
) -> Result<Vec<(UserId, i64)>, DbErr> {
    let text = "SELECT user_id, messages FROM sender_statistics WHERE conversation_id = $1
                ORDER BY messages DESC, user_id LIMIT $2";
    let rows = dialect::all(conn, dialect::plain(conn, text, vec![id.into(), (limit as i64).into()])).await?;
    rows.iter().map(|row| Ok((UserId(row.try_get("", "user_id")?), row.try_get("", "messages")?))).collect()
}

/// How many are in a conversation.
pub async fn members(conn: &impl ConnectionTrait, id: ConversationId) -> Result<i64, DbErr> {
    let text = "SELECT count(*) AS members FROM participants WHERE conversation_id = $1 AND left_at IS NULL";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![id.into()])).await?;
    row.map_or(Ok(0), |row| row.try_get("", "members"))
}

/// A user's own conversations, counted.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Direct ones.
    pub direct: i64,
    /// Groups.
    pub group: i64,
    /// Conversations of classes.
    pub class: i64,
    /// Archived ones among them.
    pub archived: i64,
    /// Muted ones among them.
    pub muted: i64,
    /// What the user sent, also into conversations the user has left.
    pub messages_sent: i64,
}

/// Counts the conversations a user is in, as the user's list shows them at `now`.
pub async fn own(conn: &impl ConnectionTrait, user: UserId, now: Timestamp) -> Result<Own, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT count(CASE WHEN c.kind = 'direct' THEN 1 END) AS direct_ones,
                count(CASE WHEN c.kind = 'group' THEN 1 END) AS group_ones,
                count(CASE WHEN c.kind = 'class' THEN 1 END) AS class_ones,
                count(CASE WHEN p.archived_seq IS NOT NULL AND (c.last_seq <= p.archived_seq OR p.muted_until > $2)
                           THEN 1 END) AS archived,
                count(CASE WHEN p.muted_until > $2 THEN 1 END) AS muted,
                CAST(COALESCE((SELECT sum(s.messages) FROM sender_statistics s WHERE s.user_id = $1), 0) AS bigint)
                     AS messages_sent
         FROM participants p JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
         WHERE p.user_id = $1 AND p.left_at IS NULL",
        vec![user.into(), now.into()],
    );
    let row = dialect::one(conn, statement).await?.ok_or_else(|| DbErr::RecordNotFound("an aggregate".to_owned()))?;
    Ok(Own {
        direct: row.try_get("", "direct_ones")?,
        group: row.try_get("", "group_ones")?,
        class: row.try_get("", "class_ones")?,
        archived: row.try_get("", "archived")?,
        muted: row.try_get("", "muted")?,
        messages_sent: row.try_get("", "messages_sent")?,
    })
}
