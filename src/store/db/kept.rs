//! The connections of one pool, which stay out of the pool between two statements.
//!
//! A connection that goes back to its pool is tested there, which is a round trip to the database after every statement
//! and every transaction: as much work as a short statement itself. So a connection whose last statement or transaction
//! succeeded is kept and serves the next one. It goes back to the pool, and is tested, after an error, after
//! [`KEPT_FOR`], and when it may be broken.

use crate::domain::limits;
use crate::store::db::StatementObserver;
use crate::store::db::connection::{TakenConnection, statement_error};
use crate::store::db::pools::LastBreak;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, ExecResult, QueryResult, Statement,
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a connection is used before it goes back to its pool, which replaces it when it is old.
const KEPT_FOR: Duration = Duration::from_mins(1);
/// A connection that was idle for this long goes back to its pool, because a firewall may have dropped it.
const IDLE_BEFORE_TEST: Duration = Duration::from_secs(30);

/// The connections of one pool. All statements of the pool run on them, each on some connection.
pub struct KeptConnections {
    pool: DatabaseConnection,
    last_break: LastBreak,
    observer: Arc<OnceLock<StatementObserver>>,
    /// One permit for each connection of the pool. They are granted in the order of the requests.
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<KeptConnection>>>,
}

struct KeptConnection {
    conn: TakenConnection,
    taken_at: Instant,
    used_at: Instant,
}

/// A connection that nobody else uses until the lease is dropped.
pub struct ConnectionLease {
    /// `None` while the lease is dropped.
    kept: Option<KeptConnection>,
    /// Whether the connection was used and its user has not said that it can be kept. Then the pool tests it.
    needs_test: bool,
    idle: Arc<Mutex<Vec<KeptConnection>>>,
    permit: OwnedSemaphorePermit,
}

impl KeptConnections {
    pub(super) fn new(
        pool: DatabaseConnection,
        last_break: LastBreak,
        observer: Arc<OnceLock<StatementObserver>>,
    ) -> Self {
        let size = connections_of(&pool) as usize;
        Self { pool, last_break, observer, permits: Arc::new(Semaphore::new(size)), idle: Arc::default() }
    }

    /// Returns the number of connections.
    pub(super) fn count(&self) -> u32 {
        connections_of(&self.pool)
    }

    /// Waits for a connection. Fails like the pool if there is none in time.
    pub(super) async fn lease(&self) -> Result<ConnectionLease, DbErr> {
        let permit = tokio::time::timeout(limits::ACQUIRE_TIMEOUT, self.permits.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?;
        let permit = permit.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))?;
        let kept = lock(&self.idle).pop();
        let kept = if let Some(kept) = kept.filter(|kept| self.is_usable(kept)) {
            kept
        } else {
            let now = Instant::now();
            KeptConnection { conn: TakenConnection::take(&self.pool).await?, taken_at: now, used_at: now }
        };
        Ok(ConnectionLease { kept: Some(kept), needs_test: false, idle: self.idle.clone(), permit })
    }

    fn is_usable(&self, kept: &KeptConnection) -> bool {
        let idle = kept.used_at.elapsed();
        kept.taken_at.elapsed() < KEPT_FOR && idle < IDLE_BEFORE_TEST && !self.last_break.is_within(idle)
    }

    /// Returns a copy of a statement for the observer, if there is one.
    fn copy_for_observer(&self, statement: &Statement) -> Option<Statement> {
        self.observer.get().map(|_| statement.clone())
    }

    /// Reports a statement to the observer, and keeps its connection if it succeeded.
    fn end_statement<T>(
        &self,
        mut lease: ConnectionLease,
        observed: Option<Statement>,
        started: Instant,
        outcome: sqlx::Result<T>,
    ) -> Result<T, DbErr> {
        if outcome.is_ok() {
            lease.keep();
        }
        drop(lease);
        if let (Some(observe), Some(statement)) = (self.observer.get(), observed) {
            observe(&statement, started.elapsed());
        }
        outcome.map_err(statement_error)
    }

    /// Gives all connections back to the pool. It must be called before the pool is closed.
    pub(super) fn release(&self) {
        self.permits.close();
        lock(&self.idle).clear();
    }
}

impl std::fmt::Debug for KeptConnections {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeptConnections").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl ConnectionLease {
    /// Returns the connection. Unless [`Self::keep`] is called afterwards, it goes back to the pool with the lease. So
    /// if the calling code stops waiting for a statement, the pool discards the rest of the answer.
    pub(super) fn conn(&mut self) -> &mut TakenConnection {
        self.needs_test = true;
        &mut self.kept.as_mut().expect("only drop takes the connection out").conn
    }

    /// Says that the last statement succeeded and that no transaction is open, so the connection can be kept.
    pub(super) fn keep(&mut self) {
        self.needs_test = false;
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for KeptConnections {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (mut lease, started) = (self.lease().await?, Instant::now());
        let observed = self.copy_for_observer(&statement);
        let outcome = lease.conn().execute(statement).await;
        self.end_statement(lease, observed, started, outcome)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let (mut lease, started) = (self.lease().await?, Instant::now());
        let outcome = lease.conn().execute_text(sql).await;
        let observed = self.observer.get().map(|_| Statement::from_string(self.get_database_backend(), sql));
        self.end_statement(lease, observed, started, outcome)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (mut lease, started) = (self.lease().await?, Instant::now());
        let observed = self.copy_for_observer(&statement);
        let outcome = lease.conn().query_one(statement).await;
        self.end_statement(lease, observed, started, outcome)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (mut lease, started) = (self.lease().await?, Instant::now());
        let observed = self.copy_for_observer(&statement);
        let outcome = lease.conn().query_all(statement).await;
        self.end_statement(lease, observed, started, outcome)
    }
}

impl Drop for ConnectionLease {
    fn drop(&mut self) {
        let Some(mut kept) = self.kept.take().filter(|_| !self.needs_test) else { return };
        kept.used_at = Instant::now();
        let mut idle = lock(&self.idle);
        if !self.permit.semaphore().is_closed() {
            idle.push(kept);
        }
    }
}

fn lock(idle: &Mutex<Vec<KeptConnection>>) -> MutexGuard<'_, Vec<KeptConnection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connections_of(pool: &DatabaseConnection) -> u32 {
    match pool.get_database_backend() {
        DatabaseBackend::Sqlite => pool.get_sqlite_connection_pool().options().get_max_connections(),
        _ => pool.get_postgres_connection_pool().options().get_max_connections(),
    }
}
