//! Restarts the parts of the server that panic, and reports them.
//!
//! A *part* is a task or an actor that runs as long as the server. It has a name. A panic in a part is counted under
//! the name, written to the log, and shown by `/health` for [`RECENT`]. Then the part starts again.
//!
//! - A *task that never ends* is run by [`Part::catch_panic_and_pause`] in a loop. State that must survive a panic,
//!   such as a queue, is outside the task. After repeated panics the pauses before the restart grow.
//! - *One piece of work* of many, such as a batch or a read, is run by [`Part::catch_panic_in`], so that a panic ends
//!   only this piece.
//! - An *actor that must keep its address* runs its handlers in [`Part::catch_panic`] and drops its state after a
//!   panic.
//! - *Work that is repeated after a failure* reports each result with [`Part::set_working`]. `/health` names the part
//!   until the work succeeds.
//! - An *actor that may end* calls [`Part::count_if_panicking`] when it is dropped. If an actor panics, actix ends only
//!   this actor, and drops it during the panic.
//!
//! State that existed during a panic is dropped, or it is valid at any moment: a queue, a counter, a cleared map.

use futures_util::FutureExt;
use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A part counts as failing for this time after its last panic.
pub const RECENT: Duration = Duration::from_mins(1);
/// The pause after the first panic. Each further panic within [`RECENT`] doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The failures of all parts of one node. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Supervision(Arc<Mutex<BTreeMap<String, PartRecord>>>);

/// The failures of one part.
#[derive(Clone, Copy, Debug, Default)]
struct PartRecord {
    panics: u64,
    /// The number of the latest panics with less than [`RECENT`] between them.
    consecutive_panics: u32,
    latest_panic: Option<Instant>,
    /// Whether the last attempt of repeated work failed without a panic.
    work_failed: bool,
}

impl PartRecord {
    fn panicked_recently(&self, now: Instant) -> bool {
        self.latest_panic.is_some_and(|latest| now.saturating_duration_since(latest) < RECENT)
    }

    fn count_panic(&mut self, now: Instant) {
        self.consecutive_panics =
            if self.panicked_recently(now) { self.consecutive_panics.saturating_add(1) } else { 1 };
        self.panics += 1;
        self.latest_panic = Some(now);
    }

    fn pause(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.consecutive_panics.saturating_sub(1)).unwrap_or(u32::MAX);
        FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
    }
}

/// A part of the server. All values with the same name are the same part.
#[derive(Clone, Debug)]
pub struct Part {
    name: Cow<'static, str>,
    supervision: Supervision,
}

/// The error of work that ended in a panic, which is already counted and logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a part of the server panicked and is restarted")]
pub struct Panicked;

impl Supervision {
    /// Returns the part with this name, which `/health` names when it fails. The first call with a name creates the
    /// part.
    pub fn part(&self, name: impl Into<Cow<'static, str>>) -> Part {
        Part { name: name.into(), supervision: self.clone() }
    }

    /// Returns the names of the parts that panicked within [`RECENT`] or whose repeated work fails.
    pub fn failing(&self) -> Vec<String> {
        self.failing_at(Instant::now())
    }

    fn failing_at(&self, now: Instant) -> Vec<String> {
        let failing = |(name, record): (&String, &PartRecord)| {
            let is_failing = record.work_failed || record.panicked_recently(now);
            is_failing.then(|| name.clone())
        };
        self.with_records(|records| records.iter().filter_map(failing).collect())
    }

    /// Returns how often the part with this name has panicked since the start.
    pub fn panic_count(&self, name: &str) -> u64 {
        self.with_records(|records| records.get(name).map_or(0, |record| record.panics))
    }

    fn with_records<R>(&self, action: impl FnOnce(&mut BTreeMap<String, PartRecord>) -> R) -> R {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Part {
    /// Runs a task. The calling code repeats this in a loop while the result is an error. After a panic the future
    /// waits before it returns the error.
    pub fn catch_panic_and_pause<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Result<T, Panicked>> {
        let attempt = self.catch_panic_in(work);
        async move {
            let outcome = attempt.await;
            if outcome.is_err() {
                let pause = self.supervision.with_records(|records| records.get(&*self.name).map(PartRecord::pause));
                tokio::time::sleep(pause.unwrap_or(FIRST_PAUSE)).await;
            }
            outcome
        }
    }

    /// Runs one piece of work. A panic ends only this piece.
    pub fn catch_panic_in<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Result<T, Panicked>> {
        // The future may be large and is moved, so it is on the heap.
        let work = Box::pin(AssertUnwindSafe(work).catch_unwind());
        async move { work.await.map_err(|panic| self.report_panic(panic.as_ref())) }
    }

    /// Runs a function that does not wait, such as the handler of an actor.
    pub fn catch_panic<T>(&self, work: impl FnOnce() -> T) -> Result<T, Panicked> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| self.report_panic(panic.as_ref()))
    }

    /// Reports whether the last attempt of repeated work succeeded. The calling code writes the log.
    pub fn set_working(&self, succeeded: bool) {
        let failed = PartRecord { work_failed: true, ..PartRecord::default() };
        self.supervision.with_records(|records| match records.get_mut(&*self.name) {
            Some(record) => record.work_failed = !succeeded,
            None if succeeded => {}
            None => drop(records.insert(self.name.to_string(), failed)),
        });
    }

    /// Counts a panic if the thread is panicking. An actor calls this when it is dropped.
    pub fn count_if_panicking(&self) {
        if std::thread::panicking() {
            self.count_panic("an actor ended");
        }
    }

    fn report_panic(&self, panic: &(dyn Any + Send)) -> Panicked {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        self.count_panic(text.unwrap_or_default());
        Panicked
    }

    fn count_panic(&self, said: &str) {
        let now = Instant::now();
        let panics = self.supervision.with_records(|records| {
            let record = records.entry(self.name.to_string()).or_default();
            record.count_panic(now);
            record.panics
        });
        tracing::error!(part = &*self.name, panics, said, "a part of the server panicked and is restarted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_failing_for_a_minute_after_its_last_panic() {
        let supervision = Supervision::default();
        assert_eq!(supervision.part("hub").catch_panic(|| 7), Ok(7));
        assert_eq!(supervision.failing(), [""; 0]);
        for _ in 0..2 {
            assert_eq!(supervision.part("hub").catch_panic(|| panic!("on purpose")), Err::<(), _>(Panicked));
        }
        assert_eq!((supervision.failing(), supervision.panic_count("hub")), (vec!["hub".to_owned()], 2));
        let later = Instant::now() + RECENT;
        assert_eq!(supervision.failing_at(later), [""; 0]);
    }

    #[test]
    fn a_part_whose_work_fails_is_failing_until_the_work_succeeds() {
        let supervision = Supervision::default();
        let part = supervision.part("checkpointer");
        part.set_working(true);
        assert_eq!(supervision.failing(), [""; 0]);
        part.set_working(false);
        assert_eq!(
            (supervision.failing(), supervision.panic_count("checkpointer")),
            (vec!["checkpointer".to_owned()], 0)
        );
        part.set_working(true);
        assert_eq!(supervision.failing(), [""; 0]);
    }

    #[test]
    fn pauses_grow_with_repeated_panics_and_are_short_again_after_a_minute_without_one() {
        let (mut record, now) = (PartRecord::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..40 {
            record.count_panic(now);
            pauses.push(record.pause());
        }
        assert_eq!(pauses[..3], [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]);
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        record.count_panic(now + RECENT);
        assert_eq!(record.pause(), FIRST_PAUSE);
    }

    #[tokio::test]
    async fn a_task_continues_after_a_panic_with_the_state_outside_it() {
        let (supervision, mut divisors) = (Supervision::default(), vec![1, 0, 2]);
        let mut done = Vec::new();
        let part = supervision.part("writer");
        while part
            .catch_panic_and_pause(async {
                while let Some(next) = divisors.pop() {
                    tokio::task::yield_now().await;
                    done.push(10 / next);
                }
            })
            .await
            .is_err()
        {}
        assert_eq!((done, supervision.panic_count("writer")), (vec![5, 10], 1));
    }
}
