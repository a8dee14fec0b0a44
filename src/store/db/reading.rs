//! Reads outside a transaction, with a limit for each user.
//!
//! One user may use half of the ordinary connections at a time. Further reads of this user wait for a permit before
//! they ask for a connection. So a read of another user waits behind a few statements of each user, and not behind all
//! reads of one user.
//!
//! The task carries the permits of its user ([`with_permits`]). They are set once for a call or a command, so the
//! functions that read for it need not know the user. A task without permits, such as the server's own work, is not
//! limited.

use crate::domain::limits;
use crate::store::db::Db;
use crate::store::db::kept::{ConnectionLease, KeptConnections};
use crate::store::db::pools::ReadPool;
use sea_orm::{ConnAcquireErr, ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, Statement};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

tokio::task_local! {
    static READ_PERMITS: ReadPermits;
}

/// The permits of one user for ordinary reads.
pub type ReadPermits = Arc<Semaphore>;

/// Runs `work`, whose ordinary reads each need one of `permits`. `None` means no limit.
pub async fn with_permits<T>(permits: Option<ReadPermits>, work: impl Future<Output = T>) -> T {
    match permits {
        Some(permits) => READ_PERMITS.scope(permits, work).await,
        None => work.await,
    }
}

/// Returns the permits of this task. A task that is started for the same user must run with the same permits.
pub fn current_permits() -> Option<ReadPermits> {
    READ_PERMITS.try_with(Arc::clone).ok()
}

/// Runs single statements that read, each on some connection of one pool.
pub struct ReadConnection {
    connections: KeptConnections,
    takes_permit: bool,
}

impl ReadConnection {
    pub(super) fn new(connections: KeptConnections, pool: ReadPool) -> Self {
        Self { connections, takes_permit: pool == ReadPool::Ordinary }
    }

    /// Returns the number of connections.
    pub fn count(&self) -> u32 {
        self.connections.count()
    }

    /// Waits for a connection that is then in use until the lease is dropped. It needs no permit.
    pub async fn lease(&self) -> Result<ConnectionLease, DbErr> {
        self.connections.lease().await
    }

    /// Gives all connections back to the pool, for its end.
    pub(super) fn release(&self) {
        self.connections.release();
    }

    async fn acquire_permit(&self) -> Result<Option<OwnedSemaphorePermit>, DbErr> {
        let Some(permits) = current_permits().filter(|_| self.takes_permit) else { return Ok(None) };
        let permit = tokio::time::timeout(limits::READ_PERMIT_TIMEOUT, permits.acquire_owned()).await;
        let permit = permit.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?;
        Ok(permit.ok())
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for ReadConnection {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.connections.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let _permit = self.acquire_permit().await?;
        self.connections.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let _permit = self.acquire_permit().await?;
        self.connections.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let _permit = self.acquire_permit().await?;
        self.connections.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let _permit = self.acquire_permit().await?;
        self.connections.query_all_raw(statement).await
    }
}

impl Db {
    /// Returns the number of ordinary reads that one user may run at a time: half of the connections, and at least 1.
    pub fn read_permits_per_user(&self) -> usize {
        (self.read(ReadPool::Ordinary).count() as usize / 2).max(1)
    }
}
