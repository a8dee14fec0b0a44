//! What happened lately, counted exactly: so many within the last minute or hour.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often keys of which nothing is remembered any more are forgotten.
pub(super) const SWEEP: Duration = Duration::from_secs(10);

/// The moments of late, and places held by what has no outcome yet.
#[derive(Default)]
pub(super) struct Window {
    moments: VecDeque<Instant>,
    pub(super) held: usize,
}

impl Window {
    /// Forgets what is older than `period`, and says how much is left.
    pub(super) fn count(&mut self, period: Duration, now: Instant) -> usize {
        while self.moments.front().is_some_and(|at| now.duration_since(*at) >= period) {
            self.moments.pop_front();
        }
        self.moments.len()
    }

    /// One more moment.
    pub(super) fn add(&mut self, now: Instant) {
        self.moments.push_back(now);
    }

    /// Whether `limit` moments and held places leave no room.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        self.moments.len() + self.held >= limit
    }

    /// When there is room again where `limit` moments are allowed; nothing if there is.
    pub(super) fn room_in(&self, limit: usize, period: Duration, now: Instant) -> Duration {
        let leaves = self.moments.len().checked_sub(limit).and_then(|over| self.moments.get(over));
        leaves.map_or(Duration::ZERO, |at| (*at + period).saturating_duration_since(now))
    }

    /// Whether nothing of it need be remembered.
    pub(super) fn is_over(&mut self, period: Duration, now: Instant) -> bool {
        self.held == 0 && self.count(period, now) == 0
    }
}

/// At most so many a minute for each key.
pub(super) struct PerMinute<K> {
    limit: usize,
    book: Mutex<(HashMap<K, Window>, Instant)>,
}

const MINUTE: Duration = Duration::from_mins(1);

impl<K: Hash + Eq> PerMinute<K> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, book: Mutex::new((HashMap::new(), Instant::now())) }
    }

    /// Whether there is room for one more, else when there will be. Nothing is counted.
    pub(super) fn has_room(&self, key: &K, now: Instant) -> Result<(), Duration> {
        let mut book = self.book();
        let Some(window) = book.0.get_mut(key) else { return Ok(()) };
        let is_full = window.count(MINUTE, now) >= self.limit;
        if is_full { Err(window.room_in(self.limit, MINUTE, now)) } else { Ok(()) }
    }

    /// Counts one more if there is room.
    pub(super) fn count(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut book = self.book();
        let (windows, swept) = &mut *book;
        if now.saturating_duration_since(*swept) >= SWEEP {
            *swept = now;
            windows.retain(|_, window| !window.is_over(MINUTE, now));
        }
        let window = windows.entry(key).or_default();
        if window.count(MINUTE, now) >= self.limit {
            return Err(window.room_in(self.limit, MINUTE, now));
        }
        window.add(now);
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, (HashMap<K, Window>, Instant)> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_and_no_more() {
        let (book, begin) = (PerMinute::new(2), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(book.count("a", at(0)), Ok(()));
        assert_eq!(book.has_room(&"a", at(10)), Ok(()));
        assert_eq!(book.count("a", at(10)), Ok(()));
        assert_eq!(book.has_room(&"a", at(20)), Err(Duration::from_secs(40)));
        assert_eq!(book.count("a", at(20)), Err(Duration::from_secs(40)));
        assert_eq!(book.count("b", at(20)), Ok(()));
        assert_eq!(book.count("a", at(60)), Ok(()), "the first is a minute old");
        assert_eq!(book.count("a", at(61)), Err(Duration::from_secs(9)));
        assert_eq!(book.book().0.len(), 2);
        assert_eq!(book.count("b", at(200)), Ok(()));
        assert_eq!(book.book().0.len(), 1, "what is long over is forgotten");
    }
}
