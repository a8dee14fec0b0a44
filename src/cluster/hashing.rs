//! The queue for hashing passwords.
//!
//! At most one hash for each core runs, and at most [`limits::HASHING_QUEUE`] more wait. So very many sign-ins can use
//! up neither the memory nor all threads of the node. A request that finds the queue full is refused as `busy`.

use crate::domain::limits;
use crate::error::{Error, Result};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The hashing queue of this node.
pub struct HashingQueue {
    queue_permits: Arc<Semaphore>,
    core_permits: Arc<Semaphore>,
}

/// The permit to be in the queue, released when it is dropped.
pub struct QueuePermit(#[allow(dead_code, reason = "only its drop matters")] OwnedSemaphorePermit);

/// The permit to hash on one core, released when it is dropped.
pub struct CorePermit(#[allow(dead_code, reason = "only its drop matters")] OwnedSemaphorePermit);

impl HashingQueue {
    /// Creates the queue for a machine with this number of cores.
    pub fn new(cores: usize) -> Self {
        Self {
            queue_permits: Arc::new(Semaphore::new(cores + limits::HASHING_QUEUE)),
            core_permits: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Returns a permit to be in the queue, or the error `busy` if the queue is full.
    pub fn acquire_queue_permit(&self) -> Result<QueuePermit> {
        let permit = self.queue_permits.clone().try_acquire_owned();
        permit.map(QueuePermit).map_err(|_| Error::busy("Too many users are signing in; try again in a moment."))
    }

    /// Waits until a core is free and returns the permit to use it.
    pub async fn acquire_core_permit(&self) -> Result<CorePermit> {
        self.core_permits.clone().acquire_owned().await.map(CorePermit).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;

    #[tokio::test]
    async fn the_running_and_the_waiting_hashes_are_bounded() {
        let queue = HashingQueue::new(2);
        let mut permits: Vec<QueuePermit> = Vec::new();
        while let Ok(permit) = queue.acquire_queue_permit() {
            permits.push(permit);
        }
        assert_eq!(permits.len(), 2 + 256);
        assert_eq!(queue.acquire_queue_permit().err().map(|error| error.code()), Some(Code::Busy));
        let cores = (
            queue.acquire_core_permit().await.expect("the first core is free"),
            queue.acquire_core_permit().await.expect("the second core is free"),
        );
        assert_eq!(queue.core_permits.available_permits(), 0);
        drop((permits.pop(), cores));
        assert!(queue.acquire_queue_permit().is_ok());
    }
}
