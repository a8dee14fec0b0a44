//! Hashing passwords without stopping anything else, and trying them: off the threads that serve, in their queue, and no
//! more often than the limits say.

use super::read::read;
use crate::app::App;
use crate::cluster::attempts::{Account, Here, Known, Places, Turn};
use crate::cluster::hashing::{Core, Queued};
use crate::domain::address::network;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::names::Password;
use crate::domain::passwords::{self, Verified};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::accounts::{self, Secret};
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
    pub(super) whose: Whose,
    /// From where.
    pub(super) address: IpAddr,
    /// As it was sent.
    pub(super) password: String,
}

/// Whose password is tried.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// That of whoever has this username or e-mail address, to sign in.
    Named(String),
    /// A user's own.
    Own(UserId),
}

/// A password that is right.
pub(super) struct Right {
    /// The user whose password was checked.
    pub(super) user: UserId,
    /// The hash it was compared with.
    pub(super) hash: Option<String>,
    /// The hash to keep from now on, if that is another.
    pub(super) anew: Option<String>,
}

/// Tries a password; a wrong one is `invalid_credentials`. Whoever is clear to be refused takes no place in the queue of
/// passwords. Nobody can cancel it: whoever hangs up has tried it all the same.
pub(super) async fn attempt(app: &App, attempt: Attempt) -> Result<Right> {
    let who = match &attempt.whose {
        Whose::Named(name) => app.attempts().named(name),
        Whose::Own(user) => Account::Of(*user),
    };
    let turn = app.attempts().enter(who, attempt.address, Known::Unasked, Instant::now());
    if let Turn::Refused(wait) = turn {
        return refused(app, wait);
    }
    let (owner, queued) = (app.clone(), enter(app)?);
    let trying = async move {
        let entered = match turn {
            Turn::Taken(places) => places,
            _ => enter_address(&owner, who, attempt.address).await?,
        };
        tried(&owner, queued, entered, attempt).await
    };
    app.to_its_end(trying).await
}

/// Waits for the place of an address. It comes before the account is looked up.
async fn enter_address(app: &App, who: Account, address: IpAddr) -> Result<Option<Places>> {
    let mut known = Known::Unasked;
    loop {
        let mut answered = std::pin::pin!(app.attempts().answered().notified());
        // before the look, so that no answer comes between the two
        answered.as_mut().enable();
        match app.attempts().enter(who, address, known, Instant::now()) {
            Turn::Taken(places) => return Ok(places),
            Turn::Wait => answered.await,
            Turn::Ask => known = is_here(app, who, address).await?,
            Turn::Refused(wait) => return refused(app, wait),
        }
    }
}

async fn tried(app: &App, queued: Queued, mut places: Option<Places>, attempt: Attempt) -> Result<Right> {
    let Attempt { whose, address, password } = attempt;
    let (secret, nobody) = look_up(app, &whose).await?;
    let account = secret.as_ref().map_or(nobody, |secret| Account::Of(secret.user_id));
    if let Some(places) = &mut places {
        enter_account(app, places, account, address).await?;
    }
    // a right one is counted whatever it is for: each takes a core for a while
    let user = secret.as_ref().map(|secret| secret.user_id);
    let core = app.hashing().core().await?;
    // asked only now: others may have signed in while this one waited
    if let Some(Err(error)) = user.map(|user| app.admission().sign_in(app.sign_in_limits().may_sign_in(user))) {
        if let (Some(places), Some(wait)) = (&places, error.retry_after_ms()) {
            places.refuse(Duration::from_millis(wait), Instant::now());
        }
        return Err(error);
    }
    let hash = secret.as_ref().and_then(|secret| secret.hash.clone());
    let verified = on_core(app, queued, core, {
        let hash = hash.clone();
        move || passwords::verify(&password, hash.as_deref())
    })
    .await?;
    if let (Some(places), Verified::Wrong) = (places, &verified) {
        places.wrong(Instant::now());
    }
    let Some(secret) = secret.filter(|_| verified != Verified::Wrong) else {
        return Err(Error::invalid_credentials());
    };
    app.admission().sign_in(user.map_or(Ok(()), |user| app.sign_in_limits().sign_in(user)))?;
    let anew = if let Verified::Anew(hash) = verified { Some(hash) } else { None };
    Ok(Right { user: secret.user_id, hash, anew })
}

/// The secret, and what a name counts as that nobody has.
async fn look_up(app: &App, whose: &Whose) -> Result<(Option<Secret>, Account)> {
    let whose = whose.clone();
    match whose {
        Whose::Named(name) => {
            let nobody = app.attempts().named(&name);
            let secret = read(app, Share::Authentication, move |conn| {
                Box::pin(async move { Ok(accounts::secret_by_login(conn, &name).await?) })
            });
            Ok((secret.await?, nobody))
        }
        Whose::Own(user) => {
            let secret = read(app, Share::Ordinary, move |conn| {
                Box::pin(async move { Ok(accounts::secret_of(conn, user).await?) })
            });
            Ok((secret.await?, Account::Of(user)))
        }
    }
}

/// Waits for the places of the account.
async fn enter_account(app: &App, places: &mut Places, account: Account, address: IpAddr) -> Result<()> {
    let mut known = if places.is_known() { Known::Yes } else { Known::Unasked };
    loop {
        let mut answered = std::pin::pin!(app.attempts().answered().notified());
        answered.as_mut().enable();
        match places.enter(account, known, Instant::now()) {
            Turn::Taken(()) => return Ok(()),
            Turn::Wait => answered.await,
            Turn::Ask => known = is_known(app, account, address).await?,
            Turn::Refused(wait) => return refused(app, wait),
        }
    }
}

fn refused<T>(app: &App, wait: Duration) -> Result<T> {
    app.admission().sign_in(Err(Error::rate_limited(wait.as_millis() as u64 + 1)))
}

/// Whether an account signed in or registered from an address within the last 30 days. It is asked for nobody, too, so that
/// the time it takes tells nothing.
async fn is_known(app: &App, account: Account, address: IpAddr) -> Result<Known> {
    let user = match account {
        Account::Of(user) => user,
        Account::Named(_) => UserId::new(),
    };
    let (network, since) = (network(address).to_string(), Timestamp::now().minus(limits::SIGNED_IN_FROM));
    let known = read(app, Share::Authentication, move |conn| {
        Box::pin(async move { Ok(logins::signed_in_from(conn, user, &network, since).await?) })
    })
    .await?;
    Ok(if known { Known::Yes } else { Known::No })
}

/// The same for whoever comes from an address that has no places left, where all who are known are read together, so that
/// what is asked of the database does not depend on how many names come from there.
async fn is_here(app: &App, who: Account, address: IpAddr) -> Result<Known> {
    let here = app.attempts().here(address, Instant::now());
    let known = here.get_or_try_init(|| known_at(app, address)).await?.contains(&who);
    Ok(if known { Known::Yes } else { Known::No })
}

async fn known_at(app: &App, address: IpAddr) -> Result<Here> {
    let (network, since) = (network(address).to_string(), Timestamp::now().minus(limits::SIGNED_IN_FROM));
    let (mut here, mut after) = (Here::new(), None);
    while here.len() < limits::KNOWN_NAMES {
        let network = network.clone();
        let page = read(app, Share::Authentication, move |conn| {
            Box::pin(async move { Ok(logins::known_at(conn, &network, since, after, limits::KNOWN_PAGE).await?) })
        })
        .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.user_id);
        for row in page.into_iter().filter(|row| row.lately) {
            here.insert(Account::Of(row.user_id));
            here.extend(row.names.iter().map(|name| app.attempts().named(name)));
        }
    }
    Ok(here)
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
