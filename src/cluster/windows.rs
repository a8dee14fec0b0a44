//! Exact counts of recent attempts: how many were made within the last minute or hour.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time between two sweeps, which remove keys without recent attempts.
pub(super) const SWEEP: Duration = Duration::from_secs(10);

/// The recent attempts of one key that count, and the number of attempts whose outcome is not known yet.
#[derive(Default)]
pub(super) struct AttemptWindow {
    attempts: VecDeque<Instant>,
    /// Permits held by attempts that may count later.
    pub(super) pending: usize,
}

impl AttemptWindow {
    /// Removes attempts that are at least `period` old, and returns the number of the remaining ones.
    pub(super) fn expire_and_count(&mut self, period: Duration, now: Instant) -> usize {
        while self.attempts.front().is_some_and(|at| now.duration_since(*at) >= period) {
            self.attempts.pop_front();
        }
        self.attempts.len()
    }

    /// Adds an attempt that counts. `now` must not be earlier than in previous calls.
    pub(super) fn add_attempt(&mut self, now: Instant) {
        self.attempts.push_back(now);
    }

    /// Returns whether counted and pending attempts together reach `limit`.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        self.attempts.len() + self.pending >= limit
    }

    /// Returns how long to wait until the number of attempts falls below `limit`; zero if it is below now.
    pub(super) fn time_until_below_limit(&self, limit: usize, period: Duration, now: Instant) -> Duration {
        let next_to_expire = self.attempts.len().checked_sub(limit).and_then(|surplus| self.attempts.get(surplus));
        next_to_expire.map_or(Duration::ZERO, |at| (*at + period).saturating_duration_since(now))
    }

    /// Returns whether the window can be removed: it has no pending attempt and no counted attempt within `period`.
    pub(super) fn is_unused(&mut self, period: Duration, now: Instant) -> bool {
        self.pending == 0 && self.expire_and_count(period, now) == 0
    }
}

/// A limiter that allows each key the same number of attempts a minute.
pub(super) struct PerMinuteLimiter<K> {
    limit: usize,
    /// The windows, and the time of the last sweep.
    windows: Mutex<(HashMap<K, AttemptWindow>, Instant)>,
}

const MINUTE: Duration = Duration::from_mins(1);

impl<K: Hash + Eq> PerMinuteLimiter<K> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, windows: Mutex::new((HashMap::new(), Instant::now())) }
    }

    /// Checks whether one more attempt is allowed, without counting it. The error is the time to wait.
    pub(super) fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        let mut windows = self.windows();
        let Some(window) = windows.0.get_mut(key) else { return Ok(()) };
        let is_full = window.expire_and_count(MINUTE, now) >= self.limit;
        if is_full { Err(window.time_until_below_limit(self.limit, MINUTE, now)) } else { Ok(()) }
    }

    /// Adds one more attempt if it is allowed. Otherwise returns the time to wait.
    pub(super) fn try_add(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut guard = self.windows();
        let (windows, swept_at) = &mut *guard;
        if now.saturating_duration_since(*swept_at) >= SWEEP {
            *swept_at = now;
            windows.retain(|_, window| !window.is_unused(MINUTE, now));
        }
        let window = windows.entry(key).or_default();
        if window.expire_and_count(MINUTE, now) >= self.limit {
            return Err(window.time_until_below_limit(self.limit, MINUTE, now));
        }
        window.add_attempt(now);
        Ok(())
    }

    fn windows(&self) -> MutexGuard<'_, (HashMap<K, AttemptWindow>, Instant)> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_at_most_the_limit_of_attempts_a_minute() {
        let (limiter, start) = (PerMinuteLimiter::new(2), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limiter.try_add("a", at(0)), Ok(()));
        assert_eq!(limiter.check(&"a", at(10)), Ok(()));
        assert_eq!(limiter.try_add("a", at(10)), Ok(()));
        assert_eq!(limiter.check(&"a", at(20)), Err(Duration::from_secs(40)));
        assert_eq!(limiter.try_add("a", at(20)), Err(Duration::from_secs(40)));
        assert_eq!(limiter.try_add("b", at(20)), Ok(()));
        assert_eq!(limiter.try_add("a", at(60)), Ok(()), "the first event is a minute old");
        assert_eq!(limiter.try_add("a", at(61)), Err(Duration::from_secs(9)));
        assert_eq!(limiter.windows().0.len(), 2);
        assert_eq!(limiter.try_add("b", at(200)), Ok(()));
        assert_eq!(limiter.windows().0.len(), 1, "the sweep removes keys without recent attempts");
    }
}
