//! The statements that change the text of a message and keep its former texts, or delete it with everything that
//! repeats it.

use crate::domain::ids::{ConversationId, MessageId, UserId};
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
    conversation: ConversationId,
    id: MessageId,
    content: &str,
    mentions_all: bool,
    at: Timestamp,
) -> Result<(), DbErr> {
    let text = "INSERT INTO message_edits (conversation_id, message_id, content, edited_at)
                SELECT conversation_id, id, content, $3 FROM messages WHERE conversation_id = $1 AND id = $2";
    dialect::run(conn, dialect::plain(conn, text, vec![conversation.into(), id.into(), at.into()])).await?;
    let text = "UPDATE messages SET content = $3, mentions_all = $4, edited_at = $5
                WHERE conversation_id = $1 AND id = $2";
    let values = vec![conversation.into(), id.into(), content.into(), mentions_all.into(), at.into()];
    dialect::run(conn, dialect::plain(conn, text, values)).await?;
    Ok(())
}

/// Lists at most `limit` former texts of a message, oldest first. Each comes with the id of its row, and `after` is
/// such an id: 0 begins with the oldest text.
pub async fn list(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    id: MessageId,
    after: i64,
    limit: u64,
) -> Result<Vec<(FormerText, i64)>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT id, content, edited_at FROM message_edits
         WHERE conversation_id = $1 AND message_id = $2 AND id > $3 ORDER BY id LIMIT $4",
        vec![conversation.into(), id.into(), after.into(), (limit as i64).into()],
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
pub async fn delete_text(
    conn: &Transaction,
    conversation: ConversationId,
    id: MessageId,
    by: UserId,
    at: Timestamp,
) -> Result<(), DbErr> {
    conn.mark_text_deleted();
    let text = "UPDATE messages SET content = '', data = NULL, deleted_at = $3, deleted_by = $4, pinned_at = NULL,
                                   pinned_by = NULL, mentions_all = false WHERE conversation_id = $1 AND id = $2";
    let values = vec![conversation.into(), id.into(), at.into(), by.into()];
    dialect::run(conn, dialect::plain(conn, text, values)).await?;
    for text in [
        "DELETE FROM message_edits WHERE conversation_id = $1 AND message_id = $2",
        "DELETE FROM mentions WHERE conversation_id = $1 AND message_id = $2",
        "DELETE FROM reactions WHERE conversation_id = $1 AND message_id = $2",
        "UPDATE notifications SET body = '', data = NULL WHERE conversation_id = $1 AND message_id = $2",
    ] {
        dialect::run(conn, dialect::plain(conn, text, vec![conversation.into(), id.into()])).await?;
    }
    let links = statistics::remove_links(conn, conversation, &[id]).await?;
    if links == 0 {
        return Ok(());
    }
    statistics::add_counts(conn, &[(conversation, CountDelta { links: -links, ..CountDelta::default() })]).await
}
