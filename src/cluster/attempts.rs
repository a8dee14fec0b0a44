//! Limits on password attempts, by account and by address.
//!
//! An attempt acquires its permits before the password is hashed. An attempt with the right password releases its
//! permits; with a wrong one each permit stays used for a minute or an hour. So any number of guesses at the same time
//! gets no more answers than the limits allow, and right passwords cost nothing. An attempt waits if all its permits
//! are held by attempts that are still being hashed. Only wrong passwords cause a refusal.
//!
//! The permit of the address comes before the account lookup. So an address without permits costs the database nothing,
//! whatever names its clients invent. A client may try the password of an account that is known at the address without
//! that permit. The known accounts of an address are read from the database at most once in ten seconds
//! ([`KnownTargets`]). If an attempt is refused after the lookup of a name, the name is not looked up again for the
//! time that the refusal tells the client to wait, or for a minute if that time is longer.

use super::windows::{AttemptWindow, SWEEP};
use crate::domain::address::network;
use crate::domain::ids::UserId;
use crate::domain::limits;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OnceCell};
use unicode_normalization::UnicodeNormalization;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// How long the known targets of an address are used before they are read again. A sign-in on this node that they lack
/// makes them be read again earlier.
const KNOWN_TARGETS_LIFETIME: Duration = Duration::from_secs(10);

/// The account whose password is tried. After the lookup an account has one target, whether the client sent its
/// username or its e-mail address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PasswordTarget {
    User(UserId),
    /// The hash of a name that was not looked up, or that no user has.
    Name(u64),
}

/// Whether the account recently signed in or registered from the address ([`limits::KNOWN_ADDRESS_LIFETIME`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KnownAtAddress {
    /// The database was not asked yet.
    NotChecked,
    Yes,
    No,
}

/// What the calling function must do next with an attempt.
pub enum AttemptDecision<T> {
    Proceed(T),
    /// All permits are held by other attempts. The calling function waits until one of them finishes.
    Wait,
    /// Only an account that is known at the address may be tried. The calling function finds this out and asks again.
    CheckAddress,
    /// The attempt is refused. The client may try again after this time.
    Refuse(Duration),
}

/// The accounts known at an address: their ids, and each name with which they can sign in.
pub type KnownTargets = HashSet<PasswordTarget>;

/// The limits on password attempts of this node, and the attempts that count.
pub struct PasswordLimits {
    /// Wrong passwords a minute for each address; `None` if the operator turned the limits off.
    address_limit: Option<usize>,
    state: Mutex<AttemptState>,
    finished: Notify,
    // The seed is random, so no client can construct two names with the same hash.
    hasher: RandomState,
}

struct AttemptState {
    pairs: HashMap<(PasswordTarget, IpAddr), AttemptWindow>,
    addresses: HashMap<IpAddr, AttemptWindow>,
    accounts: HashMap<PasswordTarget, AttemptWindow>,
    /// Until when a target from an address is refused without a lookup.
    refused_until: HashMap<(PasswordTarget, IpAddr), Instant>,
    /// The known targets of addresses without permits, and the time from which their lifetime counts.
    known_targets: HashMap<IpAddr, (Instant, Arc<OnceCell<KnownTargets>>)>,
    swept_at: Instant,
}

impl AttemptState {
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept_at) >= SWEEP {
            self.swept_at = now;
            self.pairs.retain(|_, window| !window.is_unused(MINUTE, now));
            self.addresses.retain(|_, window| !window.is_unused(MINUTE, now));
            self.accounts.retain(|_, window| !window.is_unused(HOUR, now));
            self.refused_until.retain(|_, until| *until > now);
            self.known_targets.retain(|_, (since, _)| is_fresh(*since, now));
        }
    }

    /// Returns the known targets of `address`, or `None` if they were not read recently.
    fn known_targets(&self, address: IpAddr, now: Instant) -> Option<&KnownTargets> {
        let (since, known) = self.known_targets.get(&address)?;
        known.get().filter(|_| is_fresh(*since, now))
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < KNOWN_TARGETS_LIFETIME
}

/// The permits of one attempt, released when they are dropped.
pub struct AttemptPermits {
    attempts: Arc<PasswordLimits>,
    address: IpAddr,
    /// The target as the client named it, before the lookup.
    requested: PasswordTarget,
    /// The target after the lookup; `None` until its permits are acquired.
    account: Option<PasswordTarget>,
    /// False for an account that is known at the address and is tried without the permit of the address.
    has_address_permit: bool,
    /// Whether the attempt holds a permit of the hourly limit of the account.
    has_hour_permit: bool,
    /// When the password was found to be wrong.
    wrong_at: Option<Instant>,
}

impl PasswordLimits {
    /// Creates the limits: `per_minute` wrong passwords a minute for each address. 0 turns all limits on attempts off.
    pub fn new(per_minute: u32) -> Self {
        Self {
            address_limit: (per_minute > 0).then_some(per_minute as usize),
            state: Mutex::new(AttemptState {
                pairs: HashMap::new(),
                addresses: HashMap::new(),
                accounts: HashMap::new(),
                refused_until: HashMap::new(),
                known_targets: HashMap::new(),
                swept_at: Instant::now(),
            }),
            finished: Notify::new(),
            hasher: RandomState::new(),
        }
    }

    /// Returns the target for a name that was not looked up. The username key and the e-mail key of an account give the
    /// same target as the names they are made from.
    pub fn target_for_name(&self, name: &str) -> PasswordTarget {
        PasswordTarget::Name(self.hasher.hash_one(name.trim().nfc().collect::<String>().to_lowercase()))
    }

    /// Acquires the permit of `address` for an attempt at `now`. `requested` is the target as the client named it, and
    /// `known` says whether the account is known at the address, as far as it was checked. The permits are `None` if
    /// the limits are turned off.
    pub fn acquire_address_permit(
        self: &Arc<Self>,
        requested: PasswordTarget,
        address: IpAddr,
        known: KnownAtAddress,
        now: Instant,
    ) -> AttemptDecision<Option<AttemptPermits>> {
        let Some(address_limit) = self.address_limit else { return AttemptDecision::Proceed(None) };
        let address = network(address);
        let mut state = self.state();
        state.sweep(now);
        if let Some(until) = state.refused_until.get(&(requested, address)).filter(|until| **until > now) {
            return AttemptDecision::Refuse(*until - now);
        }
        let known = match state.known_targets(address, now) {
            Some(targets) if known == KnownAtAddress::NotChecked && targets.contains(&requested) => KnownAtAddress::Yes,
            Some(_) if known == KnownAtAddress::NotChecked => KnownAtAddress::No,
            _ => known,
        };
        let window = state.addresses.entry(address).or_default();
        let takes_permit = window.expire_and_count(MINUTE, now) < address_limit;
        match known {
            _ if takes_permit => {}
            KnownAtAddress::Yes => {}
            KnownAtAddress::NotChecked => return AttemptDecision::CheckAddress,
            KnownAtAddress::No => {
                return AttemptDecision::Refuse(window.time_until_below_limit(address_limit, MINUTE, now));
            }
        }
        if takes_permit && window.is_full(address_limit) {
            return AttemptDecision::Wait;
        }
        window.pending += usize::from(takes_permit);
        AttemptDecision::Proceed(Some(AttemptPermits {
            attempts: self.clone(),
            address,
            requested,
            account: None,
            has_address_permit: takes_permit,
            has_hour_permit: false,
            wrong_at: None,
        }))
    }

    /// Returns the cell for the known targets of `address`. If it is empty, the first call reads them from the
    /// database and the other calls wait for that read.
    pub fn known_targets(&self, address: IpAddr, now: Instant) -> Arc<OnceCell<KnownTargets>> {
        let mut state = self.state();
        let (since, known) = state.known_targets.entry(network(address)).or_insert_with(|| (now, Arc::default()));
        if !is_fresh(*since, now) {
            (*since, *known) = (now, Arc::default());
        }
        known.clone()
    }

    /// Must be called after a user signed in or registered from `address`. If the known targets of the address lack the
    /// user, or are still being read, they are dropped and read again.
    pub fn note_sign_in(&self, user: UserId, address: IpAddr) {
        let (mut state, address) = (self.state(), network(address));
        let lacks_user = |known: &Arc<OnceCell<KnownTargets>>| {
            known.get().is_none_or(|targets| !targets.contains(&PasswordTarget::User(user)))
        };
        if state.known_targets.get(&address).is_some_and(|(_, known)| lacks_user(known)) {
            state.known_targets.remove(&address);
        }
    }

    /// Returns the signal that wakes waiting attempts whenever an attempt finishes.
    pub fn finished(&self) -> &Notify {
        &self.finished
    }

    fn state(&self) -> MutexGuard<'_, AttemptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AttemptPermits {
    /// Returns whether the address has no permits left and the account was found to be known there.
    pub fn is_known_at_address(&self) -> bool {
        !self.has_address_permit
    }

    /// Acquires the permits of the account that the lookup found, at `now`: one for the account from this address, and
    /// one of the hourly limit for the account from all addresses.
    pub fn acquire_account_permits(
        &mut self,
        account: PasswordTarget,
        known: KnownAtAddress,
        now: Instant,
    ) -> AttemptDecision<()> {
        let attempts = self.attempts.clone();
        let mut state = attempts.state();
        let AttemptState { pairs, accounts, refused_until, .. } = &mut *state;
        let pair = pairs.entry((account, self.address)).or_default();
        let from_anywhere = accounts.entry(account).or_default();
        let takes_hour_permit = from_anywhere.expire_and_count(HOUR, now) < limits::WRONG_PASSWORDS_PER_HOUR;
        let wait = if pair.expire_and_count(MINUTE, now) >= limits::WRONG_PASSWORDS_PER_MINUTE {
            pair.time_until_below_limit(limits::WRONG_PASSWORDS_PER_MINUTE, MINUTE, now)
        } else if takes_hour_permit || known == KnownAtAddress::Yes {
            Duration::ZERO
        } else if known == KnownAtAddress::No {
            from_anywhere.time_until_below_limit(limits::WRONG_PASSWORDS_PER_HOUR, HOUR, now)
        } else {
            return AttemptDecision::CheckAddress;
        };
        if !wait.is_zero() {
            refused_until.insert((self.requested, self.address), now + wait.min(MINUTE));
            return AttemptDecision::Refuse(wait);
        }
        if pair.is_full(limits::WRONG_PASSWORDS_PER_MINUTE)
            || takes_hour_permit && from_anywhere.is_full(limits::WRONG_PASSWORDS_PER_HOUR)
        {
            return AttemptDecision::Wait;
        }
        pair.pending += 1;
        from_anywhere.pending += usize::from(takes_hour_permit);
        (self.account, self.has_hour_permit) = (Some(account), takes_hour_permit);
        AttemptDecision::Proceed(())
    }

    /// Refuses later attempts at the requested target from this address without a lookup, for `wait` but at most a
    /// minute. For an account that may not sign in for that time even with the right password.
    pub fn refuse_lookups(&self, wait: Duration, now: Instant) {
        self.attempts.state().refused_until.insert((self.requested, self.address), now + wait.min(MINUTE));
    }

    /// Counts the attempt as a wrong password in every limit of which it holds a permit.
    pub fn count_wrong(mut self, now: Instant) {
        self.wrong_at = Some(now);
    }
}

impl Drop for AttemptPermits {
    fn drop(&mut self) {
        let mut state = self.attempts.state();
        let AttemptState { pairs, addresses, accounts, .. } = &mut *state;
        let held = [
            self.account.and_then(|account| pairs.get_mut(&(account, self.address))),
            addresses.get_mut(&self.address).filter(|_| self.has_address_permit),
            self.account.and_then(|account| accounts.get_mut(&account)).filter(|_| self.has_hour_permit),
        ];
        for window in held.into_iter().flatten() {
            window.pending = window.pending.saturating_sub(1);
            if let Some(now) = self.wrong_at {
                window.add_attempt(now);
            }
        }
        drop(state);
        self.attempts.finished.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
