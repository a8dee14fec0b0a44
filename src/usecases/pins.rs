//! What users do with pins: pinning a message for all participants, unpinning it, and listing pinned messages.
//! Repeating a call changes nothing and appends no event.

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
pub async fn add(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    message_id: MessageId,
) -> Result<Message> {
    let caller = *caller;
    let request = (caller, conversation_id, message_id);
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(add_in(tx, request))).await?;
    messages::get(app, &caller, message_id).await
}

async fn add_in(tx: &mut Tx, (caller, conversation_id, message_id): (Caller, ConversationId, MessageId)) -> Result<()> {
    lock_and_check_right(tx, caller, conversation_id).await?;
    if access::get_undeleted_target(tx, conversation_id, message_id, caller.user_id).await?.pinned {
        return Ok(());
    }
    let newest = pins::newest(tx.conn(), conversation_id).await?;
    // Each pin is later than every other pin of the conversation, even if the clock goes back.
    let at = newest.map_or(tx.now(), |newest| tx.now().max(Timestamp(newest.0 + 1)));
    pins::set(tx.conn(), conversation_id, message_id, caller.user_id, at).await?;
    let pin = Pin { conversation_id, message_id, user_id: caller.user_id };
    tx.append(Stream::Conversation(conversation_id), &Event::MessagePinned(pin));
    Ok(())
}

/// Unpins a message.
pub async fn remove(app: &App, caller: &Caller, conversation_id: ConversationId, message_id: MessageId) -> Result<()> {
    let request = (*caller, conversation_id, message_id);
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(remove_in(tx, request))).await
}

async fn remove_in(
    tx: &mut Tx,
    (caller, conversation_id, message_id): (Caller, ConversationId, MessageId),
) -> Result<()> {
    lock_and_check_right(tx, caller, conversation_id).await?;
    // A deleted message has no pin, because the deletion removed it.
    if !access::get_target(tx, conversation_id, message_id, caller.user_id).await?.pinned {
        return Ok(());
    }
    pins::remove(tx.conn(), conversation_id, message_id).await?;
    let pin = Pin { conversation_id, message_id, user_id: caller.user_id };
    tx.append(Stream::Conversation(conversation_id), &Event::MessageUnpinned(pin));
    Ok(())
}

/// Locks the conversation and checks that the caller may pin messages there.
async fn lock_and_check_right(tx: &mut Tx, caller: Caller, conversation_id: ConversationId) -> Result<()> {
    tx.lock_conversations(&[conversation_id]).await?;
    let kind = tx.require_conversation(conversation_id)?.kind;
    let sender = access::get_rights(tx, conversation_id, caller.user_id).await?;
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
    conversation_id: ConversationId,
    before: Timestamp,
    limit: u64,
) -> Result<Vec<(Option<Message>, Timestamp)>> {
    let user = caller.user_id;
    let (pinned, found) = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let pinned = pins::page(conn, conversation_id, user, before, limit).await?;
            let keys: Vec<MessageKey> = pinned.iter().map(|(id, _)| (conversation_id, *id)).collect();
            let found = list_for_viewer(conn, user, conversation_id, rows::by_keys(conn, &keys).await?).await?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_participant(conn, conversation_id, user).await?;
            Ok((pinned, found))
        })
    })
    .await?;
    let mut found: HashMap<MessageId, Message> = found.into_iter().map(|message| (message.id, message)).collect();
    Ok(pinned.into_iter().map(|(id, at)| (found.remove(&id).filter(|message| message.pinned), at)).collect())
}
