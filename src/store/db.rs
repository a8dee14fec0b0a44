//! The database: its pools, its one SQLite write connection and the queue before it, and whether it is away.

use super::Failure;
use crate::domain::limits;
use crate::error::{Error, Result};
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

/// How often a database that is away is asked, and how long it may take to answer.
const PROBE: Duration = Duration::from_secs(1);

/// The database, cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    read: DatabaseConnection,
    write: DatabaseConnection,
    gate: Gate,
    away: AtomicBool,
    suspected: Notify,
    observer: Arc<OnceLock<Observer>>,
}

/// Is told of every statement that was run, with its parameters, and how long it took.
type Observer = Box<dyn Fn(&Statement, Duration) + Send + Sync>;

/// Who writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// The writer of sends.
    Sends,
    /// Everything else.
    Other,
}

/// The queue before SQLite's one write connection. Others queue among themselves first, so that at most one of them
/// meets the writer of sends at the inner lock, which is fair: sends alternate with others and neither starves.
#[derive(Default)]
struct Gate {
    others: Arc<Mutex<()>>,
    inner: Arc<Mutex<()>>,
}

/// The right to write, given back when dropped.
pub struct Turn {
    _inner: Option<OwnedMutexGuard<()>>,
    _others: Option<OwnedMutexGuard<()>>,
}

impl Db {
    /// Over two pools, which are the same one on PostgreSQL.
    pub fn new(mut read: DatabaseConnection, mut write: DatabaseConnection) -> Self {
        let observer: Arc<OnceLock<Observer>> = Arc::default();
        for pool in [&mut read, &mut write] {
            let observer = observer.clone();
            pool.set_metric_callback(move |info| {
                if let Some(observe) = observer.get() {
                    observe(info.statement, info.elapsed);
                }
            });
        }
        Self(Arc::new(Inner {
            read,
            write,
            gate: Gate::default(),
            away: AtomicBool::new(false),
            suspected: Notify::new(),
            observer,
        }))
    }

    /// Has `observe` told of every statement that is run from now on, with its parameters, which may be private, and how
    /// long it took. Only the first observer is kept.
    pub fn observe(&self, observe: impl Fn(&Statement, Duration) + Send + Sync + 'static) {
        let _ = self.0.observer.set(Box::new(observe));
    }

    /// Which database it is.
    pub fn backend(&self) -> DatabaseBackend {
        self.0.write.get_database_backend()
    }

    /// For statements that only read, each on its own.
    pub fn read(&self) -> &DatabaseConnection {
        &self.0.read
    }

    /// For single statements that write outside any stream: maintenance and the like. On SQLite take a [`Turn`] first.
    pub fn write(&self) -> &DatabaseConnection {
        &self.0.write
    }

    /// Waits for the right to write; on PostgreSQL there is nothing to wait for.
    pub async fn turn(&self, class: Class) -> Turn {
        if self.backend() != DatabaseBackend::Sqlite {
            return Turn { _inner: None, _others: None };
        }
        let others = match class {
            Class::Sends => None,
            Class::Other => Some(self.0.gate.others.clone().lock_owned().await),
        };
        Turn { _inner: Some(self.0.gate.inner.clone().lock_owned().await), _others: others }
    }

    /// Begins a transaction that writes. Only `transact`, the writer and the relay may call it, under a [`Turn`].
    ///
    /// It begins on a task of its own: a caller that is dropped meanwhile, by a deadline say, would leave a connection in
    /// the pool on which the database has begun a transaction and the driver knows of none.
    #[allow(clippy::disallowed_methods, reason = "the one place that begins a transaction")]
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let sqlite_transaction_mode =
            (self.backend() == DatabaseBackend::Sqlite).then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() };
        let pool = self.0.write.clone();
        let begun = tokio::spawn(async move { pool.begin_with_options(options).await });
        begun.await.map_err(|ended| DbErr::Conn(RuntimeErr::Internal(ended.to_string())))?
    }

    /// Runs `work` with the deadline of a transaction; refused at once while the database is away. A broken connection
    /// means that it is away; one that hangs, or work that waited its turn too long, has it asked: see [`Self::watch`].
    pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.answers() {
            return Err(Error::unavailable("the database is away; try again"));
        }
        match tokio::time::timeout(limits::TRANSACTION, work).await {
            Ok(result) => {
                if result.as_ref().is_err_and(is_away) {
                    self.0.away.store(true, Ordering::Relaxed);
                    // whoever watches waits for this while the database answers
                    self.0.suspected.notify_one();
                }
                result
            }
            Err(elapsed) => {
                self.0.suspected.notify_one();
                Err(Error::database_away(elapsed))
            }
        }
    }

    /// Finds out whether the database is away: every second while it is, and whenever something took too long. Runs for
    /// ever.
    pub async fn watch(&self) {
        loop {
            if self.answers() {
                self.0.suspected.notified().await;
            } else {
                tokio::time::sleep(PROBE).await;
            }
            let probe = Statement::from_string(self.backend(), "SELECT 1");
            let found = tokio::time::timeout(PROBE, self.0.read.query_one_raw(probe)).await;
            let away = !matches!(found, Ok(Ok(_)));
            if self.0.away.swap(away, Ordering::Relaxed) != away {
                tracing::warn!(away, "the database was asked");
            }
        }
    }

    /// Whether the last attempt found the database.
    pub fn answers(&self) -> bool {
        !self.0.away.load(Ordering::Relaxed)
    }

    /// Closes the pools, after the last commit.
    pub async fn close(&self) {
        let _ = self.0.write.clone().close().await;
        let _ = self.0.read.clone().close().await;
    }
}

fn is_away(error: &Error) -> bool {
    error
        .cause()
        .and_then(|cause| cause.downcast_ref::<DbErr>())
        .is_some_and(|cause| super::failure(cause) == Failure::Away)
}
