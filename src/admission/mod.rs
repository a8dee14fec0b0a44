//! Admission: what a caller may ask of this node. Everything that comes in has a cost ([`costs`]) and is charged, before
//! any work for the database, to the user whom a signature names; and what a user has under way at one time is bounded.
//! Nobody else pays for a flood: its author is refused, and the refusals are counted ([`refusals`]).
//!
//! Whoever is over a limit is `rate_limited`; whoever has too much under way is `busy`.

pub mod bucket;
pub mod costs;
pub mod refusals;
pub mod strangers;

use crate::config::Limits;
use crate::domain::codes::Code;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::store::reading::Places;
use bucket::{Bucket, Rate};
use refusals::{Counts, Refusals};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use strangers::{Place, Strangers};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Parts of the book of accounts, each with a lock of its own.
const PARTS: usize = 16;
/// How often accounts whose buckets are full, with nothing under way, are forgotten.
const SWEEP: Duration = Duration::from_secs(10);

/// What is charged, each to a bucket of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A call over REST.
    Call,
    /// A message, over REST or a socket.
    Send,
    /// Any other command over a socket.
    Command,
    /// A connection that proves who it is.
    Handshake,
}

impl Kind {
    const COUNT: usize = 4;
}

/// Whom something is charged to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Payer(Uuid);

impl From<UserId> for Payer {
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}

/// Where only the login is known: a ticket does not say whose it is.
impl From<LoginId> for Payer {
    fn from(login: LoginId) -> Self {
        Self(login.0)
    }
}

/// The limits of this node, and what everybody has used of them.
pub struct Admission {
    rates: [Option<Rate>; Kind::COUNT],
    parts: [Mutex<HashMap<Payer, Account>>; PARTS],
    // seeded at random, so that nobody can choose payers who meet in one part
    hasher: RandomState,
    started: Instant,
    swept: Mutex<Instant>,
    refusals: Refusals,
    strangers: Strangers,
}

#[derive(Default)]
struct Account {
    buckets: [Bucket; Kind::COUNT],
    calls: Option<Arc<Semaphore>>,
    commands: Option<Arc<Semaphore>>,
    reads: Option<Places>,
}

impl Account {
    fn is_idle(&self, now: Duration) -> bool {
        let held = |places: &Option<Arc<Semaphore>>| places.as_ref().is_some_and(|held| Arc::strong_count(held) > 1);
        let under_way = [&self.calls, &self.commands, &self.reads].into_iter().any(held);
        self.buckets.iter().all(|bucket| bucket.is_full(now)) && !under_way
    }
}

impl Admission {
    /// As the operator set it; a limit of 0 is none. The limit on calls also turns those on commands and handshakes off.
    pub fn new(limits: &Limits) -> Self {
        let (calls, sends) = (limits.api_per_second, limits.sends_per_second);
        let unless_off = |(rate, burst)| if calls == 0 { None } else { Rate::per_second(rate, burst) };
        Self {
            rates: [
                Rate::per_second(calls, calls.saturating_mul(limits::CALLS_BURST)),
                Rate::per_second(sends, sends.saturating_mul(limits::SENDS_BURST)),
                unless_off(limits::COMMANDS_PER_SECOND),
                unless_off(limits::HANDSHAKES_PER_SECOND),
            ],
            parts: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            started: Instant::now(),
            swept: Mutex::new(Instant::now()),
            refusals: Refusals::default(),
            strangers: Strangers::default(),
        }
    }

    /// Charges `payer`, who may go into debt: `rate_limited` only where nothing is left at all.
    pub fn charge(&self, kind: Kind, payer: impl Into<Payer>, cost: u32) -> Result<()> {
        self.sweep();
        let Some(rate) = self.rates[kind as usize] else { return Ok(()) };
        let (payer, now) = (payer.into(), self.started.elapsed());
        let taken = self.part(payer).entry(payer).or_default().buckets[kind as usize].take(rate, cost, now);
        self.outcome(kind, taken)
    }

    /// Charges `user` for the rest of something whose cost was not known when it was let in.
    pub fn charge_rest(&self, kind: Kind, user: UserId, cost: u32) {
        let Some(rate) = self.rates[kind as usize] else { return };
        let (payer, now) = (user.into(), self.started.elapsed());
        self.part(payer).entry(payer).or_default().buckets[kind as usize].charge(rate, cost, now);
    }

    /// Charges a connection of which nothing is known yet: one frame to a bucket of its own.
    pub fn charge_stranger(&self, bucket: &mut Bucket) -> Result<()> {
        let Some(rate) = self.rates[Kind::Command as usize] else { return Ok(()) };
        self.outcome(Kind::Command, bucket.take(rate, 1, self.started.elapsed()))
    }

    /// A place among the sockets from `addr` of which nobody has said whose they are; `busy` when all are taken.
    pub fn stranger(&self, addr: IpAddr) -> Result<Place> {
        self.strangers.enter(addr).ok_or_else(|| {
            self.busy("too many connections from this address have not signed in; try again in a moment")
        })
    }

    /// A place among the calls of `user` that run at one time, kept until it is dropped; `busy` when all are taken.
    pub fn call(&self, user: UserId) -> Result<OwnedSemaphorePermit> {
        let places = {
            let mut part = self.part(user.into());
            let calls = &mut part.entry(user.into()).or_default().calls;
            calls.get_or_insert_with(|| Arc::new(Semaphore::new(limits::CALLS_RUNNING))).clone()
        };
        places
            .try_acquire_owned()
            .map_err(|_| self.busy("too many of your calls are under way; wait for their answers"))
    }

    /// The places of the commands of `user` that run at one time, over all sessions.
    pub fn commands(&self, user: UserId) -> Arc<Semaphore> {
        let mut part = self.part(user.into());
        let commands = &mut part.entry(user.into()).or_default().commands;
        commands.get_or_insert_with(|| Arc::new(Semaphore::new(limits::COMMANDS_RUNNING))).clone()
    }

    /// The places at which `user` reads, over all calls and sessions: `most` of them.
    pub fn reads(&self, user: UserId, most: usize) -> Places {
        let mut part = self.part(user.into());
        let reads = &mut part.entry(user.into()).or_default().reads;
        reads.get_or_insert_with(|| Arc::new(Semaphore::new(most))).clone()
    }

    /// What a limit on signing in, or on passwords, has said: counted where it refused.
    pub fn sign_in<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| match error.code() {
            Code::RateLimited => self.refusals.sign_in(),
            Code::Busy => self.refusals.busy(),
            _ => {}
        })
    }

    /// Counts a call that was refused, of somebody who showed no good token.
    pub fn refused_stranger(&self) {
        self.refusals.stranger();
        // whoever calls like this may be the only one who calls at all
        self.sweep();
    }

    /// An error that somebody was answered with, where it says that the server could not: that is counted here.
    pub fn answered(&self, error: &Error) {
        if self.refusals.answered(error) {
            // there may be nothing else that is asked meanwhile
            self.sweep();
        }
    }

    /// A refusal for somebody who has too much under way, counted.
    pub fn busy(&self, detail: &'static str) -> Error {
        self.refusals.busy();
        Error::busy(detail)
    }

    /// How much was refused since the start.
    pub fn refused(&self) -> Counts {
        self.refusals.counts()
    }

    fn outcome(&self, kind: Kind, taken: Result<(), Duration>) -> Result<()> {
        taken.map_err(|wait| {
            self.refusals.limited(kind);
            Error::rate_limited(wait.as_millis() as u64 + 1)
        })
    }

    fn part(&self, payer: Payer) -> MutexGuard<'_, HashMap<Payer, Account>> {
        let part = self.hasher.hash_one(payer) as usize % PARTS;
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets who has nothing under way and owes nothing, once in a while; whoever comes first does it, and nobody waits
    /// for it. So the book holds those who asked for something lately.
    fn sweep(&self) {
        let Ok(mut swept) = self.swept.try_lock() else { return };
        if swept.elapsed() < SWEEP {
            return;
        }
        *swept = Instant::now();
        drop(swept);
        let now = self.started.elapsed();
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.retain(|_, account| !account.is_idle(now));
            part.shrink_to_fit();
        }
        self.refusals.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(sends_per_second: u32, api_per_second: u32) -> Admission {
        Admission::new(&Limits {
            auth_per_minute: 0,
            sends_per_second,
            api_per_second,
            upload_bytes: 1,
            upload_quota_bytes: 1,
        })
    }

    /// How many of a thousand pass at once.
    fn passed(mut attempt: impl FnMut() -> Result<()>) -> usize {
        (0..1000).filter(|_| attempt().is_ok()).count()
    }

    #[test]
    fn each_kind_has_a_bucket_of_its_own_for_each_user() {
        // one a second: nothing here lasts so long that another would pass
        let (admission, user) = (admission(1, 1), UserId::new());
        assert_eq!(passed(|| admission.charge(Kind::Call, user, 1)), 2);
        assert_eq!(passed(|| admission.charge(Kind::Send, user, 1)), 3);
        let commands = passed(|| admission.charge(Kind::Command, user, 1));
        assert!((200..1000).contains(&commands), "{commands}");
        let handshakes = passed(|| admission.charge(Kind::Handshake, user, 1));
        assert!((50..1000).contains(&handshakes), "{handshakes}");
        assert!(admission.charge(Kind::Call, UserId::new(), 1).is_ok());
        let refused = admission.refused();
        assert_eq!((refused.calls, refused.sends), (998, 997));
        assert_eq!(refused.commands + commands as u64, 1000);
        assert_eq!(refused.handshakes + handshakes as u64, 1000);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let (admission, user) = (admission(1, 1), UserId::new());
        admission.charge(Kind::Call, user, 1).expect("two in a burst");
        admission.charge_rest(Kind::Call, user, 10);
        let refused = admission.charge(Kind::Call, user, 1).expect_err("in debt");
        assert_eq!(refused.code(), Code::RateLimited);
        let wait = refused.retry_after_ms().expect("when");
        assert!((9_000..=10_001).contains(&wait), "{wait}");
    }

    #[test]
    fn nothing_is_limited_where_the_operator_says_so_but_what_is_under_way() {
        let (admission, user) = (admission(0, 0), UserId::new());
        for kind in [Kind::Call, Kind::Send, Kind::Command, Kind::Handshake] {
            assert_eq!(passed(|| admission.charge(kind, user, 1)), 1000);
        }
        assert_eq!(passed(|| admission.charge_stranger(&mut Bucket::default())), 1000);
        let held: Vec<_> = (0..limits::CALLS_RUNNING).map(|_| admission.call(user).expect("a place")).collect();
        assert_eq!(admission.call(user).expect_err("all are taken").code(), Code::Busy);
        assert!(admission.call(UserId::new()).is_ok());
        drop(held);
        assert!(admission.call(user).is_ok());
        assert_eq!(admission.refused().busy, 1);
    }

    #[test]
    fn whoever_has_nothing_under_way_and_owes_nothing_is_forgotten() {
        let admission = admission(1, 1000);
        let (idle, owing, running) = (UserId::new(), UserId::new(), UserId::new());
        admission.charge(Kind::Send, owing, 100).expect("anything is left");
        let (_, place) = (admission.call(idle), admission.call(running));
        let before: usize = admission.parts.iter().map(|part| part.lock().unwrap().len()).sum();
        *admission.swept.lock().unwrap() = Instant::now().checked_sub(SWEEP).expect("a clock that has run so long");
        admission.sweep();
        let kept = |user: UserId| admission.part(user.into()).contains_key(&user.into());
        assert_eq!((before, kept(idle), kept(owing), kept(running)), (3, false, true, true));
        drop(place);
    }
}
