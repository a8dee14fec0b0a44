//! Access: who may act, and what a user may see. Each function takes the connection of the transaction or read that
//! acts, because the right may end at any moment:
//!
//! - a transaction checks after its locks;
//! - a read checks membership after it has read: a user removed meanwhile must not see newer rows.

use super::transact::Tx;
use crate::domain::accounts::{AccountStatus, UserRole};
use crate::domain::caller::{Caller, Principal, Scope, Via};
use crate::domain::ids::{ConversationId, LoginId, MessageId, UserId};
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::error::{Error, Result};
use crate::protocol::messages::Message;
use crate::store::logins::LoginState;
use crate::store::messages::assemble::assemble;
use crate::store::messages::hidden;
use crate::store::messages::target::{self, TargetMessage};
use crate::store::messages::{self, ParticipantRights};
use crate::store::users::{self, UserRow};
use crate::store::{self, members};
use sea_orm::ConnectionTrait;

// Accounts and logins

/// Fails unless the account is active.
pub fn require_active(status: AccountStatus) -> Result<()> {
    match status {
        AccountStatus::Active => Ok(()),
        AccountStatus::Suspended => Err(Error::suspended()),
        AccountStatus::Deleted => Err(account_deleted()),
    }
}

fn account_deleted() -> Error {
    Error::unauthorized("This account was deleted; sign in with another one.")
}

/// Fails unless a user with this status may sign in with a password. A deleted account is answered like a wrong
/// password.
pub fn require_sign_in(status: AccountStatus) -> Result<()> {
    match status {
        AccountStatus::Deleted => Err(Error::invalid_credentials()),
        status => require_active(status),
    }
}

/// Returns the locked user. Fails with `unauthorized` if the user was deleted since the token or password was checked.
pub async fn get_locked_user(tx: &Tx, user: UserId) -> Result<UserRow> {
    let found = if tx.has_user(user) { users::by_id(tx.conn(), user).await? } else { None };
    found.ok_or_else(account_deleted)
}

/// Does the same as [`get_locked_user`], and fails unless the account is active. It may have been suspended since its
/// token was checked.
pub async fn get_active_user(tx: &Tx, user: UserId) -> Result<UserRow> {
    let found = get_locked_user(tx, user).await?;
    require_active(found.status)?;
    Ok(found)
}

/// Fails unless the login can be used: its account is active, and it has not ended.
pub fn require_login(status: AccountStatus, revoked: bool) -> Result<()> {
    match status {
        AccountStatus::Suspended => Err(Error::suspended()),
        AccountStatus::Active if !revoked => Ok(()),
        AccountStatus::Active | AccountStatus::Deleted => Err(login_ended()),
    }
}

/// Returns the error for every token of a login that has ended.
pub fn login_ended() -> Error {
    Error::unauthorized("This login has ended; sign in again.")
}

/// Returns the caller of a login, or an error if the login cannot be used.
pub fn to_caller(login_id: LoginId, login_state: Option<LoginState>) -> Result<Caller> {
    let LoginState { user_id, role, status, revoked, .. } = login_state.ok_or_else(login_ended)?;
    require_login(status, revoked)?;
    Ok(Caller { user_id, login_id, role })
}

// Conversations

/// Returns the role of a user in the conversation. The error is `not_found` if the conversation does not exist, and
/// `not_a_participant` if the user is not in it.
pub async fn require_participant(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    user: UserId,
) -> Result<Role> {
    match members::role(conn, conversation, user).await? {
        Some(role) => Ok(role),
        None => Err(outsider_error(conn, conversation).await?),
    }
}

/// Returns the error for a user who is not in the conversation.
pub async fn outsider_error(conn: &impl ConnectionTrait, conversation: ConversationId) -> Result<Error> {
    let denied = list_denied(conn, &[conversation]).await?;
    Ok(denied.into_iter().next().map_or_else(Error::not_a_participant, |(_, error)| error))
}

/// Returns for each of these conversations the error for a user who is not in it.
pub async fn list_denied(
    conn: &impl ConnectionTrait,
    conversations: &[ConversationId],
) -> Result<Vec<(ConversationId, Error)>> {
    if conversations.is_empty() {
        return Ok(Vec::new());
    }
    let existing = store::conversations::list_existing(conn, conversations).await?;
    let error = |id| if existing.contains(&id) { Error::not_a_participant() } else { Error::not_found("conversation") };
    Ok(conversations.iter().map(|id| (*id, error(*id))).collect())
}

/// Reads what the rights of `user` in a conversation depend on. `tx` must have locked the conversation.
pub async fn get_rights(tx: &Tx, conversation: ConversationId, user: UserId) -> Result<ParticipantRights> {
    tx.require_conversation(conversation)?;
    let mut found = messages::senders(tx.conn(), &[(conversation, user)]).await?;
    found.remove(&(conversation, user)).ok_or_else(Error::not_a_participant)
}

/// Returns the role of an active account that is in the conversation. This is enough for actions that no other user
/// sees.
pub fn require_inside(sender: &ParticipantRights) -> Result<Role> {
    require_active(sender.status)?;
    sender.role.ok_or_else(Error::not_a_participant)
}

/// Does the same as [`require_inside`], and fails if the conversation is read-only.
pub fn require_changeable(sender: &ParticipantRights) -> Result<Role> {
    let role = require_inside(sender)?;
    if sender.class_archived { Err(Error::class_archived()) } else { Ok(role) }
}

/// Does the same as [`require_changeable`], and fails if a block separates the users of a direct conversation, or if
/// the role does not allow `action`.
pub fn require_writable(sender: &ParticipantRights, action: Action) -> Result<Role> {
    let role = require_changeable(sender)?;
    if sender.blocked {
        return Err(Error::blocked());
    }
    if !role.may(action) {
        return Err(Error::forbidden("Observers can only read this conversation."));
    }
    Ok(role)
}

/// Returns the user's role in a locked conversation. Fails if it is not a group, because members of other
/// conversations are not managed here.
pub async fn require_group_role(tx: &Tx, conversation: ConversationId, user: UserId) -> Result<Role> {
    let kind = tx.require_conversation(conversation)?.kind;
    let own = require_inside(&get_rights(tx, conversation, user).await?)?;
    match kind {
        ConversationKind::Class => Err(Error::class_conversation()),
        ConversationKind::Direct => Err(Error::conflict(
            "A direct conversation always has two participants and no roles; create a group instead.",
        )),
        ConversationKind::Group => Ok(own),
    }
}

// Messages

/// Fails unless the user is in the conversation and has not hidden the message. The message must be one of this
/// conversation.
pub async fn require_visible(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    message: MessageId,
    user: UserId,
) -> Result<()> {
    require_participant(conn, conversation, user).await?;
    require_not_hidden(conn, message, user).await
}

/// Fails if the user has hidden the message.
pub async fn require_not_hidden(conn: &impl ConnectionTrait, message: MessageId, user: UserId) -> Result<()> {
    if hidden::is_hidden(conn, user, message).await? { Err(Error::not_found("message")) } else { Ok(()) }
}

/// Returns a message of a conversation that `tx` has locked, with mentions, and with reactions as `viewer` sees them.
pub async fn get_message(tx: &Tx, conversation: ConversationId, viewer: UserId, id: MessageId) -> Result<Message> {
    let found = messages::by_ids(tx.conn(), &[id]).await?.pop();
    let (mut message, _) = found
        .filter(|(message, _)| message.conversation_id == conversation)
        .ok_or_else(|| Error::not_found("message"))?;
    assemble(tx.conn(), Some(viewer), std::slice::from_mut(&mut message)).await?;
    Ok(message)
}

/// Returns a message of a locked conversation that the user has not hidden, deleted for everyone or not.
pub async fn get_target(
    tx: &Tx,
    conversation: ConversationId,
    message: MessageId,
    user: UserId,
) -> Result<TargetMessage> {
    let target = target::find(tx.conn(), conversation, message, user).await?;
    target.ok_or_else(|| Error::not_found("message"))
}

/// Does the same as [`get_target`], and fails if the message was deleted for everyone.
pub async fn get_undeleted_target(
    tx: &Tx,
    conversation: ConversationId,
    message: MessageId,
    user: UserId,
) -> Result<TargetMessage> {
    let target = get_target(tx, conversation, message, user).await?;
    if target.deleted {
        Err(Error::conflict("This message was deleted, so it takes no reactions or pins."))
    } else {
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;
    use crate::domain::accounts::UserRole;

    #[test]
    fn only_an_active_user_with_a_live_login_is_accepted() {
        let login_id = LoginId::new();
        let login_state = |status, revoked| {
            Some(LoginState {
                user_id: UserId::new(),
                role: UserRole::User,
                status,
                revoked,
                generation: 0,
                seen_generation: 0,
            })
        };
        let code = |login_state| to_caller(login_id, login_state).map(|_| ()).map_err(|error| error.code());
        assert_eq!(code(login_state(AccountStatus::Active, false)), Ok(()));
        assert_eq!(code(login_state(AccountStatus::Active, true)), Err(Code::Unauthorized));
        assert_eq!(code(login_state(AccountStatus::Suspended, false)), Err(Code::Suspended));
        assert_eq!(code(login_state(AccountStatus::Suspended, true)), Err(Code::Suspended));
        assert_eq!(code(login_state(AccountStatus::Deleted, false)), Err(Code::Unauthorized));
        assert_eq!(code(None), Err(Code::Unauthorized));
    }
}
