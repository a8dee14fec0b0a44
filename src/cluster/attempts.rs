//! Attempts at passwords, by account and by address (SPEC 14). An attempt takes its places before the password is hashed
//! and gives them back unless the answer was wrong: however many guesses come at once, no more are answered than the limits
//! say, and right ones cost nothing. An attempt that finds places held by others that are still being hashed waits for
//! them; only wrong answers refuse.

use super::windows::{SWEEP, Window};
use crate::domain::address::network;
use crate::domain::ids::UserId;
use crate::domain::limits;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use unicode_normalization::UnicodeNormalization;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Whose password is tried. An account is one, whether it was named by username or by e-mail address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Account {
    /// Somebody's.
    Of(UserId),
    /// Nobody's: the hash of the name that was given.
    Nobody(u64),
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
pub enum Turn {
    /// Hash: it has its places, where there is a limit.
    Taken(Option<Places>),
    /// Wait until another has its answer.
    Wait,
    /// Find out whether the account is known at the address: only then may it be tried.
    Ask,
    /// Come back after so long.
    Refused(Duration),
}

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
    swept: Instant,
}

impl Books {
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.pairs.retain(|_, window| !window.is_over(MINUTE, now));
            self.addresses.retain(|_, window| !window.is_over(MINUTE, now));
            self.accounts.retain(|_, window| !window.is_over(HOUR, now));
        }
    }
}

/// The places of one attempt, given back when dropped.
pub struct Places {
    book: Arc<AttemptBook>,
    account: Account,
    address: IpAddr,
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
                swept: Instant::now(),
            }),
            answered: Notify::new(),
            hasher: RandomState::new(),
        }
    }

    /// What a name that nobody has counts as.
    pub fn nobody(&self, name: &str) -> Account {
        Account::Nobody(self.hasher.hash_one(name.trim().nfc().collect::<String>().to_lowercase()))
    }

    /// What an attempt at the password of `account` from `address` may do at `now`.
    pub fn turn(self: &Arc<Self>, account: Account, address: IpAddr, known: Known, now: Instant) -> Turn {
        let Some(of_address) = self.of_address else { return Turn::Taken(None) };
        let address = network(address);
        let mut books = self.books();
        books.sweep(now);
        let Books { pairs, addresses, accounts, .. } = &mut *books;
        let pair = pairs.entry((account, address)).or_default();
        if pair.count(MINUTE, now) >= limits::WRONG_PASSWORDS {
            return Turn::Refused(pair.room_in(limits::WRONG_PASSWORDS, MINUTE, now));
        }
        let from = addresses.entry(address).or_default();
        let anywhere = accounts.entry(account).or_default();
        let needs_address = from.count(MINUTE, now) < of_address;
        let needs_hour = anywhere.count(HOUR, now) < limits::WRONG_PASSWORDS_HOUR;
        match known {
            _ if needs_address && needs_hour => {}
            Known::Yes => {}
            Known::Unasked => return Turn::Ask,
            Known::No => {
                let hour = anywhere.room_in(limits::WRONG_PASSWORDS_HOUR, HOUR, now);
                return Turn::Refused(hour.max(from.room_in(of_address, MINUTE, now)));
            }
        }
        let waits = pair.is_full(limits::WRONG_PASSWORDS)
            || needs_address && from.is_full(of_address)
            || needs_hour && anywhere.is_full(limits::WRONG_PASSWORDS_HOUR);
        if waits {
            return Turn::Wait;
        }
        pair.held += 1;
        from.held += usize::from(needs_address);
        anywhere.held += usize::from(needs_hour);
        Turn::Taken(Some(Places {
            book: self.clone(),
            account,
            address,
            of_address: needs_address,
            of_hour: needs_hour,
            wrong: None,
        }))
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
            pairs.get_mut(&(self.account, self.address)),
            addresses.get_mut(&self.address).filter(|_| self.of_address),
            accounts.get_mut(&self.account).filter(|_| self.of_hour),
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
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

    fn book() -> Arc<AttemptBook> {
        Arc::new(AttemptBook::new(10))
    }

    fn other_address(number: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, number])
    }

    /// What a wrong guess meets: whether it was tried.
    fn guess(book: &Arc<AttemptBook>, account: Account, address: IpAddr, known: Known, now: Instant) -> bool {
        match book.turn(account, address, known, now) {
            Turn::Taken(places) => {
                places.expect("there are limits").wrong(now);
                true
            }
            Turn::Refused(_) => false,
            Turn::Wait => panic!("nobody else is being hashed"),
            Turn::Ask => panic!("it was asked"),
        }
    }

    #[test]
    fn an_account_is_guessed_at_five_times_a_minute_from_an_address_and_an_address_ten_times() {
        let (book, now) = (book(), Instant::now());
        let somebody = Account::Of(UserId::new());
        let tried = (0..100).filter(|_| guess(&book, somebody, HERE, Known::No, now)).count();
        assert_eq!(tried, 5);
        let tried = (0..100).filter(|n| guess(&book, book.nobody(&n.to_string()), HERE, Known::No, now)).count();
        assert_eq!(tried, 5, "ten with those of before");
        assert!(guess(&book, Account::Of(UserId::new()), other_address(1), Known::No, now));
        let later = now + MINUTE;
        assert!(guess(&book, somebody, HERE, Known::No, later));
    }

    #[test]
    fn a_name_that_nobody_has_counts_however_it_is_written() {
        let book = book();
        assert_eq!(book.nobody("Ada"), book.nobody(" ada"));
        assert_ne!(book.nobody("ada"), book.nobody("bob"));
    }

    #[test]
    fn who_is_known_at_an_address_is_tried_there_when_it_has_none_left() {
        let (book, now) = (book(), Instant::now());
        for number in 0..10 {
            assert!(guess(&book, book.nobody(&number.to_string()), HERE, Known::No, now));
        }
        let somebody = Account::Of(UserId::new());
        assert!(matches!(book.turn(somebody, HERE, Known::Unasked, now), Turn::Ask));
        assert!(matches!(book.turn(somebody, HERE, Known::No, now), Turn::Refused(wait) if wait == MINUTE));
        assert!(matches!(book.turn(somebody, HERE, Known::Yes, now), Turn::Taken(Some(_))));
        let tried = (0..100).filter(|_| guess(&book, somebody, HERE, Known::Yes, now)).count();
        assert_eq!(tried, 5, "and no more often than elsewhere");
    }

    #[test]
    fn after_a_hundred_wrong_ones_from_anywhere_only_known_addresses_try_an_account() {
        let (book, now) = (book(), Instant::now());
        let somebody = Account::Of(UserId::new());
        let tried = (0..200).filter(|n| guess(&book, somebody, other_address(*n), Known::No, now)).count();
        assert_eq!(tried, 100);
        assert!(matches!(book.turn(somebody, HERE, Known::Unasked, now), Turn::Ask));
        assert!(guess(&book, somebody, HERE, Known::Yes, now));
        assert!(guess(&book, Account::Of(UserId::new()), HERE, Known::No, now));
        assert!(guess(&book, somebody, HERE, Known::No, now + HOUR));
    }

    #[test]
    fn places_held_by_what_is_being_hashed_make_wait_and_do_not_refuse() {
        let (book, now) = (book(), Instant::now());
        let somebody = Account::Of(UserId::new());
        let mut held: Vec<_> = (0..5)
            .map(|_| match book.turn(somebody, HERE, Known::Unasked, now) {
                Turn::Taken(Some(places)) => places,
                _ => panic!("there is room"),
            })
            .collect();
        assert!(matches!(book.turn(somebody, HERE, Known::Unasked, now), Turn::Wait));
        // a right answer gives its place back
        held.pop();
        let sixth = book.turn(somebody, HERE, Known::Unasked, now);
        assert!(matches!(sixth, Turn::Taken(Some(_))));
        drop(sixth);
        for places in held {
            places.wrong(now);
        }
        assert!(guess(&book, somebody, HERE, Known::Unasked, now));
        assert!(matches!(book.turn(somebody, HERE, Known::Unasked, now), Turn::Refused(_)));
    }

    #[test]
    fn nothing_is_limited_where_the_operator_says_so() {
        let book = Arc::new(AttemptBook::new(0));
        let somebody = Account::Of(UserId::new());
        for _ in 0..1000 {
            assert!(matches!(book.turn(somebody, HERE, Known::Unasked, Instant::now()), Turn::Taken(None)));
        }
    }
}
