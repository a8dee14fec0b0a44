//! How use cases hash and verify passwords. Both wait in a queue and run outside the threads that serve clients, and
//! verifying is limited by account and by address.

use super::read::read;
use crate::app::App;
use crate::cluster::attempts::{AttemptDecision, AttemptPermits, KnownAtAddress, KnownTargets, PasswordTarget};
use crate::cluster::hashing::{CorePermit, QueuePermit};
use crate::domain::address::network;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::names::Password;
use crate::domain::passwords::{self, PasswordMatch};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::accounts::{self, StoredPassword};
use crate::store::db::pools::ReadPool;
use crate::store::logins;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Takes a permit of the hashing queue. Fails with `busy` if there is none.
pub fn acquire_queue_permit(app: &App) -> Result<QueuePermit> {
    app.admission().count_sign_in_refusal(app.hashing().acquire_queue_permit())
}

/// Returns the hash of a password as a PHC string. Fails with `busy` if too many passwords wait to be hashed.
pub async fn hash(app: &App, password: Password) -> Result<String> {
    let queued = acquire_queue_permit(app)?;
    let core = app.hashing().acquire_core_permit().await?;
    on_core(app, queued, core, move || passwords::hash(&password)).await
}

/// An attempt to use a password.
pub struct PasswordAttempt {
    pub owner: PasswordOwner,
    pub address: IpAddr,
    pub password: String,
}

/// The user whose password is verified.
#[derive(Clone, Debug)]
pub enum PasswordOwner {
    /// A username or an e-mail address, as sent with a sign-in.
    Name(String),
    /// A user who is signed in.
    User(UserId),
}

/// The result of a correct password.
pub struct VerifiedPassword {
    pub user_id: UserId,
    /// The stored hash. The calling code compares it again in the transaction, because it may change meanwhile.
    pub stored_hash: Option<String>,
    /// A new hash to store, if the stored one was made with old parameters.
    pub new_hash: Option<String>,
}

/// Verifies a password. Fails with `invalid_credentials` if it is wrong. An attempt that is over a limit is refused
/// before it takes a permit of the hashing queue. The calling code cannot cancel an attempt: it counts even if the
/// client disconnects.
pub async fn verify(app: &App, attempt: PasswordAttempt) -> Result<VerifiedPassword> {
    let target = match &attempt.owner {
        PasswordOwner::Name(name) => app.password_limits().target_for_name(name),
        PasswordOwner::User(user) => PasswordTarget::User(*user),
    };
    let decision = app.password_limits().acquire_address_permit(
        target,
        attempt.address,
        KnownAtAddress::NotChecked,
        Instant::now(),
    );
    if let AttemptDecision::Refuse(wait) = decision {
        return refuse(app, wait);
    }
    let (owned_app, queued) = (app.clone(), acquire_queue_permit(app)?);
    let verification = async move {
        let permits = match decision {
            AttemptDecision::Proceed(permits) => permits,
            _ => wait_for_address_permit(&owned_app, target, attempt.address).await?,
        };
        verify_in_turn(&owned_app, queued, permits, attempt).await
    };
    app.run_without_deadline(verification).await
}

/// Waits for the permit of an address. This happens before the account is looked up.
async fn wait_for_address_permit(app: &App, target: PasswordTarget, address: IpAddr) -> Result<Option<AttemptPermits>> {
    let mut known = KnownAtAddress::NotChecked;
    loop {
        let mut attempt_finished = std::pin::pin!(app.password_limits().finished().notified());
        // Register for the notification before asking, so that none is missed in between.
        attempt_finished.as_mut().enable();
        match app.password_limits().acquire_address_permit(target, address, known, Instant::now()) {
            AttemptDecision::Proceed(permits) => return Ok(permits),
            AttemptDecision::Wait => attempt_finished.await,
            AttemptDecision::CheckAddress => known = is_known_target(app, target, address).await?,
            AttemptDecision::Refuse(wait) => return refuse(app, wait),
        }
    }
}

async fn verify_in_turn(
    app: &App,
    queued: QueuePermit,
    mut permits: Option<AttemptPermits>,
    attempt: PasswordAttempt,
) -> Result<VerifiedPassword> {
    let PasswordAttempt { owner, address, password } = attempt;
    let (stored, target_for_name) = find_stored_password(app, &owner).await?;
    let account = stored.as_ref().map_or(target_for_name, |stored| PasswordTarget::User(stored.user_id));
    if let Some(permits) = &mut permits {
        wait_for_account_permits(app, permits, account, address).await?;
    }
    // A correct password counts towards the limit of sign-ins for every purpose, because each check uses a core for a
    // while.
    let user = stored.as_ref().map(|stored| stored.user_id);
    let core = app.hashing().acquire_core_permit().await?;
    // Check the limit of sign-ins after waiting, because other attempts of this user may have succeeded meanwhile.
    if let Some(Err(error)) =
        user.map(|user| app.admission().count_sign_in_refusal(app.sign_in_limits().check_sign_in(user)))
    {
        if let (Some(permits), Some(wait)) = (&permits, error.retry_after_ms()) {
            permits.refuse_lookups(Duration::from_millis(wait), Instant::now());
        }
        return Err(error);
    }
    let stored_hash = stored.as_ref().and_then(|stored| stored.hash.clone());
    let verified = on_core(app, queued, core, {
        let stored_hash = stored_hash.clone();
        move || passwords::verify(&password, stored_hash.as_deref())
    })
    .await?;
    if let (Some(permits), PasswordMatch::Wrong) = (permits, &verified) {
        permits.count_wrong(Instant::now());
    }
    let Some(stored) = stored.filter(|_| verified != PasswordMatch::Wrong) else {
        return Err(Error::invalid_credentials());
    };
    app.admission()
        .count_sign_in_refusal(user.map_or(Ok(()), |user| app.sign_in_limits().count_successful_sign_in(user)))?;
    let new_hash = if let PasswordMatch::CorrectWithNewHash(hash) = verified { Some(hash) } else { None };
    Ok(VerifiedPassword { user_id: stored.user_id, stored_hash, new_hash })
}

/// Returns the stored password if the account exists, and the target for the attempts on a name without account.
async fn find_stored_password(app: &App, owner: &PasswordOwner) -> Result<(Option<StoredPassword>, PasswordTarget)> {
    let owner = owner.clone();
    match owner {
        PasswordOwner::Name(name) => {
            let target_for_name = app.password_limits().target_for_name(&name);
            let stored = read(app, ReadPool::Authentication, move |conn| {
                Box::pin(async move { Ok(accounts::get_password_by_name(conn, &name).await?) })
            });
            Ok((stored.await?, target_for_name))
        }
        PasswordOwner::User(user) => {
            let stored = read(app, ReadPool::Ordinary, move |conn| {
                Box::pin(async move { Ok(accounts::get_password(conn, user).await?) })
            });
            Ok((stored.await?, PasswordTarget::User(user)))
        }
    }
}

/// Waits while other attempts hold the permits of the account, and fails if wrong passwords have used them up.
async fn wait_for_account_permits(
    app: &App,
    permits: &mut AttemptPermits,
    account: PasswordTarget,
    address: IpAddr,
) -> Result<()> {
    let mut known = if permits.is_known_at_address() { KnownAtAddress::Yes } else { KnownAtAddress::NotChecked };
    loop {
        let mut attempt_finished = std::pin::pin!(app.password_limits().finished().notified());
        attempt_finished.as_mut().enable();
        match permits.acquire_account_permits(account, known, Instant::now()) {
            AttemptDecision::Proceed(()) => return Ok(()),
            AttemptDecision::Wait => attempt_finished.await,
            AttemptDecision::CheckAddress => known = is_known_account(app, account, address).await?,
            AttemptDecision::Refuse(wait) => return refuse(app, wait),
        }
    }
}

fn refuse<T>(app: &App, wait: Duration) -> Result<T> {
    app.admission().count_sign_in_refusal(Err(Error::rate_limited(wait.as_millis() as u64 + 1)))
}

/// Returns whether an account signed in or registered from an address lately ([`limits::KNOWN_ADDRESS_LIFETIME`]). It
/// also asks the database for a name without account, so that the time of the answer does not show which names exist.
async fn is_known_account(app: &App, account: PasswordTarget, address: IpAddr) -> Result<KnownAtAddress> {
    let user = match account {
        PasswordTarget::User(user) => user,
        PasswordTarget::Name(_) => UserId::new(),
    };
    let (network, since) = (network(address).to_string(), Timestamp::now().minus(limits::KNOWN_ADDRESS_LIFETIME));
    let known = read(app, ReadPool::Authentication, move |conn| {
        Box::pin(async move { Ok(logins::has_signed_in_from(conn, user, &network, since).await?) })
    })
    .await?;
    Ok(if known { KnownAtAddress::Yes } else { KnownAtAddress::No })
}

/// Does the same for an address without free permits. All accounts that are known there are read together and kept, so
/// that the number of statements does not depend on how many names that address tries.
async fn is_known_target(app: &App, target: PasswordTarget, address: IpAddr) -> Result<KnownAtAddress> {
    let known_targets = app.password_limits().known_targets(address, Instant::now());
    let known = known_targets.get_or_try_init(|| read_known_targets(app, address)).await?.contains(&target);
    Ok(if known { KnownAtAddress::Yes } else { KnownAtAddress::No })
}

async fn read_known_targets(app: &App, address: IpAddr) -> Result<KnownTargets> {
    let (network, since) = (network(address).to_string(), Timestamp::now().minus(limits::KNOWN_ADDRESS_LIFETIME));
    let (mut known_targets, mut after) = (KnownTargets::new(), None);
    while known_targets.len() < limits::KNOWN_NAMES_PER_NETWORK {
        let network = network.clone();
        let page = read(app, ReadPool::Authentication, move |conn| {
            Box::pin(async move {
                Ok(logins::list_network_users(conn, &network, since, after, limits::KNOWN_ACCOUNTS_PAGE).await?)
            })
        })
        .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.user_id);
        for row in page.into_iter().filter(|row| row.is_recent) {
            known_targets.insert(PasswordTarget::User(row.user_id));
            known_targets.extend(row.names.iter().map(|name| app.password_limits().target_for_name(name)));
        }
    }
    Ok(known_targets)
}

async fn on_core<T: Send + 'static>(
    app: &App,
    queued: QueuePermit,
    core: CorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    app.compute(move || {
        // The permits are released when the work ends, even when no code waits for it any more.
        let _permits = (queued, core);
        work()
    })
    .await
}
