//! The statements that lock the streams that a transaction changes, which are rows of conversations and users, and
//! store their new heads. Each statement has a constant text and works on a set of rows, because the writer of sends
//! runs them for every batch.
//!
//! A lock is usually the first statement of its transaction. On PostgreSQL these statements are
//! [prepared](super::prepared), so that a lock takes one round trip together with BEGIN and what is read after it.

use crate::domain::ids::{ClassId, ConversationId, Rev, Seq, UserId};
use crate::domain::roles::ConversationKind;
use crate::domain::time::Timestamp;
use crate::store::bound_rows::RowsTemplate;
use crate::store::db::transaction::Transaction;
use crate::store::dialect::{self, ABSENT, Column};
use crate::store::prepared::{Argument, PreparedCall, PreparedStatement};
use crate::store::table_write::TableWrite;
use sea_orm::{DbErr, QueryResult};
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
    /// The time of the last message that mentioned all participants.
    pub all_mentioned_at: Option<Timestamp>,
}

/// What a lock does with a conversation that another transaction has locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockMode {
    /// It leaves the conversation out.
    Skip,
    /// It waits for the conversation.
    Wait,
}

/// A statement that locks rows.
struct LockStatement {
    /// The text for SQLite, which needs no lock: only one transaction writes at a time.
    sqlite: &'static str,
    postgres: &'static PreparedStatement,
}

/// The statements that the connections that write to PostgreSQL prepare. Their clause is not `FOR UPDATE`, because
/// foreign keys of other tables would wait for that lock, and deadlock.
pub const PREPARED: [&PreparedStatement; 3] = [
    &PreparedStatement {
        name: "lock_conversations",
        types: "uuid[]",
        text: || dialect::with_set(CONVERSATIONS) + " FOR NO KEY UPDATE",
    },
    &PreparedStatement {
        name: "try_lock_conversations",
        types: "uuid[]",
        text: || dialect::with_set(CONVERSATIONS) + " FOR NO KEY UPDATE SKIP LOCKED",
    },
    &PreparedStatement {
        name: "lock_users",
        types: "uuid[]",
        text: || dialect::with_set(USERS) + " FOR NO KEY UPDATE",
    },
];

const CONVERSATIONS: &str =
    "SELECT id, kind, class_id, direct_low, direct_high, last_seq, last_count, last_rev, member_count, deleted_at,
            all_mentioned_at
     FROM conversations WHERE id IN ({set}) ORDER BY id";
const USERS: &str = "SELECT id, last_rev FROM users WHERE id IN ({set}) AND status <> 'deleted' ORDER BY id";

const LOCK_USERS: LockStatement = LockStatement { sqlite: USERS, postgres: PREPARED[2] };

impl LockMode {
    fn statement(self) -> LockStatement {
        let postgres = match self {
            Self::Wait => PREPARED[0],
            Self::Skip => PREPARED[1],
        };
        LockStatement { sqlite: CONVERSATIONS, postgres }
    }
}

impl LockStatement {
    fn call(&self, ids: &[Uuid]) -> PreparedCall {
        PreparedCall { statement: self.postgres, arguments: vec![Argument::Uuids(ids.to_vec())] }
    }

    /// Locks rows and returns them. On PostgreSQL, `reads` run after the lock in the same round trip; the second result
    /// has the rows of each.
    async fn run(
        &self,
        conn: &Transaction,
        ids: &[Uuid],
        reads: Vec<PreparedCall>,
    ) -> Result<(Vec<QueryResult>, Vec<Vec<QueryResult>>), DbErr> {
        if !dialect::is_postgres(conn) {
            return Ok((dialect::all(conn, dialect::over_few_ids(conn, self.sqlite, ids)).await?, Vec::new()));
        }
        let mut calls = vec![self.call(ids)];
        calls.extend(reads);
        let mut results = conn.query_prepared(&calls).await?.into_iter();
        Ok((results.next().unwrap_or_default(), results.collect()))
    }
}

/// Locks conversations in the order of their ids and returns them. Missing conversations are left out.
pub async fn lock_conversations(
    conn: &Transaction,
    mode: LockMode,
    ids: &[ConversationId],
) -> Result<Vec<(ConversationId, LockedConversation)>, DbErr> {
    Ok(lock_conversations_and_read(conn, mode, ids, Vec::new()).await?.0)
}

/// Does the same as [`lock_conversations`]. On PostgreSQL, `reads` run after the lock in the same round trip; the second
/// result has the rows of each. Each sees the commits before the lock.
pub async fn lock_conversations_and_read(
    conn: &Transaction,
    mode: LockMode,
    ids: &[ConversationId],
    reads: Vec<PreparedCall>,
) -> Result<(Vec<(ConversationId, LockedConversation)>, Vec<Vec<QueryResult>>), DbErr> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let (locked, results) = mode.statement().run(conn, &ids, reads).await?;
    Ok((locked.iter().map(locked_conversation).collect::<Result<_, DbErr>>()?, results))
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
        all_mentioned_at: row.try_get::<Option<i64>>("", "all_mentioned_at")?.map(Timestamp),
    };
    Ok((ConversationId(row.try_get("", "id")?), conversation))
}

/// Locks users in the order of their ids and returns the newest revisions of their streams. Missing and deleted users
/// are left out.
pub async fn lock_users(conn: &Transaction, ids: &[UserId]) -> Result<Vec<(UserId, Rev)>, DbErr> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let (rows, _) = LOCK_USERS.run(conn, &ids, Vec::new()).await?;
    rows.iter().map(|row| Ok((UserId(row.try_get("", "id")?), Rev(row.try_get("", "last_rev")?)))).collect()
}

/// Returns the write that stores the newest `seq`, count, revision and times, and the number of participants, of
/// conversations; `None` if there are none.
pub fn update_conversation_heads(conversations: &[(ConversationId, &LockedConversation)]) -> Option<TableWrite> {
    if conversations.is_empty() {
        return None;
    }
    let time = |at: Option<Timestamp>| at.map_or(ABSENT, |at| at.0);
    let columns = vec![
        Column::Uuid(conversations.iter().map(|(id, _)| id.0).collect()),
        Column::Int(conversations.iter().map(|(_, conversation)| conversation.last_seq.0).collect()),
        Column::Int(conversations.iter().map(|(_, conversation)| conversation.last_count).collect()),
        Column::Int(conversations.iter().map(|(_, conversation)| conversation.last_rev.0).collect()),
        Column::Int(conversations.iter().map(|(_, conversation)| time(conversation.last_message_at)).collect()),
        Column::Int(conversations.iter().map(|(_, conversation)| conversation.member_count).collect()),
        Column::Int(conversations.iter().map(|(_, conversation)| time(conversation.all_mentioned_at)).collect()),
    ];
    Some(TableWrite {
        postgres: "UPDATE conversations c SET last_seq = t.s, last_count = t.n, last_rev = t.r,
                last_message_at = COALESCE(NULLIF(t.m, -1), c.last_message_at), member_count = t.p,
                all_mentioned_at = NULLIF(t.a, -1)
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
              AS t(id, s, n, r, m, p, a)
         WHERE c.id = t.id",
        sqlite: RowsTemplate::Update {
            one: "UPDATE conversations SET last_seq = $2, last_count = $3, last_rev = $4,
                    last_message_at = COALESCE(NULLIF($5, -1), last_message_at), member_count = $6,
                    all_mentioned_at = NULLIF($7, -1)
                  WHERE id = $1",
            text: "UPDATE conversations SET last_seq = t.column2, last_count = t.column3, last_rev = t.column4,
                    last_message_at = COALESCE(NULLIF(t.column5, -1), last_message_at), member_count = t.column6,
                    all_mentioned_at = NULLIF(t.column7, -1)
                   FROM (VALUES {rows}) AS t WHERE conversations.id = t.column1",
            row: "($1, $2, $3, $4, $5, $6, $7)",
        },
        columns,
        scalars: Vec::new(),
    })
}

/// Returns the write that stores the newest revisions of users' streams; `None` if there are none.
pub fn update_user_heads(revs: &[(UserId, Rev)]) -> Option<TableWrite> {
    if revs.is_empty() {
        return None;
    }
    let columns = vec![
        Column::Uuid(revs.iter().map(|(id, _)| id.0).collect()),
        Column::Int(revs.iter().map(|(_, rev)| rev.0).collect()),
    ];
    Some(TableWrite {
        postgres: "UPDATE users u SET last_rev = t.r FROM unnest($1::uuid[], $2::bigint[]) AS t(id, r) WHERE u.id = t.id",
        sqlite: RowsTemplate::Update {
            one: "UPDATE users SET last_rev = $2 WHERE id = $1",
            text: "UPDATE users SET last_rev = t.column2 FROM (VALUES {rows}) AS t WHERE users.id = t.column1",
            row: "($1, $2)",
        },
        columns,
        scalars: Vec::new(),
    })
}
