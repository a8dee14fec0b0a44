//! Pins: put a message where everybody in the conversation finds it, take it down, see them all. Doing either again
//! changes nothing and tells nobody.

use super::Caller;
use super::conversations::require_participant;
use super::reactions::{present, standing};
use super::rights;
use super::transact::{Tx, transact_for};
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::events::{Event, Pin};
use crate::protocol::resources::Message;
use crate::store::pools::Share;
use crate::store::{messages, pins};
use crate::usecases::messages::{get, shown};
use std::collections::HashMap;

/// Pins a message; returns it as the caller sees it.
pub async fn add(app: &App, caller: &Caller, conversation: ConversationId, message: MessageId) -> Result<Message> {
    let wanted = (*caller, conversation, message);
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(add_in(tx, wanted))).await?;
    get(app, caller, message).await
}

async fn add_in(tx: &mut Tx, (caller, conversation, message): (Caller, ConversationId, MessageId)) -> Result<()> {
    may_pin(tx, caller, conversation).await?;
    if standing(tx, caller, conversation, message).await?.pinned {
        return Ok(());
    }
    let newest = pins::newest(tx.conn(), conversation).await?;
    // later than every other pin, whatever the clock says
    let at = newest.map_or(tx.now(), |newest| tx.now().max(Timestamp(newest.0 + 1)));
    pins::set(tx.conn(), message, caller.user_id, at).await?;
    let pin = Pin { conversation_id: conversation, message_id: message, user_id: caller.user_id };
    tx.append(Stream::Conversation(conversation), &Event::MessagePinned(pin));
    Ok(())
}

/// Takes a message's pin away.
pub async fn remove(app: &App, caller: &Caller, conversation: ConversationId, message: MessageId) -> Result<()> {
    let wanted = (*caller, conversation, message);
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(remove_in(tx, wanted))).await
}

async fn remove_in(tx: &mut Tx, (caller, conversation, message): (Caller, ConversationId, MessageId)) -> Result<()> {
    may_pin(tx, caller, conversation).await?;
    // a deletion took the pin of a deleted message with it
    if !present(tx, caller, conversation, message).await?.pinned {
        return Ok(());
    }
    pins::clear(tx.conn(), message).await?;
    let pin = Pin { conversation_id: conversation, message_id: message, user_id: caller.user_id };
    tx.append(Stream::Conversation(conversation), &Event::MessageUnpinned(pin));
    Ok(())
}

/// Locks the conversation and asks whether the caller may pin there.
async fn may_pin(tx: &mut Tx, caller: Caller, conversation: ConversationId) -> Result<()> {
    tx.lock_conversations(&[conversation]).await?;
    let kind = tx.existing(conversation)?.kind;
    let sender = rights::sender(tx, conversation, caller.user_id).await?;
    let role = rights::changes(&sender)?;
    if sender.blocked {
        return Err(Error::blocked());
    }
    if !role.may(Action::Pin(kind)) {
        return Err(Error::forbidden("only owners and admins can pin messages"));
    }
    Ok(())
}

/// The pinned messages of a conversation as the caller sees them, the newest pin first, each with its moment for the next
/// page. What was unpinned or deleted while they were read is none, and keeps its place.
pub async fn page(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    before: Timestamp,
    limit: u64,
) -> Result<Vec<(Option<Message>, Timestamp)>> {
    let conn = app.db().read(Share::Ordinary);
    let places = pins::page(conn, conversation, caller.user_id, before, limit).await?;
    let ids: Vec<MessageId> = places.iter().map(|(id, _)| *id).collect();
    let found = messages::by_ids(conn, &ids).await?.into_iter().map(|(message, _)| message);
    let found = shown(app, caller.user_id, conversation, found.collect()).await?;
    // the right last: whoever is removed while the rows are read is not shown what came after
    require_participant(app, caller, conversation).await?;
    let mut found: HashMap<MessageId, Message> = found.into_iter().map(|message| (message.id, message)).collect();
    Ok(places.into_iter().map(|(id, at)| (found.remove(&id).filter(|message| message.pinned), at)).collect())
}
