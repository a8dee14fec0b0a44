//! The handle of the database: its pools, its write queue, and its state as far as this process knows.
//!
//! - The database is *down* when a connection breaks, or when it does not answer on the connection of the [`Probe`],
//!   which serves nothing else. A wait for a connection of a pool is no sign of it: under load every request waits.
//! - The database is *read-only* when a commit failed, or when the database reported that it is full, read-only, locked
//!   by another process, or has an I/O error.
//! - An error about one statement changes nothing.

mod connection;
pub mod epoch;
pub mod failure;
pub mod fair_queue;
pub mod history;
pub mod kept;
mod large_writes;
pub mod pools;
pub mod reading;
pub mod row_digest;
pub mod transaction;
pub mod write_queue;

use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::store::db::failure::{FailureKind, failure_kind};
use crate::store::db::fair_queue::FairQueue;
use crate::store::db::history::History;
use crate::store::db::kept::KeptConnections;
use crate::store::db::pools::{Pools, ReadPool};
use crate::store::db::reading::ReadConnection;
use crate::store::db::transaction::Transaction;
use crate::store::db::write_queue::WriteQueue;
use sea_orm::{DatabaseBackend, DatabaseConnection, DbErr, Statement};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify, watch};

/// The state of the database, as far as this process knows. The greater value is the worse state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DbState {
    /// The newest commit succeeded.
    Ok,
    /// The database answers, but the newest commit failed. The server writes nothing until the probe has written.
    ReadOnly,
    /// The database does not answer. The server sends no statement until the probe has an answer.
    Down,
}

/// The state, and the number of failures so far. The number shows that a failure was reported while a probe ran: the
/// result of that probe is out of date.
#[derive(Clone, Copy)]
struct KnownState {
    state: DbState,
    failures: u64,
}

/// Finds out whether the database works, on a connection that serves nothing else.
pub trait Probe: Send {
    /// Reads from the database. The calling code may drop the future at any moment; the next call then opens a new
    /// connection.
    fn read(&mut self) -> ProbeFuture<'_>;

    /// Commits a change to the database. Called only after [`Self::read`] succeeded.
    fn write(&mut self) -> ProbeFuture<'_>;
}

/// The future that a [`Probe`] returns. Its error says why the probe failed.
pub type ProbeFuture<'p> = Pin<Box<dyn Future<Output = sqlx::Result<()>> + Send + 'p>>;

/// The probe, and when it last succeeded. `None` after a failure.
struct Prober {
    probe: Box<dyn Probe>,
    succeeded_at: Option<Instant>,
}

/// The handle of the database. It is cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<DbInner>);

struct DbInner {
    pools: Pools,
    write: KeptConnections,
    authentication: ReadConnection,
    ordinary: ReadConnection,
    log: ReadConnection,
    heavy_read_queue: FairQueue<UserId>,
    write_queue: WriteQueue,
    known: watch::Sender<KnownState>,
    /// Wakes [`Db::watch`].
    suspected: Notify,
    prober: Mutex<Prober>,
    /// The number of probes so far.
    probes: AtomicU64,
    history: Arc<History>,
    text_deletions: AtomicU64,
    observer: Arc<OnceLock<StatementObserver>>,
}

/// The callback that gets every statement after it has run, with its parameters, and its duration.
pub(super) type StatementObserver = Box<dyn Fn(&Statement, Duration) + Send + Sync>;

impl Db {
    /// Creates the handle. The connections of `pools` keep `history` up to date.
    pub fn new(pools: Pools, probe: Box<dyn Probe>, history: Arc<History>) -> Self {
        let observer: Arc<OnceLock<StatementObserver>> = Arc::default();
        let pools = pools.with_observer(&observer);
        let keep =
            |pool: &DatabaseConnection| KeptConnections::new(pool.clone(), pools.last_break.clone(), observer.clone());
        let [authentication, ordinary, log] = [
            (ReadPool::Authentication, &pools.authentication),
            (ReadPool::Ordinary, &pools.ordinary),
            (ReadPool::Log, &pools.log),
        ]
        .map(|(pool, connections)| ReadConnection::new(keep(connections), pool));
        Self(Arc::new(DbInner {
            write: keep(&pools.write),
            authentication,
            ordinary,
            log,
            heavy_read_queue: FairQueue::new(pools.max_heavy_reads),
            write_queue: WriteQueue::new(pools.write.get_database_backend(), pools.writing),
            pools,
            known: watch::Sender::new(KnownState { state: DbState::Ok, failures: 0 }),
            suspected: Notify::new(),
            prober: Mutex::new(Prober { probe, succeeded_at: None }),
            probes: AtomicU64::new(0),
            history,
            text_deletions: AtomicU64::new(0),
            observer,
        }))
    }

    /// Calls `observe` with every statement that runs from now on, with its parameters, which may be private, and with
    /// its duration. A statement that is sent with its COMMIT is reported before it runs, with no duration. Only the
    /// first observer is kept.
    pub fn observe(&self, observe: impl Fn(&Statement, Duration) + Send + Sync + 'static) {
        let _ = self.0.observer.set(Box::new(observe));
    }

    /// Returns what this process knows about the history that the database holds.
    pub fn history(&self) -> &History {
        &self.0.history
    }

    /// Returns whether the database is SQLite or PostgreSQL.
    pub fn backend(&self) -> DatabaseBackend {
        self.0.pools.write.get_database_backend()
    }

    /// Returns the connections for single statements that read.
    pub fn read(&self, pool: ReadPool) -> &ReadConnection {
        match pool {
            ReadPool::Authentication => &self.0.authentication,
            ReadPool::Ordinary => &self.0.ordinary,
            ReadPool::Log => &self.0.log,
        }
    }

    pub(super) fn pools(&self) -> &Pools {
        &self.0.pools
    }

    pub(super) fn heavy_read_queue(&self) -> &FairQueue<UserId> {
        &self.0.heavy_read_queue
    }

    /// Returns the connections for single statements that write outside any stream, such as maintenance. The calling
    /// code first takes a [`WriteTurn`](crate::store::db::write_queue::WriteTurn). Fails immediately unless the state
    /// is [`DbState::Ok`].
    pub fn write(&self) -> Result<&KeptConnections> {
        if self.state() != DbState::Ok {
            return Err(Error::unavailable("The server cannot store data at the moment; try again."));
        }
        Ok(&self.0.write)
    }

    fn write_queue(&self) -> &WriteQueue {
        &self.0.write_queue
    }

    /// Begins a transaction that writes. Only `transact` may call this, while it holds a
    /// [`WriteTurn`](crate::store::db::write_queue::WriteTurn). Fails immediately unless the state is [`DbState::Ok`].
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(Transaction::begin(self, self.write()?).await?)
    }

    /// Runs `work` with the deadline of a transaction, [`limits::TRANSACTION_TIMEOUT`]. Fails immediately while the
    /// database is down.
    ///
    /// A broken connection sets the state to [`DbState::Down`]. A full pool, and work that takes long, cause a probe:
    /// see [`Self::watch`]. If another file has replaced that of the database, or another process has written over it,
    /// this fails even if `work` succeeded: the next start would not find its changes.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if self.state() == DbState::Down {
            return Err(Error::unavailable("The database does not answer; try again."));
        }
        // Box the future: otherwise its size would count twice in the size of this one.
        let mut work = Box::pin(work);
        self.check_file().await?;
        let mut outcome = tokio::time::timeout(limits::DATABASE_SUSPECT_AFTER, &mut work).await;
        if outcome.is_err() {
            // Probe in the meantime: when this work reaches its deadline, other tasks already know whether to wait.
            self.0.suspected.notify_one();
            outcome =
                tokio::time::timeout(limits::TRANSACTION_TIMEOUT.saturating_sub(limits::DATABASE_SUSPECT_AFTER), work)
                    .await;
        }
        match outcome {
            Ok(result) => {
                let cause = result.as_ref().err().and_then(Error::cause);
                if let Some(cause) = cause.and_then(|cause| cause.downcast_ref::<DbErr>()) {
                    self.report_error(cause);
                }
                self.check_file().await?;
                result
            }
            Err(elapsed) => Err(Error::database_unreachable(elapsed)),
        }
    }

    async fn check_file(&self) -> Result<()> {
        if self.0.history.is_file_current().await {
            return Ok(());
        }
        self.report_failure(DbState::Down);
        Err(Error::unavailable("The server has lost the file of its database; try again later."))
    }

    /// Keeps the state up to date: probes after a failure and after slow work, and then every
    /// [`limits::DATABASE_PROBE_INTERVAL`] until the state is [`DbState::Ok`]. Never ends.
    pub async fn watch(&self) {
        loop {
            if self.state() == DbState::Ok {
                self.0.suspected.notified().await;
            } else {
                tokio::time::sleep(limits::DATABASE_PROBE_INTERVAL).await;
            }
            self.probe().await;
        }
    }

    /// Probes the database, unless it is known to have failed, and returns its state.
    pub async fn check(&self) -> DbState {
        if self.state() == DbState::Ok {
            self.probe().await;
        }
        self.state()
    }

    /// Probes whether the database can be read and, only after a failure, whether it can be written. Waits for no pool.
    ///
    /// While nothing fails there is at most one probe in [`limits::DATABASE_PROBE_INTERVAL`], for any number of tasks.
    /// Tasks that ask during a probe use its result: otherwise they would wait one after another for a database that
    /// does not answer.
    async fn probe(&self) {
        let count = self.0.probes.load(Ordering::Relaxed);
        let mut prober = self.0.prober.lock().await;
        if self.0.probes.load(Ordering::Relaxed) != count {
            return;
        }
        let before = *self.0.known.borrow();
        let was_ok = before.state == DbState::Ok;
        // The probe opens the file that has the name now, which says nothing about the open one.
        let lost = !self.0.history.is_file_current().await;
        if was_ok && !lost && prober.succeeded_at.is_some_and(|at| at.elapsed() < limits::DATABASE_PROBE_INTERVAL) {
            return;
        }
        let mut found = DbState::Ok;
        let mut outcome = if lost {
            Err("another file replaced the open one, or another process wrote to it".to_owned())
        } else {
            with_timeout(prober.probe.read()).await
        };
        if outcome.is_err() {
            found = DbState::Down;
        } else if !was_ok {
            outcome = with_timeout(prober.probe.write()).await;
            found = if outcome.is_ok() { DbState::Ok } else { DbState::ReadOnly };
        }
        prober.succeeded_at = (found == DbState::Ok).then(Instant::now);
        self.0.probes.fetch_add(1, Ordering::Relaxed);
        let changed = self.0.known.send_if_modified(|known| {
            let is_current = known.failures == before.failures || found > known.state;
            is_current && std::mem::replace(&mut known.state, found) != found
        });
        if changed {
            let cause = outcome.err().unwrap_or_else(|| "it answers".to_owned());
            tracing::warn!(?found, cause, "the state of the database changed");
        }
    }

    /// Returns the state of the database without a probe.
    pub fn state(&self) -> DbState {
        self.0.known.borrow().state
    }

    /// Waits until the state is [`DbState::Ok`].
    pub async fn wait_until_writable(&self) {
        let mut known = self.0.known.subscribe();
        // This fails only if the sender was dropped, and `self` owns the sender.
        let _ = known.wait_for(|known| known.state == DbState::Ok).await;
    }

    /// Records a failure that concerns the whole database, and causes a probe. The state never improves by this.
    pub(super) fn report_failure(&self, found: DbState) {
        if found == DbState::Down {
            self.0.pools.last_break.record();
        }
        let changed = self.0.known.send_if_modified(|known| {
            known.failures += 1;
            let before = known.state;
            known.state = before.max(found);
            known.state != before
        });
        if changed {
            tracing::warn!(?found, "the database failed");
        }
        self.0.suspected.notify_one();
    }

    /// Records an error if it concerns the whole database, and ignores it if it concerns one statement.
    pub(super) fn report_error(&self, error: &DbErr) {
        match failure_kind(error) {
            FailureKind::Unreachable => self.report_failure(DbState::Down),
            FailureKind::Unwritable => self.report_failure(DbState::ReadOnly),
            // A pool that cannot replace its broken connections lets tasks wait without a result, too.
            FailureKind::Busy => self.0.suspected.notify_one(),
            FailureKind::Retry | FailureKind::Data | FailureKind::Timeout | FailureKind::Fault => {}
        }
    }

    /// Counts a transaction that deleted texts of messages and has ended, with or without a commit. The texts may be in
    /// SQLite's write-ahead log until it is emptied.
    pub(super) fn count_text_deletion(&self) {
        self.0.text_deletions.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of transactions since the start that deleted texts of messages. If the number is the same as
    /// it was before the write-ahead log was last emptied, the log contains no deleted text.
    pub fn text_deletions(&self) -> u64 {
        self.0.text_deletions.load(Ordering::Relaxed)
    }

    /// Returns a copy of a statement for [`Self::report_statement`], if there is an observer. A statement that runs
    /// gives its values to the driver, and copying those of a large batch would cost as much as binding them.
    pub(super) fn copy_for_observer(&self, statement: &Statement) -> Option<Statement> {
        self.0.observer.get().map(|_| statement.clone())
    }

    /// Reports a statement of a transaction to the observer, if it was there before the statement ran.
    pub(super) fn report_statement(&self, statement: Option<Statement>, elapsed: Duration) {
        if let (Some(observe), Some(statement)) = (self.0.observer.get(), statement) {
            observe(&statement, elapsed);
        }
    }

    /// Reports a statement of a transaction to the observer, if there is one.
    pub(super) fn report_statement_with(&self, statement: impl FnOnce() -> Statement, elapsed: Duration) {
        if let Some(observe) = self.0.observer.get() {
            observe(&statement(), elapsed);
        }
    }

    /// Closes all pools. It must be called after the last commit.
    pub async fn close(&self) {
        for reading in [&self.0.authentication, &self.0.ordinary, &self.0.log] {
            reading.release();
        }
        self.0.write.release();
        self.0.pools.close().await;
    }
}

async fn with_timeout(probe: ProbeFuture<'_>) -> Result<(), String> {
    match tokio::time::timeout(limits::DATABASE_PROBE_TIMEOUT, probe).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("it does not answer in time".to_owned()),
    }
}
