//! Renewing tokens (SPEC 2). A refresh token is spent for its successor, which is of the next generation. Whoever brings a
//! spent one again gets the same successor, for ten seconds in any case, since two tabs may spend one token; and later only
//! while nobody has used an access token of that successor's generation or a later one, since then the reply that carried
//! it may have been lost. Else two hold the login, and it ends.

use super::logins::{Opened, answer, caller, end, existing};
use super::transact::{Tx, transact_for};
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::ids::LoginId;
use crate::domain::limits;
use crate::domain::sealed::Presented;
use crate::domain::time::Timestamp;
use crate::domain::tokens;
use crate::error::{Error, Result};
use crate::protocol::events::RevokeReason;
use crate::protocol::resources::Tokens;
use crate::store::gate::Account;
use crate::store::logins::{self, TokenRow};
use crate::store::users::UserRow;
use std::net::IpAddr;

const UNKNOWN: &str = "the refresh token is not valid; sign in again";

/// What is to be done with a refresh token that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// Spend it.
    Renew,
    /// Its reply was lost, or a second tab brings it: the same successor again.
    Repeat,
    /// Somebody uses what it was spent for, and somebody else has it: two hold the login.
    Reused,
    /// It ran out unspent, or what it was spent for did.
    Expired,
}

/// `successor` is what the token was spent for, if that is still known; `seen` is the newest generation of which an access
/// token was accepted.
fn judge(token: &TokenRow, successor: Option<&TokenRow>, seen: i64, now: Timestamp) -> Verdict {
    let Some(spent_at) = token.spent_at else {
        return if now >= token.expires_at { Verdict::Expired } else { Verdict::Renew };
    };
    let unused = successor.is_some_and(|successor| successor.generation > seen);
    if now > spent_at.plus(limits::REFRESH_GRACE) && !unused {
        return Verdict::Reused;
    }
    if successor.is_some_and(|successor| now >= successor.expires_at) { Verdict::Expired } else { Verdict::Repeat }
}

/// Spends a refresh token for its successor and a fresh access token. One that two holders have spent ends its login.
pub async fn refresh(app: &App, token: &str, address: IpAddr) -> Result<Tokens> {
    let presented = app.keys().presented(token, Timestamp::now()).ok_or_else(|| Error::unauthorized(UNKNOWN))?;
    let (account, allowed) = match presented {
        Presented::Sealed(login) => (Account::Login(login), app.sign_in_limits().refresh(login)),
        Presented::Plain => (Account::at(address), app.sign_in_limits().may_look_up(address)),
    };
    app.admission().sign_in(allowed)?;
    let (token, keys) = (token.to_owned(), app.clone());
    let renewed = transact_for(app, account, limits::FEW_ROWS, move |tx| {
        let (token, keys) = (token.clone(), keys.clone());
        Box::pin(async move { renew(tx, &keys, presented, &token).await })
    })
    .await;
    if presented == Presented::Plain && renewed.as_ref().is_err_and(|error| error.code() == Code::Unauthorized) {
        app.sign_in_limits().found_nothing(address);
    }
    let renewed = renewed?;
    // that the login ended is committed, so it is an outcome and not an error of the transaction
    let (user, opened) = renewed.ok_or_else(Error::token_reused)?;
    Ok(answer(app, &user, opened))
}

async fn renew(tx: &mut Tx, app: &App, presented: Presented, token: &str) -> Result<Option<(UserRow, Opened)>> {
    let unknown = || Error::unauthorized(UNKNOWN);
    let hash = tokens::hash(token);
    // whose token it is never changes, so it may be read before the lock
    let login_id = match presented {
        Presented::Sealed(login_id) => login_id,
        Presented::Plain => logins::token(tx.conn(), &hash).await?.ok_or_else(unknown)?.login_id,
    };
    let user_id = logins::by_id(tx.conn(), login_id).await?.ok_or_else(unknown)?.user_id;
    tx.lock_users(&[user_id]).await?;

    let user = existing(tx, user_id).await?;
    let row = logins::token(tx.conn(), &hash).await?.filter(|row| row.login_id == login_id).ok_or_else(unknown)?;
    let standing = logins::standing(tx.conn(), login_id).await?.ok_or_else(unknown)?;
    let candidates = app.keys().successors(token, login_id, presented);
    let given = if row.spent_at.is_some() { given_before(tx, &candidates).await? } else { None };
    let verdict = judge(&row, given.as_ref().map(|(_, row)| row), standing.seen, tx.now());
    if verdict == Verdict::Reused {
        end(tx, user_id, login_id, RevokeReason::TokenReused).await?;
        return Ok(None);
    }
    caller(login_id, Some(standing))?;
    let opened = match verdict {
        Verdict::Renew => {
            let successor = candidates.into_iter().next().expect("there is a primary secret");
            // counted by the login and not by the token: a node of an older version may have left a token without one
            let generation = standing.generation + 1;
            logins::spend_token(tx.conn(), &hash, tx.now()).await?;
            store(tx, &successor, login_id, generation).await?;
            logins::renewed(tx.conn(), login_id, generation, tx.now()).await?;
            Opened { login_id, generation, refresh_token: successor }
        }
        Verdict::Repeat => {
            let (refresh_token, row) = given.ok_or_else(unknown)?;
            Opened { login_id, generation: row.generation, refresh_token }
        }
        Verdict::Reused | Verdict::Expired => {
            return Err(Error::unauthorized("the refresh token has run out; sign in again"));
        }
    };
    Ok(Some((user, opened)))
}

/// Stores a refresh token that was made now.
pub(super) async fn store(tx: &Tx, token: &str, login_id: LoginId, generation: i64) -> Result<()> {
    let now = tx.now();
    let row = TokenRow { login_id, generation, expires_at: now.plus(limits::REFRESH_TOKEN), spent_at: None };
    Ok(logins::insert_token(tx.conn(), &tokens::hash(token), &row, now).await?)
}

/// The successor that was given out: which one depends on the secret of then.
async fn given_before(tx: &Tx, candidates: &[String]) -> Result<Option<(String, TokenRow)>> {
    for candidate in candidates {
        if let Some(row) = logins::token(tx.conn(), &tokens::hash(candidate)).await? {
            return Ok(Some((candidate.clone(), row)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn token(generation: i64, spent_ago: Option<u64>) -> TokenRow {
        TokenRow {
            login_id: LoginId::new(),
            generation,
            expires_at: NOW.plus(limits::REFRESH_TOKEN),
            spent_at: spent_ago.map(|millis| NOW.minus(Duration::from_millis(millis))),
        }
    }

    #[test]
    fn a_spent_token_is_good_for_ten_seconds_more_whoever_used_its_successor() {
        let successor = token(1, None);
        assert_eq!(judge(&token(0, None), None, 0, NOW), Verdict::Renew);
        assert_eq!(judge(&token(0, Some(0)), Some(&successor), 1, NOW), Verdict::Repeat);
        assert_eq!(judge(&token(0, Some(10_000)), Some(&successor), 1, NOW), Verdict::Repeat);
        assert_eq!(judge(&token(0, Some(10_001)), Some(&successor), 1, NOW), Verdict::Reused);
        let later = TokenRow { spent_at: Some(NOW.plus(Duration::from_millis(5))), ..token(0, None) };
        assert_eq!(
            judge(&later, Some(&successor), 1, NOW),
            Verdict::Repeat,
            "spent by whoever held the lock meanwhile"
        );
    }

    #[test]
    fn a_spent_token_is_good_later_as_long_as_nobody_used_its_successor_or_a_later_one() {
        let (spent, successor) = (token(4, Some(3_600_000)), token(5, Some(3_000_000)));
        assert_eq!(judge(&spent, Some(&successor), 4, NOW), Verdict::Repeat);
        assert_eq!(judge(&spent, Some(&successor), 5, NOW), Verdict::Reused);
        assert_eq!(judge(&spent, Some(&successor), 6, NOW), Verdict::Reused);
        assert_eq!(judge(&spent, None, 0, NOW), Verdict::Reused, "nobody knows any more what it was spent for");
        // both from before generations were counted: as it was judged then
        assert_eq!(judge(&token(0, Some(10_001)), Some(&token(0, None)), 0, NOW), Verdict::Reused);
    }

    #[test]
    fn nothing_that_ran_out_is_given_out_again() {
        let unspent = TokenRow { expires_at: NOW, ..token(0, None) };
        assert_eq!(judge(&unspent, None, 0, NOW), Verdict::Expired);
        let successor = TokenRow { expires_at: NOW, ..token(1, None) };
        assert_eq!(judge(&token(0, Some(60_000)), Some(&successor), 0, NOW), Verdict::Expired);
        assert_eq!(judge(&token(0, Some(60_000)), Some(&successor), 1, NOW), Verdict::Reused);
    }
}
