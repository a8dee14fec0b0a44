//! Changes the text of a message and keeps its former texts, or deletes it with everything that repeats it.

use crate::domain::ids::{MessageId, UserId};
use crate::domain::time::Timestamp;
use crate::protocol::messages::FormerText;
use crate::store::db::transaction::Transaction;
use crate::store::dialect;
use crate::store::statistics::{self, CountDelta};
use sea_orm::{ConnectionTrait, DbErr};

/// Replaces the text of a message and keeps the old text as a former one. `mentions_all` says whether the new text
/// mentions all members.
pub async fn update_text(
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

/// Lists at most `limit` former texts of a message, oldest first. Each comes with the id of its row, and `after` is
/// such an id: 0 begins with the oldest text.
pub async fn list(
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

/// Deletes the text of a message, its former texts, mentions, reactions and links, and its copies in notifications. The
/// row of the message stays. The calling function removes the text from the log.
pub async fn delete_text(conn: &Transaction, id: MessageId, by: UserId, at: Timestamp) -> Result<(), DbErr> {
    conn.mark_text_deleted();
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
    let removed = statistics::remove_links(conn, &[id]).await?.into_iter();
    let changes: Vec<_> = removed
        .map(|(conversation, links)| (conversation, CountDelta { links: -links, ..CountDelta::default() }))
        .collect();
    statistics::add_counts(conn, &changes).await
}
