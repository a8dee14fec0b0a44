//! Pins: pinning a message for all participants, unpinning it, and listing pinned messages. Repeating a call changes
//! nothing and appends no event.

use super::messages;
use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, MessageId, MessageKey};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::events::Event;
use crate::protocol::messages::Message;
use crate::protocol::pins::Pin;
use crate::store::db::pools::ReadPool;
use crate::store::messages as rows;
use crate::store::pins;
use crate::work::access;
use crate::work::assemble::messages::list_for_viewer;
use crate::work::read::read;
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use std::collections::HashMap;

/// Pins a message and returns it as the caller sees it.
pub async fn add(app: &App, caller: &Caller, conversation: ConversationId, message: MessageId) -> Result<Message> {
    let (owned_app, caller) = (app.clone(), *caller);
    app.run_with_deadline(async move {
        let request = (caller, conversation, message);
        transact_for(&owned_app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(add_in(tx, request))).await?;
        messages::get(&owned_app, &caller, message).await
    })
    .await
}

async fn add_in(tx: &mut Tx, (caller, conversation, message): (Caller, ConversationId, MessageId)) -> Result<()> {
    lock_and_check_right(tx, caller, conversation).await?;
    if access::get_undeleted_target(tx, conversation, message, caller.user_id).await?.pinned {
        return Ok(());
    }
    let newest = pins::newest(tx.conn(), conversation).await?;
    // Each pin is later than every other pin of the conversation, even if the clock goes back.
    let at = newest.map_or(tx.now(), |newest| tx.now().max(Timestamp(newest.0 + 1)));
    pins::set(tx.conn(), conversation, message, caller.user_id, at).await?;
    let pin = Pin { conversation_id: conversation, message_id: message, user_id: caller.user_id };
    tx.append(Stream::Conversation(conversation), &Event::MessagePinned(pin));
    Ok(())
}

/// Unpins a message.
pub async fn remove(app: &App, caller: &Caller, conversation: ConversationId, message: MessageId) -> Result<()> {
    let request = (*caller, conversation, message);
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(remove_in(tx, request))).await
}

async fn remove_in(tx: &mut Tx, (caller, conversation, message): (Caller, ConversationId, MessageId)) -> Result<()> {
    lock_and_check_right(tx, caller, conversation).await?;
    // A deleted message has no pin, because the deletion removed it.
    if !access::get_target(tx, conversation, message, caller.user_id).await?.pinned {
        return Ok(());
    }
    pins::remove(tx.conn(), conversation, message).await?;
    let pin = Pin { conversation_id: conversation, message_id: message, user_id: caller.user_id };
    tx.append(Stream::Conversation(conversation), &Event::MessageUnpinned(pin));
    Ok(())
}

/// Locks the conversation and checks that the caller may pin messages there.
async fn lock_and_check_right(tx: &mut Tx, caller: Caller, conversation: ConversationId) -> Result<()> {
    tx.lock_conversations(&[conversation]).await?;
    let kind = tx.require_conversation(conversation)?.kind;
    let sender = access::get_rights(tx, conversation, caller.user_id).await?;
    let role = access::require_changeable(&sender)?;
    if sender.blocked {
        return Err(Error::blocked());
    }
    if !role.may(Action::Pin(kind)) {
        return Err(Error::forbidden("Only owners and admins can pin messages."));
    }
    Ok(())
}

/// Lists the pinned messages of a conversation as the caller sees them, the newest pin first, each with the cursor
/// after it. A message that was unpinned or deleted meanwhile is `None`.
pub async fn list(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    before: Timestamp,
    limit: u64,
) -> Result<Vec<(Option<Message>, Timestamp)>> {
    let user = caller.user_id;
    let (pinned, found) = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let pinned = pins::page(conn, conversation, user, before, limit).await?;
            let keys: Vec<MessageKey> = pinned.iter().map(|(id, _)| (conversation, *id)).collect();
            let found = list_for_viewer(conn, user, conversation, rows::by_keys(conn, &keys).await?).await?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_participant(conn, conversation, user).await?;
            Ok((pinned, found))
        })
    })
    .await?;
    let mut found: HashMap<MessageId, Message> = found.into_iter().map(|message| (message.id, message)).collect();
    Ok(pinned.into_iter().map(|(id, at)| (found.remove(&id).filter(|message| message.pinned), at)).collect())
}
