//! Attempts at passwords, by account and by address (SPEC 14). An attempt takes its places before the password is hashed
//! and gives them back unless the answer was wrong: however many guesses come at once, no more are answered than the limits
//! say, and right ones cost nothing. An attempt that finds places held by others that are still being hashed waits for
//! them; only wrong answers refuse.
//!
//! The place of its address comes first, before the account is looked up: so an address that has none left costs the
//! database nothing, whatever names it makes up. Who is known there, and tried all the same, is read once in a while for
//! all of the address ([`Here`]); and a name that was refused after it was looked up is not looked up again before its time.

use super::windows::{SWEEP, Window};
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
/// How long it counts who was known at an address. Whoever signs in there on this node meanwhile has it read again.
const FRESH: Duration = Duration::from_secs(10);

/// Whose password is tried. An account is one, whether it was named by username or by e-mail address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Account {
    /// Somebody's.
    Of(UserId),
    /// That of a name which was not looked up, or which nobody has: the hash of what was given.
    Named(u64),
}

/// Whether the account signed in or registered from the address lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// The database was not asked yet.
    Unasked,
    /// It did.
    Yes,
    /// It did not.
    No,
}

/// What an attempt may do now.
pub enum Turn<T> {
    /// Go on.
    Taken(T),
    /// Wait until another has its answer.
    Wait,
    /// Find out whether the account is known at the address: only then may it be tried.
    Ask,
    /// Come back after so long.
    Refused(Duration),
}

/// Who is known at an address: by id, and by each name one may sign in with.
pub type Here = HashSet<Account>;

/// The attempts of this node.
pub struct AttemptBook {
    /// Wrong passwords a minute and address; none where the operator turned the limits off.
    of_address: Option<usize>,
    books: Mutex<Books>,
    answered: Notify,
    // seeded at random, so that nobody can make two names collide
    hasher: RandomState,
}

struct Books {
    pairs: HashMap<(Account, IpAddr), Window>,
    addresses: HashMap<IpAddr, Window>,
    accounts: HashMap<Account, Window>,
    /// Until when an account is not looked up again for an address.
    refused: HashMap<(Account, IpAddr), Instant>,
    /// Who is known at an address that has no places left, and since when that counts.
    here: HashMap<IpAddr, (Instant, Arc<OnceCell<Here>>)>,
    swept: Instant,
}

impl Books {
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.pairs.retain(|_, window| !window.is_over(MINUTE, now));
            self.addresses.retain(|_, window| !window.is_over(MINUTE, now));
            self.accounts.retain(|_, window| !window.is_over(HOUR, now));
            self.refused.retain(|_, until| *until > now);
            self.here.retain(|_, (since, _)| is_fresh(*since, now));
        }
    }

    /// Who is known at `address`, if that was read lately.
    fn here(&self, address: IpAddr, now: Instant) -> Option<&Here> {
        let (since, here) = self.here.get(&address)?;
        here.get().filter(|_| is_fresh(*since, now))
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < FRESH
}

/// The places of one attempt, given back when dropped.
pub struct Places {
    book: Arc<AttemptBook>,
    address: IpAddr,
    /// As what it came.
    who: Account,
    /// Whose it is, once that is known and a place of it is held.
    account: Option<Account>,
    /// Whether one of the address is among them; an account that is known there is tried without.
    of_address: bool,
    /// Whether one of the account's hour is among them.
    of_hour: bool,
    wrong: Option<Instant>,
}

impl AttemptBook {
    /// Where an address may be wrong `per_minute` times; 0 turns every limit of attempts off.
    pub fn new(per_minute: u32) -> Self {
        Self {
            of_address: (per_minute > 0).then_some(per_minute as usize),
            books: Mutex::new(Books {
                pairs: HashMap::new(),
                addresses: HashMap::new(),
                accounts: HashMap::new(),
                refused: HashMap::new(),
                here: HashMap::new(),
                swept: Instant::now(),
            }),
            answered: Notify::new(),
            hasher: RandomState::new(),
        }
    }

    /// What a name counts as that was not looked up; the same for the key under which an account has it.
    pub fn named(&self, name: &str) -> Account {
        Account::Named(self.hasher.hash_one(name.trim().nfc().collect::<String>().to_lowercase()))
    }

    /// Takes the place of `address` for an attempt of `who` at `now`. `known` is what was read of who is known there.
    pub fn enter(self: &Arc<Self>, who: Account, address: IpAddr, known: Known, now: Instant) -> Turn<Option<Places>> {
        let Some(of_address) = self.of_address else { return Turn::Taken(None) };
        let address = network(address);
        let mut books = self.books();
        books.sweep(now);
        if let Some(until) = books.refused.get(&(who, address)).filter(|until| **until > now) {
            return Turn::Refused(*until - now);
        }
        let known = match books.here(address, now) {
            Some(here) if known == Known::Unasked && here.contains(&who) => Known::Yes,
            Some(_) if known == Known::Unasked => Known::No,
            _ => known,
        };
        let from = books.addresses.entry(address).or_default();
        let needs_address = from.count(MINUTE, now) < of_address;
        match known {
            _ if needs_address => {}
            Known::Yes => {}
            Known::Unasked => return Turn::Ask,
            Known::No => return Turn::Refused(from.room_in(of_address, MINUTE, now)),
        }
        if needs_address && from.is_full(of_address) {
            return Turn::Wait;
        }
        from.held += usize::from(needs_address);
        Turn::Taken(Some(Places {
            book: self.clone(),
            address,
            who,
            account: None,
            of_address: needs_address,
            of_hour: false,
            wrong: None,
        }))
    }

    /// Where it is kept who is known at `address`, for whoever reads it; others wait for that one.
    pub fn here(&self, address: IpAddr, now: Instant) -> Arc<OnceCell<Here>> {
        let mut books = self.books();
        let (since, here) = books.here.entry(network(address)).or_insert_with(|| (now, Arc::default()));
        if !is_fresh(*since, now) {
            (*since, *here) = (now, Arc::default());
        }
        here.clone()
    }

    /// A user has signed in or registered from `address`: whoever reads who is known there finds this one, too.
    pub fn signed_in(&self, user: UserId, address: IpAddr) {
        let (mut books, address) = (self.books(), network(address));
        let lacks = |here: &Arc<OnceCell<Here>>| here.get().is_none_or(|here| !here.contains(&Account::Of(user)));
        if books.here.get(&address).is_some_and(|(_, here)| lacks(here)) {
            books.here.remove(&address);
        }
    }

    /// Notified when an attempt has its answer.
    pub fn answered(&self) -> &Notify {
        &self.answered
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Whether who is known at the address was asked for, and this one is.
    pub fn is_known(&self) -> bool {
        !self.of_address
    }

    /// Takes the places of the account that the name belongs to, at `now`.
    pub fn enter(&mut self, account: Account, known: Known, now: Instant) -> Turn<()> {
        let book = self.book.clone();
        let mut books = book.books();
        let Books { pairs, accounts, refused, .. } = &mut *books;
        let pair = pairs.entry((account, self.address)).or_default();
        let anywhere = accounts.entry(account).or_default();
        let needs_hour = anywhere.count(HOUR, now) < limits::WRONG_PASSWORDS_HOUR;
        let wait = if pair.count(MINUTE, now) >= limits::WRONG_PASSWORDS {
            pair.room_in(limits::WRONG_PASSWORDS, MINUTE, now)
        } else if needs_hour || known == Known::Yes {
            Duration::ZERO
        } else if known == Known::No {
            anywhere.room_in(limits::WRONG_PASSWORDS_HOUR, HOUR, now)
        } else {
            return Turn::Ask;
        };
        if !wait.is_zero() {
            refused.insert((self.who, self.address), now + wait.min(MINUTE));
            return Turn::Refused(wait);
        }
        if pair.is_full(limits::WRONG_PASSWORDS) || needs_hour && anywhere.is_full(limits::WRONG_PASSWORDS_HOUR) {
            return Turn::Wait;
        }
        pair.held += 1;
        anywhere.held += usize::from(needs_hour);
        (self.account, self.of_hour) = (Some(account), needs_hour);
        Turn::Taken(())
    }

    /// The account may not sign in for so long, whatever the password: it need not be looked up for that any more.
    pub fn refuse(&self, wait: Duration, now: Instant) {
        self.book.books().refused.insert((self.who, self.address), now + wait.min(MINUTE));
    }

    /// The answer was wrong: they stay taken for their time.
    pub fn wrong(mut self, now: Instant) {
        self.wrong = Some(now);
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let mut books = self.book.books();
        let Books { pairs, addresses, accounts, .. } = &mut *books;
        let held = [
            self.account.and_then(|account| pairs.get_mut(&(account, self.address))),
            addresses.get_mut(&self.address).filter(|_| self.of_address),
            self.account.and_then(|account| accounts.get_mut(&account)).filter(|_| self.of_hour),
        ];
        for window in held.into_iter().flatten() {
            window.held = window.held.saturating_sub(1);
            if let Some(now) = self.wrong {
                window.add(now);
            }
        }
        drop(books);
        self.book.answered.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
