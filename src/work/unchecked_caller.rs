//! The state of a caller: whether the account is active and the login has not ended.
//!
//! A token with a valid signature says nothing about it, so every call reads it from the database. Most calls read it
//! before anything else. A use case with one read of its own reads it in the same statement, and decides before it
//! returns anything. Both decide by [`UncheckedCaller::decide`], with the same effects.

use super::{accepted, access};
use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::codes::Code;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::tokens::Claims;
use crate::error::{Error, Result};
use crate::store::logins::LoginState;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The detail for an access token with a wrong format or signature.
pub const INVALID_ACCESS_TOKEN: &str = "The access token is not valid; refresh it, or sign in again.";

/// A caller whose token is valid, and whose state may not be known yet.
#[derive(Debug)]
pub struct UncheckedCaller {
    user_id: UserId,
    /// `None` if the caller was accepted before.
    token: Option<LoginToken>,
    decision: OnceLock<Decision>,
}

/// What an access token of a login says.
#[derive(Debug)]
struct LoginToken {
    login_id: LoginId,
    generation: i64,
    /// The epoch before the read of the login. If it ends, the login may be valid again.
    epoch: Arc<str>,
}

#[derive(Clone, Copy, Debug)]
enum Decision {
    Accepted(Caller),
    Refused,
}

impl UncheckedCaller {
    /// Returns the caller that the claims of a valid access token name.
    pub fn new(app: &App, claims: &Claims) -> Self {
        let token = LoginToken { login_id: claims.sid, generation: claims.generation, epoch: app.epoch().into() };
        Self { user_id: claims.sub, token: Some(token), decision: OnceLock::new() }
    }

    /// Returns the user that the token names.
    pub fn user_id(&self) -> UserId {
        self.user_id
    }

    /// Returns the login whose state decides, or `None` if the caller was accepted before.
    pub fn login_to_read(&self) -> Option<LoginId> {
        self.token.as_ref().filter(|_| self.decision.get().is_none()).map(|token| token.login_id)
    }

    /// Returns whether the state was decided.
    pub fn is_decided(&self) -> bool {
        self.decision.get().is_some()
    }

    /// Returns the caller, if the state was decided and the caller may act.
    pub fn accepted(&self) -> Option<Caller> {
        match self.decision.get() {
            Some(Decision::Accepted(caller)) => Some(*caller),
            Some(Decision::Refused) | None => None,
        }
    }

    /// Decides whether the caller may act, by the state of [`Self::login_to_read`] that was just read. A caller who was
    /// accepted before stays accepted. Records the first use of a generation before it returns: the answer to the next
    /// refresh depends on it.
    pub async fn decide(&self, app: &App, login: Option<LoginState>) -> Result<Caller> {
        if let Some(caller) = self.accepted() {
            return Ok(caller);
        }
        let outcome = match &self.token {
            Some(token) => accept(app, self.user_id, token, login).await,
            None => Err(access::login_ended()),
        };
        let decision = outcome.as_ref().map_or(Decision::Refused, |caller| Decision::Accepted(*caller));
        let _ = self.decision.set(decision);
        outcome
    }
}

/// A caller who was accepted before.
impl From<Caller> for UncheckedCaller {
    fn from(caller: Caller) -> Self {
        let decision = OnceLock::from(Decision::Accepted(caller));
        Self { user_id: caller.user_id, token: None, decision }
    }
}

async fn accept(app: &App, user_id: UserId, token: &LoginToken, login: Option<LoginState>) -> Result<Caller> {
    let caller = access::to_login_caller(token.login_id, login).inspect_err(|error| {
        if error.code() == Code::Unauthorized {
            app.ended_logins().add(token.login_id, &token.epoch, Instant::now());
        }
    })?;
    if caller.user_id != user_id {
        return Err(Error::unauthorized(INVALID_ACCESS_TOKEN));
    }
    if login.is_some_and(|login| login.is_first_use(token.generation)) {
        accepted::record_generation(app, token.login_id, token.generation).await?;
    }
    Ok(caller)
}
