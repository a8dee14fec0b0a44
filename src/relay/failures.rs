//! Decides why the work of a reader or of a bulk change failed, and when to try it again.

use crate::domain::codes::Code;
use crate::error::Error;
use crate::store::db::failure::{FailureKind, failure_kind};
use sea_orm::DbErr;
use std::time::Duration;
use tokio::time::error::Elapsed;

/// The number of failures after which a row or a step is not tried again.
pub const MAX_ATTEMPTS: i64 = 10;
/// The pause after the first failure. Each further pause is twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Characters of an error text that are stored.
const ERROR_CHARS: usize = 500;

/// Returns whether the work itself caused the error, and not a database that is unavailable, busy or slow.
pub fn is_own_fault(error: &Error) -> bool {
    match database_error(error) {
        Some(cause) => matches!(failure_kind(cause), FailureKind::Data | FailureKind::Fault),
        None => ![Code::Busy, Code::Unavailable].contains(&error.code()),
    }
}

/// Returns whether a statement, a lock, the whole transaction or the wait for a connection took too long. No row is the
/// cause, and a smaller transaction may succeed.
pub fn is_timeout(error: &Error) -> bool {
    match database_error(error) {
        Some(cause) => matches!(failure_kind(cause), FailureKind::Timeout | FailureKind::Busy),
        None => error.cause().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Elapsed>),
    }
}

fn database_error(error: &Error) -> Option<&DbErr> {
    error.cause().and_then(|cause| cause.downcast_ref())
}

/// Returns the pause after so many failures, one after another.
pub fn pause(failures: i64) -> Duration {
    FIRST_PAUSE * 2_u32.saturating_pow((failures - 1).clamp(0, 20) as u32)
}

/// Returns the text of an error as it is stored and logged. PostgreSQL cannot store the character NUL.
pub fn error_text(error: &Error) -> String {
    let text = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
    text.chars().filter(|character| *character != '\0').take(ERROR_CHARS).collect()
}
