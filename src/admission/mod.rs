//! Admission: charges callers for their calls and commands, and limits what they have under way.
//!
//! Each call and command has a cost ([`costs`]). The user that a signed token names is charged for it before any work
//! for the database begins. The number of calls, commands and reads that a user has under way at one time is bounded
//! too. So one user with too many calls does not slow other users: that user is refused, and the refusals are counted
//! ([`refusals`]).
//!
//! A caller over a limit gets the error `rate_limited`. A caller with too much under way gets the error `busy`.

pub mod bucket;
pub mod costs;
pub mod refusals;
pub mod unauthenticated;

use crate::config::LimitSettings;
use crate::domain::caller::{Caller, Principal, TicketHolder};
use crate::domain::codes::Code;
use crate::domain::ids::{LoginId, ServiceTokenId, UserId};
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::store::db::reading::ReadPermits;
use bucket::{Bucket, Rate};
use refusals::{RefusalCounts, Refusals};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unauthenticated::{UnauthenticatedPermit, UnauthenticatedSockets};

/// The number of shards of the payer table. Each shard has its own lock.
const SHARDS: usize = 16;
/// The time between two sweeps, which remove payers with full buckets and nothing under way.
const SWEEP: Duration = Duration::from_secs(10);

/// What a payer is charged for. Each payer has one bucket for each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChargeKind {
    /// A REST call.
    Call,
    /// A send, by REST or by socket.
    Send,
    /// Any other command of a socket.
    Command,
    /// The authentication of a socket.
    Handshake,
}

impl ChargeKind {
    const COUNT: usize = 4;
}

/// The user that is charged. If no user is known, it is the login or the service token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Payer {
    User(UserId),
    Login(LoginId),
    Service(ServiceTokenId),
}

impl From<UserId> for Payer {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

/// A user pays whatever the credential is, so two credentials do not give one user twice the limits.
impl From<&Caller> for Payer {
    fn from(caller: &Caller) -> Self {
        Self::User(caller.user_id)
    }
}

impl From<&Principal> for Payer {
    fn from(principal: &Principal) -> Self {
        match principal {
            Principal::User(caller) => caller.into(),
            Principal::Service(token) => Self::Service(token.id),
        }
    }
}

/// A ticket of a login does not name the user, so its handshake is charged to the login.
impl From<TicketHolder> for Payer {
    fn from(holder: TicketHolder) -> Self {
        match holder {
            TicketHolder::Login(login) => Self::Login(login),
            TicketHolder::Host { user_id, .. } | TicketHolder::Service { user_id, .. } => Self::User(user_id),
        }
    }
}

/// The limits of this node, and what each payer has used of them.
pub struct Admission {
    rates: [Option<Rate>; ChargeKind::COUNT],
    shards: [Mutex<HashMap<Payer, PayerState>>; SHARDS],
    // The seed is random, so no client can choose payers that share one shard.
    hasher: RandomState,
    /// The start of the clock that the buckets use.
    started_at: Instant,
    swept_at: Mutex<Instant>,
    refusals: Refusals,
    unauthenticated: UnauthenticatedSockets,
}

#[derive(Default)]
struct PayerState {
    buckets: [Bucket; ChargeKind::COUNT],
    calls: Option<Arc<Semaphore>>,
    commands: Option<Arc<Semaphore>>,
    reads: Option<ReadPermits>,
}

impl PayerState {
    fn is_idle(&self, now: Duration) -> bool {
        let is_used =
            |permits: &Option<Arc<Semaphore>>| permits.as_ref().is_some_and(|used| Arc::strong_count(used) > 1);
        let has_work = [&self.calls, &self.commands, &self.reads].into_iter().any(is_used);
        self.buckets.iter().all(|bucket| bucket.is_full(now)) && !has_work
    }
}

impl Admission {
    /// Creates the limits of the settings. 0 means no limit. `api_per_second` is the limit on calls. If it is 0,
    /// commands and handshakes have no limit either: they have no setting of their own, and an operator who switches
    /// off the limit on calls wants none on them.
    pub fn new(limits: &LimitSettings) -> Self {
        let (calls, sends) = (limits.api_per_second, limits.sends_per_second);
        let unless_off = |(rate, burst)| if calls == 0 { None } else { Rate::per_second(rate, burst) };
        Self {
            rates: [
                Rate::per_second(calls, calls.saturating_mul(limits::CALLS_BURST)),
                Rate::per_second(sends, sends.saturating_mul(limits::SENDS_BURST)),
                unless_off(limits::COMMAND_RATE),
                unless_off(limits::HANDSHAKES_PER_SECOND),
            ],
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            started_at: Instant::now(),
            swept_at: Mutex::new(Instant::now()),
            refusals: Refusals::default(),
            unauthenticated: UnauthenticatedSockets::default(),
        }
    }

    /// Charges `payer`. The cost may be more than the bucket holds. Fails with `rate_limited` only if the bucket is
    /// empty.
    pub fn charge(&self, kind: ChargeKind, payer: impl Into<Payer>, cost: u32) -> Result<()> {
        self.sweep();
        let Some(rate) = self.rates[kind as usize] else { return Ok(()) };
        let (payer, now) = (payer.into(), self.started_at.elapsed());
        let taken = self.shard(payer).entry(payer).or_default().buckets[kind as usize].take(rate, cost, now);
        self.outcome(kind, taken)
    }

    /// Charges `payer` for the rest of the cost of an accepted call, if the full cost was not known when it was
    /// accepted.
    pub fn charge_rest(&self, kind: ChargeKind, payer: impl Into<Payer>, cost: u32) {
        let Some(rate) = self.rates[kind as usize] else { return };
        let (payer, now) = (payer.into(), self.started_at.elapsed());
        self.shard(payer).entry(payer).or_default().buckets[kind as usize].charge(rate, cost, now);
    }

    /// Charges one frame of an unauthenticated connection to the bucket of that connection.
    pub fn charge_unauthenticated(&self, bucket: &mut Bucket) -> Result<()> {
        let Some(rate) = self.rates[ChargeKind::Command as usize] else { return Ok(()) };
        self.outcome(ChargeKind::Command, bucket.take(rate, 1, self.started_at.elapsed()))
    }

    /// Returns a permit for an unauthenticated socket from `addr`. Fails with `busy` if the address or the node has no
    /// permit left.
    pub fn acquire_unauthenticated_permit(&self, addr: IpAddr) -> Result<UnauthenticatedPermit> {
        self.unauthenticated.acquire(addr).ok_or_else(|| {
            self.busy("Too many connections from this address are not authenticated; try again in a moment.")
        })
    }

    /// Returns a permit to run one call of `payer`, released when it is dropped. Fails with `busy` if `payer` has no
    /// permit left.
    pub fn acquire_call_permit(&self, payer: impl Into<Payer>) -> Result<OwnedSemaphorePermit> {
        let payer = payer.into();
        let permits = {
            let mut shard = self.shard(payer);
            let calls = &mut shard.entry(payer).or_default().calls;
            calls.get_or_insert_with(|| Arc::new(Semaphore::new(limits::CALLS_RUNNING))).clone()
        };
        permits
            .try_acquire_owned()
            .map_err(|_| self.busy("Too many of your calls are in progress; wait for their answers."))
    }

    /// Returns the permits to run commands of `payer`. All sessions of a user share them.
    pub fn command_permits(&self, payer: impl Into<Payer>) -> Arc<Semaphore> {
        let payer = payer.into();
        let mut shard = self.shard(payer);
        let commands = &mut shard.entry(payer).or_default().commands;
        commands.get_or_insert_with(|| Arc::new(Semaphore::new(limits::COMMANDS_RUNNING))).clone()
    }

    /// Returns the permits to read the database for `payer`. All calls and sessions of a user share them. `count` is
    /// their number, used when they are created.
    pub fn database_read_permits(&self, payer: impl Into<Payer>, count: usize) -> ReadPermits {
        let payer = payer.into();
        let mut shard = self.shard(payer);
        let reads = &mut shard.entry(payer).or_default().reads;
        reads.get_or_insert_with(|| Arc::new(Semaphore::new(count))).clone()
    }

    /// Counts the outcome of a limit on sign-ins or passwords if it is a refusal, and returns the outcome unchanged.
    pub fn count_sign_in_refusal<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| match error.code() {
            Code::RateLimited => self.refusals.count_sign_in(),
            Code::Busy => self.refusals.count_busy(),
            _ => {}
        })
    }

    /// Counts a refused call that no user was charged for.
    pub fn count_uncharged(&self) {
        self.refusals.count_uncharged();
        // Sweep here too, because there may be no other calls that start a sweep.
        self.sweep();
    }

    /// Counts an error that a client got, if it says that the server could not process the request.
    pub fn count_if_unavailable(&self, error: &Error) {
        if self.refusals.count_if_unavailable(error) {
            // Sweep here too, because there may be no other requests that start a sweep.
            self.sweep();
        }
    }

    /// Returns a `busy` error for a caller with too much under way, and counts it.
    pub fn busy(&self, detail: &'static str) -> Error {
        self.refusals.count_busy();
        Error::busy(detail)
    }

    /// Returns how many requests were refused since the start of the server.
    pub fn refusal_counts(&self) -> RefusalCounts {
        self.refusals.counts()
    }

    fn outcome(&self, kind: ChargeKind, taken: Result<(), Duration>) -> Result<()> {
        taken.map_err(|wait| {
            self.refusals.count_limited(kind);
            Error::rate_limited(wait.as_millis() as u64 + 1)
        })
    }

    fn shard(&self, payer: Payer) -> MutexGuard<'_, HashMap<Payer, PayerState>> {
        let shard = self.hasher.hash_one(payer) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes payers with full buckets and nothing under way, at most once in [`SWEEP`], so that the table holds only
    /// payers with recent requests. While one request sweeps, the others skip the sweep and do not wait.
    fn sweep(&self) {
        let Ok(mut swept_at) = self.swept_at.try_lock() else { return };
        if swept_at.elapsed() < SWEEP {
            return;
        }
        *swept_at = Instant::now();
        drop(swept_at);
        let now = self.started_at.elapsed();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, state| !state.is_idle(now));
            shard.shrink_to_fit();
        }
        self.refusals.log_if_due();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accounts::UserRole;
    use crate::domain::caller::{Scopes, ServiceToken, Via};
    use crate::domain::time::Timestamp;

    fn admission(sends_per_second: u32, api_per_second: u32) -> Admission {
        Admission::new(&LimitSettings {
            auth_per_minute: 0,
            sends_per_second,
            api_per_second,
            upload_bytes: 1,
            upload_quota_bytes: 1,
        })
    }

    /// Makes a thousand attempts together and returns how many pass.
    fn count_passed(mut attempt: impl FnMut() -> Result<()>) -> usize {
        (0..1000).filter(|_| attempt().is_ok()).count()
    }

    #[test]
    fn each_kind_has_a_bucket_of_its_own_for_each_user() {
        // The rate is one a second, and the test is too short for another request to pass.
        let (admission, user) = (admission(1, 1), UserId::new());
        assert_eq!(count_passed(|| admission.charge(ChargeKind::Call, user, 1)), 2);
        assert_eq!(count_passed(|| admission.charge(ChargeKind::Send, user, 1)), 3);
        let commands = count_passed(|| admission.charge(ChargeKind::Command, user, 1));
        assert!((200..1000).contains(&commands), "{commands}");
        let handshakes = count_passed(|| admission.charge(ChargeKind::Handshake, user, 1));
        assert!((50..1000).contains(&handshakes), "{handshakes}");
        assert!(admission.charge(ChargeKind::Call, UserId::new(), 1).is_ok());
        let refused = admission.refusal_counts();
        assert_eq!((refused.calls, refused.sends), (998, 997));
        assert_eq!(refused.commands + commands as u64, 1000);
        assert_eq!(refused.handshakes + handshakes as u64, 1000);
    }

    #[test]
    fn a_user_pays_with_every_credential_and_a_service_token_for_itself() {
        let (user_id, login_id, expires_at) = (UserId::new(), LoginId::new(), Timestamp::FAR_FUTURE);
        let token = ServiceToken { id: ServiceTokenId::new(), scopes: Scopes::default() };
        for via in [Via::Login { login_id }, Via::Host { expires_at }, Via::Service(token)] {
            let caller = Caller { user_id, role: UserRole::User, via };
            assert_eq!(Payer::from(&caller), Payer::User(user_id));
            assert_eq!(Payer::from(&Principal::User(caller)), Payer::User(user_id));
        }
        assert_eq!(Payer::from(&Principal::Service(token)), Payer::Service(token.id));
        assert_eq!(Payer::from(TicketHolder::Login(login_id)), Payer::Login(login_id));
        for holder in
            [TicketHolder::Host { user_id, expires_at }, TicketHolder::Service { user_id, token_id: token.id }]
        {
            assert_eq!(Payer::from(holder), Payer::User(user_id));
        }
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let (admission, user) = (admission(1, 1), UserId::new());
        admission.charge(ChargeKind::Call, user, 1).expect("a burst allows two calls");
        admission.charge_rest(ChargeKind::Call, user, 10);
        let refused = admission.charge(ChargeKind::Call, user, 1).expect_err("more was charged than the bucket held");
        assert_eq!(refused.code(), Code::RateLimited);
        let wait_ms = refused.retry_after_ms().expect("the error has a wait time");
        assert!((9_000..=10_001).contains(&wait_ms), "{wait_ms}");
    }

    #[test]
    fn a_setting_of_zero_turns_rates_off_and_keeps_the_bound_on_running_calls() {
        let (admission, user) = (admission(0, 0), UserId::new());
        for kind in [ChargeKind::Call, ChargeKind::Send, ChargeKind::Command, ChargeKind::Handshake] {
            assert_eq!(count_passed(|| admission.charge(kind, user, 1)), 1000);
        }
        assert_eq!(count_passed(|| admission.charge_unauthenticated(&mut Bucket::default())), 1000);
        let held: Vec<_> = (0..limits::CALLS_RUNNING)
            .map(|_| admission.acquire_call_permit(user).expect("the user has permits left"))
            .collect();
        assert_eq!(admission.acquire_call_permit(user).expect_err("all permits are held").code(), Code::Busy);
        assert!(admission.acquire_call_permit(UserId::new()).is_ok());
        drop(held);
        assert!(admission.acquire_call_permit(user).is_ok());
        assert_eq!(admission.refusal_counts().busy, 1);
    }

    #[test]
    fn a_sweep_removes_payers_with_full_buckets_and_no_running_calls() {
        let admission = admission(1, 1000);
        let (idle, overcharged, running) = (UserId::new(), UserId::new(), UserId::new());
        admission.charge(ChargeKind::Send, overcharged, 100).expect("the bucket is not empty");
        let (_, permit) = (admission.acquire_call_permit(idle), admission.acquire_call_permit(running));
        let before: usize = admission.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        *admission.swept_at.lock().unwrap() = Instant::now().checked_sub(SWEEP).expect("the clock has run for longer");
        admission.sweep();
        let is_kept = |user: UserId| admission.shard(user.into()).contains_key(&user.into());
        assert_eq!((before, is_kept(idle), is_kept(overcharged), is_kept(running)), (3, false, true, true));
        drop(permit);
    }
}
