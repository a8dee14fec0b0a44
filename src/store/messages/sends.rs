//! The statement that reads everything on which the sends of a batch are decided. It is one statement, because on
//! PostgreSQL each further one costs a round trip.

use crate::domain::accounts::AccountStatus;
use crate::domain::content::TempId;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::roles::Role;
use crate::protocol::users::UserBrief;
use crate::store::db::transaction::Transaction;
use crate::store::dialect::{self, Column};
use crate::store::locks::{self, LockMode, LockedConversation};
use crate::store::messages::QuotedRow;
use crate::store::messages::mentions::NameKey;
use crate::store::prepared::{Argument, Hex, PreparedCall, PreparedStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
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

const COLUMNS: &str = "u.id AS u, u.username, u.display_name, u.avatar_url, u.status, p.role, p.last_read_seq, l.archived_at,
       c.kind = 'direct' AND (EXISTS (SELECT 1 FROM blocks WHERE blocker_id = c.direct_low AND blocked_id = c.direct_high)
                              OR EXISTS (SELECT 1 FROM blocks WHERE blocker_id = c.direct_high AND blocked_id = c.direct_low))
           AS blocked,
       s.id AS stored_id";

/// The columns that are empty unless a send replies.
const POSTGRES_NO_QUOTE: &str =
    "NULL::uuid AS reply_to_id, NULL::bigint AS q_seq, NULL::uuid AS q_sender_id, NULL AS q_kind,
       NULL AS q_content, NULL::bigint AS q_deleted_at";
const QUOTE: &str = "q.id AS reply_to_id, q.seq AS q_seq, q.sender_id AS q_sender_id, q.kind AS q_kind,
       q.content AS q_content, q.deleted_at AS q_deleted_at";
// LIMIT keeps PostgreSQL from joining whole tables with a plan that it made when the tables were small. The order by
// `temp_id`, which is no equality, keeps it from the primary key: in a small table reading all messages of the
// conversation seems to cost the same. The collation is that of the indexes; convert_from would have another one.
const POSTGRES_JOINS: &str = "FROM (SELECT c, u, convert_from(decode(k, 'hex'), 'UTF8') COLLATE \"default\" AS k, q, n
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) WITH ORDINALITY AS t(c, u, k, q, n)) t
     LEFT JOIN LATERAL (SELECT * FROM conversations WHERE id = t.c LIMIT 1) c ON TRUE
     LEFT JOIN LATERAL (SELECT * FROM users WHERE id = t.u LIMIT 1) u ON TRUE
     LEFT JOIN LATERAL (
         SELECT * FROM participants WHERE conversation_id = t.c AND user_id = t.u AND left_at IS NULL LIMIT 1
     ) p ON TRUE
     LEFT JOIN LATERAL (SELECT archived_at FROM classes WHERE id = c.class_id LIMIT 1) l ON TRUE
     LEFT JOIN LATERAL (
         SELECT id, body_hash FROM messages
         WHERE t.k <> '' AND conversation_id = t.c AND sender_id = t.u AND temp_id >= t.k AND temp_id <= t.k
         ORDER BY temp_id LIMIT 1
     ) s ON TRUE";
const POSTGRES_QUOTE_JOIN: &str = "LEFT JOIN LATERAL (
         SELECT * FROM messages
         WHERE t.q <> '00000000-0000-0000-0000-000000000000' AND conversation_id = t.c AND id = t.q LIMIT 1
     ) q ON TRUE";

/// The statements that read the state of a batch: one for batches without replies and mentions, which are most, and one
/// for all others. A part of a statement costs PostgreSQL time even if it has nothing to read.
pub const PREPARED: [&PreparedStatement; 2] = [
    &PreparedStatement {
        name: "read_plain_sends",
        types: "uuid[], uuid[], text[], uuid[]",
        text: || format!("SELECT t.n - 1 AS n, {COLUMNS}, {POSTGRES_HASH}, {POSTGRES_NO_QUOTE} {POSTGRES_JOINS}"),
    },
    &PreparedStatement {
        name: "read_sends",
        types: "uuid[], uuid[], text[], uuid[], uuid[], text[]",
        text: || {
            format!(
                "SELECT t.n - 1 AS n, {COLUMNS}, {POSTGRES_HASH}, {QUOTE} {POSTGRES_JOINS} {POSTGRES_QUOTE_JOIN}
                 UNION ALL SELECT -t.n, {NAME_COLUMNS} {POSTGRES_NAMES}"
            )
        },
    },
];
const POSTGRES_HASH: &str = "encode(s.body_hash, 'hex') AS body_hash";

const SQLITE_JOINS: &str = "FROM jsonb_each($1) AS t
     LEFT JOIN conversations c ON c.id = unhex(t.value ->> 0)
     LEFT JOIN users u ON u.id = unhex(t.value ->> 1)
     LEFT JOIN participants p ON p.conversation_id = unhex(t.value ->> 0) AND p.user_id = unhex(t.value ->> 1)
                              AND p.left_at IS NULL
     LEFT JOIN classes l ON l.id = c.class_id
     LEFT JOIN messages s ON t.value ->> 2 <> '' AND s.conversation_id = unhex(t.value ->> 0)
                          AND s.sender_id = unhex(t.value ->> 1) AND s.temp_id = t.value ->> 2
     LEFT JOIN messages q ON q.conversation_id = unhex(t.value ->> 0) AND q.id = unhex(t.value ->> 3)";

/// The rows of `t` here are a conversation and a name each.
const POSTGRES_NAMES: &str = "FROM (SELECT c, convert_from(decode(k, 'hex'), 'UTF8') COLLATE \"default\" AS k, n
           FROM unnest($5::uuid[], $6::text[]) WITH ORDINALITY AS t(c, k, n)) t
     CROSS JOIN LATERAL (SELECT id FROM users WHERE username_key = t.k AND status <> 'deleted' LIMIT 1) u
     CROSS JOIN LATERAL (
         SELECT 1 FROM participants WHERE conversation_id = t.c AND user_id = u.id AND left_at IS NULL LIMIT 1
     ) p";
const SQLITE_NAMES: &str = "FROM jsonb_each($2) AS t
     CROSS JOIN users u ON u.username_key = t.value ->> 1 AND u.status <> 'deleted'
     CROSS JOIN participants p
     ON p.conversation_id = unhex(t.value ->> 0) AND p.user_id = u.id AND p.left_at IS NULL";

/// The columns of a row for a name, which has only its number and a user.
const NAME_COLUMNS: &str =
    "u.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";

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
        let (locked, results) =
            locks::lock_conversations_and_read(conn, mode, ids, vec![read_call(queries, names)]).await?;
        return Ok((locked, batch_state(queries, names, &results.into_iter().flatten().collect::<Vec<_>>())?));
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
    let rows = if dialect::is_postgres(conn) {
        conn.query_prepared(&[read_call(queries, names)]).await?.into_iter().flatten().collect()
    } else {
        dialect::all(conn, sqlite_statement(conn, queries, names)).await?
    };
    batch_state(queries, names, &rows)
}

/// Returns the call that reads the state on PostgreSQL.
fn read_call(queries: &[SendQuery<'_>], names: &[NameKey]) -> PreparedCall {
    let mut arguments = vec![
        Argument::Uuids(queries.iter().map(|query| query.conversation_id.0).collect()),
        Argument::Uuids(queries.iter().map(|query| query.sender_id.0).collect()),
        Argument::Hexes(queries.iter().map(|query| Hex::encode_text(query.temp_id.map(TempId::as_str))).collect()),
        Argument::Uuids(queries.iter().map(|query| query.reply_to_id.map_or(Uuid::nil(), |id| id.0)).collect()),
    ];
    if names.is_empty() && queries.iter().all(|query| query.reply_to_id.is_none()) {
        return PreparedCall { statement: PREPARED[0], arguments };
    }
    arguments.push(Argument::Uuids(names.iter().map(|(conversation, _)| conversation.0).collect()));
    arguments.push(Argument::Hexes(names.iter().map(|(_, name)| Hex::encode_text(Some(name))).collect()));
    PreparedCall { statement: PREPARED[1], arguments }
}

fn sqlite_statement(conn: &impl ConnectionTrait, queries: &[SendQuery<'_>], names: &[NameKey]) -> Statement {
    let columns = vec![
        Column::Uuid(queries.iter().map(|query| query.conversation_id.0).collect()),
        Column::Uuid(queries.iter().map(|query| query.sender_id.0).collect()),
        Column::Text(queries.iter().map(|query| query.temp_id.map_or("", TempId::as_str).to_owned()).collect()),
        Column::Uuid(queries.iter().map(|query| query.reply_to_id.map_or(Uuid::nil(), |id| id.0)).collect()),
    ];
    let mut values = dialect::rows(conn, columns);
    let mut text =
        format!("SELECT t.key AS n, {COLUMNS}, lower(hex(s.body_hash)) AS body_hash, {QUOTE} {SQLITE_JOINS}");
    if !names.is_empty() {
        text += &format!(" UNION ALL SELECT -1 - t.key, {NAME_COLUMNS} {SQLITE_NAMES}");
        let columns = vec![
            Column::Uuid(names.iter().map(|(conversation, _)| conversation.0).collect()),
            Column::Text(names.iter().map(|(_, name)| name.clone()).collect()),
        ];
        values.extend(dialect::rows(conn, columns));
    }
    dialect::plain(conn, &text, values)
}

/// Makes the state from the rows, which come in any order.
fn batch_state(queries: &[SendQuery<'_>], names: &[NameKey], rows: &[QueryResult]) -> Result<BatchState, DbErr> {
    let mut state = BatchState { sends: vec![SendState::default(); queries.len()], names: HashMap::new() };
    for row in rows {
        let number: i64 = row.try_get("", "n")?;
        if let Ok(index) = usize::try_from(number) {
            state.sends[index] = send_state(row)?;
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
