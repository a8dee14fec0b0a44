//! Reads everything on which the sends of a batch are decided. On PostgreSQL it is one statement, because each further
//! one costs a round trip.

pub mod postgres;
mod sqlite;

use crate::domain::accounts::AccountStatus;
use crate::domain::content::TempId;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::roles::Role;
use crate::protocol::users::UserBrief;
use crate::store::db::transaction::Transaction;
use crate::store::dialect;
use crate::store::locks::{self, LockMode, LockedConversation};
use crate::store::messages::QuotedRow;
use crate::store::messages::mentions::{self, NameKey};
use sea_orm::{DbErr, QueryResult};
use std::collections::HashMap;
use uuid::Uuid;

/// What identifies a send, and the message to which it replies.
#[derive(Clone, Copy, Debug)]
pub struct SendQuery<'a> {
    pub conversation_id: ConversationId,
    pub sender_id: UserId,
    /// `None` if no earlier send is to be found.
    pub temp_id: Option<&'a TempId>,
    pub reply_to_id: Option<MessageId>,
}

/// The state of the database for one send.
#[derive(Clone, Default, Debug)]
pub struct SendState {
    /// `None` if the user does not exist.
    pub sender: Option<ParticipantRights>,
    /// The message of an earlier send with the same conversation, sender and `temp_id`.
    pub stored: Option<StoredSend>,
    /// The message to which it replies; `None` if that message is not in the conversation.
    pub quoted: Option<QuotedRow>,
}

/// The facts that decide whether a user may send into a conversation now.
#[derive(Clone, Debug)]
pub struct ParticipantRights {
    pub brief: UserBrief,
    /// `None` if the user is not in the conversation.
    pub role: Option<Role>,
    /// The `seq` up to which the user has read. `None` if the user is not in the conversation.
    pub last_read_seq: Option<Seq>,
    pub status: AccountStatus,
    /// Whether the class of the conversation is archived.
    pub class_archived: bool,
    /// Whether there is a block between the two users of a direct conversation.
    pub blocked: bool,
}

/// The message that an earlier send has stored.
#[derive(Clone, Debug)]
pub struct StoredSend {
    pub id: MessageId,
    /// The hash of the content of that send, in hexadecimal.
    pub body_hash: String,
}

/// The state of the database for a batch of sends.
#[derive(Default, Debug)]
pub struct BatchState {
    /// One state for each query, in their order.
    pub sends: Vec<SendState>,
    /// The participants with the given names. A name that no participant of its conversation has is left out.
    pub names: HashMap<NameKey, UserId>,
}

/// The columns that both databases read. It is a macro, because only a literal can be a part of another constant text.
macro_rules! columns {
    () => {
        "u.id AS u, u.username, u.display_name, u.avatar_url, u.status, p.role, p.last_read_seq, l.archived_at,
       c.kind = 'direct' AND (EXISTS (SELECT 1 FROM blocks WHERE blocker_id = c.direct_low AND blocked_id = c.direct_high)
                              OR EXISTS (SELECT 1 FROM blocks WHERE blocker_id = c.direct_high AND blocked_id = c.direct_low))
           AS blocked,
       s.id AS stored_id"
    };
}
/// The columns of the quoted message.
macro_rules! quote_columns {
    () => {
        "q.id AS reply_to_id, q.seq AS q_seq, q.sender_id AS q_sender_id, q.kind AS q_kind, q.content AS q_content,
       q.deleted_at AS q_deleted_at"
    };
}
use {columns, quote_columns};

/// Locks conversations, and then reads the state for a batch of sends to them and the users with the names of its
/// texts. On PostgreSQL this is one round trip, and each of the two statements sees the commits before it.
pub async fn lock_and_read_batch(
    conn: &Transaction,
    mode: LockMode,
    ids: &[ConversationId],
    queries: &[SendQuery<'_>],
    names: &[NameKey],
) -> Result<(Vec<(ConversationId, LockedConversation)>, BatchState), DbErr> {
    if dialect::is_postgres(conn) {
        let read = postgres::read_call(queries, names);
        let (locked, results) = locks::lock_conversations_and_read(conn, mode, ids, vec![read]).await?;
        return Ok((locked, batch_state(queries, names, results.into_iter().flatten())?));
    }
    let locked = locks::lock_conversations(conn, mode, ids).await?;
    Ok((locked, read_batch(conn, queries, names).await?))
}

/// Reads the state for a batch of sends, and the users with the names of its texts. The calling function has locked the
/// conversations.
pub async fn read_batch(conn: &Transaction, queries: &[SendQuery<'_>], names: &[NameKey]) -> Result<BatchState, DbErr> {
    if queries.is_empty() {
        return Ok(BatchState::default());
    }
    if dialect::is_postgres(conn) {
        let results = conn.query_prepared(&[postgres::read_call(queries, names)]).await?;
        return batch_state(queries, names, results.into_iter().flatten());
    }
    let mut state = batch_state(queries, names, sqlite::read(conn, queries).await?)?;
    state.names = mentions::find_by_names(conn, names).await?;
    Ok(state)
}

/// Makes the state from the rows, which come in any order.
fn batch_state(
    queries: &[SendQuery<'_>],
    names: &[NameKey],
    rows: impl IntoIterator<Item = QueryResult>,
) -> Result<BatchState, DbErr> {
    let mut state = BatchState { sends: vec![SendState::default(); queries.len()], names: HashMap::new() };
    for row in rows {
        let number: i64 = row.try_get("", "n")?;
        if let Ok(index) = usize::try_from(number) {
            state.sends[index] = send_state(&row)?;
        } else {
            // The first name has the number -1.
            let name = &names[usize::try_from(-1 - number).unwrap_or_default()];
            state.names.insert(name.clone(), UserId(row.try_get("", "u")?));
        }
    }
    Ok(state)
}

fn send_state(row: &QueryResult) -> Result<SendState, DbErr> {
    let sender = match row.try_get::<Option<Uuid>>("", "u")? {
        Some(id) => Some(participant_rights(row, UserId(id))?),
        None => None,
    };
    let stored = match row.try_get::<Option<Uuid>>("", "stored_id")? {
        Some(id) => Some(StoredSend { id: MessageId(id), body_hash: row.try_get("", "body_hash")? }),
        None => None,
    };
    Ok(SendState { sender, stored, quoted: QuotedRow::from_row(row)? })
}

fn participant_rights(row: &QueryResult, user: UserId) -> Result<ParticipantRights, DbErr> {
    Ok(ParticipantRights {
        brief: UserBrief {
            id: user,
            username: row.try_get("", "username")?,
            display_name: row.try_get("", "display_name")?,
            avatar_url: row.try_get("", "avatar_url")?,
        },
        role: row.try_get::<Option<String>>("", "role")?.map(|role| Role::from_stored(&role)),
        last_read_seq: row.try_get::<Option<i64>>("", "last_read_seq")?.map(Seq),
        status: AccountStatus::from_stored(&row.try_get::<String>("", "status")?),
        class_archived: row.try_get::<Option<i64>>("", "archived_at")?.is_some(),
        blocked: row.try_get::<Option<bool>>("", "blocked")?.unwrap_or(false),
    })
}
