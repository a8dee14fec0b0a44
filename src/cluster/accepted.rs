//! Token generations that were accepted, until they are written to the database.
//!
//! A request that accepts an access token adds its generation here and waits until it is written. Generations that are
//! added while a write runs are written together by the next write, one row for each login.

use crate::domain::ids::LoginId;
use crate::domain::limits;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedMutexGuard, oneshot};

/// The queue of generations to write. Only one batch of it is written at a time.
#[derive(Default)]
pub struct AcceptedGenerations {
    pending: Mutex<Vec<UnwrittenTokenGeneration>>,
    write_lock: Arc<tokio::sync::Mutex<()>>,
}

struct UnwrittenTokenGeneration {
    login: LoginId,
    generation: i64,
    written: oneshot::Sender<()>,
}

/// Generations that are written together. If the batch is dropped before [`Self::confirm`], all its requests learn that
/// the write failed.
pub struct GenerationBatch {
    pending: Vec<UnwrittenTokenGeneration>,
    _write_lock: OwnedMutexGuard<()>,
}

impl AcceptedGenerations {
    /// Adds a generation of a login. The receiver gets an answer when the generation is written, and an error when the
    /// write failed.
    pub fn add(&self, login: LoginId, generation: i64) -> oneshot::Receiver<()> {
        let (written, outcome) = oneshot::channel();
        self.pending().push(UnwrittenTokenGeneration { login, generation, written });
        outcome
    }

    /// Waits until no other batch is being written, and returns the oldest pending generations, at most
    /// [`limits::BATCH_SIZE`]. Returns `None` if other requests have written all of them. Each request that adds a
    /// generation also takes a batch, so no generation remains in the queue.
    pub async fn take_batch(&self) -> Option<GenerationBatch> {
        let write_lock = self.write_lock.clone().lock_owned().await;
        let mut all = self.pending();
        all.retain(|entry| !entry.written.is_closed());
        let count = all.len().min(limits::BATCH_SIZE);
        let pending: Vec<UnwrittenTokenGeneration> = all.drain(..count).collect();
        drop(all);
        (!pending.is_empty()).then_some(GenerationBatch { pending, _write_lock: write_lock })
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Vec<UnwrittenTokenGeneration>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GenerationBatch {
    /// Returns the newest generation of each login, ordered by login id.
    pub fn newest(&self) -> Vec<(LoginId, i64)> {
        let mut newest = BTreeMap::new();
        for entry in &self.pending {
            let generation = newest.entry(entry.login).or_insert(entry.generation);
            *generation = (*generation).max(entry.generation);
        }
        newest.into_iter().collect()
    }

    /// Answers all requests of this batch after its write. Also answers requests that were added during the write, if
    /// the write includes their generation or a newer one.
    pub fn confirm(self, queue: &AcceptedGenerations) {
        let newest: BTreeMap<_, _> = self.newest().into_iter().collect();
        let is_written = |entry: &UnwrittenTokenGeneration| {
            newest.get(&entry.login).is_some_and(|written| entry.generation <= *written)
        };
        let added_meanwhile: Vec<UnwrittenTokenGeneration> =
            queue.pending().extract_if(.., |entry| is_written(entry)).collect();
        for entry in self.pending.into_iter().chain(added_meanwhile) {
            // The send fails if the request no longer waits; then no answer is needed.
            let _ = entry.written.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn generations_added_during_a_write_are_written_together_once() {
        let queue = AcceptedGenerations::default();
        let (one, other) = (LoginId::new(), LoginId::new());
        let first = queue.add(one, 1);
        let batch = queue.take_batch().await.expect("one generation is pending");
        let same = queue.add(one, 1);
        let more = [queue.add(other, 7), queue.add(one, 2), queue.add(other, 6)];
        assert_eq!(batch.newest(), [(one, 1)]);
        batch.confirm(&queue);
        assert!(first.await.is_ok() && same.await.is_ok());
        let batch = queue.take_batch().await.expect("more generations are pending");
        let mut expected = vec![(one, 2), (other, 7)];
        expected.sort();
        assert_eq!(batch.newest(), expected);
        batch.confirm(&queue);
        for outcome in more {
            assert!(outcome.await.is_ok());
        }
        assert!(queue.take_batch().await.is_none());
    }

    #[tokio::test]
    async fn many_generations_are_written_in_several_batches() {
        let queue = AcceptedGenerations::default();
        let outcomes: Vec<_> = (0..=limits::BATCH_SIZE).map(|_| queue.add(LoginId::new(), 1)).collect();
        let mut sizes = Vec::new();
        while let Some(batch) = queue.take_batch().await {
            sizes.push(batch.newest().len());
            batch.confirm(&queue);
        }
        assert_eq!(sizes, [limits::BATCH_SIZE, 1]);
        for outcome in outcomes {
            assert!(outcome.await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_request_learns_that_its_write_was_dropped() {
        let queue = AcceptedGenerations::default();
        let outcome = queue.add(LoginId::new(), 1);
        drop(queue.take_batch().await);
        assert!(outcome.await.is_err());
        assert!(queue.take_batch().await.is_none(), "the write lock is free again");
    }
}
