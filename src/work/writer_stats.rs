//! What a writer of sends has done since the start.

use super::writer_batch::SendOutcome;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a writer, for measurements.
#[derive(Default, Debug)]
pub struct WriterStats {
    /// Committed batches with at least one decided send.
    pub batches: AtomicU64,
    /// Sends that were stored, found repeated or refused in these batches.
    pub sends: AtomicU64,
}

impl WriterStats {
    /// Counts the outcomes of a committed batch.
    pub fn add(&self, outcomes: &[SendOutcome]) {
        let decided = outcomes.iter().filter(|outcome| matches!(outcome, SendOutcome::Decided(_))).count() as u64;
        if decided > 0 {
            self.batches.fetch_add(1, Ordering::Relaxed);
            self.sends.fetch_add(decided, Ordering::Relaxed);
        }
    }
}
