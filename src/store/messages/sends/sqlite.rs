//! The statement that reads the state of a batch on SQLite. A large batch, and one with mentions, needs a second one.

use super::{SendQuery, columns, quote_columns};
use crate::domain::content::TempId;
use crate::store::bound_rows::{self, RowsTemplate};
use crate::store::dialect::{self, Column};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

/// The statement. The columns of `t` are the number of the send, its conversation, its sender, its `temp_id`
/// and the message to which it replies.
const STATEMENT: RowsTemplate = RowsTemplate::Table {
    text: concat!(
        "SELECT t.column1 AS n, ",
        columns!(),
        ", ",
        quote_columns!(),
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

/// Reads the rows of the sends. The first send has the number 0.
pub async fn read(conn: &impl ConnectionTrait, queries: &[SendQuery<'_>]) -> Result<Vec<QueryResult>, DbErr> {
    let columns = vec![
        Column::Int((0..queries.len() as i64).collect()),
        Column::Uuid(queries.iter().map(|query| query.conversation_id.0).collect()),
        Column::Uuid(queries.iter().map(|query| query.sender_id.0).collect()),
        Column::Text(queries.iter().map(|query| query.temp_id.map_or("", TempId::as_str).to_owned()).collect()),
        Column::Uuid(queries.iter().map(|query| query.reply_to_id.map_or(Uuid::nil(), |id| id.0)).collect()),
    ];
    let mut rows = Vec::with_capacity(queries.len());
    for statement in bound_rows::bind(STATEMENT, columns, &[], 1) {
        rows.extend(dialect::all(conn, bound_rows::join_repeated(vec![statement])).await?);
    }
    Ok(rows)
}
