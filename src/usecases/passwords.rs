//! Hashing passwords without stopping anything else: off the threads that serve, and no more at once than there are
//! cores, so that a flood of sign-ins takes neither the memory nor the node.

use crate::domain::names::Password;
use crate::domain::passwords;
use crate::error::{Error, Result};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long one waits for a core before being told to come back.
const WAIT: Duration = Duration::from_secs(10);

static CORES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Arc::new(Semaphore::new(cores))
});

/// The hash of a password, as a PHC string.
pub async fn hash(password: Password) -> Result<String> {
    on_a_core(move || passwords::hash(&password)).await
}

/// Whether `password` is the one `hash` was made of; without a hash it is not, and that takes as long.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    on_a_core(move || passwords::verify(&password, hash.as_deref())).await
}

async fn on_a_core<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let turn = tokio::time::timeout(WAIT, CORES.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Error::unavailable("too many are signing in; try again"));
    };
    let worked = tokio::task::spawn_blocking(move || {
        // given back when the work ends, also when nobody waits for it any more
        let _turn = turn;
        work()
    });
    worked.await.map_err(Error::internal)
}
