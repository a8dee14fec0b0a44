//! What users do with logins: signing in, signing out, and acting with a token or a ticket. A login is a family of
//! refresh tokens. Its end also ends all its refresh tokens, access tokens and sockets. Renewing tokens is in
//! [`super::refresh`].

use crate::app::App;
use crate::domain::caller::{Caller, TicketHolder};
use crate::domain::ids::{LoginId, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::domain::tokens::{self, Claims, TokenError};
use crate::error::{Error, Result};
use crate::protocol::events::Event;
use crate::protocol::logins::{Login, RevokeReason, Revoked, SignIn, Ticket, Tokens};
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::WriteOwner;
use crate::store::logins::{LoginRow, TokenRow};
use crate::store::users::UserRow;
use crate::store::{accounts, logins};
use crate::work::assemble::users::to_me;
use crate::work::passwords::{PasswordAttempt, PasswordOwner, VerifiedPassword};
use crate::work::read::read;
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use crate::work::unchecked_caller::{INVALID_ACCESS_TOKEN, UncheckedCaller};
use crate::work::{access, passwords};
use std::net::IpAddr;

/// The device name and the address of a client that signs in.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The name of the device, from the `User-Agent`.
    pub device: String,
    pub ip: String,
}

/// Returns the claims of an access token with a valid signature. It reads no database, so that the user in the token
/// can be charged before the database is used. It refuses a token of a login that is known to have ended.
pub fn verify_access_token(app: &App, token: &str) -> Result<Claims> {
    let claims = app.keys().verify_access_token(token).map_err(|rejected| {
        Error::unauthorized(match rejected {
            TokenError::Expired => "The access token has expired; refresh it.",
            TokenError::Invalid => INVALID_ACCESS_TOKEN,
        })
    })?;
    if app.ended_logins().contains(claims.sid, &app.epoch()) {
        return Err(access::login_ended());
    }
    Ok(claims)
}

/// Returns the caller that an access token belongs to. It reads the database every time, so that suspended users and
/// ended logins are refused immediately.
pub async fn authenticate(app: &App, claims: &Claims) -> Result<Caller> {
    check_state(app, &UncheckedCaller::new(app, claims)).await
}

/// Reads the state of a caller and decides, unless that was done before.
pub async fn check_state(app: &App, caller: &UncheckedCaller) -> Result<Caller> {
    let Some(login_id) = caller.login_to_read() else { return caller.decide(app, None).await };
    let login = read(app, ReadPool::Authentication, move |conn| {
        Box::pin(async move { Ok(logins::get_state(conn, login_id).await?) })
    });
    caller.decide(app, login.await?).await
}

/// Signs a user in by username or e-mail address and password, and returns the tokens of a new login.
pub async fn sign_in(app: &App, input: SignIn, client: ClientInfo, address: IpAddr) -> Result<Tokens> {
    let SignIn { login, password } = input;
    let attempt = PasswordAttempt { owner: PasswordOwner::Name(login), address, password };
    let VerifiedPassword { user_id, stored_hash, new_hash } = passwords::verify(app, attempt).await?;
    let owned_app = app.clone();
    let (user, login_tokens) = transact_for(app, user_id, limits::FEW_ROWS, move |tx| {
        let (app, client, stored_hash, new_hash) =
            (owned_app.clone(), client.clone(), stored_hash.clone(), new_hash.clone());
        Box::pin(async move {
            tx.lock_users(&[user_id]).await?;
            // The password or the account may have changed while the password was checked.
            let current = accounts::get_password(tx.conn(), user_id).await?;
            let current =
                current.filter(|current| current.hash == stored_hash).ok_or_else(Error::invalid_credentials)?;
            access::require_sign_in(current.status)?;
            if let Some(hash) = &new_hash {
                accounts::update_password(tx.conn(), user_id, hash, tx.now()).await?;
            }
            let login_tokens = create_login(tx, &app, user_id, &client).await?;
            tx.after_commit(move |app| app.password_limits().note_sign_in(user_id, address));
            Ok((access::get_locked_user(tx, user_id).await?, login_tokens))
        })
    })
    .await?;
    Ok(to_tokens(app, &user, login_tokens))
}

/// Signs a user in without a password, for the operator.
pub async fn issue_tokens(app: &App, user_id: UserId, device: &str, ip: &str) -> Result<Tokens> {
    let client = ClientInfo { device: device.to_owned(), ip: ip.to_owned() };
    let owned_app = app.clone();
    let (user, login_tokens) = transact_for(app, WriteOwner::Operator, limits::FEW_ROWS, move |tx| {
        let (app, client) = (owned_app.clone(), client.clone());
        Box::pin(async move {
            tx.lock_users(&[user_id]).await?;
            let user = access::get_active_user(tx, user_id).await?;
            Ok((user, create_login(tx, &app, user_id, &client).await?))
        })
    })
    .await?;
    Ok(to_tokens(app, &user, login_tokens))
}

/// The values for the tokens of a login. The access token is signed after the commit.
pub(super) struct LoginTokens {
    pub(super) login_id: LoginId,
    pub(super) generation: i64,
    pub(super) refresh_token: String,
}

/// Creates a login for a user whose row is locked.
pub(super) async fn create_login(tx: &mut Tx, app: &App, user_id: UserId, client: &ClientInfo) -> Result<LoginTokens> {
    let now = tx.now();
    let login = LoginRow {
        id: LoginId::new(),
        user_id,
        device: client.device.clone(),
        ip: client.ip.clone(),
        created_at: now,
        last_used_at: now,
        revoked: false,
    };
    let refresh_token = app.keys().create_refresh_token(login.id);
    // Remove logins whose tokens have all expired, so that the number of logins stays bounded.
    logins::remove_expired(tx.conn(), user_id, now.minus(limits::REFRESH_TOKEN_LIFETIME)).await?;
    logins::insert(tx.conn(), &login).await?;
    store_token(tx, &refresh_token, login.id, 0).await?;
    Ok(LoginTokens { login_id: login.id, generation: 0, refresh_token })
}

/// Stores a new refresh token.
pub(super) async fn store_token(tx: &Tx, token: &str, login_id: LoginId, generation: i64) -> Result<()> {
    let now = tx.now();
    let row = TokenRow { login_id, generation, expires_at: now.plus(limits::REFRESH_TOKEN_LIFETIME), spent_at: None };
    Ok(logins::insert_token(tx.conn(), &tokens::hash(token), &row, now).await?)
}

/// Builds the response to a registration, a sign-in or a refresh.
pub(super) fn to_tokens(app: &App, user: &UserRow, login_tokens: LoginTokens) -> Tokens {
    let now = Timestamp::now();
    Tokens {
        user: to_me(app, user),
        access_token: app.keys().create_access_token(
            user.id,
            login_tokens.login_id,
            login_tokens.generation,
            user.role.as_str(),
            now,
        ),
        refresh_token: login_tokens.refresh_token,
        token_type: "Bearer",
        expires_in: limits::ACCESS_TOKEN_LIFETIME.as_secs(),
    }
}

/// Ends a login of a locked user and appends the event for its sessions. If it had ended before, nothing changes.
pub(super) async fn end_login(tx: &mut Tx, user_id: UserId, login_id: LoginId, reason: RevokeReason) -> Result<()> {
    if logins::revoke(tx.conn(), login_id, reason, tx.now()).await? {
        append_revoked(tx, user_id, Some(login_id), reason);
    }
    Ok(())
}

/// Appends the event that a login of the user has ended. `None` means all logins.
pub(super) fn append_revoked(tx: &mut Tx, user_id: UserId, login_id: Option<LoginId>, reason: RevokeReason) {
    tx.append(Stream::User(user_id), &Event::SessionRevoked(Revoked { login_id, session_id: None, reason }));
}

/// Signs the caller out: ends the caller's login.
pub async fn sign_out(app: &App, caller: Caller) -> Result<()> {
    let own = access::require_own_logins(&caller)?;
    let login_id =
        own.ok_or_else(|| Error::forbidden("A service token has no login to end. Name the login that is to end."))?;
    revoke(app, caller, login_id).await
}

/// Ends one of the caller's logins. If it had ended before, nothing changes. Fails with `not_found` if it belongs to
/// another user.
pub async fn revoke(app: &App, caller: Caller, login_id: LoginId) -> Result<()> {
    access::require_own_logins(&caller)?;
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        Box::pin(async move {
            tx.lock_users(&[caller.user_id]).await?;
            let login = logins::get(tx.conn(), login_id).await?;
            if login.is_none_or(|login| login.user_id != caller.user_id) {
                return Err(Error::not_found("login"));
            }
            end_login(tx, caller.user_id, login_id, RevokeReason::Logout).await
        })
    })
    .await
}

/// Lists the caller's usable logins that were created before `before`, newest first. Also returns the last id of this
/// page if there are more.
pub async fn list(
    app: &App,
    caller: Caller,
    before: Option<LoginId>,
    limit: u64,
) -> Result<(Vec<Login>, Option<LoginId>)> {
    let current = access::require_own_logins(&caller)?;
    let used_after = Timestamp::now().minus(limits::REFRESH_TOKEN_LIFETIME);
    let mut rows = read(app, ReadPool::Authentication, move |conn| {
        Box::pin(async move { Ok(logins::list(conn, caller.user_id, used_after, before, limit + 1).await?) })
    })
    .await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id);
    Ok((rows.into_iter().map(|row| to_resource(row, current)).collect(), next))
}

fn to_resource(row: LoginRow, current: Option<LoginId>) -> Login {
    Login {
        id: row.id,
        device: row.device,
        ip: row.ip,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        current: Some(row.id) == current,
    }
}

/// Creates a ticket, with which a client opens one socket as the caller.
pub async fn create_ticket(app: &App, caller: Caller) -> Result<Ticket> {
    let expires_at = Timestamp::now().plus(limits::TICKET_LIFETIME);
    let holder = TicketHolder::from(&caller);
    let login_id = match holder {
        TicketHolder::Login(login_id) => Some(login_id),
        TicketHolder::Host { .. } | TicketHolder::Service { .. } => None,
    };
    let ticket = app.keys().create_ticket(holder, expires_at);
    let hash = tokens::hash(&ticket);
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        let hash = hash.clone();
        Box::pin(async move {
            let now = tx.now();
            Ok(logins::insert_ticket(tx.conn(), &hash, caller.user_id, login_id, now, expires_at).await?)
        })
    })
    .await?;
    Ok(Ticket { ticket, expires_in: limits::TICKET_LIFETIME.as_secs() })
}

/// Returns the holder of a ticket. A forged or expired ticket is refused without a read of the database.
pub fn get_ticket_holder(app: &App, ticket: &str) -> Result<TicketHolder> {
    app.keys().verify_ticket(ticket, Timestamp::now()).ok_or_else(invalid_ticket)
}

fn invalid_ticket() -> Error {
    Error::unauthorized(format!(
        "The ticket is not valid: it opens one connection, within {} seconds; get another one.",
        limits::TICKET_LIFETIME.as_secs()
    ))
}

/// Uses up a ticket of this holder and returns its caller. Also returns when the session that it opens must be renewed.
/// The ticket is used up even if the caller is refused.
pub async fn redeem_ticket(app: &App, ticket: &str, holder: TicketHolder) -> Result<(Caller, Timestamp)> {
    let hash = tokens::hash(ticket);
    let caller = transact_for(app, holder, limits::FEW_ROWS, move |tx| {
        let hash = hash.clone();
        Box::pin(async move {
            if !logins::remove_ticket(tx.conn(), &hash).await? {
                return Ok(Err(invalid_ticket()));
            }
            Ok(match holder {
                TicketHolder::Login(login_id) => {
                    access::to_login_caller(login_id, logins::get_state(tx.conn(), login_id).await?)
                }
                TicketHolder::Host { user_id, .. } | TicketHolder::Service { user_id, .. } => {
                    let account = accounts::get_state(tx.conn(), user_id).await?;
                    account
                        .ok_or_else(invalid_ticket)
                        .and_then(|account| access::to_caller(holder.via(), account, false))
                }
            })
        })
    })
    .await??;
    Ok((caller, caller.via.ticket_session_end(Timestamp::now())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accounts::{AccountStatus, UserRole};
    use crate::store::accounts::AccountState;
    use crate::store::logins::LoginState;

    #[test]
    fn the_first_token_of_a_generation_is_noted_and_no_other() {
        let account = AccountState { user_id: UserId::new(), role: UserRole::User, status: AccountStatus::Active };
        let state = LoginState { account, revoked: false, generation: 5, seen_generation: 3 };
        assert!(!state.is_first_use(0) && !state.is_first_use(3));
        assert!(state.is_first_use(4) && state.is_first_use(5) && state.is_first_use(9));
        assert!(
            !LoginState { seen_generation: 5, ..state }.is_first_use(9),
            "a generation that was never issued counts as the newest issued one"
        );
    }
}
