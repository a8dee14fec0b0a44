//! The store: every statement the house runs, and the only importer of `entity`. Functions take what they are scoped to
//! and a connection, so that the same one runs inside and outside a transaction. What differs between SQLite and
//! PostgreSQL is told apart in [`dialect`] and nowhere else.

pub mod accounts;
pub mod blocks;
pub mod conversations;
pub mod db;
pub mod dialect;
pub mod edits;
pub mod hidden;
pub mod hydrate;
pub mod log;
pub mod logins;
pub mod marks;
pub mod mentions;
pub mod messages;
pub mod meta;
pub mod participants;
pub mod pins;
pub mod reactions;
pub mod readers;
pub mod receipts;
pub mod sessions;
pub mod settings;
pub mod statistics;
pub mod targets;
pub mod users;
pub mod writes;

use crate::error::Error;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// What kind of failure a database error is; the writer and `transact` decide by it what to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Serialisation or deadlock (40xxx), or a busy SQLite: run it again.
    Retry,
    /// The data itself (22xxx, 23xxx): the statement will never succeed.
    Data,
    /// A lock or statement timed out (55P03, 57014): unavailable.
    Timeout,
    /// No connection came free in time: too much is under way, or the database is away; which of the two, only
    /// [`db::Db::ask`] can tell.
    Busy,
    /// The connection broke.
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
    if code.len() == 5 {
        return match &code[..2] {
            "40" => Failure::Retry,
            "22" | "23" => Failure::Data,
            "08" | "53" => Failure::Away,
            "57" if code != "57014" => Failure::Away,
            _ if code == "25006" => Failure::Away,
            _ if matches!(code, "55P03" | "57014" | "25P03" | "25P04") => Failure::Timeout,
            _ => Failure::Fault,
        };
    }
    match code.parse::<i64>().map(|code| code & 0xff) {
        Ok(5 | 6) => Failure::Retry,
        Ok(18..=20) => Failure::Data,
        Ok(10 | 13 | 14 | 8) => Failure::Away,
        _ => Failure::Fault,
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match failure(&error) {
            Failure::Busy => Error::overloaded(error),
            Failure::Retry | Failure::Timeout | Failure::Away => Self::database_away(error),
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
        assert_eq!(by_code("40001"), Failure::Retry);
        assert_eq!(by_code("23505"), Failure::Data);
        assert_eq!(by_code("57014"), Failure::Timeout);
        assert_eq!(by_code("57P01"), Failure::Away);
        assert_eq!(by_code("2067"), Failure::Data);
        assert_eq!(by_code("5"), Failure::Retry);
        assert_eq!(by_code("42601"), Failure::Fault);
    }

    #[test]
    fn waiting_for_a_connection_in_vain_is_busy_and_a_pool_that_was_closed_is_away() {
        let waited = DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        assert_eq!(failure(&waited), Failure::Busy);
        assert_eq!(Error::from(waited).code(), Code::Busy);
        assert_eq!(failure(&DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)), Failure::Away);
    }
}
