//! A transaction that writes, on a connection that it owns from before BEGIN until the database has said how it ended.
//!
//! The driver counts transactions by itself and turns a BEGIN that it takes for a nested one into a SAVEPOINT. SQLite rolls
//! back by itself when the disk fails it; the count is wrong from then on, and everything later would be acknowledged,
//! delivered and never committed. So nothing rests on a count here:
//!
//! - BEGIN is a statement like any other, and the database itself refuses it inside a transaction: SQLite always,
//!   PostgreSQL where it says `NOT DEFERRABLE` and something ran since the earlier one.
//! - After a statement that failed, or was cut off, no other runs, and nothing is committed. SQLite may have rolled back by
//!   itself and would run the next statement on its own; PostgreSQL answers such a COMMIT with a rollback and no error.
//! - COMMIT is a statement too, which SQLite refuses outside a transaction. One that succeeds has therefore ended the
//!   outermost transaction, and every other connection reads what it wrote. No further proof is needed.
//! - A connection goes back to its pool when its COMMIT or ROLLBACK succeeded, and in no other case. It is closed whenever
//!   anything is in doubt, and whatever was open on it ends with it. So a caller may vanish at any moment.
//!
//! *After a failed fsync* the kernel may count pages as written that are not. SQLite then has not moved the end of the
//! write-ahead log in its index: no other connection reads the frames in doubt, and the next commit writes its own over
//! them and syncs those. A checkpoint that fails is done again from the same place, which writes every page anew, and
//! until one succeeds readers take the pages from the log. So it is enough to close the connection that wrote; those that
//! read, and the files, may stay open.
//!
//! The index does not outlive the process. One that is killed before anything was written over such frames leaves them
//! whole in the log, and the next start takes them for committed, as it may after a power cut. So a COMMIT that failed on
//! SQLite may turn out to have happened, as one that was not answered; its caller is told `unavailable`, never that it
//! failed for good, and a repeated send is found by its `temp_id`. Errors of the data and of deadlocks come before the
//! first frame is written, and have no such sequel.

use super::Failure;
use super::db::{Db, PROBE, Standing};
use sea_orm::sea_query::Values;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
};
use sea_query_sqlx::SqlxValues;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, Postgres, Sqlite};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// A transaction under way. Dropped before its end, it is undone by the database and its connection is closed.
pub struct Transaction {
    db: Db,
    backend: DatabaseBackend,
    inner: Mutex<Inner>,
    /// Whether it takes texts away that were deleted for everyone.
    deletes_text: AtomicBool,
    /// Whether it ends where sends wait.
    gives_way: AtomicBool,
    /// Whether it ended for that reason, after which every further statement is refused.
    gave_way: AtomicBool,
}

struct Inner {
    conn: Connection,
    stage: Stage,
    /// Rows that its statements have changed.
    touched: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The next statement may run.
    Open,
    /// A statement runs; or one failed or was cut off, and no other may follow.
    Doubtful,
    /// COMMIT was sent, and is not answered since.
    Committing(Instant),
    /// The database has said that the transaction is over.
    Ended,
}

enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Transaction {
    /// Begins one on a connection of `pool`.
    pub(super) async fn begin(db: &Db, pool: &DatabaseConnection) -> Result<Self, DbErr> {
        let backend = pool.get_database_backend();
        let (conn, begin) = match backend {
            DatabaseBackend::Sqlite => {
                (pool.get_sqlite_connection_pool().acquire().await.map(Connection::Sqlite), "BEGIN IMMEDIATE")
            }
            _ => {
                (pool.get_postgres_connection_pool().acquire().await.map(Connection::Postgres), "BEGIN NOT DEFERRABLE")
            }
        };
        let conn = conn.map_err(not_acquired)?;
        // made before BEGIN is sent, so that a caller who vanishes meanwhile leaves no open transaction behind
        let inner = Mutex::new(Inner { conn, stage: Stage::Doubtful, touched: 0 });
        let [deletes_text, gives_way, gave_way] = [const { AtomicBool::new(false) }; 3];
        let transaction = Self { db: db.clone(), backend, inner, deletes_text, gives_way, gave_way };
        let mut inner = transaction.inner.lock().await;
        let outcome = inner.conn.plain(begin).await;
        transaction.over(inner, outcome, |_| 0)?;
        Ok(transaction)
    }

    /// Commits. After an error of the kind [`Failure::Away`] it may have happened all the same. After one of the kinds
    /// [`Failure::Data`] and [`Failure::Retry`] it has not, and after any other no connection of this process ever sees it,
    /// though the next process may: see above.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.gives_way.store(false, Ordering::Relaxed);
        let mut inner = self.enter().await?;
        inner.stage = Stage::Committing(Instant::now());
        let committed = inner.conn.plain("COMMIT").await;
        inner.stage = if committed.is_ok() { Stage::Ended } else { Stage::Doubtful };
        committed.map(drop).map_err(|error| {
            let error = failed(error);
            match super::failure(&error) {
                // the database has judged what this transaction wrote; it would take another's
                Failure::Data | Failure::Retry | Failure::Timeout | Failure::Busy => {}
                Failure::Away => self.db.failed(Standing::Down),
                Failure::Unwritable | Failure::Fault => self.db.failed(Standing::ReadOnly),
            }
            error
        })
    }

    /// From now on no further statement of it runs while sends wait for the one who writes.
    pub fn give_way(&self) {
        self.gives_way.store(true, Ordering::Relaxed);
    }

    /// Whether a statement was refused for that: then all that followed are, and it can only be undone.
    pub fn gave_way(&self) -> bool {
        self.gave_way.load(Ordering::Relaxed)
    }

    /// How many rows its statements have changed so far.
    pub async fn touched(&self) -> u64 {
        self.inner.lock().await.touched
    }

    /// Undoes it. Should that fail, the database does it when the connection ends.
    pub async fn rollback(self) {
        let mut inner = self.inner.lock().await;
        if inner.conn.plain("ROLLBACK").await.is_ok() {
            inner.stage = Stage::Ended;
        }
    }

    /// What it does takes a text away that was deleted for everyone. When it has ended, and also where nobody knows how, the
    /// files of the database are rid of it.
    pub(super) fn deletes_text(&self) {
        self.deletes_text.store(true, Ordering::Relaxed);
    }

    /// The connection, for one statement: until that has succeeded the transaction is in doubt.
    async fn enter(&self) -> Result<MutexGuard<'_, Inner>, DbErr> {
        let mut inner = self.inner.lock().await;
        if self.gives_way.load(Ordering::Relaxed) && self.db.sends_wait() {
            self.gave_way.store(true, Ordering::Relaxed);
        }
        if self.gave_way() {
            return Err(DbErr::Custom("a large transaction gave way to sends".to_owned()));
        }
        if inner.stage != Stage::Open {
            return Err(DbErr::Custom("a statement follows one that failed in the same transaction".to_owned()));
        }
        inner.stage = Stage::Doubtful;
        Ok(inner)
    }

    /// A statement has ended, after it has changed so many rows.
    fn over<T>(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        outcome: sqlx::Result<T>,
        touched: impl FnOnce(&T) -> u64,
    ) -> Result<T, DbErr> {
        match outcome {
            Ok(done) => {
                inner.stage = Stage::Open;
                inner.touched += touched(&done);
                Ok(done)
            }
            Err(error) => {
                let error = failed(error);
                self.db.note(&error);
                Err(error)
            }
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if *self.deletes_text.get_mut() {
            self.db.text_deleted();
        }
        let inner = self.inner.get_mut();
        if let Stage::Committing(since) = inner.stage
            && since.elapsed() >= PROBE
        {
            // whoever waited gave up because of it: a database that does not answer COMMIT takes no writes
            self.db.failed(Standing::ReadOnly);
        }
        if inner.stage != Stage::Ended {
            inner.conn.close_on_drop();
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (mut inner, started) = (self.enter().await?, Instant::now());
        let done = inner.conn.execute(&statement).await;
        self.db.observed(&statement, started.elapsed());
        self.over(inner, done, ExecResult::rows_affected)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let (mut inner, started) = (self.enter().await?, Instant::now());
        let done = inner.conn.plain(sql).await;
        self.db.observed(&Statement::from_string(self.backend, sql), started.elapsed());
        self.over(inner, done, ExecResult::rows_affected)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (mut inner, started) = (self.enter().await?, Instant::now());
        let row = inner.conn.query_one(&statement).await;
        self.db.observed(&statement, started.elapsed());
        self.over(inner, row, |row| changes(&statement, row.iter().count()))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (mut inner, started) = (self.enter().await?, Instant::now());
        let rows = inner.conn.query_all(&statement).await;
        self.db.observed(&statement, started.elapsed());
        self.over(inner, rows, |rows| changes(&statement, rows.len()))
    }
}

/// Every statement comes from the store, which puts what others wrote into parameters.
impl Connection {
    async fn plain(&mut self, sql: &str) -> sqlx::Result<ExecResult> {
        match self {
            Self::Sqlite(conn) => conn.execute(AssertSqlSafe(sql)).await.map(ExecResult::from),
            Self::Postgres(conn) => conn.execute(AssertSqlSafe(sql)).await.map(ExecResult::from),
        }
    }

    async fn execute(&mut self, statement: &Statement) -> sqlx::Result<ExecResult> {
        let (sql, values) = parts(statement);
        match self {
            Self::Sqlite(conn) => sqlx::query_with(sql, values).execute(&mut **conn).await.map(ExecResult::from),
            Self::Postgres(conn) => sqlx::query_with(sql, values).execute(&mut **conn).await.map(ExecResult::from),
        }
    }

    async fn query_one(&mut self, statement: &Statement) -> sqlx::Result<Option<QueryResult>> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Sqlite(conn) => sqlx::query_with(sql, values).fetch_optional(&mut **conn).await?.map(Into::into),
            Self::Postgres(conn) => sqlx::query_with(sql, values).fetch_optional(&mut **conn).await?.map(Into::into),
        })
    }

    async fn query_all(&mut self, statement: &Statement) -> sqlx::Result<Vec<QueryResult>> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Sqlite(conn) => {
                sqlx::query_with(sql, values).fetch_all(&mut **conn).await?.into_iter().map(Into::into).collect()
            }
            Self::Postgres(conn) => {
                sqlx::query_with(sql, values).fetch_all(&mut **conn).await?.into_iter().map(Into::into).collect()
            }
        })
    }

    fn close_on_drop(&mut self) {
        match self {
            Self::Sqlite(conn) => conn.close_on_drop(),
            Self::Postgres(conn) => conn.close_on_drop(),
        }
    }
}

/// How many rows a statement has changed that answered with so many: it says which it changed, or it only read.
fn changes(statement: &Statement, rows: usize) -> u64 {
    let sql = statement.sql.trim_start();
    let writes = |verb: &str| sql.get(..verb.len()).is_some_and(|first| first.eq_ignore_ascii_case(verb));
    if ["INSERT", "UPDATE", "DELETE"].into_iter().any(writes) { rows as u64 } else { 0 }
}

fn parts(statement: &Statement) -> (AssertSqlSafe<&str>, SqlxValues) {
    let values = statement.values.clone().unwrap_or_else(|| Values(Vec::new()));
    (AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// The words that the pools of the ORM use.
fn not_acquired(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
    }
}
