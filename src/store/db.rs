//! The database: its pools, its one SQLite write connection and the queue before it, and whether it is away.
//!
//! Waiting for a connection says nothing about the database: under load everybody waits. It is away when a connection
//! breaks, or when it does not answer on the [`Probe`], which has a connection of its own that nobody else uses.

use super::Failure;
use crate::domain::limits;
use crate::error::{Error, Result};
use sea_orm::{
    DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

/// How often a database is asked at most, and how long its answer counts.
const PROBE: Duration = Duration::from_secs(1);
/// How long it may take to answer; longer than load alone makes it take.
const ANSWER: Duration = Duration::from_secs(2);
/// After so long, work that has not ended makes one ask whether the database is there at all.
const SUSPICIOUS: Duration = Duration::from_secs(3);

/// Asks the database whether it is there, on a connection that serves nothing else.
pub trait Probe: Send {
    /// Ends without an error when the database answers. The caller may give up waiting at any moment; the next call then
    /// begins with a new connection.
    fn ask(&mut self) -> Asking<'_>;
}

/// The future of a question.
pub type Asking<'p> = Pin<Box<dyn Future<Output = sqlx::Result<()>> + Send + 'p>>;

/// The probe, and when the database answered it last.
struct Asked {
    probe: Box<dyn Probe>,
    answered: Option<Instant>,
}

/// The database, cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    read: DatabaseConnection,
    write: DatabaseConnection,
    gate: Gate,
    away: AtomicBool,
    suspected: Notify,
    asked: Mutex<Asked>,
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
    pub fn new(mut read: DatabaseConnection, mut write: DatabaseConnection, probe: Box<dyn Probe>) -> Self {
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
            asked: Mutex::new(Asked { probe, answered: None }),
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
    /// means that it is away; one that hangs, and work that waited too long, have it asked: see [`Self::watch`].
    pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.answers() {
            return Err(Error::unavailable("the database is away; try again"));
        }
        let mut work = pin!(work);
        let mut outcome = tokio::time::timeout(SUSPICIOUS, &mut work).await;
        if outcome.is_err() {
            // asked meanwhile, so that by the time this is given up it is known whether others need to wait
            self.0.suspected.notify_one();
            outcome = tokio::time::timeout(limits::TRANSACTION.saturating_sub(SUSPICIOUS), work).await;
        }
        match outcome {
            Ok(result) => {
                match result.as_ref().err().and_then(kind) {
                    Some(Failure::Away) => {
                        self.0.away.store(true, Ordering::Relaxed);
                        // whoever watches waits for this while the database answers
                        self.0.suspected.notify_one();
                    }
                    // a pool that cannot replace what broke makes its callers wait in vain, too
                    Some(Failure::Busy) => self.0.suspected.notify_one(),
                    _ => {}
                }
                result
            }
            Err(elapsed) => Err(Error::database_away(elapsed)),
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
            self.ask().await;
        }
    }

    /// Asks the database whether it is there, and returns what it found; waits for no pool. It is asked at most once in
    /// [`PROBE`], however many want to know.
    pub async fn ask(&self) -> bool {
        let mut asked = self.0.asked.lock().await;
        if self.answers() && asked.answered.is_some_and(|at| at.elapsed() < PROBE) {
            return true;
        }
        let found = tokio::time::timeout(ANSWER, asked.probe.ask()).await;
        let away = !matches!(found, Ok(Ok(())));
        asked.answered = (!away).then(Instant::now);
        if self.0.away.swap(away, Ordering::Relaxed) != away {
            let cause = match &found {
                Ok(Err(error)) => error.to_string(),
                Ok(Ok(())) => "it answers".to_owned(),
                Err(_) => "it does not answer in time".to_owned(),
            };
            tracing::warn!(away, cause, "the database was asked");
        }
        !away
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

/// What kind of failure of the database an error comes from, if it comes from one.
fn kind(error: &Error) -> Option<Failure> {
    error.cause().and_then(|cause| cause.downcast_ref::<DbErr>()).map(super::failure)
}
