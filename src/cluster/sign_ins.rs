//! How often one may register, sign in and refresh (SPEC 14). Wrong passwords are counted in [`super::attempts`].

use super::windows::PerMinute;
use crate::domain::address::network;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::limits;
use crate::error::{Error, Result};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often keys that are back at their full quota are forgotten.
const SWEEP: Duration = Duration::from_secs(10);

/// The limits of this node; none where the operator turned them off.
pub struct SignInLimits(Option<Limits>);

struct Limits {
    registrations: DefaultKeyedRateLimiter<IpAddr>,
    refreshes: DefaultKeyedRateLimiter<LoginId>,
    sign_ins: PerMinute<UserId>,
    unknown_tokens: PerMinute<IpAddr>,
    clock: DefaultClock,
    swept: Mutex<Instant>,
}

impl SignInLimits {
    /// Each `per_minute` times a minute; 0 turns them off.
    pub fn new(per_minute: u32) -> Self {
        Self(NonZeroU32::new(per_minute).map(|rate| Limits {
            registrations: RateLimiter::keyed(
                Quota::per_minute(rate).allow_burst(rate.max(limits::REGISTRATION_BURST)),
            ),
            refreshes: RateLimiter::keyed(Quota::per_minute(rate)),
            sign_ins: PerMinute::new(rate.get() as usize),
            unknown_tokens: PerMinute::new(rate.get() as usize),
            clock: DefaultClock::default(),
            swept: Mutex::new(Instant::now()),
        }))
    }

    /// One registration from an address, whatever comes of it.
    pub fn register(&self, address: IpAddr) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |limits| limits.check(&limits.registrations, &network(address)))
    }

    /// One refresh of a login.
    pub fn refresh(&self, login: LoginId) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |limits| limits.check(&limits.refreshes, &login))
    }

    /// Whether an account may sign in once more. Nothing is counted, so that wrong passwords of others refuse nobody.
    pub fn may_sign_in(&self, user: UserId) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |limits| limits.sign_ins.has_room(&user, Instant::now()).map_err(wait))
    }

    /// One sign-in of an account, with the right password.
    pub fn sign_in(&self, user: UserId) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |limits| limits.sign_ins.count(user, Instant::now()).map_err(wait))
    }

    /// Whether an address may present a refresh token of before they carried a MAC, which has to be looked up.
    pub fn may_look_up(&self, address: IpAddr) -> Result<()> {
        let address = network(address);
        self.0.as_ref().map_or(Ok(()), |limits| limits.unknown_tokens.has_room(&address, Instant::now()).map_err(wait))
    }

    /// A refresh token from an address was looked up, and there is none such.
    pub fn found_nothing(&self, address: IpAddr) {
        if let Some(limits) = &self.0 {
            let _ = limits.unknown_tokens.count(network(address), Instant::now());
        }
    }
}

fn wait(wait: Duration) -> Error {
    Error::rate_limited(wait.as_millis() as u64 + 1)
}

impl Limits {
    fn check<K: Hash + Eq + Clone>(&self, limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<()> {
        self.sweep();
        limiter.check_key(key).map_err(|refused| wait(refused.wait_time_from(self.clock.now())))
    }

    /// Forgets who is back at the full quota, once in a while; whoever comes first does it, and nobody waits for it.
    fn sweep(&self) {
        let Ok(mut swept) = self.swept.try_lock() else { return };
        if swept.elapsed() >= SWEEP {
            *swept = Instant::now();
            self.registrations.retain_recent();
            self.registrations.shrink_to_fit();
            self.refreshes.retain_recent();
            self.refreshes.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_registers_sixty_at_once_and_a_login_refreshes_ten_times() {
        let limits = SignInLimits::new(10);
        let tried = (0..60).filter(|_| limits.register(ip("203.0.113.1")).is_ok()).count();
        assert_eq!(tried, 60);
        assert!((0..100).any(|_| limits.register(ip("203.0.113.1")).is_err()));
        assert!(limits.register(ip("203.0.113.2")).is_ok());
        let login = LoginId::new();
        assert_eq!((0..10).filter(|_| limits.refresh(login).is_ok()).count(), 10);
        assert!((0..100).any(|_| limits.refresh(login).is_err()));
        assert!(limits.refresh(LoginId::new()).is_ok());
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let limits = SignInLimits::new(1);
        let user = UserId::new();
        assert!(limits.may_sign_in(user).is_ok() && limits.sign_in(user).is_ok());
        for refused in [limits.may_sign_in(user), limits.sign_in(user)] {
            let refused = refused.expect_err("one a minute");
            assert_eq!(refused.code(), Code::RateLimited);
            let wait = refused.retry_after_ms().expect("when");
            assert!((1..=60_001).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn addresses_of_one_network_of_version_6_are_one() {
        let limits = SignInLimits::new(2);
        limits.found_nothing(ip("2001:db8:0:1::1"));
        assert!(limits.may_look_up(ip("2001:db8:0:1::2")).is_ok());
        limits.found_nothing(ip("2001:db8:0:1:ffff::2"));
        assert!(limits.may_look_up(ip("2001:db8:0:1::3")).is_err());
        assert!(limits.may_look_up(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn nothing_is_limited_where_the_operator_says_so() {
        let limits = SignInLimits::new(0);
        let (login, user) = (LoginId::new(), UserId::new());
        for _ in 0..1000 {
            assert!(limits.register(ip("203.0.113.1")).is_ok() && limits.refresh(login).is_ok());
            assert!(limits.may_sign_in(user).is_ok() && limits.sign_in(user).is_ok());
        }
    }
}
