//! What kind of failure a database error is, so that whoever gets one knows what to do next.

use crate::error::Error;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// What can be done about a database error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Serialisation or deadlock: run it again.
    Retry,
    /// The data itself: the statement will never succeed.
    Data,
    /// A lock, a statement or memory for it was not to be had in time: it fails alone, and a later one may succeed.
    Timeout,
    /// No connection came free in time: too much is under way, or the database is away; which of the two, only
    /// [`super::db::Db::ask`] can tell.
    Busy,
    /// The database takes no writes: full, read-only, an I/O error, or locked by another process.
    Unwritable,
    /// The database is away or the connection broke.
    Away,
    /// A fault of ours.
    Fault,
}

/// Sorts a database error by what can be done about it.
pub fn failure(error: &DbErr) -> Failure {
    let cause = match error {
        DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause) => cause,
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => return Failure::Busy,
        DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => return Failure::Away,
        _ => return Failure::Fault,
    };
    let RuntimeErr::SqlxError(cause) = cause else {
        return if matches!(error, DbErr::Conn(_)) { Failure::Away } else { Failure::Fault };
    };
    match cause.as_ref() {
        sqlx::Error::Database(cause) => by_code(cause.code().as_deref().unwrap_or("")),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Failure::Away,
        sqlx::Error::PoolTimedOut => Failure::Busy,
        _ => Failure::Fault,
    }
}

/// SQLSTATE in PostgreSQL; in SQLite the extended result code in decimal.
fn by_code(code: &str) -> Failure {
    if code.len() == 5 { by_state(code) } else { code.parse().map_or(Failure::Fault, by_result) }
}

fn by_state(state: &str) -> Failure {
    match (&state[..2], state) {
        ("40", _) => Failure::Retry,
        ("22" | "23", _) => Failure::Data,
        // lock_not_available, query_canceled, the two limits on idle connections, and what is out of memory or connections
        (_, "55P03" | "57014" | "25P03" | "25P04" | "53000" | "53200" | "53300" | "53400") => Failure::Timeout,
        // disk_full, io_error and the other errors of the system, read_only_sql_transaction
        ("53" | "58", _) | (_, "25006") => Failure::Unwritable,
        ("08" | "57", _) => Failure::Away,
        _ => Failure::Fault,
    }
}

/// The low byte of an extended result code is the primary one.
fn by_result(code: i32) -> Failure {
    const BUSY_SNAPSHOT: i32 = 517;
    match (code & 0xff, code) {
        // LOCKED: another statement of this process; BUSY_SNAPSHOT: others wrote since this transaction read
        (6, _) | (_, BUSY_SNAPSHOT) => Failure::Retry,
        // TOOBIG, CONSTRAINT, MISMATCH
        (18..=20, _) => Failure::Data,
        // NOMEM, INTERRUPT
        (7 | 9, _) => Failure::Timeout,
        // PERM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL (no lock on the write-ahead log), NOLFS, NOTADB; and BUSY: our
        // own writers take turns, so whoever is waited for in vain is another process
        (3 | 5 | 8 | 10 | 13 | 14 | 15 | 22 | 26, _) => Failure::Unwritable,
        // CORRUPT among them: one damaged page fails those who need it and nobody else
        _ => Failure::Fault,
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match failure(&error) {
            Failure::Busy => Error::overloaded(error),
            Failure::Retry | Failure::Timeout | Failure::Away => Self::database_away(error),
            Failure::Unwritable => Error::unwritable(error),
            Failure::Data | Failure::Fault => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;

    #[test]
    fn a_code_is_sorted_by_what_can_be_done_about_it() {
        let sorted = [
            (Failure::Retry, &["40001", "40P01", "6", "262", "517"][..]),
            (Failure::Data, &["23505", "22021", "2067", "787", "18", "20"]),
            (Failure::Timeout, &["57014", "55P03", "25P03", "53200", "53300", "7", "9"]),
            (Failure::Unwritable, &["25006", "53100", "58030", "5", "261", "773", "8", "1032", "10", "778", "1034"]),
            (Failure::Unwritable, &["1290", "1546", "13", "14", "270", "15", "26"]),
            (Failure::Away, &["57P01", "57P02", "57P03", "08006"]),
            (Failure::Fault, &["42601", "XX001", "25P02", "1", "11", "267", ""]),
        ];
        for (kind, codes) in sorted {
            for code in codes {
                assert_eq!(by_code(code), kind, "{code}");
            }
        }
    }

    #[test]
    fn waiting_for_a_connection_in_vain_is_busy_and_a_pool_that_was_closed_is_away() {
        let waited = DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        assert_eq!(failure(&waited), Failure::Busy);
        assert_eq!(Error::from(waited).code(), Code::Busy);
        assert_eq!(failure(&DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)), Failure::Away);
    }
}
