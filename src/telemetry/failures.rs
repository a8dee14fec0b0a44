//! How failures of work are logged, so that temporary or repeated failures do not fill the log.

use std::sync::atomic::{AtomicBool, Ordering};

/// Logs work that failed with an [`Error`](crate::error::Error) at the given level, or at debug level if the error is
/// temporary.
macro_rules! log_failure {
    ($level:ident, $error:expr, $($fields:tt)+) => {
        if $error.is_temporary() {
            tracing::debug!(error = %$error, $($fields)+)
        } else {
            tracing::$level!(error = %$error, $($fields)+)
        }
    };
}
pub(crate) use log_failure;

/// Remembers whether repeated work fails, so that only the first failure and the first success after it are logged.
#[derive(Default, Debug)]
pub struct FailureFlag(AtomicBool);

impl FailureFlag {
    /// Notes a failure. Returns true if the work did not fail before.
    pub fn set(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// Notes a success. Returns true if the work failed before.
    pub fn clear(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}
