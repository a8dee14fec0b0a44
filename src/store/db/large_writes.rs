//! Runs large transactions one at a time, with a pause after each.
//!
//! The pause is as long as the transaction took, and leaves the database to all other writers. So a send waits for at
//! most one large transaction, and not for several, one after another.

use crate::domain::limits;
use crate::store::db::fair_queue::{FairPermit, FairQueue, QueueFull};
use std::hash::Hash;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::sleep;

/// One permit for all large transactions, shared fairly by [`FairQueue`].
pub(super) struct LargeWrites<K: Eq + Hash + Copy>(FairQueue<K>);

impl<K: Eq + Hash + Copy> Default for LargeWrites<K> {
    fn default() -> Self {
        Self(FairQueue::new(1))
    }
}

impl<K: Eq + Hash + Copy> LargeWrites<K> {
    /// Waits until `key` may run a transaction that changes `rows` rows. Returns `None` immediately if that is not
    /// large. Fails if `max` transactions of `key` run or wait already.
    pub(super) async fn acquire(&self, key: K, rows: u64, max: usize) -> Result<Option<FairPermit<K>>, QueueFull> {
        if rows <= limits::LARGE_TRANSACTION_ROWS { Ok(None) } else { self.0.acquire(key, rows, max).await.map(Some) }
    }

    /// Returns how many large transactions wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.waiting()
    }
}

/// Releases the permit of a large transaction after a pause. `duration` is how long the transaction took.
pub(super) fn release_after_pause<K: Eq + Hash + Copy + Send + 'static>(permit: FairPermit<K>, duration: Duration) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            sleep(pause(duration)).await;
            drop(permit);
        });
    }
}

/// Returns the pause after a transaction that took `duration`. It has a limit, because a transaction that waited for a
/// lock may have taken long.
fn pause(duration: Duration) -> Duration {
    duration.min(limits::LARGE_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::pin::pin;
    use std::task::Poll;

    const ROWS: u64 = limits::LARGE_TRANSACTION_ROWS + 1;

    #[tokio::test]
    async fn the_next_large_transaction_waits_and_others_do_not() {
        let large = LargeWrites::default();
        let first = large.acquire('a', ROWS, 8).await.expect("a free permit").expect("a large transaction");
        release_after_pause(first, limits::LARGE_PAUSE);
        let mut next = pin!(large.acquire('b', ROWS, 8));
        assert!(poll!(&mut next).is_pending());
        let other = pin!(large.acquire('c', limits::LARGE_TRANSACTION_ROWS, 8));
        assert!(matches!(poll!(other), Poll::Ready(Ok(None))));
        assert!(next.await.expect("a free permit").is_some());
    }

    #[test]
    fn a_pause_is_as_long_as_the_transaction_before_it_up_to_a_limit() {
        assert_eq!(pause(Duration::from_millis(40)), Duration::from_millis(40));
        assert_eq!(pause(Duration::from_secs(5)), limits::LARGE_PAUSE);
    }
}
