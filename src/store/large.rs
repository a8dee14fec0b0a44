//! Large transactions run one at a time, and after each of them the writer is left to all others for as long as it took:
//! whoever sends waits for one of them at most, and not behind a row of them.

use super::turns::{Full, Turn, Turns};
use crate::domain::limits;
use std::hash::Hash;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::sleep;

/// The queue before large transactions, fair as [`Turns`] are.
pub(super) struct Large<K: Eq + Hash + Copy>(Turns<K>);

impl<K: Eq + Hash + Copy> Default for Large<K> {
    fn default() -> Self {
        Self(Turns::new(1))
    }
}

impl<K: Eq + Hash + Copy> Large<K> {
    /// Waits until `key` may run a transaction that touches so many `rows`; one that is not large waits for nobody.
    pub(super) async fn take(&self, key: K, rows: u64, most: usize) -> Result<Option<Turn<K>>, Full> {
        if rows <= limits::LARGE_ROWS { Ok(None) } else { self.0.take(key, rows, most).await.map(Some) }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.waiting()
    }
}

/// Gives the turn of a large transaction that took so long back, after as long again.
pub(super) fn rest<K: Eq + Hash + Copy + Send + 'static>(turn: Turn<K>, took: Duration) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            sleep(pause(took)).await;
            drop(turn);
        });
    }
}

/// As long as it took; one that waited for a lock is not followed by a pause as long as that.
fn pause(took: Duration) -> Duration {
    took.min(limits::LARGE_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::pin::pin;
    use std::task::Poll;

    const ROWS: u64 = limits::LARGE_ROWS + 1;

    #[tokio::test]
    async fn the_next_large_one_waits_and_the_others_do_not() {
        let large = Large::default();
        let first = large.take('a', ROWS, 8).await.expect("room").expect("it is large");
        rest(first, limits::LARGE_PAUSE);
        let mut next = pin!(large.take('b', ROWS, 8));
        assert!(poll!(&mut next).is_pending());
        let other = pin!(large.take('c', limits::LARGE_ROWS, 8));
        assert!(matches!(poll!(other), Poll::Ready(Ok(None))));
        assert!(next.await.expect("room").is_some());
    }

    #[test]
    fn a_pause_is_as_long_as_what_was_before_it_and_ends() {
        assert_eq!(pause(Duration::from_millis(40)), Duration::from_millis(40));
        assert_eq!(pause(Duration::from_secs(5)), limits::LARGE_PAUSE);
    }
}
