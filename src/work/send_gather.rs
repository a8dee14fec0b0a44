//! Decides whether the next batch of sends waits a moment for more of them.
//!
//! A commit costs about the same for one send as for many. Under load, the users whose sends were just committed send
//! again within a moment. A batch that waits for them makes fewer and larger batches of the same sends. Without load no
//! batch waits: if the last one had few sends, no more are to be expected.

use crate::domain::limits;
use tokio::time::Instant;

/// A batch of at least so many sends shows that there is load.
const LOADED_BATCH: usize = 16;

/// What is known of the last batch.
#[derive(Default)]
pub struct SendGather {
    last: Option<(usize, Instant)>,
}

impl SendGather {
    /// Records the end of a batch with this number of sends.
    pub fn end_batch(&mut self, sends: usize, now: Instant) {
        self.last = Some((sends, now));
    }

    /// Returns until when the next batch waits if `ready` sends wait now, and `running` batches commit. `None` if nothing
    /// speaks against its beginning: there is no load, others commit meanwhile anyway, as many sends wait as the last
    /// batch had, or [`limits::SEND_GATHER`] has passed since.
    pub fn waits_until(&self, running: usize, ready: usize, now: Instant) -> Option<Instant> {
        let (sends, ended_at) = self.last?;
        let until = ended_at + limits::SEND_GATHER;
        (running == 0 && sends >= LOADED_BATCH && ready < sends && now < until).then_some(until)
    }
}

/// Waits until then, or for ever.
pub async fn wait_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_batch_after_a_large_one_waits_and_never_for_long() {
        let (mut gather, start) = (SendGather::default(), Instant::now());
        assert_eq!(gather.waits_until(0, 1, start), None, "there was no batch");
        gather.end_batch(LOADED_BATCH - 1, start);
        assert_eq!(gather.waits_until(0, 1, start), None, "there is no load");
        gather.end_batch(LOADED_BATCH, start);
        let end = start + limits::SEND_GATHER;
        assert_eq!(gather.waits_until(0, 1, start), Some(end));
        assert_eq!(gather.waits_until(1, 1, start), None, "another batch commits");
        assert_eq!(gather.waits_until(0, LOADED_BATCH, start), None, "as many wait as before");
        assert_eq!(gather.waits_until(0, 1, end), None, "it has waited long enough");
    }
}
