//! Whether somebody may act in a conversation now: the one rule of sending, editing, deleting and reacting. What it
//! decides on was read inside the transaction that acts, after its locks.

use super::transact::Tx;
use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::domain::roles::{Action, Role};
use crate::error::{Error, Result};
use crate::protocol::resources::Message;
use crate::store::hydrate::hydrate;
use crate::store::messages::{self, Sender};
use crate::store::users::{self, Status};

/// What decides about `user` in a conversation that `tx` has locked.
pub(super) async fn sender(tx: &Tx, conversation: ConversationId, user: UserId) -> Result<Sender> {
    tx.existing(conversation)?;
    let mut found = messages::senders(tx.conn(), &[(conversation, user)]).await?;
    found.remove(&(conversation, user)).ok_or_else(Error::not_a_participant)
}

/// Whether the account that acts stands; it is locked, and may have been suspended since its token was checked.
pub(super) async fn account(tx: &Tx, user: UserId) -> Result<()> {
    match users::by_id(tx.conn(), user).await?.map(|user| user.status) {
        Some(Status::Active) => Ok(()),
        Some(Status::Suspended) => Err(Error::suspended()),
        Some(Status::Deleted) | None => Err(Error::unauthorized("this account was deleted; sign in with another one")),
    }
}

/// Whether the account stands and is in the conversation: enough for what concerns nobody else.
pub(super) fn inside(sender: &Sender) -> Result<Role> {
    match sender.status.as_str() {
        "active" => sender.role.ok_or_else(Error::not_a_participant),
        "suspended" => Err(Error::suspended()),
        _ => Err(Error::unauthorized("this account was deleted; sign in with another one")),
    }
}

/// [`inside`], in a conversation that is not read-only.
pub(super) fn changes(sender: &Sender) -> Result<Role> {
    let role = inside(sender)?;
    if sender.archived { Err(Error::class_archived()) } else { Ok(role) }
}

/// [`changes`], with nothing between the two of a direct conversation, and with a role that may do `action`.
pub(super) fn writes(sender: &Sender, action: Action) -> Result<Role> {
    let role = changes(sender)?;
    if sender.blocked {
        return Err(Error::blocked());
    }
    if !role.may(action) {
        return Err(Error::forbidden("observers can only read"));
    }
    Ok(role)
}

/// The message of a conversation that `tx` has locked, with what hangs on it as `viewer` sees it.
pub(super) async fn message(tx: &Tx, conversation: ConversationId, viewer: UserId, id: MessageId) -> Result<Message> {
    let found = messages::by_ids(tx.conn(), &[id]).await?.pop();
    let (mut message, _) = found
        .filter(|(message, _)| message.conversation_id == conversation)
        .ok_or_else(|| Error::not_found("message"))?;
    hydrate(tx.conn(), Some(viewer), std::slice::from_mut(&mut message)).await?;
    Ok(message)
}
