//! Checks whether a user may act in a conversation: the one rule for sending, editing, deleting and reacting.
//! Everything it depends on is read inside the transaction that acts, after its locks.

use super::transact::Tx;
use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::domain::roles::{Action, Role};
use crate::error::{Error, Result};
use crate::protocol::resources::Message;
use crate::store::assemble::assemble;
use crate::store::messages::{self, Sender};
use crate::store::users::{self, AccountStatus};

/// Reads what the rights of `user` in a conversation depend on. `tx` must have locked the conversation.
pub(super) async fn get_sender(tx: &Tx, conversation: ConversationId, user: UserId) -> Result<Sender> {
    tx.require_conversation(conversation)?;
    let mut found = messages::senders(tx.conn(), &[(conversation, user)]).await?;
    found.remove(&(conversation, user)).ok_or_else(Error::not_a_participant)
}

/// Fails unless the account is active. It is locked, and may have been suspended since its token was checked.
pub(super) async fn require_active_account(tx: &Tx, user: UserId) -> Result<()> {
    match users::by_id(tx.conn(), user).await?.map(|user| user.status) {
        Some(AccountStatus::Active) => Ok(()),
        Some(AccountStatus::Suspended) => Err(Error::suspended()),
        Some(AccountStatus::Deleted) | None => {
            Err(Error::unauthorized("This account was deleted; sign in with another one."))
        }
    }
}

/// Returns the role of an active account that is in the conversation. This is enough for actions that no other user
/// sees.
pub(super) fn require_inside(sender: &Sender) -> Result<Role> {
    match sender.status.as_str() {
        "active" => sender.role.ok_or_else(Error::not_a_participant),
        "suspended" => Err(Error::suspended()),
        _ => Err(Error::unauthorized("This account was deleted; sign in with another one.")),
    }
}

/// Does the same as [`require_inside`], and fails if the conversation is read-only.
pub(super) fn require_changeable(sender: &Sender) -> Result<Role> {
    let role = require_inside(sender)?;
    if sender.archived { Err(Error::class_archived()) } else { Ok(role) }
}

/// Does the same as [`require_changeable`], and fails if a block separates the users of a direct conversation, or if
/// the role does not allow `action`.
pub(super) fn require_writable(sender: &Sender, action: Action) -> Result<Role> {
    let role = require_changeable(sender)?;
    if sender.blocked {
        return Err(Error::blocked());
    }
    if !role.may(action) {
        return Err(Error::forbidden("Observers can only read this conversation."));
    }
    Ok(role)
}

/// Returns a message of a conversation that `tx` has locked, with mentions, and with reactions as `viewer` sees them.
pub(super) async fn get_message(
    tx: &Tx,
    conversation: ConversationId,
    viewer: UserId,
    id: MessageId,
) -> Result<Message> {
    let found = messages::by_ids(tx.conn(), &[id]).await?.pop();
    let (mut message, _) = found
        .filter(|(message, _)| message.conversation_id == conversation)
        .ok_or_else(|| Error::not_found("message"))?;
    assemble(tx.conn(), Some(viewer), std::slice::from_mut(&mut message)).await?;
    Ok(message)
}
