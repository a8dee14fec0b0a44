//! The queue before the hashing of passwords: as many run as there are cores, and so many more wait, so that a flood of
//! sign-ins takes neither the memory nor the node. Whoever finds it full is told to come back.

use crate::domain::limits;
use crate::error::{Error, Result};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The queue of this node.
pub struct HashingQueue {
    places: Arc<Semaphore>,
    cores: Arc<Semaphore>,
}

/// A place in the queue, given back when dropped.
pub struct Queued(#[allow(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

/// A core to hash on, given back when dropped.
pub struct Core(#[allow(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

impl HashingQueue {
    /// Over so many cores.
    pub fn new(cores: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(cores + limits::HASHING_QUEUE)), cores: Arc::new(Semaphore::new(cores)) }
    }

    /// Takes a place, or is `busy`.
    pub fn enter(&self) -> Result<Queued> {
        let place = self.places.clone().try_acquire_owned();
        place.map(Queued).map_err(|_| Error::busy("too many are signing in; try again in a moment"))
    }

    /// Waits for a core.
    pub async fn core(&self) -> Result<Core> {
        self.cores.clone().acquire_owned().await.map(Core).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;

    #[tokio::test]
    async fn so_many_run_and_so_many_wait() {
        let queue = HashingQueue::new(2);
        let mut queued: Vec<Queued> = Vec::new();
        while let Ok(place) = queue.enter() {
            queued.push(place);
        }
        assert_eq!(queued.len(), 2 + 256);
        assert_eq!(queue.enter().err().map(|error| error.code()), Some(Code::Busy));
        let cores = (queue.core().await.expect("a core"), queue.core().await.expect("a core"));
        assert_eq!(queue.cores.available_permits(), 0);
        drop((queued.pop(), cores));
        assert!(queue.enter().is_ok());
    }
}
