//! The statements of the counts of messages and links in conversations. The reader `statistics` of the log writes these
//! tables and `message_links`. Besides it, only a deletion for everyone removes links, because nothing of the text may
//! stay. All others only read.

use crate::domain::ids::{ConversationId, MessageId, MessageKey, Seq, UserId};
use crate::domain::time::Timestamp;
use crate::store::dialect::{self, ABSENT, Column};
use crate::store::messages::key_parameters;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashSet;
use uuid::Uuid;

/// The numbers to add to the counts of one conversation.
#[derive(Clone, Copy, Default, Debug)]
pub struct CountDelta {
    /// Messages, without system messages.
    pub messages: i64,
    /// Links in the messages. Negative if links were removed.
    pub links: i64,
    /// The time when the first of these messages was committed.
    pub first_message_at: Option<Timestamp>,
}

/// Adds to the counts of conversations. The time of the first message is stored only once.
pub async fn add_counts(conn: &impl ConnectionTrait, deltas: &[(ConversationId, CountDelta)]) -> Result<(), DbErr> {
    if deltas.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(deltas.iter().map(|(id, _)| id.0).collect()),
        Column::Int(deltas.iter().map(|(_, delta)| delta.messages).collect()),
        Column::Int(deltas.iter().map(|(_, delta)| delta.links).collect()),
        Column::Int(deltas.iter().map(|(_, delta)| delta.first_message_at.map_or(ABSENT, |at| at.0)).collect()),
    ];
    let add_to_existing =
        "ON CONFLICT (conversation_id) DO UPDATE SET messages = conversation_statistics.messages + excluded.messages,
                   links = conversation_statistics.links + excluded.links,
                   first_message_at = COALESCE(conversation_statistics.first_message_at, excluded.first_message_at)";
    let statement = dialect::statement(
        conn,
        &format!(
            "INSERT INTO conversation_statistics (conversation_id, messages, links, first_message_at)
             SELECT c, m, l, NULLIF(f, -1) FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) AS t(c, m, l, f)
             {add_to_existing}"
        ),
        &format!(
            "INSERT INTO conversation_statistics (conversation_id, messages, links, first_message_at)
             SELECT unhex(value ->> 0), value ->> 1, value ->> 2, NULLIF(value ->> 3, -1) FROM jsonb_each($1) WHERE TRUE
             {add_to_existing}"
        ),
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Adds to the numbers of messages that users sent into conversations.
pub async fn add_sender_counts(
    conn: &impl ConnectionTrait,
    deltas: &[((ConversationId, UserId), i64)],
) -> Result<(), DbErr> {
    if deltas.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(deltas.iter().map(|((id, _), _)| id.0).collect()),
        Column::Uuid(deltas.iter().map(|((_, user), _)| user.0).collect()),
        Column::Int(deltas.iter().map(|(_, messages)| *messages).collect()),
    ];
    let add_to_existing = "ON CONFLICT (conversation_id, user_id) DO UPDATE SET messages = sender_statistics.messages + excluded.messages";
    let statement = dialect::statement(
        conn,
        &format!(
            "INSERT INTO sender_statistics (conversation_id, user_id, messages)
             SELECT c, u, m FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS t(c, u, m) {add_to_existing}"
        ),
        &format!(
            "INSERT INTO sender_statistics (conversation_id, user_id, messages)
             SELECT unhex(value ->> 0), unhex(value ->> 1), value ->> 2 FROM jsonb_each($1) WHERE TRUE {add_to_existing}"
        ),
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// A link in a message, to insert.
#[derive(Clone, Debug)]
pub struct Link {
    pub message_id: MessageId,
    /// The index among the links of the message, from 0.
    pub index: i64,
    pub conversation_id: ConversationId,
    pub seq: Seq,
    pub url: String,
}

/// Returns those of these messages that are not deleted, and locks them until the transaction ends, in the order of
/// `keys`. A deletion for everyone waits for the lock and then removes the links that this transaction inserts. It must
/// be called before [`remove_links`], because a deletion also locks the message before its links.
pub async fn lock_messages(conn: &impl ConnectionTrait, keys: &[MessageKey]) -> Result<HashSet<MessageId>, DbErr> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = dialect::statement(
        conn,
        // LIMIT keeps PostgreSQL from joining the whole table with a plan that it made when the table was small.
        "SELECT m.id FROM unnest($1::uuid[], $2::uuid[]) AS k(c, i)
         CROSS JOIN LATERAL (
             SELECT id FROM messages WHERE conversation_id = k.c AND id = k.i AND deleted_at IS NULL LIMIT 1 FOR SHARE
         ) m",
        "SELECT m.id FROM jsonb_each($1) AS k CROSS JOIN messages m
         ON m.conversation_id = unhex(k.value ->> 0) AND m.id = unhex(k.value ->> 1) AND m.deleted_at IS NULL",
        key_parameters(conn, keys),
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok(MessageId(row.try_get("", "id")?))).collect()
}

/// Inserts links. Their messages have no links in the table, and the transaction has [locked](lock_messages) them.
pub async fn add_links(conn: &impl ConnectionTrait, links: &[Link]) -> Result<(), DbErr> {
    if links.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(links.iter().map(|link| link.message_id.0).collect()),
        Column::Int(links.iter().map(|link| link.index).collect()),
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

/// Removes the links of messages of one conversation and returns the number of removed links. Only the rows that this
/// statement removed are counted, because a deletion for everyone and the reader may remove links of one message
/// together.
pub async fn remove_links(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    messages: &[MessageId],
) -> Result<i64, DbErr> {
    let ids: Vec<Uuid> = messages.iter().map(|id| id.0).collect();
    let text = "DELETE FROM message_links WHERE conversation_id = $2 AND message_id IN ({set})";
    let removed = dialect::run(conn, dialect::over_ids(conn, text, &ids, vec![conversation.into()])).await?;
    Ok(removed.rows_affected() as i64)
}

/// What the statistics reader has counted in one conversation so far.
#[derive(Clone, Copy, Default, Debug)]
pub struct ConversationCounts {
    /// Messages, without system messages.
    pub messages: i64,
    pub attachments: i64,
    pub links: i64,
    /// The time when the first message was committed.
    pub first_message_at: Option<Timestamp>,
}

/// Returns the counts of a conversation. All are 0 before the first message is counted.
pub async fn conversation_counts(conn: &impl ConnectionTrait, id: ConversationId) -> Result<ConversationCounts, DbErr> {
    let text = "SELECT messages, attachments, links, first_message_at FROM conversation_statistics
                WHERE conversation_id = $1";
    let Some(row) = dialect::one(conn, dialect::plain(conn, text, vec![id.into()])).await? else {
        return Ok(ConversationCounts::default());
    };
    Ok(ConversationCounts {
        messages: row.try_get("", "messages")?,
        attachments: row.try_get("", "attachments")?,
        links: row.try_get("", "links")?,
        first_message_at: row.try_get::<Option<i64>>("", "first_message_at")?.map(Timestamp),
    })
}

/// Returns at most `limit` users who sent the most messages into a conversation, each with the number of messages.
/// Users who left are included.
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

/// Returns the number of participants of a conversation.
pub async fn get_member_count(conn: &impl ConnectionTrait, id: ConversationId) -> Result<i64, DbErr> {
    let text = "SELECT member_count FROM conversations WHERE id = $1";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![id.into()])).await?;
    row.map_or(Ok(0), |row| row.try_get("", "member_count"))
}

/// The counts of one user: conversations by kind, how many of them are archived or muted, and sent messages.
#[derive(Clone, Copy, Debug)]
pub struct OwnCounts {
    pub direct: i64,
    pub group: i64,
    pub class: i64,
    pub archived: i64,
    pub muted: i64,
    /// Messages of the user, including those in conversations that the user left.
    pub messages_sent: i64,
}

/// Counts the conversations that a user is in, and the user's messages. A conversation counts as archived or muted if
/// the user's list shows it so at `now`.
pub async fn own_counts(conn: &impl ConnectionTrait, user: UserId, now: Timestamp) -> Result<OwnCounts, DbErr> {
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
    Ok(OwnCounts {
        direct: row.try_get("", "direct_ones")?,
        group: row.try_get("", "group_ones")?,
        class: row.try_get("", "class_ones")?,
        archived: row.try_get("", "archived")?,
        muted: row.try_get("", "muted")?,
        messages_sent: row.try_get("", "messages_sent")?,
    })
}
