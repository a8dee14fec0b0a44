//! How often one may try to sign in, by address and by login. A refusal says when to come back. What signed-in users may
//! ask is for `admission`.

use crate::config::Limits;
use crate::domain::address::network;
use crate::error::{Error, Result};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often keys that are back at their full quota are forgotten. Between two sweeps a limiter grows by at most one key
/// for each request, so its memory is bounded by the rate at which requests can come.
const SWEEP: Duration = Duration::from_secs(10);

/// The limits of this node.
pub struct Limiter {
    auth_by_addr: Option<Keyed<u64>>,
    auth_by_login: Option<Keyed<u64>>,
    clock: DefaultClock,
    // seeded at random, so that nobody can make two logins or addresses collide
    hasher: RandomState,
    swept: Mutex<Instant>,
}

type Keyed<K> = DefaultKeyedRateLimiter<K>;

impl Limiter {
    /// As the operator set it; a limit of 0 is none. A login has half of what an address has, since many people may share
    /// an address and nobody shares a login.
    pub fn new(limits: &Limits) -> Self {
        let auth = limits.auth_per_minute;
        let by_login = if auth == 0 { 0 } else { (auth / 2).max(1) };
        Self {
            auth_by_addr: keyed(auth),
            auth_by_login: keyed(by_login),
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
            swept: Mutex::new(Instant::now()),
        }
    }

    /// One attempt to sign in, up or refresh, from `addr` and, where one is named, for `login`. An address of version 6
    /// counts by its /64, which is what one customer gets.
    pub fn check_auth(&self, addr: IpAddr, login: Option<&str>) -> Result<()> {
        self.sweep();
        self.check(self.auth_by_addr.as_ref(), &self.hasher.hash_one(network(addr)))?;
        let Some(login) = login else { return Ok(()) };
        self.check(self.auth_by_login.as_ref(), &self.hasher.hash_one(login.trim().to_lowercase()))
    }

    fn check<K: Hash + Eq + Clone>(&self, limiter: Option<&Keyed<K>>, key: &K) -> Result<()> {
        let Some(limiter) = limiter else { return Ok(()) };
        limiter.check_key(key).map_err(|refused| {
            let wait = refused.wait_time_from(self.clock.now());
            Error::rate_limited(wait.as_millis() as u64 + 1)
        })
    }

    /// Forgets who is back at the full quota, once in a while; whoever comes first does it, and nobody waits for it.
    fn sweep(&self) {
        let Ok(mut swept) = self.swept.try_lock() else { return };
        if swept.elapsed() < SWEEP {
            return;
        }
        *swept = Instant::now();
        for limiter in [&self.auth_by_addr, &self.auth_by_login].into_iter().flatten() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn keyed<K: Hash + Eq + Clone>(rate: u32) -> Option<Keyed<K>> {
    Some(RateLimiter::keyed(Quota::per_minute(NonZeroU32::new(rate)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;

    fn limiter(auth_per_minute: u32) -> Limiter {
        Limiter::new(&Limits {
            auth_per_minute,
            sends_per_second: 0,
            api_per_second: 0,
            upload_bytes: 1,
            upload_quota_bytes: 1,
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// How many of `tries` pass at once.
    fn passed(tries: usize, mut attempt: impl FnMut() -> Result<()>) -> usize {
        (0..tries).filter(|_| attempt().is_ok()).count()
    }

    #[test]
    fn an_address_tries_ten_times_and_a_login_five() {
        let limiter = limiter(10);
        assert_eq!(passed(10, || limiter.check_auth(ip("203.0.113.1"), None)), 10);
        assert!(passed(100, || limiter.check_auth(ip("203.0.113.1"), None)) < 100);
        let mut last = 0;
        let mut spread = || {
            last += 1;
            limiter.check_auth(IpAddr::from([198, 51, 100, last]), Some(if last % 2 == 0 { "Ada" } else { " ada" }))
        };
        assert_eq!(passed(5, &mut spread), 5);
        assert!(passed(100, &mut spread) < 100);
        assert!(limiter.check_auth(ip("203.0.113.2"), Some("bob")).is_ok());
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let limiter = limiter(1);
        assert!(limiter.check_auth(ip("203.0.113.1"), None).is_ok());
        let refused = limiter.check_auth(ip("203.0.113.1"), None).expect_err("one a minute");
        assert_eq!(refused.code(), Code::RateLimited);
        let wait = refused.retry_after_ms().expect("when");
        assert!((1..=60_001).contains(&wait), "{wait}");
    }

    #[test]
    fn addresses_of_one_network_of_version_6_and_mapped_ones_are_one() {
        let limiter = limiter(2);
        assert!(limiter.check_auth(ip("2001:db8:0:1::1"), None).is_ok());
        assert!(limiter.check_auth(ip("2001:db8:0:1:ffff::2"), None).is_ok());
        assert!(limiter.check_auth(ip("2001:db8:0:1::3"), None).is_err());
        assert!(limiter.check_auth(ip("2001:db8:0:2::1"), None).is_ok());
        assert_eq!(network(ip("::ffff:203.0.113.1")), ip("203.0.113.1"));
    }

    #[test]
    fn nothing_is_limited_where_the_operator_says_so() {
        let limiter = limiter(0);
        assert_eq!(passed(1000, || limiter.check_auth(ip("203.0.113.1"), Some("ada"))), 1000);
    }
}
