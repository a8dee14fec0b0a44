//! Hashing passwords without stopping anything else, and trying them: off the threads that serve, in their queue, and no
//! more often than the limits say.

use crate::app::App;
use crate::cluster::attempts::{Account, Known, Turn};
use crate::cluster::hashing::{Core, Queued};
use crate::domain::address::network;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::names::Password;
use crate::domain::passwords::{self, Verified};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::logins;
use crate::store::pools::Share;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A place in the queue of passwords; `busy` if there is none.
pub(super) fn enter(app: &App) -> Result<Queued> {
    app.admission().sign_in(app.hashing().enter())
}

/// The hash of a password, as a PHC string; `busy` if too many wait for theirs.
pub async fn hash(app: &App, password: Password) -> Result<String> {
    let queued = enter(app)?;
    let core = app.hashing().core().await?;
    on_core(app, queued, core, move || passwords::hash(&password)).await
}

/// Somebody tries a password.
pub(super) struct Attempt {
    /// Whose it is to be.
    pub(super) account: Account,
    /// From where.
    pub(super) address: IpAddr,
    /// As it was sent.
    pub(super) password: String,
    /// The hash it is compared with; without one it is wrong, and that takes as long.
    pub(super) hash: Option<String>,
}

/// Tries a password. Nobody can cancel it: whoever hangs up has tried it all the same.
pub(super) async fn attempt(app: &App, queued: Queued, attempt: Attempt) -> Result<Verified> {
    let owner = app.clone();
    app.to_its_end(async move { tried(&owner, queued, attempt).await }).await
}

async fn tried(app: &App, queued: Queued, attempt: Attempt) -> Result<Verified> {
    let Attempt { account, address, password, hash } = attempt;
    // a right one is counted whatever it is for: each takes a core for a while
    let user = match account {
        Account::Of(user) => Some(user),
        Account::Nobody(_) => None,
    };
    let mut known = Known::Unasked;
    // where it is clear already, nobody waits for a refusal; a place that is free now is taken when there is a core
    loop {
        match app.attempts().turn(account, address, known, Instant::now()) {
            Turn::Taken(_) | Turn::Wait => break,
            Turn::Ask => known = is_known(app, account, address).await?,
            Turn::Refused(wait) => return refused(app, wait),
        }
    }
    let (places, core) = loop {
        let mut answered = std::pin::pin!(app.attempts().answered().notified());
        // before the look, so that no answer comes between the two
        answered.as_mut().enable();
        // places are taken with a core at hand: cores come in the order of the queue, and places come with them
        let core = app.hashing().core().await?;
        match app.attempts().turn(account, address, known, Instant::now()) {
            Turn::Taken(places) => break (places, core),
            Turn::Wait => {
                drop(core);
                answered.await;
            }
            Turn::Ask => {
                drop(core);
                known = is_known(app, account, address).await?;
            }
            Turn::Refused(wait) => return refused(app, wait),
        }
    };
    // asked only now: others may have signed in while this one waited
    app.admission().sign_in(user.map_or(Ok(()), |user| app.sign_in_limits().may_sign_in(user)))?;
    let verified = on_core(app, queued, core, move || passwords::verify(&password, hash.as_deref())).await?;
    if let (Some(places), Verified::Wrong) = (places, &verified) {
        places.wrong(Instant::now());
    }
    if let (Some(user), false) = (user, verified == Verified::Wrong) {
        app.admission().sign_in(app.sign_in_limits().sign_in(user))?;
    }
    Ok(verified)
}

fn refused<T>(app: &App, wait: Duration) -> Result<T> {
    app.admission().sign_in(Err(Error::rate_limited(wait.as_millis() as u64 + 1)))
}

/// Whether an account signed in or registered from an address within the last 30 days. It is asked for nobody, too, so that
/// the time it takes tells nothing.
async fn is_known(app: &App, account: Account, address: IpAddr) -> Result<Known> {
    let user = match account {
        Account::Of(user) => user,
        Account::Nobody(_) => UserId::new(),
    };
    let network = network(address).to_string();
    let since = Timestamp::now().minus(limits::SIGNED_IN_FROM);
    let known = super::read::read(app, Share::Authentication, move |conn| {
        Box::pin(async move { Ok(logins::signed_in_from(conn, user, &network, since).await?) })
    })
    .await?;
    Ok(if known { Known::Yes } else { Known::No })
}

async fn on_core<T: Send + 'static>(
    app: &App,
    queued: Queued,
    core: Core,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    app.compute(move || {
        // given back when the work ends, also when nobody waits for it any more
        let _held = (queued, core);
        work()
    })
    .await
}
