//! Deleting messages: for everyone, after which nothing the server keeps or sends says what they said, or for oneself,
//! which others do not notice.

use super::transact::{Tx, transact};
use super::{Caller, rights};
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
use crate::store::{edits, hidden, log};

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
        Audience::Everyone => transact(app, move |tx| Box::pin(for_everyone(tx, caller, conversation, id))).await,
        Audience::Me => transact(app, move |tx| Box::pin(for_oneself(tx, caller, conversation, id))).await,
    }
}

async fn for_everyone(tx: &mut Tx, caller: Caller, conversation: ConversationId, id: MessageId) -> Result<()> {
    tx.lock_conversations(&[conversation]).await?;
    let sender = rights::sender(tx, conversation, caller.user_id).await?;
    let role = rights::changes(&sender)?;
    let kind = tx.existing(conversation)?.kind;
    let message = rights::message(tx, conversation, caller.user_id, id).await?;
    may(caller, role, kind, &message)?;
    if message.deleted_at.is_some() {
        return Ok(());
    }
    edits::delete(tx.conn(), id, caller.user_id, tx.now()).await?;
    redact(tx, id).await?;
    let event = Event::MessageDeleted { conversation_id: conversation, message_id: id, seq: message.seq };
    tx.append(Stream::Conversation(conversation), &event);
    Ok(())
}

/// Authors delete their own, owners and admins others'; of two in a direct conversation each only their own, and nobody
/// what the server said.
fn may(caller: Caller, role: Role, kind: ConversationKind, message: &Message) -> Result<()> {
    let allowed = match message.sender_id {
        None => false,
        Some(author) if author == caller.user_id => role.may(Action::DeleteOwn),
        Some(_) => kind != ConversationKind::Direct && role.may(Action::DeleteOthers),
    };
    if allowed { Ok(()) } else { Err(Error::forbidden("its author, an owner or an admin deletes a message")) }
}

/// Rewrites what the log says of a message, in the order of the rows' ids and some at a time. The conversation is locked,
/// so no row is added meanwhile.
async fn redact(tx: &Tx, id: MessageId) -> Result<()> {
    let ids = log::showing(tx.conn(), id).await?;
    for some in ids.chunks(limits::REPLAY_PAGE as usize) {
        let mut rewritten = Vec::with_capacity(some.len());
        for row in log::locked(tx.conn(), some).await? {
            let text = redacted(row.stream, &row.event_type, &row.text, id, tx.now()).map_err(Error::internal)?;
            rewritten.extend(text.map(|text| (row.id, text)));
        }
        log::rewrite(tx.conn(), rewritten).await?;
    }
    Ok(())
}

async fn for_oneself(tx: &mut Tx, caller: Caller, conversation: ConversationId, id: MessageId) -> Result<()> {
    tx.lock_conversations(&[conversation]).await?;
    tx.lock_users(&[caller.user_id]).await?;
    let sender = rights::sender(tx, conversation, caller.user_id).await?;
    rights::inside(&sender)?;
    let message = rights::message(tx, conversation, caller.user_id, id).await?;
    if hidden::hide(tx.conn(), caller.user_id, (conversation, message.seq), id, tx.now()).await? {
        let event = Event::MessageHidden { conversation_id: conversation, message_id: id };
        tx.append(Stream::User(caller.user_id), &event);
    }
    Ok(())
}
