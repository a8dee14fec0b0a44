//! What becomes of a message's text: changed, with the former ones kept, or taken away with all that hangs on it.

use super::dialect;
use super::statistics::{self, Growth};
use super::transaction::Transaction;
use crate::domain::ids::{MessageId, UserId};
use crate::domain::time::Timestamp;
use crate::protocol::resources::FormerText;
use sea_orm::{ConnectionTrait, DbErr};

/// Gives a message another text, which mentions everybody or not, and keeps the one it has.
pub async fn change(
    conn: &impl ConnectionTrait,
    id: MessageId,
    content: &str,
    mentions_all: bool,
    at: Timestamp,
) -> Result<(), DbErr> {
    let text =
        "INSERT INTO message_edits (message_id, content, edited_at) SELECT id, content, $2 FROM messages WHERE id = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![id.into(), at.into()])).await?;
    let text = "UPDATE messages SET content = $2, mentions_all = $3, edited_at = $4 WHERE id = $1";
    let values = vec![id.into(), content.into(), mentions_all.into(), at.into()];
    dialect::run(conn, dialect::plain(conn, text, values)).await?;
    Ok(())
}

/// The former texts of a message after the place `after`, oldest first, each with its place.
pub async fn page(
    conn: &impl ConnectionTrait,
    id: MessageId,
    after: i64,
    limit: u64,
) -> Result<Vec<(FormerText, i64)>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT id, content, edited_at FROM message_edits WHERE message_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        vec![id.into(), after.into(), (limit as i64).into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| {
            let edited_at = Timestamp(row.try_get("", "edited_at")?);
            Ok((FormerText { content: row.try_get("", "content")?, edited_at }, row.try_get("", "id")?))
        })
        .collect()
}

/// Takes a message's text away, and all that hangs on it or repeats it; its place stays. The log is the caller's.
pub async fn delete(conn: &Transaction, id: MessageId, by: UserId, at: Timestamp) -> Result<(), DbErr> {
    conn.deletes_text();
    let text = "UPDATE messages SET content = '', data = NULL, deleted_at = $2, deleted_by = $3, pinned_at = NULL,
                                   pinned_by = NULL, mentions_all = false WHERE id = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![id.into(), at.into(), by.into()])).await?;
    for text in [
        "DELETE FROM message_edits WHERE message_id = $1",
        "DELETE FROM mentions WHERE message_id = $1",
        "DELETE FROM reactions WHERE message_id = $1",
        "UPDATE notifications SET body = '', data = NULL WHERE message_id = $1",
    ] {
        dialect::run(conn, dialect::plain(conn, text, vec![id.into()])).await?;
    }
    let gone = statistics::remove_links(conn, &[id]).await?.into_iter();
    let shrunk: Vec<_> =
        gone.map(|(conversation, gone)| (conversation, Growth { links: -gone, ..Growth::default() })).collect();
    statistics::grow(conn, &shrunk).await
}
