//! Deleting messages: for everyone, after which nothing the server keeps or sends says what they said, or for oneself,
//! which others do not notice.

use super::read::read;
use super::transact::{Tx, transact_for};
use super::{Caller, marks, rights};
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::client::Audience;
use crate::protocol::events::Event;
use crate::protocol::redaction::redacted;
use crate::protocol::resources::Message;
use crate::store::log::{self, Shows};
use crate::store::pools::Share;
use crate::store::{edits, hidden};

/// Deletes a message. One that is deleted already stays so, and nothing is told again.
pub async fn delete(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    id: MessageId,
    audience: Audience,
) -> Result<()> {
    let caller = *caller;
    match audience {
        Audience::Everyone => for_everyone(app, caller, conversation, id).await,
        Audience::Me => {
            if transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
                Box::pin(for_oneself(tx, caller, conversation, id))
            })
            .await?
            {
                marks::hidden(app, conversation, caller.user_id);
            }
            Ok(())
        }
    }
}

/// One transaction, unless the log shows the message so often that it would take too long: then the oldest of those rows are
/// rewritten before, in transactions of their own. Before and not after, so that no text outlives its message. Should it end
/// halfway, the message stands, and the log still says so: the newest row that shows it goes with it, so that whoever
/// replays the others ends with that one; older answers quote nothing. All of it runs on a task of its own, which no caller
/// ends and no deadline but that of each transaction.
async fn for_everyone(app: &App, caller: Caller, conversation: ConversationId, id: MessageId) -> Result<()> {
    let owner = app.clone();
    let steps = async move {
        let mut rewritten = Some(Rewritten::default());
        while let Some(so_far) = rewritten {
            let rows = touched(&owner, id, so_far).await?;
            rewritten = transact_for(&owner, caller.user_id, rows, move |tx| {
                Box::pin(delete_or_prepare(tx, caller, conversation, id, so_far))
            })
            .await?;
        }
        Ok(())
    };
    app.to_its_end(steps).await
}

/// How far the log is rewritten before a deletion: the ids of the last rows done.
#[derive(Clone, Copy, Default)]
struct Rewritten {
    quotes: i64,
    own: i64,
}

/// How many rows the next transaction touches, as far as can be told before it has its turn.
async fn touched(app: &App, id: MessageId, rewritten: Rewritten) -> Result<usize> {
    let shown = read(app, Share::Ordinary, move |conn| {
        Box::pin(async move {
            let quotes = log::showing(conn, id, Shows::Quoted, rewritten.quotes, limits::REWRITTEN_ROWS).await?;
            let own = log::showing(conn, id, Shows::Itself, rewritten.own, limits::REWRITTEN_ROWS).await?;
            Ok(quotes.len() + own.len())
        })
    });
    Ok(limits::FEW_ROWS + shown.await?)
}

/// Deletes the message, or takes it out of as many rows of the log as one transaction may rewrite and returns how far it got.
async fn delete_or_prepare(
    tx: &mut Tx,
    caller: Caller,
    conversation: ConversationId,
    id: MessageId,
    rewritten: Rewritten,
) -> Result<Option<Rewritten>> {
    tx.lock_conversations(&[conversation]).await?;
    let sender = rights::sender(tx, conversation, caller.user_id).await?;
    let role = rights::changes(&sender)?;
    let kind = tx.existing(conversation)?.kind;
    let message = rights::message(tx, conversation, caller.user_id, id).await?;
    may(caller, role, kind, &message)?;
    if message.deleted_at.is_some() {
        return Ok(None);
    }
    let most = limits::REWRITTEN_ROWS;
    let mut rows = log::showing(tx.conn(), id, Shows::Quoted, rewritten.quotes, most + 1).await?;
    if rows.len() > most {
        let quotes = rows[most - 1];
        redact(tx, id, &rows[..most]).await?;
        return Ok(Some(Rewritten { quotes, ..rewritten }));
    }
    let own = log::showing(tx.conn(), id, Shows::Itself, rewritten.own, most + 1).await?;
    if own.len() > most {
        redact(tx, id, &own[..most]).await?;
        return Ok(Some(Rewritten { own: own[most - 1], ..rewritten }));
    }
    rows.extend(own);
    rows.sort_unstable();
    redact(tx, id, &rows).await?;
    edits::delete(tx.conn(), id, caller.user_id, tx.now()).await?;
    let event = Event::MessageDeleted { conversation_id: conversation, message_id: id, seq: message.seq };
    tx.append(Stream::Conversation(conversation), &event);
    Ok(None)
}

/// Authors delete their own, owners and admins others'; of two in a direct conversation each only their own, and nobody
/// what the server said.
fn may(caller: Caller, role: Role, kind: ConversationKind, message: &Message) -> Result<()> {
    let allowed = match message.sender_id {
        None => false,
        Some(author) if author == caller.user_id => role.may(Action::DeleteOwn),
        Some(_) => kind != ConversationKind::Direct && role.may(Action::DeleteOthers),
    };
    if allowed {
        Ok(())
    } else {
        Err(Error::forbidden(
            "only its author can delete a message for everyone, and in a group an owner or an admin; you can for yourself",
        ))
    }
}

/// Rewrites rows of the log that show a message, in the order of their ids and some at a time. The conversation is locked,
/// so no row is added meanwhile.
async fn redact(tx: &Tx, id: MessageId, rows: &[i64]) -> Result<()> {
    for some in rows.chunks(limits::REPLAY_PAGE as usize) {
        let mut rewritten = Vec::with_capacity(some.len());
        for row in log::locked(tx.conn(), some).await? {
            let text = redacted(row.stream, &row.event_type, &row.text, id, tx.now()).map_err(Error::internal)?;
            rewritten.extend(text.map(|text| (row.id, text)));
        }
        log::rewrite(tx.conn(), rewritten).await?;
    }
    Ok(())
}

/// Hides the message from the caller; false when it was hidden before.
async fn for_oneself(tx: &mut Tx, caller: Caller, conversation: ConversationId, id: MessageId) -> Result<bool> {
    tx.lock_conversations(&[conversation]).await?;
    tx.lock_users(&[caller.user_id]).await?;
    let sender = rights::sender(tx, conversation, caller.user_id).await?;
    rights::inside(&sender)?;
    let message = rights::message(tx, conversation, caller.user_id, id).await?;
    let new = hidden::hide(tx.conn(), caller.user_id, &message, tx.now()).await?;
    if new {
        let event = Event::MessageHidden { conversation_id: conversation, message_id: id };
        tx.append(Stream::User(caller.user_id), &event);
    }
    Ok(new)
}
