//! Sorts database errors by what the server can do about them.

use crate::error::Error;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// The kind of a database error, named after what the server can do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// A serialisation failure or a deadlock: run the transaction again.
    Retry,
    /// The database rejects the data: the statement never succeeds with it.
    Data,
    /// The statement did not get a lock, memory or enough time. Only this statement failed; a later one may succeed.
    Timeout,
    /// No connection became free in time. Either there is too much work, or the database is down: only a probe
    /// ([`crate::store::db::Db::check`]) can show which.
    Busy,
    /// The database accepts no writes: it is full, read-only, locked by another process, or has an I/O error.
    Unwritable,
    /// The database cannot be reached, or the connection broke.
    Unreachable,
    /// Any other error: a fault of the server.
    Fault,
}

/// Returns the kind of a database error.
pub fn failure_kind(error: &DbErr) -> FailureKind {
    let cause = match error {
        DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause) => cause,
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => return FailureKind::Busy,
        DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed) => return FailureKind::Unreachable,
        _ => return FailureKind::Fault,
    };
    let RuntimeErr::SqlxError(cause) = cause else {
        return if matches!(error, DbErr::Conn(_)) { FailureKind::Unreachable } else { FailureKind::Fault };
    };
    match cause.as_ref() {
        sqlx::Error::Database(cause) => by_code(cause.code().as_deref().unwrap_or("")),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => FailureKind::Unreachable,
        sqlx::Error::PoolTimedOut => FailureKind::Busy,
        _ => FailureKind::Fault,
    }
}

/// `code` is a SQLSTATE of PostgreSQL, which has five characters, or an extended result code of SQLite in decimal.
fn by_code(code: &str) -> FailureKind {
    if code.len() == 5 { by_sqlstate(code) } else { code.parse().map_or(FailureKind::Fault, by_result_code) }
}

fn by_sqlstate(state: &str) -> FailureKind {
    match (&state[..2], state) {
        ("40", _) => FailureKind::Retry,
        ("22" | "23", _) => FailureKind::Data,
        // These are lock_not_available, query_canceled, the two timeouts of idle connections, out of memory or of
        // connections.
        (_, "55P03" | "57014" | "25P03" | "25P04" | "53000" | "53200" | "53300" | "53400") => FailureKind::Timeout,
        // These are disk_full, io_error and other errors of the system, read_only_sql_transaction.
        ("53" | "58", _) | (_, "25006") => FailureKind::Unwritable,
        ("08" | "57", _) => FailureKind::Unreachable,
        _ => FailureKind::Fault,
    }
}

/// `code` is an extended result code of SQLite. Its low byte is the primary result code.
fn by_result_code(code: i32) -> FailureKind {
    const BUSY_SNAPSHOT: i32 = 517;
    match (code & 0xff, code) {
        // LOCKED: by another statement of this process. BUSY_SNAPSHOT: another transaction wrote since this one read.
        (6, _) | (_, BUSY_SNAPSHOT) => FailureKind::Retry,
        // These are TOOBIG, CONSTRAINT and MISMATCH.
        (18..=20, _) => FailureKind::Data,
        // These are NOMEM and INTERRUPT.
        (7 | 9, _) => FailureKind::Timeout,
        // PERM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL (no lock on the write-ahead log), NOLFS, NOTADB. And BUSY:
        // the writers of this process take turns, so another process holds the lock.
        (3 | 5 | 8 | 10 | 13 | 14 | 15 | 22 | 26, _) => FailureKind::Unwritable,
        // CORRUPT among others: a damaged page fails only the statements that need it.
        _ => FailureKind::Fault,
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match failure_kind(&error) {
            FailureKind::Busy => Error::overloaded(error),
            FailureKind::Retry | FailureKind::Timeout | FailureKind::Unreachable => Self::database_unreachable(error),
            FailureKind::Unwritable => Error::not_writable(error),
            FailureKind::Data | FailureKind::Fault => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;

    #[test]
    fn each_code_has_its_kind() {
        let kinds = [
            (FailureKind::Retry, &["40001", "40P01", "6", "262", "517"][..]),
            (FailureKind::Data, &["23505", "22021", "2067", "787", "18", "20"]),
            (FailureKind::Timeout, &["57014", "55P03", "25P03", "53200", "53300", "7", "9"]),
            (
                FailureKind::Unwritable,
                &["25006", "53100", "58030", "5", "261", "773", "8", "1032", "10", "778", "1034"],
            ),
            (FailureKind::Unwritable, &["1290", "1546", "13", "14", "270", "15", "26"]),
            (FailureKind::Unreachable, &["57P01", "57P02", "57P03", "08006"]),
            (FailureKind::Fault, &["42601", "XX001", "25P02", "1", "11", "267", ""]),
        ];
        for (kind, codes) in kinds {
            for code in codes {
                assert_eq!(by_code(code), kind, "{code}");
            }
        }
    }

    #[test]
    fn a_timeout_of_a_pool_is_busy_and_a_closed_pool_is_unreachable() {
        let timeout = DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        assert_eq!(failure_kind(&timeout), FailureKind::Busy);
        assert_eq!(Error::from(timeout).code(), Code::Busy);
        assert_eq!(failure_kind(&DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)), FailureKind::Unreachable);
    }
}
