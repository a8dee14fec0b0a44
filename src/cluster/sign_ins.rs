//! Limits on registrations, sign-ins and token refreshes. Wrong passwords are counted in [`super::attempts`].

use super::windows::PerMinuteLimiter;
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

/// The time between two sweeps, which remove keys that are back at their full quota.
const SWEEP: Duration = Duration::from_secs(10);

/// The limits of this node. `None` if the operator turned them off; then every check succeeds.
pub struct SignInLimits(Option<SignInCounters>);

struct SignInCounters {
    registrations: DefaultKeyedRateLimiter<IpAddr>,
    refreshes: DefaultKeyedRateLimiter<LoginId>,
    sign_ins: PerMinuteLimiter<UserId>,
    unknown_tokens: PerMinuteLimiter<IpAddr>,
    clock: DefaultClock,
    swept_at: Mutex<Instant>,
}

impl SignInLimits {
    /// Creates limits that allow each action `per_minute` times a minute for each key. 0 turns the limits off.
    pub fn new(per_minute: u32) -> Self {
        Self(NonZeroU32::new(per_minute).map(|rate| SignInCounters {
            registrations: RateLimiter::keyed(
                Quota::per_minute(rate).allow_burst(rate.max(limits::REGISTRATION_BURST)),
            ),
            refreshes: RateLimiter::keyed(Quota::per_minute(rate)),
            sign_ins: PerMinuteLimiter::new(rate.get() as usize),
            unknown_tokens: PerMinuteLimiter::new(rate.get() as usize),
            clock: DefaultClock::default(),
            swept_at: Mutex::new(Instant::now()),
        }))
    }

    /// Counts a registration from an address, whether it succeeds or not. Fails with `rate_limited` over the limit.
    pub fn count_registration(&self, address: IpAddr) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |counters| counters.check(&counters.registrations, &network(address)))
    }

    /// Counts a token refresh of a login. Fails with `rate_limited` over the limit.
    pub fn count_refresh(&self, login: LoginId) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |counters| counters.check(&counters.refreshes, &login))
    }

    /// Checks whether an account may sign in again. This counts nothing, so wrong passwords sent by other users cannot
    /// lock the account.
    pub fn check_sign_in(&self, user: UserId) -> Result<()> {
        let check = |counters: &SignInCounters| counters.sign_ins.check(&user, Instant::now()).map_err(rate_limited);
        self.0.as_ref().map_or(Ok(()), check)
    }

    /// Counts a sign-in of an account with the right password. Fails with `rate_limited` over the limit.
    pub fn count_successful_sign_in(&self, user: UserId) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |counters| counters.sign_ins.try_add(user, Instant::now()).map_err(rate_limited))
    }

    /// Checks whether an address may send a plain refresh token. Such a token carries no MAC, so it has to be looked up
    /// in the database.
    pub fn check_token_lookup(&self, address: IpAddr) -> Result<()> {
        let address = network(address);
        let check =
            |counters: &SignInCounters| counters.unknown_tokens.check(&address, Instant::now()).map_err(rate_limited);
        self.0.as_ref().map_or(Ok(()), check)
    }

    /// Counts a refresh token from an address that was looked up and does not exist.
    pub fn count_unknown_token(&self, address: IpAddr) {
        if let Some(counters) = &self.0 {
            let _ = counters.unknown_tokens.try_add(network(address), Instant::now());
        }
    }
}

fn rate_limited(wait: Duration) -> Error {
    Error::rate_limited(wait.as_millis() as u64 + 1)
}

impl SignInCounters {
    fn check<K: Hash + Eq + Clone>(&self, limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<()> {
        self.sweep();
        limiter.check_key(key).map_err(|refused| rate_limited(refused.wait_time_from(self.clock.now())))
    }

    /// Removes keys that are back at their full quota, at most once in [`SWEEP`]. While one request sweeps, the others
    /// skip the sweep and do not wait.
    fn sweep(&self) {
        let Ok(mut swept_at) = self.swept_at.try_lock() else { return };
        if swept_at.elapsed() >= SWEEP {
            *swept_at = Instant::now();
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
        text.parse().expect("a valid address")
    }

    #[test]
    fn an_address_registers_sixty_times_at_once_and_a_login_refreshes_ten_times() {
        let limits = SignInLimits::new(10);
        let allowed = (0..60).filter(|_| limits.count_registration(ip("203.0.113.1")).is_ok()).count();
        assert_eq!(allowed, 60);
        assert!((0..100).any(|_| limits.count_registration(ip("203.0.113.1")).is_err()));
        assert!(limits.count_registration(ip("203.0.113.2")).is_ok());
        let login = LoginId::new();
        assert_eq!((0..10).filter(|_| limits.count_refresh(login).is_ok()).count(), 10);
        assert!((0..100).any(|_| limits.count_refresh(login).is_err()));
        assert!(limits.count_refresh(LoginId::new()).is_ok());
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let limits = SignInLimits::new(1);
        let user = UserId::new();
        assert!(limits.check_sign_in(user).is_ok() && limits.count_successful_sign_in(user).is_ok());
        for refused in [limits.check_sign_in(user), limits.count_successful_sign_in(user)] {
            let refused = refused.expect_err("the limit is one sign-in a minute");
            assert_eq!(refused.code(), Code::RateLimited);
            let wait_ms = refused.retry_after_ms().expect("the error has a wait time");
            assert!((1..=60_001).contains(&wait_ms), "{wait_ms}");
        }
    }

    #[test]
    fn ipv6_addresses_of_one_network_share_a_limit() {
        let limits = SignInLimits::new(2);
        limits.count_unknown_token(ip("2001:db8:0:1::1"));
        assert!(limits.check_token_lookup(ip("2001:db8:0:1::2")).is_ok());
        limits.count_unknown_token(ip("2001:db8:0:1:ffff::2"));
        assert!(limits.check_token_lookup(ip("2001:db8:0:1::3")).is_err());
        assert!(limits.check_token_lookup(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn a_setting_of_zero_turns_the_limits_off() {
        let limits = SignInLimits::new(0);
        let (login, user) = (LoginId::new(), UserId::new());
        for _ in 0..1000 {
            assert!(limits.count_registration(ip("203.0.113.1")).is_ok() && limits.count_refresh(login).is_ok());
            assert!(limits.check_sign_in(user).is_ok() && limits.count_successful_sign_in(user).is_ok());
        }
    }
}
