//! The schedule of the catch-up.

use crate::domain::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The pause after a wake-up, so that several wake-ups cause one read of the log.
const WAKEUP_DELAY: Duration = Duration::from_millis(20);

/// The schedule of the reads. The parts that know whether events may be missing on this node change it. A clone shares
/// the same schedule.
#[derive(Clone, Debug)]
pub struct CatchUpSchedule {
    wake: Arc<Notify>,
    period: watch::Sender<Duration>,
}

impl Default for CatchUpSchedule {
    fn default() -> Self {
        Self { wake: Arc::default(), period: watch::Sender::new(limits::CATCH_UP_INTERVAL) }
    }
}

impl CatchUpSchedule {
    /// Makes the catch-up read the log immediately, because some events may not be delivered.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until [`Self::wake`] is called. A call that came before counts. Only one task waits.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Sets the longest time between two reads. It applies to the current wait too.
    pub fn set_period(&self, period: Duration) {
        self.period.send_replace(period);
    }

    /// Waits until the next read is due: the period has passed, or the schedule was woken. Only one task waits.
    pub async fn wait(&self) {
        let (mut period, start) = (self.period.subscribe(), Instant::now());
        loop {
            let due = start + *period.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(due) => return,
                () = self.woken() => return tokio::time::sleep(WAKEUP_DELAY).await,
                Ok(()) = period.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_with_a_shorter_period_and_when_it_is_woken() {
        let schedule = CatchUpSchedule::default();
        schedule.set_period(Duration::from_hours(1));
        let (first, other) = (schedule.clone(), schedule.clone());
        let wait = tokio::spawn(async move { first.wait().await });
        tokio::task::yield_now().await;
        other.set_period(Duration::from_hours(2));
        tokio::task::yield_now().await;
        assert!(!wait.is_finished());
        other.set_period(Duration::ZERO);
        wait.await.expect("the wait ends");
        other.set_period(Duration::from_hours(1));
        other.wake();
        schedule.wait().await;
    }
}
