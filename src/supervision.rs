//! Supervision: no task and no actor ends unseen. Everything that runs for as long as the server does is a *part* with a
//! name. A panic in it is counted under that name, written to the log, and shown by `/health` for [`RECENT`]; the part
//! begins anew.
//!
//! - A *task* that runs for ever is run by [`Part::run`] in a loop; what must outlive a panic, as a queue does, is kept
//!   outside. A persistent panic is met with growing pauses.
//! - *One piece of work* of many, as a batch or a read, is run by [`Part::attempt`], so that it fails alone.
//! - An *actor that must keep its address* runs its handlers in [`Part::catch`] and throws away what it holds.
//! - *Work that is tried again and again* and comes to nothing is told by [`Part::works`]: `/health` names the part until it
//!   has succeeded.
//! - An *actor that may end* is counted by [`Part::ended`] when it is dropped: actix ends an actor that panics, alone, and
//!   calls `stopping` and `drop` while it does.
//!
//! What a panic leaves behind is never used again, or can be used as it is: a queue, a counter, a map that is emptied.

use futures_util::FutureExt;
use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A part counts as failing for so long after its last panic.
pub const RECENT: Duration = Duration::from_mins(1);
/// The pause after a first panic; each further one within [`RECENT`] doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The parts of one node, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Supervision(Arc<Mutex<BTreeMap<String, Record>>>);

/// What is known of the failures of a part.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    panics: u64,
    /// How many came without [`RECENT`] between two of them.
    in_a_row: u32,
    latest: Option<Instant>,
    /// Whether what it tried last came to nothing, without a panic.
    in_vain: bool,
}

impl Record {
    fn has_panicked(&self, now: Instant) -> bool {
        self.latest.is_some_and(|latest| now.saturating_duration_since(latest) < RECENT)
    }

    fn note(&mut self, now: Instant) {
        self.in_a_row = if self.has_panicked(now) { self.in_a_row.saturating_add(1) } else { 1 };
        self.panics += 1;
        self.latest = Some(now);
    }

    fn pause(&self) -> Duration {
        let doubled = 1_u32.checked_shl(self.in_a_row.saturating_sub(1)).unwrap_or(u32::MAX);
        FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
    }
}

/// One part by name, cheap to clone. All of one name are one part.
#[derive(Clone, Debug)]
pub struct Part {
    name: Cow<'static, str>,
    supervision: Supervision,
}

/// The work ended in a panic, which is counted and logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a part of the server failed and begins anew")]
pub struct Panicked;

impl Supervision {
    /// The part of that name.
    pub fn part(&self, name: impl Into<Cow<'static, str>>) -> Part {
        Part { name: name.into(), supervision: self.clone() }
    }

    /// The parts that panicked within [`RECENT`], or cannot do their work now, by name.
    pub fn failing(&self) -> Vec<String> {
        self.failing_at(Instant::now())
    }

    fn failing_at(&self, now: Instant) -> Vec<String> {
        let failing = |(name, record): (&String, &Record)| {
            let fails = record.in_vain || record.has_panicked(now);
            fails.then(|| name.clone())
        };
        self.records(|records| records.iter().filter_map(failing).collect())
    }

    /// How often the part of that name has panicked since the start.
    pub fn panics(&self, name: &str) -> u64 {
        self.records(|records| records.get(name).map_or(0, |record| record.panics))
    }

    fn records<R>(&self, of: impl FnOnce(&mut BTreeMap<String, Record>) -> R) -> R {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Part {
    /// Runs a task, or goes on with it: the caller does so in a loop for as long as it fails. After a panic it waits.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Result<T, Panicked>> {
        let attempt = self.attempt(work);
        async move {
            let outcome = attempt.await;
            if outcome.is_err() {
                let pause = self.supervision.records(|records| records.get(&*self.name).map(Record::pause));
                tokio::time::sleep(pause.unwrap_or(FIRST_PAUSE)).await;
            }
            outcome
        }
    }

    /// Runs one piece of work that may fail alone.
    pub fn attempt<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Result<T, Panicked>> {
        // in a place of its own, because it may be large and is handed on
        let work = Box::pin(AssertUnwindSafe(work).catch_unwind());
        async move { work.await.map_err(|panic| self.panicked(panic.as_ref())) }
    }

    /// Runs what a handler of an actor does, which does not wait.
    pub fn catch<T>(&self, work: impl FnOnce() -> T) -> Result<T, Panicked> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| self.panicked(panic.as_ref()))
    }

    /// Whether what it tried last succeeded; for work that is tried again and again. The caller writes the log.
    pub fn works(&self, succeeded: bool) {
        self.supervision.records(|records| match records.get_mut(&*self.name) {
            Some(record) => record.in_vain = !succeeded,
            None if succeeded => {}
            None => drop(records.insert(self.name.to_string(), Record { in_vain: true, ..Record::default() })),
        });
    }

    /// Called where an actor is dropped: counts it if a panic is the reason.
    pub fn ended(&self) {
        if std::thread::panicking() {
            self.note("an actor ended");
        }
    }

    fn panicked(&self, panic: &(dyn Any + Send)) -> Panicked {
        let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        self.note(said.unwrap_or_default());
        Panicked
    }

    fn note(&self, said: &str) {
        let now = Instant::now();
        let panics = self.supervision.records(|records| {
            let record = records.entry(self.name.to_string()).or_default();
            record.note(now);
            record.panics
        });
        tracing::error!(part = &*self.name, panics, said, "a part of the server panicked; it begins anew");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_failing_for_a_minute_after_its_last_panic() {
        let supervision = Supervision::default();
        assert_eq!(supervision.part("hub").catch(|| 7), Ok(7));
        assert_eq!(supervision.failing(), [""; 0]);
        for _ in 0..2 {
            assert_eq!(supervision.part("hub").catch(|| panic!("on purpose")), Err::<(), _>(Panicked));
        }
        assert_eq!((supervision.failing(), supervision.panics("hub")), (vec!["hub".to_owned()], 2));
        let later = Instant::now() + RECENT;
        assert_eq!(supervision.failing_at(later), [""; 0]);
    }

    #[test]
    fn a_part_that_tries_in_vain_is_failing_until_it_succeeds() {
        let supervision = Supervision::default();
        let part = supervision.part("checkpointer");
        part.works(true);
        assert_eq!(supervision.failing(), [""; 0]);
        part.works(false);
        assert_eq!((supervision.failing(), supervision.panics("checkpointer")), (vec!["checkpointer".to_owned()], 0));
        part.works(true);
        assert_eq!(supervision.failing(), [""; 0]);
    }

    #[test]
    fn pauses_grow_while_a_part_keeps_failing_and_begin_anew_after_a_quiet_minute() {
        let (mut record, now) = (Record::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..40 {
            record.note(now);
            pauses.push(record.pause());
        }
        assert_eq!(pauses[..3], [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]);
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        record.note(now + RECENT);
        assert_eq!(record.pause(), FIRST_PAUSE);
    }

    #[tokio::test]
    async fn a_task_goes_on_after_a_panic_with_what_is_kept_outside() {
        let (supervision, mut left) = (Supervision::default(), vec![1, 0, 2]);
        let mut done = Vec::new();
        let part = supervision.part("writer");
        while part
            .run(async {
                while let Some(next) = left.pop() {
                    tokio::task::yield_now().await;
                    done.push(10 / next);
                }
            })
            .await
            .is_err()
        {}
        assert_eq!((done, supervision.panics("writer")), (vec![5, 10], 1));
    }
}
