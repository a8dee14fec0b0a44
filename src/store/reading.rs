//! Reading outside a transaction, with the connections of a [`Share`]. One user reads with half of the ordinary ones at a
//! time, and what that user asks besides waits before it asks for a connection: so whoever comes meanwhile waits behind a
//! few statements of each who reads, and not behind all that one of them has under way.
//!
//! Whose statement it is, the task says ([`on_behalf`]): the call or the command that it runs for is let in once, and what
//! reads for it, in whichever file, need not know of it. What no user asks for takes a connection as it comes.

use super::db::Db;
use super::pools::{PATIENCE, Share};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, ExecResult, QueryResult, Statement,
};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

tokio::task_local! {
    static PLACES: Arc<Semaphore>;
}

/// The places at which one user reads.
pub type Places = Arc<Semaphore>;

/// Runs `work`, whose ordinary reads take turns at `places`.
pub async fn on_behalf<T>(places: Option<Places>, work: impl Future<Output = T>) -> T {
    match places {
        Some(places) => PLACES.scope(places, work).await,
        None => work.await,
    }
}

/// At whose places this task reads: what it starts elsewhere is to read at the same.
pub fn places() -> Option<Places> {
    PLACES.try_with(Arc::clone).ok()
}

/// The connections of one share, for statements that read, each on its own.
pub struct Reads {
    pool: DatabaseConnection,
    /// Whether a user takes turns at them.
    in_turn: bool,
}

impl Reads {
    pub(super) fn new(pool: DatabaseConnection, share: Share) -> Self {
        Self { pool, in_turn: share == Share::Ordinary }
    }

    /// The pool itself, at which nobody takes turns.
    pub fn pool(&self) -> &DatabaseConnection {
        &self.pool
    }

    async fn place(&self) -> Result<Option<OwnedSemaphorePermit>, DbErr> {
        let Some(places) = places().filter(|_| self.in_turn) else { return Ok(None) };
        let place = tokio::time::timeout(PATIENCE, places.acquire_owned()).await;
        let place = place.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?;
        Ok(place.ok())
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Reads {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let _place = self.place().await?;
        self.pool.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let _place = self.place().await?;
        self.pool.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let _place = self.place().await?;
        self.pool.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let _place = self.place().await?;
        self.pool.query_all_raw(statement).await
    }
}

impl Db {
    /// At how many places one user reads: at half of the ordinary connections, so that there are others.
    pub fn places_of_a_user(&self) -> usize {
        let pool = self.read(Share::Ordinary).pool();
        let connections = match pool.get_database_backend() {
            DatabaseBackend::Sqlite => pool.get_sqlite_connection_pool().options().get_max_connections(),
            _ => pool.get_postgres_connection_pool().options().get_max_connections(),
        };
        (connections as usize / 2).max(1)
    }
}
