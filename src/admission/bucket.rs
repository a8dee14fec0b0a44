//! A token bucket from which one request may take more units than are left.
//!
//! A request is accepted as long as at least one unit is left, whatever it costs. If it costs more units than are left,
//! later requests wait until these units were added again. So a client with a thousand conversations can sync with one
//! command, and no client gets more over time than its rate allows.

use std::time::Duration;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// The time in which one unit is added.
    unit_time: Duration,
    /// The units that a full bucket holds.
    burst: u32,
}

impl Rate {
    /// Returns a rate of `units` a second with bursts of `burst` units. Returns `None`, which means no limit, if one of
    /// them is 0.
    pub fn per_second(units: u32, burst: u32) -> Option<Self> {
        (units > 0 && burst > 0).then(|| Self { unit_time: Duration::from_secs(1) / units, burst })
    }
}

/// The bucket of one key. It stores only the time at which it is full again, on the clock of the calling code.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Takes `cost` units if at least one is left. Otherwise returns the time to wait until one is left.
    pub fn take(&mut self, rate: Rate, cost: u32, now: Duration) -> Result<(), Duration> {
        let until_full = self.full_at.saturating_sub(now);
        let wait = until_full.saturating_sub(rate.unit_time * (rate.burst - 1));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.charge(rate, cost, now);
        Ok(())
    }

    /// Takes `cost` units, even if none is left.
    pub fn charge(&mut self, rate: Rate, cost: u32, now: Duration) {
        self.full_at = self.full_at.max(now) + rate.unit_time * cost;
    }

    /// Returns whether the bucket holds all its units.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_PER_SECOND: Option<Rate> = Some(Rate { unit_time: Duration::from_millis(100), burst: 20 });

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        assert_eq!(Rate::per_second(10, 20), TEN_PER_SECOND);
        let (rate, mut bucket) = (TEN_PER_SECOND.unwrap(), Bucket::default());
        let passed = (0..1000).filter(|_| bucket.take(rate, 1, at(5)).is_ok()).count();
        assert_eq!(passed, 20);
        assert_eq!(bucket.take(rate, 1, at(5)), Err(at(100)));
        assert_eq!(bucket.take(rate, 1, at(104)), Err(at(1)));
        assert_eq!(bucket.take(rate, 1, at(105)), Ok(()));
        assert!(!bucket.is_full(at(2104)));
        assert!(bucket.is_full(at(2105)));
    }

    #[test]
    fn a_request_passes_while_one_unit_is_left_and_its_cost_delays_later_ones() {
        let (rate, mut bucket) = (TEN_PER_SECOND.unwrap(), Bucket::default());
        for _ in 0..19 {
            assert_eq!(bucket.take(rate, 1, at(0)), Ok(()));
        }
        assert_eq!(bucket.take(rate, 100, at(0)), Ok(()), "one unit is left");
        assert_eq!(
            bucket.take(rate, 1, at(0)),
            Err(at(10_000)),
            "99 units are missing, and this request needs one more"
        );
        assert_eq!(bucket.take(rate, 1, at(10_000)), Ok(()));
        bucket.charge(rate, 50, at(10_000));
        assert_eq!(bucket.take(rate, 1, at(15_000)), Err(at(100)));
    }

    #[test]
    fn a_rate_of_zero_means_no_limit() {
        assert_eq!(Rate::per_second(0, 10), None);
        assert_eq!(Rate::per_second(10, 0), None);
    }
}
