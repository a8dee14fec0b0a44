//! The statements of mentions of users in messages. [`super::parts`] reads them for the messages that clients get.

use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::store::bound_rows::RowsTemplate;
use crate::store::dialect::{self, Column};
use crate::store::table_write::TableWrite;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashMap;

/// A mention to insert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewMention {
    /// The mentioned user.
    pub user_id: UserId,
    pub conversation_id: ConversationId,
    pub seq: Seq,
    pub message_id: MessageId,
    /// The index among the mentions of the message, from 0.
    pub index: i64,
}

/// Returns the write that inserts mentions; `None` if there are none. Their messages are in the database already, or
/// are inserted by the same transaction.
pub fn insert(mentions: &[NewMention]) -> Option<TableWrite> {
    if mentions.is_empty() {
        return None;
    }
    let columns = vec![
        Column::Uuid(mentions.iter().map(|mention| mention.user_id.0).collect()),
        Column::Uuid(mentions.iter().map(|mention| mention.conversation_id.0).collect()),
        Column::Int(mentions.iter().map(|mention| mention.seq.0).collect()),
        Column::Uuid(mentions.iter().map(|mention| mention.message_id.0).collect()),
        Column::Int(mentions.iter().map(|mention| mention.index).collect()),
    ];
    Some(TableWrite {
        postgres: "INSERT INTO mentions (user_id, conversation_id, seq, message_id, position)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::bigint[])",
        sqlite: RowsTemplate::Table {
            text: "INSERT INTO mentions (user_id, conversation_id, seq, message_id, position)
                   SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
            row: "($1, $2, $3, $4, $5)",
        },
        columns,
        scalars: Vec::new(),
    })
}

/// Removes all mentions of a message.
pub async fn remove(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
) -> Result<(), DbErr> {
    let text = "DELETE FROM mentions WHERE conversation_id = $1 AND message_id = $2";
    dialect::run(conn, dialect::plain(conn, text, vec![conversation.into(), message.into()])).await?;
    Ok(())
}

/// A conversation and the unique form of a username that a message in it mentions.
pub type NameKey = (ConversationId, String);

/// Returns the participants with these usernames. A name that no participant of its conversation has is left out.
pub async fn find_by_names(conn: &impl ConnectionTrait, names: &[NameKey]) -> Result<HashMap<NameKey, UserId>, DbErr> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let columns = vec![
        Column::Uuid(names.iter().map(|(conversation, _)| conversation.0).collect()),
        Column::Text(names.iter().map(|(_, name)| name.clone()).collect()),
    ];
    let statement = dialect::statement(
        conn,
        // LIMIT keeps PostgreSQL from joining whole tables with a plan that it made when the tables were small.
        "SELECT t.c AS conversation_id, t.k AS name, u.id AS user_id FROM unnest($1::uuid[], $2::text[]) AS t(c, k)
         CROSS JOIN LATERAL (SELECT id FROM users WHERE username_key = t.k AND status <> 'deleted' LIMIT 1) u
         CROSS JOIN LATERAL (
             SELECT 1 FROM participants WHERE conversation_id = t.c AND user_id = u.id AND left_at IS NULL LIMIT 1
         ) p",
        "SELECT p.conversation_id, u.username_key AS name, u.id AS user_id FROM jsonb_each($1) AS t
         CROSS JOIN users u ON u.username_key = t.value ->> 1 AND u.status <> 'deleted'
         CROSS JOIN participants p
         ON p.conversation_id = unhex(t.value ->> 0) AND p.user_id = u.id AND p.left_at IS NULL",
        dialect::rows(conn, columns),
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| {
            let key = (ConversationId(row.try_get("", "conversation_id")?), row.try_get("", "name")?);
            Ok((key, UserId(row.try_get("", "user_id")?)))
        })
        .collect()
}
