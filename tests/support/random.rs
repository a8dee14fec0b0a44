//! A small generator with a seed, so that a failed run can be repeated with the same choices. Not for secrets.

use std::time::{SystemTime, UNIX_EPOCH};

/// `SplitMix64`: small, and uniform enough for delays and choices.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates the generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Takes the seed from `GREENROOM_TEST_SEED`, otherwise from the clock, and prints it, so that a failure can be
    /// repeated.
    pub fn from_environment() -> Self {
        let seed = std::env::var("GREENROOM_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.subsec_nanos().into())
        });
        eprintln!("GREENROOM_TEST_SEED={seed}");
        Self(seed)
    }

    /// Returns an independent generator for another task.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// Returns the next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number in `low..high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low < high, "an empty range");
        low + self.next() % (high - low)
    }

    /// Returns one of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let index = self.between(0, items.len() as u64);
        &items[usize::try_from(index).expect("an index fits")]
    }

    /// Returns true once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.between(0, n) == 0
    }
}
