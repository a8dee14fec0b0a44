//! The connection pools, one for each kind of work, so that one kind cannot use up the connections of another. For
//! example, searches wait for other searches and do not delay clients that reconnect.

use crate::config::WriteConnections;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::store::db::fair_queue::FairPermit;
use crate::store::db::{Db, StatementObserver};
use sea_orm::DatabaseConnection;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The pool for a read, by the purpose of the read. Reads that can take long, such as a search, use [`Db::heavy`]
/// instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadPool {
    /// For authentication: users, their status, and their logins.
    Authentication,
    /// For the answers to calls and commands of clients.
    Ordinary,
    /// For the log: sync, gaps of rooms, catch-up, the readers of the log, and the rights that a subscription needs.
    Log,
}

/// The connection pools of one database.
pub struct Pools {
    /// For transactions and single statements that write.
    pub write: DatabaseConnection,
    pub authentication: DatabaseConnection,
    pub ordinary: DatabaseConnection,
    pub log: DatabaseConnection,
    /// For heavy reads. The backend that opens this pool limits the time of each statement.
    pub heavy: DatabaseConnection,
    /// How many connections of `write` each purpose has, besides one for each writer of sends. On SQLite all share one
    /// connection.
    pub writing: WriteConnections,
    /// The number of connections in `heavy`.
    pub max_heavy_reads: usize,
    pub last_break: LastBreak,
}

/// The time when a connection broke last; `None` if none broke yet. The cause may have broken all connections. So a
/// connection that was idle at that time is tested before use; otherwise each of them would report later that the
/// database cannot be reached.
#[derive(Clone, Default)]
pub struct LastBreak(Arc<Mutex<Option<Instant>>>);

impl LastBreak {
    /// Records that a connection broke now.
    pub fn record(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Returns true if the last break is at most `idle` ago. Then a connection that was idle for so long may be broken
    /// too.
    pub fn is_within(&self, idle: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() <= idle)
    }
}

impl Pools {
    /// Calls the observer, as soon as one is set, after every heavy read. The statements of the other pools are reported
    /// by [`KeptConnections`].
    ///
    /// [`KeptConnections`]: crate::store::db::kept::KeptConnections
    pub(super) fn with_observer(mut self, observer: &Arc<OnceLock<StatementObserver>>) -> Self {
        let observer = observer.clone();
        self.heavy.set_metric_callback(move |info| {
            if let Some(observe) = observer.get() {
                observe(info.statement, info.elapsed);
            }
        });
        self
    }

    /// Closes all pools, the one that writes first.
    pub(super) async fn close(&self) {
        for pool in [&self.write, &self.authentication, &self.ordinary, &self.log, &self.heavy] {
            let _ = pool.clone().close().await;
        }
    }
}

/// The right to run one heavy read at a time. Dropping it passes it on to the next user.
pub struct HeavyRead {
    pool: DatabaseConnection,
    _permit: FairPermit<UserId>,
}

impl HeavyRead {
    /// Returns the pool of heavy reads. The calling function uses one of its connections at a time.
    pub fn conn(&self) -> &DatabaseConnection {
        &self.pool
    }
}

impl Db {
    /// Waits for a permit to run heavy reads. The permits are fair by user. The reads use a pool of their own, whose
    /// statements end after [`limits::HEAVY_STATEMENT_TIMEOUT`]. Fails with `busy` if [`limits::HEAVY_READS_PER_USER`]
    /// reads of `user` run or wait already, or if there is no permit in time.
    pub async fn heavy(&self, user: UserId) -> Result<HeavyRead> {
        let permit = self.heavy_read_queue().acquire(user, 1, limits::HEAVY_READS_PER_USER);
        let permit = tokio::time::timeout(limits::READ_PERMIT_TIMEOUT, permit).await.map_err(Error::overloaded)?;
        let permit =
            permit.map_err(|_| Error::busy("Too many of your searches are still running; wait for their answers."))?;
        Ok(HeavyRead { pool: self.pools().heavy.clone(), _permit: permit })
    }
}
