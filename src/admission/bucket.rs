//! A bucket that may go into debt. What is asked while at least one unit is left is served, whatever it costs; what it
//! takes beyond is waited for afterwards. So a client with a thousand conversations syncs in one go, and nobody gets more
//! over time than the rate.

use std::time::Duration;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How long one unit takes to come back.
    unit: Duration,
    /// Units that a full bucket holds.
    burst: u32,
}

impl Rate {
    /// So many units a second, and so many in a burst; `None` where one of them is 0, which is no limit.
    pub fn per_second(units: u32, burst: u32) -> Option<Self> {
        (units > 0 && burst > 0).then(|| Self { unit: Duration::from_secs(1) / units, burst })
    }
}

/// The bucket of one key. It keeps one number: the time, on a clock of the caller's, at which it is full again.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Takes `cost` units if at least one is left, else says how long until one is.
    pub fn take(&mut self, rate: Rate, cost: u32, now: Duration) -> Result<(), Duration> {
        let missing = self.full_at.saturating_sub(now);
        let wait = missing.saturating_sub(rate.unit * (rate.burst - 1));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.charge(rate, cost, now);
        Ok(())
    }

    /// Takes `cost` units, whatever is left.
    pub fn charge(&mut self, rate: Rate, cost: u32, now: Duration) {
        self.full_at = self.full_at.max(now) + rate.unit * cost;
    }

    /// Whether nothing is missing.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Option<Rate> = Some(Rate { unit: Duration::from_millis(100), burst: 20 });

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        assert_eq!(Rate::per_second(10, 20), TEN);
        let (rate, mut bucket) = (TEN.unwrap(), Bucket::default());
        let passed = (0..1000).filter(|_| bucket.take(rate, 1, at(5)).is_ok()).count();
        assert_eq!(passed, 20);
        assert_eq!(bucket.take(rate, 1, at(5)), Err(at(100)));
        assert_eq!(bucket.take(rate, 1, at(104)), Err(at(1)));
        assert_eq!(bucket.take(rate, 1, at(105)), Ok(()));
        assert!(!bucket.is_full(at(2104)));
        assert!(bucket.is_full(at(2105)));
    }

    #[test]
    fn what_is_asked_while_anything_is_left_is_served_and_paid_for_later() {
        let (rate, mut bucket) = (TEN.unwrap(), Bucket::default());
        for _ in 0..19 {
            assert_eq!(bucket.take(rate, 1, at(0)), Ok(()));
        }
        assert_eq!(bucket.take(rate, 100, at(0)), Ok(()), "one unit is left");
        assert_eq!(bucket.take(rate, 1, at(0)), Err(at(10_000)), "ninety-nine in debt, and one more for this");
        assert_eq!(bucket.take(rate, 1, at(10_000)), Ok(()));
        bucket.charge(rate, 50, at(10_000));
        assert_eq!(bucket.take(rate, 1, at(15_000)), Err(at(100)));
    }

    #[test]
    fn a_rate_of_nothing_is_no_limit() {
        assert_eq!(Rate::per_second(0, 10), None);
        assert_eq!(Rate::per_second(10, 0), None);
    }
}
