//! How users delete messages, for everyone or for themselves. After a deletion for everyone, the server neither keeps
//! nor sends the text. Other users do not notice a deletion for oneself.

use super::marks;
use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::events::Event;
use crate::protocol::messages::{Audience, MessageDeleted, MessageHidden};
use crate::protocol::redaction::redact_frame;
use crate::store::db::pools::ReadPool;
use crate::store::log::{self, ShownAs};
use crate::store::messages::{MessageRow, edits, hidden};
use crate::work::access;
use crate::work::read::read;
use crate::work::transact::transact_for;
use crate::work::tx::Tx;

/// Deletes a message for everyone, or hides it from the caller. If it was deleted before, nothing changes and no event
/// is appended.
pub async fn delete(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    id: MessageId,
    audience: Audience,
) -> Result<()> {
    let caller = *caller;
    match audience {
        Audience::Everyone => delete_for_everyone(app, caller, conversation_id, id).await,
        Audience::Me => hide(app, caller, conversation_id, id).await,
    }
}

async fn hide(app: &App, caller: Caller, conversation_id: ConversationId, id: MessageId) -> Result<()> {
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(hide_in(tx, caller, conversation_id, id)))
        .await
}

/// Deletes the message in one transaction, unless too many log rows show the message. Then earlier transactions rewrite
/// the oldest of these rows first. They run before the deletion and not after it, so that no row keeps the text of a
/// deleted message.
///
/// If the work ends halfway, the message still exists and the newest log row that shows it is unchanged, because only
/// the last transaction rewrites that row. A client that replays the log ends with the text of that row. Older replies
/// quote nothing then.
///
/// All steps run in a task of their own. The caller cannot cancel it, and each transaction has its own deadline.
async fn delete_for_everyone(app: &App, caller: Caller, conversation_id: ConversationId, id: MessageId) -> Result<()> {
    let owned_app = app.clone();
    let steps = async move {
        let mut next = Some(RewriteProgress::default());
        while let Some(progress) = next {
            let rows = count_rows(&owned_app, id, progress).await?;
            next = transact_for(&owned_app, caller.user_id, rows, move |tx| {
                Box::pin(delete_or_prepare(tx, caller, conversation_id, id, progress))
            })
            .await?;
        }
        Ok(())
    };
    app.run_without_deadline(steps).await
}

/// How much of the log is rewritten before a deletion: the ids of the last rewritten rows.
#[derive(Clone, Copy, Default)]
struct RewriteProgress {
    last_quote_id: i64,
    last_own_id: i64,
}

/// Returns the estimated number of rows that the next transaction changes.
async fn count_rows(app: &App, id: MessageId, progress: RewriteProgress) -> Result<usize> {
    let shown = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let quotes =
                log::list_ids_showing(conn, id, ShownAs::Quote, progress.last_quote_id, limits::REWRITTEN_ROWS).await?;
            let own_rows =
                log::list_ids_showing(conn, id, ShownAs::Message, progress.last_own_id, limits::REWRITTEN_ROWS).await?;
            Ok(quotes.len() + own_rows.len())
        })
    });
    Ok(limits::FEW_ROWS + shown.await?)
}

/// Deletes the message and returns `None`. If more log rows show it than one transaction may rewrite, this function
/// rewrites as many as allowed and returns the progress instead.
async fn delete_or_prepare(
    tx: &mut Tx,
    caller: Caller,
    conversation_id: ConversationId,
    id: MessageId,
    progress: RewriteProgress,
) -> Result<Option<RewriteProgress>> {
    tx.lock_conversations(&[conversation_id]).await?;
    let sender = access::get_rights(tx, conversation_id, caller.user_id).await?;
    let role = access::require_changeable(&sender)?;
    let kind = tx.require_conversation(conversation_id)?.kind;
    let message = access::get_message(tx, conversation_id, id).await?;
    require_delete_right(caller, role, kind, &message)?;
    if message.deleted_at.is_some() {
        return Ok(None);
    }
    let limit = limits::REWRITTEN_ROWS;
    let mut rows = log::list_ids_showing(tx.conn(), id, ShownAs::Quote, progress.last_quote_id, limit + 1).await?;
    if rows.len() > limit {
        let last_quote_id = rows[limit - 1];
        redact_rows(tx, id, &rows[..limit]).await?;
        return Ok(Some(RewriteProgress { last_quote_id, ..progress }));
    }
    let own_rows = log::list_ids_showing(tx.conn(), id, ShownAs::Message, progress.last_own_id, limit + 1).await?;
    if own_rows.len() > limit {
        redact_rows(tx, id, &own_rows[..limit]).await?;
        return Ok(Some(RewriteProgress { last_own_id: own_rows[limit - 1], ..progress }));
    }
    rows.extend(own_rows);
    rows.sort_unstable();
    redact_rows(tx, id, &rows).await?;
    edits::delete_text(tx.conn(), conversation_id, id, caller.user_id, tx.now()).await?;
    let event = Event::MessageDeleted(MessageDeleted { conversation_id, message_id: id, seq: message.seq });
    tx.append(Stream::Conversation(conversation_id), &event);
    Ok(None)
}

/// Authors can delete their own messages, owners and admins also those of others. In a direct conversation users can
/// delete only their own messages. Nobody can delete a system message.
fn require_delete_right(caller: Caller, role: Role, kind: ConversationKind, message: &MessageRow) -> Result<()> {
    let allowed = match message.sender_id() {
        None => false,
        Some(author) if author == caller.user_id => role.may(Action::DeleteOwn),
        Some(_) => kind != ConversationKind::Direct && role.may(Action::DeleteOthers),
    };
    if allowed {
        Ok(())
    } else {
        Err(Error::forbidden(
            "Only the author, and in a group also an owner or an admin, can delete a message for everyone. You can \
             delete it for yourself.",
        ))
    }
}

/// Rewrites log rows that show a message, in the order of their ids and a page at a time. The conversation is locked,
/// so no such row is added meanwhile.
async fn redact_rows(tx: &Tx, id: MessageId, rows: &[i64]) -> Result<()> {
    for page in rows.chunks(limits::REPLAY_PAGE as usize) {
        let mut changed = Vec::with_capacity(page.len());
        for row in log::lock_rows(tx.conn(), page).await? {
            let text = redact_frame(row.stream, &row.event_type, &row.text, id, tx.now())?;
            changed.extend(text.map(|text| (row.id, text)));
        }
        log::rewrite_rows(tx.conn(), changed).await?;
    }
    Ok(())
}

/// Hides the message from the caller. Returns false if it was hidden before.
async fn hide_in(tx: &mut Tx, caller: Caller, conversation_id: ConversationId, id: MessageId) -> Result<()> {
    tx.lock_conversations(&[conversation_id]).await?;
    tx.lock_users(&[caller.user_id]).await?;
    let sender = access::get_rights(tx, conversation_id, caller.user_id).await?;
    access::require_inside(&sender)?;
    let message = access::get_message(tx, conversation_id, id).await?;
    if hidden::hide(tx.conn(), caller.user_id, &message, tx.now()).await? {
        let event = Event::MessageHidden(MessageHidden { conversation_id, message_id: id });
        tx.append(Stream::User(caller.user_id), &event);
        tx.after_commit(move |app| marks::notify_hidden(app, conversation_id, caller.user_id));
    }
    Ok(())
}
