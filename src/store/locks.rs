//! The statements that lock the streams that a transaction changes, which are rows of conversations and users, and
//! store their new heads. Each statement has a constant text and works on a set of rows, because the writer of sends
//! runs them for every batch.

use crate::domain::ids::{ClassId, ConversationId, Rev, Seq, UserId};
use crate::domain::roles::ConversationKind;
use crate::domain::time::Timestamp;
use crate::store::dialect::{self, ABSENT, Column};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
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
    /// The number of participants.
    pub member_count: i64,
    /// The time of the newest message of this transaction; `None` if the transaction has added none.
    pub last_message_at: Option<Timestamp>,
}

const CONVERSATION: &str =
    "SELECT id, kind, class_id, direct_low, direct_high, last_seq, last_count, last_rev, member_count, deleted_at
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
        member_count: row.try_get("", "member_count")?,
        last_message_at: None,
    };
    Ok((ConversationId(row.try_get("", "id")?), conversation))
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

/// Stores the newest `seq`, count, revision and time, and the number of participants, of conversations.
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
        Column::Int(conversations.iter().map(|(_, conversation)| conversation.member_count).collect()),
    ];
    let statement = dialect::statement(
        conn,
        "UPDATE conversations c SET last_seq = t.s, last_count = t.n, last_rev = t.r,
                last_message_at = COALESCE(NULLIF(t.m, -1), c.last_message_at), member_count = t.p
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
              AS t(id, s, n, r, m, p)
         WHERE c.id = t.id",
        "UPDATE conversations SET last_seq = t.value ->> 1, last_count = t.value ->> 2, last_rev = t.value ->> 3,
                last_message_at = COALESCE(NULLIF(t.value ->> 4, -1), last_message_at), member_count = t.value ->> 5
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
