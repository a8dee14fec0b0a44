//! The statement that reads everything on which the sends of a batch are decided. It is one statement, because on
//! PostgreSQL each further one costs a round trip. On SQLite a large batch, and one with mentions, needs a second one.

use crate::domain::accounts::AccountStatus;
use crate::domain::content::TempId;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::roles::Role;
use crate::protocol::users::UserBrief;
use crate::store::bound_rows::{self, RowsTemplate};
use crate::store::dialect::{self, Column};
use crate::store::messages::QuotedRow;
use crate::store::messages::mentions::{self, NameKey};
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

/// The columns that both databases read. It is a macro, because only a literal can be a part of another constant text.
macro_rules! columns {
    () => {
        "u.id AS u, u.username, u.display_name, u.avatar_url, u.status, p.role, p.last_read_seq, l.archived_at,
       c.kind = 'direct' AND (EXISTS (SELECT 1 FROM blocks WHERE blocker_id = c.direct_low AND blocked_id = c.direct_high)
                              OR EXISTS (SELECT 1 FROM blocks WHERE blocker_id = c.direct_high AND blocked_id = c.direct_low))
           AS blocked,
       s.id AS stored_id, q.id AS reply_to_id, q.seq AS q_seq, q.sender_id AS q_sender_id, q.kind AS q_kind,
       q.content AS q_content, q.deleted_at AS q_deleted_at"
    };
}

// LIMIT keeps PostgreSQL from joining whole tables with a plan that it made when the tables were small. The order by
// `temp_id`, which is no equality, keeps it from the primary key: in a small table reading all messages of the
// conversation seems to cost the same.
const POSTGRES_JOINS: &str =
    "FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) WITH ORDINALITY AS t(c, u, k, q, n)
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
     ) s ON TRUE
     LEFT JOIN LATERAL (
         SELECT * FROM messages
         WHERE t.q <> '00000000-0000-0000-0000-000000000000' AND conversation_id = t.c AND id = t.q LIMIT 1
     ) q ON TRUE";

/// The statement for SQLite. The columns of `t` are the number of the send, its conversation, its sender, its `temp_id`
/// and the message to which it replies.
const SQLITE: RowsTemplate = RowsTemplate::Table {
    text: concat!(
        "SELECT t.column1 AS n, ",
        columns!(),
        ", lower(hex(s.body_hash)) AS body_hash
         FROM (VALUES {rows}) AS t
         LEFT JOIN conversations c ON c.id = t.column2
         LEFT JOIN users u ON u.id = t.column3
         LEFT JOIN participants p ON p.conversation_id = t.column2 AND p.user_id = t.column3 AND p.left_at IS NULL
         LEFT JOIN classes l ON l.id = c.class_id
         LEFT JOIN messages s ON s.conversation_id = t.column2 AND s.sender_id = t.column3 AND s.temp_id = t.column4
         LEFT JOIN messages q ON q.conversation_id = t.column2 AND q.id = t.column5
         WHERE t.column1 IS NOT NULL"
    ),
    row: "($1, $2, $3, NULLIF($4, ''), $5)",
};

/// The rows of `t` here are a conversation and a name each.
const POSTGRES_NAMES: &str = "FROM unnest($5::uuid[], $6::text[]) WITH ORDINALITY AS t(c, k, n)
     CROSS JOIN LATERAL (SELECT id FROM users WHERE username_key = t.k AND status <> 'deleted' LIMIT 1) u
     CROSS JOIN LATERAL (
         SELECT 1 FROM participants WHERE conversation_id = t.c AND user_id = u.id AND left_at IS NULL LIMIT 1
     ) p";

/// The columns of a row for a name, which has only its number and a user.
const NAME_COLUMNS: &str =
    "u.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";

/// Reads the state for a batch of sends, and the users with the names of its texts. The calling function has locked the
/// conversations.
pub async fn read_batch(
    conn: &impl ConnectionTrait,
    queries: &[SendQuery<'_>],
    names: &[NameKey],
) -> Result<BatchState, DbErr> {
    if queries.is_empty() {
        return Ok(BatchState::default());
    }
    let rows = if dialect::is_postgres(conn) {
        dialect::all(conn, postgres_statement(conn, queries, names)).await?
    } else {
        let mut columns = vec![Column::Int((0..queries.len() as i64).collect())];
        columns.extend(query_columns(queries));
        let mut rows = Vec::with_capacity(queries.len());
        for statement in bound_rows::bind(SQLITE, columns, &[], 1) {
            rows.extend(dialect::all(conn, bound_rows::join_repeated(vec![statement])).await?);
        }
        rows
    };
    let mut state = BatchState { sends: vec![SendState::default(); queries.len()], names: HashMap::new() };
    if !dialect::is_postgres(conn) {
        state.names = mentions::find_by_names(conn, names).await?;
    }
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

fn query_columns(queries: &[SendQuery<'_>]) -> [Column; 4] {
    [
        Column::Uuid(queries.iter().map(|query| query.conversation_id.0).collect()),
        Column::Uuid(queries.iter().map(|query| query.sender_id.0).collect()),
        Column::Text(queries.iter().map(|query| query.temp_id.map_or("", TempId::as_str).to_owned()).collect()),
        Column::Uuid(queries.iter().map(|query| query.reply_to_id.map_or(Uuid::nil(), |id| id.0)).collect()),
    ]
}

fn postgres_statement(conn: &impl ConnectionTrait, queries: &[SendQuery<'_>], names: &[NameKey]) -> Statement {
    let mut values = dialect::rows(conn, query_columns(queries).into());
    let mut of_names = String::new();
    if !names.is_empty() {
        of_names = format!("UNION ALL SELECT -t.n, {NAME_COLUMNS} {POSTGRES_NAMES}");
        let columns = vec![
            Column::Uuid(names.iter().map(|(conversation, _)| conversation.0).collect()),
            Column::Text(names.iter().map(|(_, name)| name.clone()).collect()),
        ];
        values.extend(dialect::rows(conn, columns));
    }
    let columns = columns!();
    let text =
        format!("SELECT t.n - 1 AS n, {columns}, encode(s.body_hash, 'hex') AS body_hash {POSTGRES_JOINS} {of_names}");
    dialect::plain(conn, &text, values)
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
