//! How users renew their tokens. A refresh token is spent for its successor, whose generation is greater by one. A
//! client that presents a spent token again gets the same successor in two cases:
//!
//! - within ten seconds, because two tabs may spend one token at the same time;
//! - later, as long as no access token of the successor's generation or a later one was used, because the response with
//!   the successor may have been lost.
//!
//! In all other cases two parties hold the login, so it ends.

use super::logins::{LoginTokens, end_login, store_token, to_tokens};
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::limits;
use crate::domain::sealed::RefreshTokenForm;
use crate::domain::time::Timestamp;
use crate::domain::tokens;
use crate::error::{Error, Result};
use crate::protocol::logins::{RevokeReason, Tokens};
use crate::store::db::write_queue::WriteOwner;
use crate::store::logins::{self, TokenRow};
use crate::store::users::UserRow;
use crate::work::access;
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use std::net::IpAddr;

const INVALID_REFRESH_TOKEN: &str = "The refresh token is not valid; sign in again.";

/// What to do with a refresh token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RefreshDecision {
    /// Spend the token and issue a successor.
    Renew,
    /// Return the same successor again: the response was lost, or a second tab presents the token.
    Repeat,
    /// End the login: one party uses the successor and another one has the spent token.
    Reused,
    /// Refuse: the token expired without being spent, or its successor expired.
    Expired,
}

/// Decides what to do with `token`. `successor` is the token that it was spent for, if that is still stored. `seen` is
/// the newest generation of which an access token was accepted.
fn decide(token: &TokenRow, successor: Option<&TokenRow>, seen: i64, now: Timestamp) -> RefreshDecision {
    let Some(spent_at) = token.spent_at else {
        return if now >= token.expires_at { RefreshDecision::Expired } else { RefreshDecision::Renew };
    };
    let is_unused = successor.is_some_and(|successor| successor.generation > seen);
    if now > spent_at.plus(limits::REFRESH_GRACE) && !is_unused {
        return RefreshDecision::Reused;
    }
    if successor.is_some_and(|successor| now >= successor.expires_at) {
        RefreshDecision::Expired
    } else {
        RefreshDecision::Repeat
    }
}

/// Spends a refresh token and returns its successor and a new access token. If two parties use the token, its login
/// ends.
pub async fn refresh(app: &App, token: &str, address: IpAddr) -> Result<Tokens> {
    let presented = app
        .keys()
        .refresh_token_form(token, Timestamp::now())
        .ok_or_else(|| Error::unauthorized(INVALID_REFRESH_TOKEN))?;
    let (owner, allowed) = match presented {
        RefreshTokenForm::Sealed(login) => (WriteOwner::Login(login), app.sign_in_limits().count_refresh(login)),
        RefreshTokenForm::Plain => {
            (WriteOwner::from_address(address), app.sign_in_limits().check_token_lookup(address))
        }
    };
    app.admission().count_sign_in_refusal(allowed)?;
    let (token, owned_app) = (token.to_owned(), app.clone());
    let renewed = transact_for(app, owner, limits::FEW_ROWS, move |tx| {
        let (token, app) = (token.clone(), owned_app.clone());
        Box::pin(async move {
            // Count here, because a client that does not wait for the answer must not avoid it.
            renew(tx, &app, presented, &token).await.inspect_err(|error| {
                if presented == RefreshTokenForm::Plain && error.code() == Code::Unauthorized {
                    app.sign_in_limits().count_unknown_token(address);
                }
            })
        })
    })
    .await?;
    // `None` means that the login has ended. This must be committed, so it is a result and not an error of the
    // transaction.
    let (user, login_tokens) = renewed.ok_or_else(Error::token_reused)?;
    Ok(to_tokens(app, &user, login_tokens))
}

async fn renew(
    tx: &mut Tx,
    app: &App,
    presented: RefreshTokenForm,
    token: &str,
) -> Result<Option<(UserRow, LoginTokens)>> {
    let unknown = || Error::unauthorized(INVALID_REFRESH_TOKEN);
    let hash = tokens::hash(token);
    // The user of a token never changes, so it may be read before the lock.
    let login_id = match presented {
        RefreshTokenForm::Sealed(login_id) => login_id,
        RefreshTokenForm::Plain => logins::get_token(tx.conn(), &hash).await?.ok_or_else(unknown)?.login_id,
    };
    let user_id = logins::get(tx.conn(), login_id).await?.ok_or_else(unknown)?.user_id;
    tx.lock_users(&[user_id]).await?;

    let user = access::get_locked_user(tx, user_id).await?;
    let row = logins::get_token(tx.conn(), &hash).await?.filter(|row| row.login_id == login_id).ok_or_else(unknown)?;
    let login_state = logins::get_state(tx.conn(), login_id).await?.ok_or_else(unknown)?;
    let candidates = app.keys().successors(token, login_id, presented);
    let successor = if row.spent_at.is_some() { find_successor(tx, &candidates).await? } else { None };
    let decision = decide(&row, successor.as_ref().map(|(_, row)| row), login_state.seen_generation, tx.now());
    if decision == RefreshDecision::Reused {
        end_login(tx, user_id, login_id, RevokeReason::TokenReused).await?;
        return Ok(None);
    }
    access::to_login_caller(login_id, Some(login_state))?;
    let login_tokens = match decision {
        RefreshDecision::Renew => {
            let new_token = candidates.into_iter().next().expect("there is a primary secret");
            // Count from the login and not from the token, because a node of an older version may have stored a token
            // without a generation.
            let generation = login_state.generation + 1;
            logins::spend_token(tx.conn(), &hash, tx.now()).await?;
            store_token(tx, &new_token, login_id, generation).await?;
            logins::record_refresh(tx.conn(), login_id, generation, tx.now()).await?;
            LoginTokens { login_id, generation, refresh_token: new_token }
        }
        RefreshDecision::Repeat => {
            let (refresh_token, row) = successor.ok_or_else(unknown)?;
            LoginTokens { login_id, generation: row.generation, refresh_token }
        }
        RefreshDecision::Reused | RefreshDecision::Expired => {
            return Err(Error::unauthorized("The refresh token has expired; sign in again."));
        }
    };
    Ok(Some((user, login_tokens)))
}

/// Returns the stored one of the candidates. There are several, because the successor depends on the secret that was in
/// use then.
async fn find_successor(tx: &Tx, candidates: &[String]) -> Result<Option<(String, TokenRow)>> {
    for candidate in candidates {
        if let Some(row) = logins::get_token(tx.conn(), &tokens::hash(candidate)).await? {
            return Ok(Some((candidate.clone(), row)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::LoginId;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn token(generation: i64, spent_ago: Option<u64>) -> TokenRow {
        TokenRow {
            login_id: LoginId::new(),
            generation,
            expires_at: NOW.plus(limits::REFRESH_TOKEN_LIFETIME),
            spent_at: spent_ago.map(|millis| NOW.minus(Duration::from_millis(millis))),
        }
    }

    #[test]
    fn a_spent_token_is_valid_for_ten_more_seconds_even_if_its_successor_was_used() {
        let successor = token(1, None);
        assert_eq!(decide(&token(0, None), None, 0, NOW), RefreshDecision::Renew);
        assert_eq!(decide(&token(0, Some(0)), Some(&successor), 1, NOW), RefreshDecision::Repeat);
        assert_eq!(decide(&token(0, Some(10_000)), Some(&successor), 1, NOW), RefreshDecision::Repeat);
        assert_eq!(decide(&token(0, Some(10_001)), Some(&successor), 1, NOW), RefreshDecision::Reused);
        let later = TokenRow { spent_at: Some(NOW.plus(Duration::from_millis(5))), ..token(0, None) };
        assert_eq!(
            decide(&later, Some(&successor), 1, NOW),
            RefreshDecision::Repeat,
            "another transaction spent it while this one waited for the lock"
        );
    }

    #[test]
    fn a_spent_token_is_valid_later_if_its_successor_and_later_ones_are_unused() {
        let (spent, successor) = (token(4, Some(3_600_000)), token(5, Some(3_000_000)));
        assert_eq!(decide(&spent, Some(&successor), 4, NOW), RefreshDecision::Repeat);
        assert_eq!(decide(&spent, Some(&successor), 5, NOW), RefreshDecision::Reused);
        assert_eq!(decide(&spent, Some(&successor), 6, NOW), RefreshDecision::Reused);
        assert_eq!(decide(&spent, None, 0, NOW), RefreshDecision::Reused, "its successor is not stored any more");
        // Both tokens are older than generations, so only the ten seconds count.
        assert_eq!(decide(&token(0, Some(10_001)), Some(&token(0, None)), 0, NOW), RefreshDecision::Reused);
    }

    #[test]
    fn an_expired_token_is_not_issued_again() {
        let unspent = TokenRow { expires_at: NOW, ..token(0, None) };
        assert_eq!(decide(&unspent, None, 0, NOW), RefreshDecision::Expired);
        let successor = TokenRow { expires_at: NOW, ..token(1, None) };
        assert_eq!(decide(&token(0, Some(60_000)), Some(&successor), 0, NOW), RefreshDecision::Expired);
        assert_eq!(decide(&token(0, Some(60_000)), Some(&successor), 1, NOW), RefreshDecision::Reused);
    }
}
