//! How use cases check who may act, and what a user may see. Each function takes the connection of the transaction or
//! read that acts, because the right may end at any moment:
//!
//! - a transaction checks after its locks;
//! - a read checks membership after it has read, or in the same statement: a user removed meanwhile must not see
//!   newer rows.

use super::tx::Tx;
use crate::domain::accounts::{AccountStatus, UserRole};
use crate::domain::caller::{Caller, Principal, Scope, Via};
use crate::domain::ids::{ConversationId, LoginId, MessageId, Seq, UserId};
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::error::{Error, Result};
use crate::store::accounts::AccountState;
use crate::store::logins::LoginState;
use crate::store::messages::hidden;
use crate::store::messages::page::PageConversation;
use crate::store::messages::sends::{self, ParticipantRights, SendQuery};
use crate::store::messages::target::{self, TargetMessage};
use crate::store::messages::{self, MessageRow};
use crate::store::users::{self, UserRow};
use crate::store::{self, members};
use sea_orm::ConnectionTrait;

// The rights of accounts and callers.

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

/// Fails unless a user with this status may act by this credential. `revoked` says whether its login has ended.
pub fn require_valid(via: Via, status: AccountStatus, revoked: bool) -> Result<()> {
    match via {
        Via::Login { .. } => match status {
            AccountStatus::Suspended => Err(Error::suspended()),
            AccountStatus::Active if !revoked => Ok(()),
            AccountStatus::Active | AccountStatus::Deleted => Err(login_ended()),
        },
        // The token itself was checked when it was accepted, and limits how long its sessions last.
        Via::Host { .. } | Via::Service(_) => require_active(status),
    }
}

/// Returns the error for every token of a login that has ended.
pub fn login_ended() -> Error {
    Error::unauthorized("This login has ended; sign in again.")
}

/// Returns the caller of a login, or an error if the login cannot be used.
pub fn to_login_caller(login_id: LoginId, login_state: Option<LoginState>) -> Result<Caller> {
    let LoginState { account, revoked, .. } = login_state.ok_or_else(login_ended)?;
    to_caller(Via::Login { login_id }, account, revoked)
}

/// Returns the caller who acts by this credential, or an error if the account or the login cannot be used.
pub fn to_caller(via: Via, account: AccountState, revoked: bool) -> Result<Caller> {
    let AccountState { user_id, role, status } = account;
    require_valid(via, status, revoked)?;
    Ok(Caller { user_id, role, via })
}

/// Returns the user who makes a call. Fails for a service token that acts for no user.
pub fn require_caller(principal: &Principal) -> Result<Caller> {
    match principal {
        Principal::User(caller) => Ok(*caller),
        Principal::Service(_) => Err(Error::forbidden(
            "A service token needs the scope act and the header X-On-Behalf-Of for the calls of users.",
        )),
    }
}

/// Fails unless the caller is an admin, or a service token with this scope. A service token that acts for a user is
/// refused even if the user is an admin: it has its own scopes for these calls.
pub fn require_scope(principal: &Principal, scope: Scope) -> Result<()> {
    let is_allowed = match principal {
        Principal::User(Caller { via: Via::Service(_), .. }) => false,
        Principal::User(Caller { role, via: Via::Login { .. } | Via::Host { .. }, .. }) => *role == UserRole::Admin,
        Principal::Service(token) => token.scopes.allow(scope),
    };
    if is_allowed {
        return Ok(());
    }
    let scope = scope.as_str();
    Err(Error::forbidden(format!("Only admins and service tokens with the scope {scope} can make this call.")))
}

/// Returns the login by which a caller acts in calls about logins and passwords, or `None` for a service token. Fails
/// with `host_account` for a token of the host application, which signs its users in itself.
pub fn require_own_logins(caller: &Caller) -> Result<Option<LoginId>> {
    match caller.via {
        Via::Login { login_id } => Ok(Some(login_id)),
        Via::Host { .. } => Err(Error::host_account()),
        Via::Service(_) => Ok(None),
    }
}

// The rights in conversations.

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

/// Returns the conversation of a page. Fails like [`require_participant`] unless the viewer is in it.
pub fn require_page(conversation: Option<PageConversation>) -> Result<PageConversation> {
    match conversation {
        None | Some(PageConversation { is_deleted: true, .. }) => Err(Error::not_found("conversation")),
        Some(PageConversation { role: None, .. }) => Err(Error::not_a_participant()),
        Some(conversation) => Ok(conversation),
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
    let query = SendQuery { conversation_id: conversation, sender_id: user, temp_id: None, reply_to_id: None };
    let mut found = sends::read_batch(tx.conn(), &[query], &[]).await?;
    found.sends.pop().and_then(|send| send.sender).ok_or_else(Error::not_a_participant)
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

// The rights to messages.

/// Fails unless the user is in the conversation and has not hidden the message with this `seq`.
pub async fn require_visible(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    seq: Seq,
    user: UserId,
) -> Result<()> {
    require_participant(conn, conversation, user).await?;
    require_not_hidden(conn, conversation, seq, user).await
}

/// Fails if the user has hidden the message with this `seq`.
pub async fn require_not_hidden(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    seq: Seq,
    user: UserId,
) -> Result<()> {
    if hidden::is_hidden(conn, user, conversation, seq).await? { Err(Error::not_found("message")) } else { Ok(()) }
}

/// Returns the row of a message of a conversation that `tx` has locked.
pub async fn get_message(tx: &Tx, conversation: ConversationId, id: MessageId) -> Result<MessageRow> {
    let found = messages::by_keys(tx.conn(), &[(conversation, id)]).await?.pop();
    found.ok_or_else(|| Error::not_found("message"))
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
    use crate::domain::caller::{Scopes, ServiceToken};
    use crate::domain::codes::Code;
    use crate::domain::ids::ServiceTokenId;
    use crate::domain::time::Timestamp;

    const HOST: Via = Via::Host { expires_at: Timestamp::FAR_FUTURE };

    fn account(status: AccountStatus) -> AccountState {
        AccountState { user_id: UserId::new(), role: UserRole::User, status }
    }

    fn service(scopes: &[Scope]) -> ServiceToken {
        ServiceToken { id: ServiceTokenId::new(), scopes: Scopes::of(scopes) }
    }

    fn code<T>(outcome: Result<T>) -> Result<(), Code> {
        outcome.map(drop).map_err(|error| error.code())
    }

    #[test]
    fn only_an_active_user_with_a_live_login_is_accepted() {
        let login_id = LoginId::new();
        let code = |status: Option<AccountStatus>, revoked| {
            let state = status.map(|status| LoginState {
                account: account(status),
                revoked,
                generation: 0,
                seen_generation: 0,
            });
            code(to_login_caller(login_id, state))
        };
        assert_eq!(code(Some(AccountStatus::Active), false), Ok(()));
        assert_eq!(code(Some(AccountStatus::Active), true), Err(Code::Unauthorized));
        assert_eq!(code(Some(AccountStatus::Suspended), false), Err(Code::Suspended));
        assert_eq!(code(Some(AccountStatus::Suspended), true), Err(Code::Suspended));
        assert_eq!(code(Some(AccountStatus::Deleted), false), Err(Code::Unauthorized));
        assert_eq!(code(None, false), Err(Code::Unauthorized));
    }

    #[test]
    fn without_a_login_the_account_alone_decides() {
        for via in [HOST, Via::Service(service(&[Scope::Act]))] {
            let code = |status| code(to_caller(via, account(status), false));
            assert_eq!(code(AccountStatus::Active), Ok(()));
            assert_eq!(code(AccountStatus::Suspended), Err(Code::Suspended));
            assert_eq!(code(AccountStatus::Deleted), Err(Code::Unauthorized));
        }
    }

    #[test]
    fn calls_for_admins_need_the_role_or_the_scope_of_a_token_that_acts_for_itself() {
        let user = |role, via| Principal::User(Caller { user_id: UserId::new(), role, via });
        let login = Via::Login { login_id: LoginId::new() };
        let every = [Scope::Act, Scope::UsersWrite, Scope::EventsRead, Scope::NotificationsSend, Scope::Admin];
        for scope in [Scope::UsersWrite, Scope::Admin] {
            let code = |principal| code(require_scope(&principal, scope));
            for via in [login, HOST] {
                assert_eq!(code(user(UserRole::Admin, via)), Ok(()));
                assert_eq!(code(user(UserRole::User, via)), Err(Code::Forbidden));
            }
            assert_eq!(code(user(UserRole::Admin, Via::Service(service(&every)))), Err(Code::Forbidden));
            assert_eq!(code(Principal::Service(service(&[scope]))), Ok(()));
            assert_eq!(code(Principal::Service(service(&[Scope::Act, Scope::EventsRead]))), Err(Code::Forbidden));
        }
        let caller = Caller { user_id: UserId::new(), role: UserRole::User, via: Via::Service(service(&every)) };
        assert_eq!(require_caller(&Principal::User(caller)).expect("a user"), caller);
        assert_eq!(code(require_caller(&Principal::Service(service(&every)))), Err(Code::Forbidden));
    }

    #[test]
    fn users_of_the_host_application_have_no_logins_here() {
        let own = |via| require_own_logins(&Caller { user_id: UserId::new(), role: UserRole::User, via });
        let login_id = LoginId::new();
        assert_eq!(own(Via::Login { login_id }).expect("a login"), Some(login_id));
        assert_eq!(code(own(HOST)), Err(Code::HostAccount));
        assert_eq!(own(Via::Service(service(&[Scope::Act]))).expect("no login"), None);
    }
}
