//! A transaction that writes. It owns its connection from before BEGIN until the database has confirmed the end.
//!
//! The database driver counts open transactions. It sends SAVEPOINT instead of BEGIN if it counts one as open already.
//! SQLite rolls back a transaction by itself when the disk fails, and then the count of the driver is wrong. Every
//! later transaction on this connection would be acknowledged and delivered, but never committed. So this module uses
//! no count:
//!
//! - BEGIN is sent as a plain statement. The database itself refuses it inside a transaction: SQLite always, PostgreSQL
//!   because of `NOT DEFERRABLE`, if a statement has run since the earlier BEGIN. On PostgreSQL it is sent with the
//!   first statement, in the same round trip if that is a lock.
//! - After a statement that failed or was interrupted, no other statement runs and nothing is committed. SQLite may
//!   have rolled back and would run the next statement outside a transaction. PostgreSQL answers such a COMMIT with a
//!   rollback and without an error.
//! - COMMIT is also sent as a plain statement, and SQLite refuses it outside a transaction. So a COMMIT that succeeds
//!   ended the outermost transaction, and every other connection can read what it wrote.
//! - A connection serves another transaction only if its COMMIT or ROLLBACK succeeded. In all other cases it is closed,
//!   which ends the open transaction in the database. So the calling code may drop the transaction at any time.
//!
//! **A failed fsync on SQLite.** The kernel may treat pages as written that are not on the disk. SQLite has then not
//! moved the end of the WAL (its write-ahead log) in its index. So no other connection reads the WAL frames of the
//! failed commit, and the next commit overwrites them and syncs its own. A failed checkpoint begins again at the same
//! WAL frame and writes every page again, and until one succeeds, readers take the pages from the WAL. So it is enough
//! to close the connection that wrote. Connections that read, and the files, may stay open.
//!
//! The index does not outlive the process. If the process is killed before a commit overwrites these WAL frames, they
//! stay in the WAL, and the next start may take them as committed. The same can happen after a power cut. So a COMMIT
//! that failed on SQLite may nevertheless have happened, like a COMMIT without an answer. Then the answer is
//! `unavailable` and never a final failure, and a repeated send is found by its `temp_id`. Errors of the data and
//! deadlocks occur before the first WAL frame is written, so they are final.

use crate::domain::limits;
use crate::store::bound_rows::{RepeatedStatement, join_repeated};
use crate::store::db::connection::statement_error;
use crate::store::db::failure::{FailureKind, failure_kind};
use crate::store::db::kept::{ConnectionLease, KeptConnections};
use crate::store::db::{Db, DbState};
use crate::store::prepared::PreparedCall;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, Statement};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// An open transaction. If it is dropped before its end, its connection is closed and the database rolls it back.
pub struct Transaction {
    db: Db,
    backend: DatabaseBackend,
    state: Mutex<TransactionState>,
    /// Whether the transaction removes a text that was deleted for everyone.
    deletes_text: AtomicBool,
    /// Whether the transaction stops as soon as sends wait.
    yields_to_sends: AtomicBool,
    /// Whether the transaction stopped because sends wait. Every further statement is refused.
    has_yielded: AtomicBool,
}

struct TransactionState {
    lease: ConnectionLease,
    stage: Stage,
    /// The number of rows that the statements have changed.
    changed_rows: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// BEGIN is not sent yet. The next statement sends it.
    NotBegun,
    /// The next statement may run.
    Open,
    /// A statement runs now, or a statement failed or was interrupted. No other statement may run.
    Unusable,
    /// COMMIT was sent at this time and is not answered yet.
    Committing(Instant),
    /// The database has confirmed the end of the transaction.
    Ended,
}

const SQLITE_BEGIN: &str = "BEGIN IMMEDIATE";
const POSTGRES_BEGIN: &str = "BEGIN NOT DEFERRABLE";

impl Transaction {
    /// Takes one of `connections` for a transaction. On SQLite the transaction begins now, because BEGIN locks the
    /// database; on PostgreSQL it begins with its first statement.
    pub(super) async fn begin(db: &Db, connections: &KeptConnections) -> Result<Self, DbErr> {
        let backend = connections.get_database_backend();
        let lease = connections.lease().await?;
        let state = Mutex::new(TransactionState { lease, stage: Stage::NotBegun, changed_rows: 0 });
        let [deletes_text, yields_to_sends, has_yielded] = [const { AtomicBool::new(false) }; 3];
        let transaction = Self { db: db.clone(), backend, state, deletes_text, yields_to_sends, has_yielded };
        if backend == DatabaseBackend::Sqlite {
            let state = transaction.begin_statement().await?;
            transaction.end_statement(state, Ok(()), |()| 0)?;
        }
        Ok(transaction)
    }

    /// Executes prepared statements on PostgreSQL in one round trip, and returns the rows of each. If they are the first
    /// ones, BEGIN is sent with them.
    pub(in crate::store) async fn query_prepared(
        &self,
        calls: &[PreparedCall],
    ) -> Result<Vec<Vec<QueryResult>>, DbErr> {
        let (mut state, has_begun) = self.take_statement().await?;
        let (mut text, started) = (String::new(), Instant::now());
        if !has_begun {
            text.push_str(POSTGRES_BEGIN);
        }
        push_calls(&mut text, calls);
        let results = state.lease.conn().query_texts(&text).await;
        self.report_calls(calls, started);
        let mut results = self.end_statement(state, results, |_| 0)?;
        if !has_begun {
            // The first result is that of BEGIN.
            results.remove(0);
        }
        Ok(results)
    }

    /// Runs a statement that writes `rows` rows.
    pub(in crate::store) async fn write_rows(&self, statement: Statement, rows: u64) -> Result<(), DbErr> {
        let (mut state, started) = (self.begin_statement().await?, Instant::now());
        let observed = self.db.copy_for_observer(&statement);
        let written = state.lease.conn().execute(statement).await;
        self.db.report_statement(observed, started.elapsed());
        self.end_statement(state, written, |_| rows).map(drop)
    }

    /// Runs statements one after another on SQLite, in one call of its thread. If one fails, the next ones do not run.
    pub(in crate::store) async fn run_all(&self, statements: Vec<RepeatedStatement>) -> Result<(), DbErr> {
        let (mut state, started) = (self.begin_statement().await?, Instant::now());
        let observed: Vec<_> =
            statements.iter().filter_map(|repeated| self.db.copy_for_observer(&repeated.first())).collect();
        let result = state.lease.conn().execute(join_repeated(statements)).await;
        for statement in observed {
            self.db.report_statement(Some(statement), started.elapsed());
        }
        self.end_statement(state, result, ExecResult::rows_affected).map(drop)
    }

    /// Commits. After [`FailureKind::Unreachable`] the commit may nevertheless have happened. After
    /// [`FailureKind::Data`] and [`FailureKind::Retry`] it has not happened. After all other errors no connection of
    /// this process sees the changes, but the next process may see them: see the text at the top of this file.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.commit_with(None).await
    }

    /// Runs `last`, which only PostgreSQL can, as the last statement of the transaction, and commits in the same round
    /// trip. If `last` fails, COMMIT does not run. The errors are those of [`Self::commit`].
    pub(crate) async fn commit_with(self, last: Option<PreparedCall>) -> Result<(), DbErr> {
        self.yields_to_sends.store(false, Ordering::Relaxed);
        let (mut state, has_begun) = self.take_statement().await?;
        if !has_begun {
            state.stage = Stage::Ended;
            return Ok(());
        }
        let mut text = String::new();
        push_calls(&mut text, last.as_slice());
        // How long it takes without COMMIT is not known.
        self.report_calls(last.as_slice(), Instant::now());
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str("COMMIT");
        state.stage = Stage::Committing(Instant::now());
        let (succeeded, committed) = state.lease.conn().execute_texts(&text).await;
        state.stage = if committed.is_ok() { Stage::Ended } else { Stage::Unusable };
        let committed = committed.map_err(statement_error);
        if let Err(error) = &committed
            && last.is_some()
            && succeeded == 0
            && failure_kind(error) != FailureKind::Unreachable
        {
            // `last` failed, so COMMIT did not run. The connection stays, so that refused data costs little.
            self.db.report_error(error);
            if state.lease.conn().execute_text("ROLLBACK").await.is_ok() {
                state.stage = Stage::Ended;
            }
            return committed;
        }
        committed.inspect_err(|error| match failure_kind(error) {
            // The error concerns this transaction only; another one may succeed.
            FailureKind::Data | FailureKind::Retry | FailureKind::Timeout | FailureKind::Busy => {}
            FailureKind::Unreachable => self.db.report_failure(DbState::Down),
            FailureKind::Unwritable | FailureKind::Fault => self.db.report_failure(DbState::ReadOnly),
        })
    }

    fn report_calls(&self, calls: &[PreparedCall], started: Instant) {
        for call in calls {
            self.db.report_statement_with(|| call.to_statement(), started.elapsed());
        }
    }

    /// Makes the transaction stop before its next statement if sends wait for the write connection then.
    pub fn yield_to_sends(&self) {
        self.yields_to_sends.store(true, Ordering::Relaxed);
    }

    /// Returns true if a statement was refused because sends wait. All further statements are refused too, so the
    /// calling code must roll back.
    pub fn has_yielded(&self) -> bool {
        self.has_yielded.load(Ordering::Relaxed)
    }

    /// Returns the number of rows that the statements have changed so far.
    pub async fn changed_rows(&self) -> u64 {
        self.state.lock().await.changed_rows
    }

    /// Rolls back. If this fails, the connection is closed, and the database rolls back.
    pub async fn rollback(self) {
        let mut state = self.state.lock().await;
        if state.stage == Stage::NotBegun || state.lease.conn().execute_text("ROLLBACK").await.is_ok() {
            state.stage = Stage::Ended;
        }
    }

    /// Records that this transaction removes a text that was deleted for everyone. After the transaction, even if its
    /// outcome is unknown, the text is erased from the files of the database.
    pub(in crate::store) fn mark_text_deleted(&self) {
        self.deletes_text.store(true, Ordering::Relaxed);
    }

    /// Locks the connection for one statement, and sends BEGIN before the first one. The transaction is unusable until
    /// the statement has succeeded.
    async fn begin_statement(&self) -> Result<MutexGuard<'_, TransactionState>, DbErr> {
        let (mut state, has_begun) = self.take_statement().await?;
        if !has_begun {
            let begin = if self.backend == DatabaseBackend::Sqlite { SQLITE_BEGIN } else { POSTGRES_BEGIN };
            if let Err(error) = state.lease.conn().execute_text(begin).await {
                let error = statement_error(error);
                self.db.report_error(&error);
                return Err(error);
            }
        }
        Ok(state)
    }

    /// Locks the connection for one statement, and returns whether BEGIN was sent. The transaction is unusable until
    /// the statement has succeeded.
    async fn take_statement(&self) -> Result<(MutexGuard<'_, TransactionState>, bool), DbErr> {
        let mut state = self.state.lock().await;
        if self.yields_to_sends.load(Ordering::Relaxed) && self.db.has_waiting_sends() {
            self.has_yielded.store(true, Ordering::Relaxed);
        }
        if self.has_yielded() {
            return Err(DbErr::Custom("a large transaction stopped because sends wait".to_owned()));
        }
        let has_begun = match state.stage {
            Stage::NotBegun => false,
            Stage::Open => true,
            Stage::Unusable | Stage::Committing(_) | Stage::Ended => {
                return Err(DbErr::Custom(
                    "an earlier statement of this transaction failed, so no other may run".to_owned(),
                ));
            }
        };
        state.stage = Stage::Unusable;
        Ok((state, has_begun))
    }

    /// Records the outcome of a statement. `changed_rows` returns the number of rows that it changed.
    fn end_statement<T>(
        &self,
        mut state: MutexGuard<'_, TransactionState>,
        outcome: sqlx::Result<T>,
        changed_rows: impl FnOnce(&T) -> u64,
    ) -> Result<T, DbErr> {
        match outcome {
            Ok(result) => {
                state.stage = Stage::Open;
                state.changed_rows += changed_rows(&result);
                Ok(result)
            }
            Err(error) => {
                let error = statement_error(error);
                self.db.report_error(&error);
                Err(error)
            }
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if *self.deletes_text.get_mut() {
            self.db.count_text_deletion();
        }
        let state = self.state.get_mut();
        if let Stage::Committing(since) = state.stage
            && since.elapsed() >= limits::DATABASE_PROBE_INTERVAL
        {
            // The calling code stopped waiting because COMMIT has no answer: such a database takes no writes.
            self.db.report_failure(DbState::ReadOnly);
        }
        if matches!(state.stage, Stage::Ended | Stage::NotBegun) {
            state.lease.keep();
        } else {
            state.lease.conn().close_on_drop();
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (mut state, started) = (self.begin_statement().await?, Instant::now());
        let observed = self.db.copy_for_observer(&statement);
        let result = state.lease.conn().execute(statement).await;
        self.db.report_statement(observed, started.elapsed());
        self.end_statement(state, result, ExecResult::rows_affected)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let (mut state, started) = (self.begin_statement().await?, Instant::now());
        let result = state.lease.conn().execute_text(sql).await;
        self.db.report_statement_with(|| Statement::from_string(self.backend, sql), started.elapsed());
        self.end_statement(state, result, ExecResult::rows_affected)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (mut state, started) = (self.begin_statement().await?, Instant::now());
        let (observed, writes) = (self.db.copy_for_observer(&statement), writes(&statement.sql));
        let row = state.lease.conn().query_one(statement).await;
        self.db.report_statement(observed, started.elapsed());
        self.end_statement(state, row, |row| if writes { row.iter().count() as u64 } else { 0 })
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (mut state, started) = (self.begin_statement().await?, Instant::now());
        let (observed, writes) = (self.db.copy_for_observer(&statement), writes(&statement.sql));
        let rows = state.lease.conn().query_all(statement).await;
        self.db.report_statement(observed, started.elapsed());
        self.end_statement(state, rows, |rows| if writes { rows.len() as u64 } else { 0 })
    }
}

/// Appends calls to a text, each after a semicolon unless it is the first statement of the text.
fn push_calls(text: &mut String, calls: &[PreparedCall]) {
    for call in calls {
        if !text.is_empty() {
            text.push_str("; ");
        }
        call.push_to(text);
    }
}

/// Returns true if the rows that a statement returns are rows that it changed.
fn writes(sql: &str) -> bool {
    let sql = sql.trim_start();
    let is = |verb: &str| sql.get(..verb.len()).is_some_and(|first| first.eq_ignore_ascii_case(verb));
    ["INSERT", "UPDATE", "DELETE"].into_iter().any(is)
}
