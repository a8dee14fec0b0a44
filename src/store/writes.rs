//! The statements of a transaction that changes conversations: lock their rows, insert messages, and update the heads.
//! Each statement has a constant text and works on a set of rows, because the writer of sends runs them for every
//! batch.

use super::dialect::{self, ABSENT, Column};
use crate::domain::ids::{ClassId, ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::roles::ConversationKind;
use crate::domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use uuid::Uuid;

/// A conversation that this transaction has locked or created. The transaction changes the values and stores them at
/// its end.
#[derive(Clone, Debug)]
pub struct LockedConversation {
    pub kind: ConversationKind,
    /// `None` if the conversation belongs to no class.
    pub class_id: Option<ClassId>,
    /// The two users of a direct conversation, the smaller id first.
    pub direct: Option<(UserId, UserId)>,
    /// In a deleted conversation only the answer to a repeated send is possible.
    pub deleted: bool,
    /// The `seq` of the newest message.
    pub last_seq: Seq,
    /// The number of messages, without system messages.
    pub last_count: i64,
    /// The newest revision.
    pub last_rev: Rev,
    /// The time of the newest message of this transaction; `None` if the transaction has added none.
    pub last_message_at: Option<Timestamp>,
}

const CONVERSATION: &str =
    "SELECT id, kind, class_id, direct_low, direct_high, last_seq, last_count, last_rev, deleted_at
     FROM conversations WHERE id IN ({set}) ORDER BY id";

/// Locks conversations in the order of their ids and returns them. Waits for locked rows. Missing conversations are
/// left out.
pub async fn lock_conversations(
    conn: &impl ConnectionTrait,
    ids: &[ConversationId],
) -> Result<Vec<(ConversationId, LockedConversation)>, DbErr> {
    lock_and_read(conn, ids, "").await
}

/// Like [`lock_conversations`], but leaves out rows that another transaction has locked, instead of waiting for them.
pub async fn try_lock_conversations(
    conn: &impl ConnectionTrait,
    ids: &[ConversationId],
) -> Result<Vec<(ConversationId, LockedConversation)>, DbErr> {
    lock_and_read(conn, ids, " SKIP LOCKED").await
}

async fn lock_and_read(
    conn: &impl ConnectionTrait,
    ids: &[ConversationId],
    wait_clause: &str,
) -> Result<Vec<(ConversationId, LockedConversation)>, DbErr> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let lock = if dialect::is_postgres(conn) { format!(" FOR NO KEY UPDATE{wait_clause}") } else { String::new() };
    let rows = dialect::all(conn, dialect::over_ids(conn, &format!("{CONVERSATION}{lock}"), &ids, vec![])).await?;
    rows.iter().map(locked_conversation).collect()
}

fn locked_conversation(row: &QueryResult) -> Result<(ConversationId, LockedConversation), DbErr> {
    let low: Option<Uuid> = row.try_get("", "direct_low")?;
    let high: Option<Uuid> = row.try_get("", "direct_high")?;
    let conversation = LockedConversation {
        kind: ConversationKind::from_stored(&row.try_get::<String>("", "kind")?),
        class_id: row.try_get::<Option<Uuid>>("", "class_id")?.map(ClassId),
        deleted: row.try_get::<Option<i64>>("", "deleted_at")?.is_some(),
        direct: low.zip(high).map(|(low, high)| (UserId(low), UserId(high))),
        last_seq: Seq(row.try_get("", "last_seq")?),
        last_count: row.try_get("", "last_count")?,
        last_rev: Rev(row.try_get("", "last_rev")?),
        last_message_at: None,
    };
    Ok((ConversationId(row.try_get("", "id")?), conversation))
}

/// Returns those of `ids` that exist and are not deleted, also those whose row is locked.
pub async fn list_existing(conn: &impl ConnectionTrait, ids: &[ConversationId]) -> Result<Vec<ConversationId>, DbErr> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let text = "SELECT id FROM conversations WHERE id IN ({set}) AND deleted_at IS NULL";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, vec![])).await?;
    rows.iter().map(|row| Ok(ConversationId(row.try_get("", "id")?))).collect()
}

/// Locks users in the order of their ids and returns the newest revisions of their streams. Missing and deleted users
/// are left out.
pub async fn lock_users(conn: &impl ConnectionTrait, ids: &[UserId]) -> Result<Vec<(UserId, Rev)>, DbErr> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let lock = dialect::lock_clause(conn, "users");
    let text =
        format!("SELECT id, last_rev FROM users WHERE id IN ({{set}}) AND status <> 'deleted' ORDER BY id {lock}");
    let rows = dialect::all(conn, dialect::over_ids(conn, &text, &ids, vec![])).await?;
    rows.iter().map(|row| Ok((UserId(row.try_get("", "id")?), Rev(row.try_get("", "last_rev")?)))).collect()
}

/// Stores the newest `seq`, count, revision and time of conversations.
pub async fn update_conversation_heads(
    conn: &impl ConnectionTrait,
    conversations: &[(ConversationId, &LockedConversation)],
) -> Result<(), DbErr> {
    if conversations.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(conversations.iter().map(|(id, _)| id.0).collect()),
        Column::Int(conversations.iter().map(|(_, conversation)| conversation.last_seq.0).collect()),
        Column::Int(conversations.iter().map(|(_, conversation)| conversation.last_count).collect()),
        Column::Int(conversations.iter().map(|(_, conversation)| conversation.last_rev.0).collect()),
        Column::Int(
            conversations
                .iter()
                .map(|(_, conversation)| conversation.last_message_at.map_or(ABSENT, |at| at.0))
                .collect(),
        ),
    ];
    let statement = dialect::statement(
        conn,
        "UPDATE conversations c SET last_seq = t.s, last_count = t.n, last_rev = t.r,
                last_message_at = COALESCE(NULLIF(t.m, -1), c.last_message_at)
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS t(id, s, n, r, m)
         WHERE c.id = t.id",
        "UPDATE conversations SET last_seq = t.value ->> 1, last_count = t.value ->> 2, last_rev = t.value ->> 3,
                last_message_at = COALESCE(NULLIF(t.value ->> 4, -1), last_message_at)
         FROM jsonb_each($1) AS t WHERE conversations.id = unhex(t.value ->> 0)",
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Stores the newest revisions of users' streams.
pub async fn update_user_heads(conn: &impl ConnectionTrait, revs: &[(UserId, Rev)]) -> Result<(), DbErr> {
    if revs.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(revs.iter().map(|(id, _)| id.0).collect()),
        Column::Int(revs.iter().map(|(_, rev)| rev.0).collect()),
    ];
    let statement = dialect::statement(
        conn,
        "UPDATE users u SET last_rev = t.r FROM unnest($1::uuid[], $2::bigint[]) AS t(id, r) WHERE u.id = t.id",
        "UPDATE users SET last_rev = t.value ->> 1 FROM jsonb_each($1) AS t WHERE users.id = unhex(t.value ->> 0)",
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// A message to insert.
#[derive(Clone, Debug)]
pub struct NewMessageRow {
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub seq: Seq,
    /// The number of messages up to this one, without system messages.
    pub count: i64,
    /// The revision of the event `message.new`.
    pub rev: Rev,
    /// The author; `None` for a system message.
    pub sender_id: Option<UserId>,
    pub kind: &'static str,
    pub content: String,
    /// The JSON text that some kinds need besides the content.
    pub data: Option<String>,
    pub reply_to_id: Option<MessageId>,
    /// The id that the client chose. A repeated send has the same one.
    pub temp_id: Option<String>,
    /// The hash of the sent content, in hexadecimal.
    pub body_hash: Option<String>,
    /// Whether the message mentions all participants.
    pub mentions_all: bool,
    pub created_at: Timestamp,
}

/// Inserts the rows of new messages, in one statement.
pub async fn insert_messages(conn: &impl ConnectionTrait, messages: &[NewMessageRow]) -> Result<(), DbErr> {
    if messages.is_empty() {
        return Ok(());
    }
    let text = |pick: fn(&NewMessageRow) -> Option<&String>| {
        Column::Text(messages.iter().map(|message| pick(message).cloned().unwrap_or_default()).collect())
    };
    let columns = vec![
        Column::Uuid(messages.iter().map(|message| message.id.0).collect()),
        Column::Uuid(messages.iter().map(|message| message.conversation_id.0).collect()),
        Column::Int(messages.iter().map(|message| message.seq.0).collect()),
        Column::Int(messages.iter().map(|message| message.count).collect()),
        Column::Int(messages.iter().map(|message| message.rev.0).collect()),
        Column::Uuid(messages.iter().map(|message| message.sender_id.map_or(Uuid::nil(), |id| id.0)).collect()),
        Column::Text(messages.iter().map(|message| message.kind.to_owned()).collect()),
        text(|message| Some(&message.content)),
        text(|message| message.data.as_ref()),
        Column::Uuid(messages.iter().map(|message| message.reply_to_id.map_or(Uuid::nil(), |id| id.0)).collect()),
        text(|message| message.temp_id.as_ref()),
        Column::Hex(messages.iter().map(|message| message.body_hash.clone().unwrap_or_default()).collect()),
        Column::Int(messages.iter().map(|message| message.created_at.0).collect()),
        Column::Int(messages.iter().map(|message| i64::from(message.mentions_all)).collect()),
    ];
    let statement = dialect::statement(
        conn,
        "INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, data, reply_to_id, temp_id,
                               body_hash, created_at, mentions_all)
         SELECT i, c, s, n, r, NULLIF(u, '00000000-0000-0000-0000-000000000000'), k, x, NULLIF(d, ''),
                NULLIF(q, '00000000-0000-0000-0000-000000000000'), NULLIF(t, ''),
                CASE WHEN h = '' THEN NULL ELSE decode(h, 'hex') END, at, a = 1
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::text[], $8::text[],
                     $9::text[], $10::uuid[], $11::text[], $12::text[], $13::bigint[], $14::bigint[])
              AS m(i, c, s, n, r, u, k, x, d, q, t, h, at, a)",
        "INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, data, reply_to_id, temp_id,
                               body_hash, created_at, mentions_all)
         SELECT unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4,
                NULLIF(unhex(value ->> 5), zeroblob(16)), value ->> 6, value ->> 7, NULLIF(value ->> 8, ''),
                NULLIF(unhex(value ->> 9), zeroblob(16)), NULLIF(value ->> 10, ''),
                CASE WHEN value ->> 11 = '' THEN NULL ELSE unhex(value ->> 11) END, value ->> 12, value ->> 13
         FROM jsonb_each($1)",
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Moves the read mark of each sender to the message that the sender just sent. Each item has the conversation, the
/// user, the `seq`, and the running count at it. Rows are locked in the order of conversation and user.
pub async fn update_sender_marks(
    conn: &impl ConnectionTrait,
    marks: &[(ConversationId, UserId, Seq, i64)],
    now: Timestamp,
) -> Result<(), DbErr> {
    if marks.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(marks.iter().map(|mark| mark.0.0).collect()),
        Column::Uuid(marks.iter().map(|mark| mark.1.0).collect()),
        Column::Int(marks.iter().map(|mark| mark.2.0).collect()),
        Column::Int(marks.iter().map(|mark| mark.3).collect()),
    ];
    let mut values: Vec<Value> = dialect::rows(conn, columns);
    values.push(now.into());
    let statement = dialect::statement(
        conn,
        "WITH wanted AS (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) AS t(c, u, s, n)),
              locked AS (SELECT p.conversation_id AS c, p.user_id AS u FROM participants p
                         JOIN wanted t ON t.c = p.conversation_id AND t.u = p.user_id
                         ORDER BY p.conversation_id, p.user_id FOR NO KEY UPDATE OF p)
         UPDATE participants p SET last_read_seq = t.s, last_read_count = t.n, read_at = $5
         FROM wanted t JOIN locked USING (c, u)
         WHERE p.conversation_id = t.c AND p.user_id = t.u AND p.last_read_seq < t.s",
        "UPDATE participants SET last_read_seq = t.value ->> 2, last_read_count = t.value ->> 3, read_at = $2
         FROM jsonb_each($1) AS t
         WHERE conversation_id = unhex(t.value ->> 0) AND user_id = unhex(t.value ->> 1)
               AND last_read_seq < t.value ->> 2",
        values,
    );
    dialect::run(conn, statement).await?;
    Ok(())
}
