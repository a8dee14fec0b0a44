//! Logins: signing in, signing out, and who a token or a ticket stands for. A login is a family of refresh tokens; ending
//! it ends all of them, its access tokens and its sockets. How tokens are renewed is in [`super::refresh`].

use super::passwords::{Attempt, Right, Whose};
use super::read::read;
use super::transact::{Tx, transact_for};
use super::{Caller, accepted, passwords, refresh};
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::domain::tokens::{self, Claims, Rejected};
use crate::error::{Error, Result};
use crate::protocol::accounts::SignIn;
use crate::protocol::events::{Event, RevokeReason, Revoked};
use crate::protocol::resources::{Login, Ticket, Tokens};
use crate::store::gate::Account;
use crate::store::logins::{LoginRow, Standing};
use crate::store::pools::Share;
use crate::store::users::{Status, UserRow};
use crate::store::{accounts, logins, users};
use std::net::IpAddr;
use std::time::Instant;

/// What a client says of itself when it signs in.
#[derive(Clone, Debug)]
pub struct Client {
    /// What it calls itself.
    pub device: String,
    /// Its address.
    pub ip: String,
}

/// What is said of a token that is none of ours, or not whole.
const INVALID: &str = "the access token is not valid; refresh it, or sign in again";
/// What is said of every token of a login that has ended.
const ENDED: &str = "this login has ended; sign in again";

/// What an access token says, if its signature is good. Asks no database, so whoever it names can be charged for what
/// follows; a token of a login that is known to have ended is refused before that.
pub fn claims(app: &App, token: &str) -> Result<Claims> {
    let claims = app.keys().verify(token).map_err(|rejected| {
        Error::unauthorized(match rejected {
            Rejected::Expired => "the access token has run out; refresh it",
            Rejected::Invalid => INVALID,
        })
    })?;
    if app.ended_logins().has(claims.sid, &app.db().history().epoch()) {
        return Err(Error::unauthorized(ENDED));
    }
    Ok(claims)
}

/// Whom an access token stands for. Reads the database every time, so that a suspended user or a login that ended is
/// refused at once.
pub async fn authenticate(app: &App, claims: &Claims) -> Result<Caller> {
    let (login_id, epoch) = (claims.sid, app.db().history().epoch());
    let standing = read(app, Share::Authentication, move |conn| {
        Box::pin(async move { Ok(logins::standing(conn, login_id).await?) })
    })
    .await?;
    let caller = caller(login_id, standing).inspect_err(|error| {
        if error.code() == Code::Unauthorized {
            app.ended_logins().note(login_id, &epoch, Instant::now());
        }
    })?;
    if caller.user_id != claims.sub {
        return Err(Error::unauthorized(INVALID));
    }
    if standing.is_some_and(|standing| standing.is_first(claims.generation)) {
        accepted::note(app, login_id, claims.generation).await?;
    }
    Ok(caller)
}

/// The caller that a login makes, if it may be used.
pub(super) fn caller(login_id: LoginId, standing: Option<Standing>) -> Result<Caller> {
    let standing = standing.ok_or_else(|| Error::unauthorized(ENDED))?;
    match standing.status {
        Status::Suspended => Err(Error::suspended()),
        Status::Deleted => Err(Error::unauthorized(ENDED)),
        Status::Active if standing.revoked => Err(Error::unauthorized(ENDED)),
        Status::Active => Ok(Caller { user_id: standing.user_id, login_id, role: standing.role }),
    }
}

/// Signs in by username or e-mail address and password, from an address.
pub async fn sign_in(app: &App, input: SignIn, client: Client, address: IpAddr) -> Result<Tokens> {
    let SignIn { login, password } = input;
    let attempt = Attempt { whose: Whose::Named(login), address, password };
    let Right { user: user_id, hash, anew } = passwords::attempt(app, attempt).await?;
    let owner = app.clone();
    let (user, opened) = transact_for(app, user_id, limits::FEW_ROWS, move |tx| {
        let (app, client, hash, anew) = (owner.clone(), client.clone(), hash.clone(), anew.clone());
        Box::pin(async move {
            tx.lock_users(&[user_id]).await?;
            // the password may have been changed, or the account suspended, while this one was checked
            let now = accounts::secret_of(tx.conn(), user_id).await?;
            let now = now.filter(|now| now.hash == hash).ok_or_else(Error::invalid_credentials)?;
            match now.status {
                Status::Active => {}
                Status::Suspended => return Err(Error::suspended()),
                Status::Deleted => return Err(Error::invalid_credentials()),
            }
            if let Some(hash) = &anew {
                accounts::set_password(tx.conn(), user_id, hash, tx.now()).await?;
            }
            let opened = open(tx, &app, user_id, &client).await?;
            Ok((existing(tx, user_id).await?, opened))
        })
    })
    .await?;
    app.attempts().signed_in(user_id, address);
    Ok(answer(app, &user, opened))
}

/// Signs a user in without a password, for whoever runs the server.
pub async fn issue(app: &App, user_id: UserId, device: &str, ip: &str) -> Result<Tokens> {
    let client = Client { device: device.to_owned(), ip: ip.to_owned() };
    let owner = app.clone();
    let (user, opened) = transact_for(app, Account::Operator, limits::FEW_ROWS, move |tx| {
        let (app, client) = (owner.clone(), client.clone());
        Box::pin(async move {
            tx.lock_users(&[user_id]).await?;
            let user = existing(tx, user_id).await?;
            if user.status == Status::Suspended {
                return Err(Error::suspended());
            }
            Ok((user, open(tx, &app, user_id, &client).await?))
        })
    })
    .await?;
    Ok(answer(app, &user, opened))
}

/// A login's tokens, but for the access token, which is signed when all is committed.
pub(super) struct Opened {
    pub(super) login_id: LoginId,
    pub(super) generation: i64,
    pub(super) refresh_token: String,
}

/// Opens a login for a user whose row is locked.
pub(super) async fn open(tx: &mut Tx, app: &App, user_id: UserId, client: &Client) -> Result<Opened> {
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
    let refresh_token = app.keys().refresh_token(login.id);
    // no token of such a login is good any more; this keeps a user's logins bounded by time
    logins::forget(tx.conn(), user_id, now.minus(limits::REFRESH_TOKEN)).await?;
    logins::insert(tx.conn(), &login).await?;
    refresh::store(tx, &refresh_token, login.id, 0).await?;
    Ok(Opened { login_id: login.id, generation: 0, refresh_token })
}

/// What signing in, up or a refresh answers with.
pub(super) fn answer(app: &App, user: &UserRow, opened: Opened) -> Tokens {
    let now = Timestamp::now();
    Tokens {
        user: user.to_me(app.presence().status(user.id)),
        access_token: app.keys().access_token(user.id, opened.login_id, opened.generation, user.role.as_str(), now),
        refresh_token: opened.refresh_token,
        token_type: "Bearer",
        expires_in: limits::ACCESS_TOKEN.as_secs(),
    }
}

/// The locked user, or `unauthorized`: whoever acts was there a moment ago.
pub(super) async fn existing(tx: &Tx, user_id: UserId) -> Result<UserRow> {
    let user = if tx.has_user(user_id) { users::by_id(tx.conn(), user_id).await? } else { None };
    user.ok_or_else(|| Error::unauthorized("this account was deleted; sign in with another one"))
}

/// Ends a login of a locked user and tells its sessions; nothing if it had ended.
pub(super) async fn end(tx: &mut Tx, user_id: UserId, login_id: LoginId, reason: RevokeReason) -> Result<()> {
    if logins::revoke(tx.conn(), login_id, reason, tx.now()).await? {
        tell(tx, user_id, Some(login_id), reason);
    }
    Ok(())
}

/// Tells a user's sessions that a login, or with none all of them, ended.
pub(super) fn tell(tx: &mut Tx, user_id: UserId, login_id: Option<LoginId>, reason: RevokeReason) {
    tx.append(Stream::User(user_id), &Event::SessionRevoked(Revoked { login_id, session_id: None, reason }));
}

/// Signs out: ends the caller's login.
pub async fn sign_out(app: &App, caller: Caller) -> Result<()> {
    revoke(app, caller, caller.login_id).await
}

/// Ends one of the caller's logins; nothing if it had ended, `not_found` if it is another's.
pub async fn revoke(app: &App, caller: Caller, login_id: LoginId) -> Result<()> {
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        Box::pin(async move {
            tx.lock_users(&[caller.user_id]).await?;
            let login = logins::by_id(tx.conn(), login_id).await?;
            if login.is_none_or(|login| login.user_id != caller.user_id) {
                return Err(Error::not_found("login"));
            }
            end(tx, caller.user_id, login_id, RevokeReason::Logout).await
        })
    })
    .await
}

/// The caller's logins that can still be used, the newest first, made before `before`; and where the next page begins.
pub async fn list(
    app: &App,
    caller: Caller,
    before: Option<LoginId>,
    limit: u64,
) -> Result<(Vec<Login>, Option<LoginId>)> {
    let used_after = Timestamp::now().minus(limits::REFRESH_TOKEN);
    let mut rows = read(app, Share::Authentication, move |conn| {
        Box::pin(async move { Ok(logins::list(conn, caller.user_id, used_after, before, limit + 1).await?) })
    })
    .await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id);
    Ok((rows.into_iter().map(|row| shown(row, caller.login_id)).collect(), next))
}

fn shown(row: LoginRow, current: LoginId) -> Login {
    Login {
        id: row.id,
        device: row.device,
        ip: row.ip,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        current: row.id == current,
    }
}

/// A single-use ticket that opens one socket or event stream as the caller.
pub async fn ticket(app: &App, caller: Caller) -> Result<Ticket> {
    let expires_at = Timestamp::now().plus(limits::TICKET);
    let ticket = app.keys().ticket(caller.login_id, expires_at);
    let hash = tokens::hash(&ticket);
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        let hash = hash.clone();
        Box::pin(async move {
            let now = tx.now();
            Ok(logins::insert_ticket(tx.conn(), &hash, caller.user_id, caller.login_id, now, expires_at).await?)
        })
    })
    .await?;
    Ok(Ticket { ticket, expires_in: limits::TICKET.as_secs() })
}

/// The login that a ticket names; one that was made up, or has run out, costs no database.
pub fn login_of_ticket(app: &App, ticket: &str) -> Result<LoginId> {
    app.keys().verify_ticket(ticket, Timestamp::now()).ok_or_else(bad_ticket)
}

fn bad_ticket() -> Error {
    Error::unauthorized("the ticket is not valid: it opens one connection, within 30 seconds; get another one")
}

/// Whom a ticket of this login stands for, and when what it opens must be extended, in seconds since 1970: as after a
/// fresh access token. Whatever the outcome, the ticket is spent.
pub async fn redeem_ticket(app: &App, ticket: &str, login_id: LoginId) -> Result<(Caller, i64)> {
    let hash = tokens::hash(ticket);
    let standing = transact_for(app, login_id, limits::FEW_ROWS, move |tx| {
        let hash = hash.clone();
        Box::pin(async move {
            let taken = logins::take_ticket(tx.conn(), &hash, login_id).await?;
            if taken { Ok(Some(logins::standing(tx.conn(), login_id).await?)) } else { Ok(None) }
        })
    })
    .await?
    .ok_or_else(bad_ticket)?;
    Ok((caller(login_id, standing)?, Timestamp::now().plus(limits::ACCESS_TOKEN).seconds()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::resources::UserRole;

    #[test]
    fn the_first_token_of_a_generation_is_noted_and_no_other() {
        let (role, status) = (UserRole::User, Status::Active);
        let at = Standing { user_id: UserId::new(), role, status, revoked: false, generation: 5, seen: 3 };
        assert!(!at.is_first(0) && !at.is_first(3));
        assert!(at.is_first(4) && at.is_first(5) && at.is_first(9));
        assert!(!Standing { seen: 5, ..at }.is_first(9), "one that was never given out counts as the newest that was");
    }

    #[test]
    fn only_an_active_user_with_a_live_login_is_let_in() {
        let login_id = LoginId::new();
        let standing = |status, revoked| {
            Some(Standing { user_id: UserId::new(), role: UserRole::User, status, revoked, generation: 0, seen: 0 })
        };
        let code = |standing| caller(login_id, standing).map(|_| ()).map_err(|error| error.code());
        assert_eq!(code(standing(Status::Active, false)), Ok(()));
        assert_eq!(code(standing(Status::Active, true)), Err(Code::Unauthorized));
        assert_eq!(code(standing(Status::Suspended, false)), Err(Code::Suspended));
        assert_eq!(code(standing(Status::Suspended, true)), Err(Code::Suspended));
        assert_eq!(code(standing(Status::Deleted, false)), Err(Code::Unauthorized));
        assert_eq!(code(None), Err(Code::Unauthorized));
    }
}
