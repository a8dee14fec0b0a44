//! The database: its pools, its one SQLite write connection and the queue before it, and what is known of its health.
//!
//! Waiting for a connection says nothing about the database: under load everybody waits. It is away when a connection
//! breaks, or when it does not answer on the [`Probe`], which has a connection of its own that nobody else uses. It takes
//! no writes when a commit failed, or when it said that it is full, read-only, locked by another process or has an I/O
//! error; what it says of one statement changes nothing.

use super::Failure;
use super::gate::Gate;
use super::history::History;
use super::pools::{Pools, Share};
use super::reading::Reads;
use super::transaction::Transaction;
use super::turns::Turns;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::error::{Error, Result};
use sea_orm::{DatabaseBackend, DatabaseConnection, DbErr, Statement};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify, watch};

/// How often a database is asked at most, and how long its answer counts.
pub const PROBE: Duration = Duration::from_secs(1);
/// How long it may take to answer; longer than load alone makes it take.
const ANSWER: Duration = Duration::from_secs(2);
/// After so long, work that has not ended makes one ask whether the database is there at all.
const SUSPICIOUS: Duration = Duration::from_secs(3);

/// How the database is, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// The newest commit succeeded.
    Ok,
    /// It answers, and the newest commit failed: nothing is written until the probe has.
    ReadOnly,
    /// It does not answer: nothing is asked until the probe was answered.
    Down,
}

/// What is known of the database, and how often it has failed: a probe that a failure overtook says nothing.
#[derive(Clone, Copy)]
struct Known {
    standing: Standing,
    failures: u64,
}

/// Asks the database whether it is there, on a connection that serves nothing else.
pub trait Probe: Send {
    /// Ends without an error when the database answers. The caller may give up waiting at any moment; the next call then
    /// begins with a new connection.
    fn ask(&mut self) -> Asking<'_>;

    /// Ends without an error when the database has committed something; asked after [`Self::ask`] succeeded.
    fn write(&mut self) -> Asking<'_>;
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
    pools: Pools,
    authentication: Reads,
    ordinary: Reads,
    log: Reads,
    heavy: Turns<UserId>,
    gate: Gate,
    known: watch::Sender<Known>,
    suspected: Notify,
    asked: Mutex<Asked>,
    /// How often it was asked.
    looks: AtomicU64,
    history: Arc<History>,
    texts_deleted: AtomicU64,
    observer: Arc<OnceLock<Observer>>,
}

/// Is told of every statement that was run, with its parameters, and how long it took.
pub(super) type Observer = Box<dyn Fn(&Statement, Duration) + Send + Sync>;

impl Db {
    /// Over these pools, with a connection beside them; `history` is what their connections found out about it.
    pub fn new(pools: Pools, probe: Box<dyn Probe>, history: Arc<History>) -> Self {
        let observer: Arc<OnceLock<Observer>> = Arc::default();
        let pools = pools.observed_by(&observer);
        let [authentication, ordinary, log] =
            [Share::Authentication, Share::Ordinary, Share::Log].map(|share| pools.of(share));
        Self(Arc::new(Inner {
            authentication,
            ordinary,
            log,
            heavy: Turns::new(pools.heavy_at_once),
            gate: Gate::new(pools.write.get_database_backend(), pools.writing),
            pools,
            known: watch::Sender::new(Known { standing: Standing::Ok, failures: 0 }),
            suspected: Notify::new(),
            asked: Mutex::new(Asked { probe, answered: None }),
            looks: AtomicU64::new(0),
            history,
            texts_deleted: AtomicU64::new(0),
            observer,
        }))
    }

    /// Has `observe` told of every statement that is run from now on, with its parameters, which may be private, and how
    /// long it took. Only the first observer is kept.
    pub fn observe(&self, observe: impl Fn(&Statement, Duration) + Send + Sync + 'static) {
        let _ = self.0.observer.set(Box::new(observe));
    }

    /// Which history the database holds.
    pub fn history(&self) -> &History {
        &self.0.history
    }

    /// Which database it is.
    pub fn backend(&self) -> DatabaseBackend {
        self.0.pools.write.get_database_backend()
    }

    /// For statements that only read, each on its own; `share` says what for.
    pub fn read(&self, share: Share) -> &Reads {
        match share {
            Share::Authentication => &self.0.authentication,
            Share::Ordinary => &self.0.ordinary,
            Share::Log => &self.0.log,
        }
    }

    pub(super) fn pools(&self) -> &Pools {
        &self.0.pools
    }

    pub(super) fn heavy_turns(&self) -> &Turns<UserId> {
        &self.0.heavy
    }

    /// For single statements that write outside any stream: maintenance and the like; refused at once while nothing can be
    /// written. Take a [`super::gate::Turn`] first.
    pub fn write(&self) -> Result<&DatabaseConnection> {
        if self.standing() != Standing::Ok {
            return Err(Error::unavailable("nothing can be stored just now; try again"));
        }
        Ok(&self.0.pools.write)
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Begins a transaction that writes; refused at once while nothing can be written. Only `transact`, the writer and the
    /// relay may call it, under a [`super::gate::Turn`].
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(Transaction::begin(self, self.write()?).await?)
    }

    /// Runs `work` with the deadline of a transaction; refused at once while the database is away. A broken connection
    /// means that it is away; one that hangs, and work that waited too long, have it asked: see [`Self::watch`].
    ///
    /// Nothing comes of work on a database that is not in its place any more: it would be lost with the next start.
    pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if self.standing() == Standing::Down {
            return Err(Error::unavailable("the database is away; try again"));
        }
        // in a place of its own, because a future that holds this one would hold it twice
        let mut work = Box::pin(work);
        self.check_place().await?;
        let mut outcome = tokio::time::timeout(SUSPICIOUS, &mut work).await;
        if outcome.is_err() {
            // asked meanwhile, so that by the time this is given up it is known whether others need to wait
            self.0.suspected.notify_one();
            outcome = tokio::time::timeout(limits::TRANSACTION.saturating_sub(SUSPICIOUS), work).await;
        }
        match outcome {
            Ok(result) => {
                let cause = result.as_ref().err().and_then(Error::cause);
                if let Some(cause) = cause.and_then(|cause| cause.downcast_ref::<DbErr>()) {
                    self.note(cause);
                }
                self.check_place().await?;
                result
            }
            Err(elapsed) => Err(Error::database_away(elapsed)),
        }
    }

    async fn check_place(&self) -> Result<()> {
        if self.0.history.is_in_place().await {
            return Ok(());
        }
        self.failed(Standing::Down);
        Err(Error::unavailable("the server has lost its database; try again later"))
    }

    /// Finds out how the database is: at once when something failed or took too long, and then every second until it is
    /// well. Runs for ever.
    pub async fn watch(&self) {
        loop {
            if self.standing() == Standing::Ok {
                // whoever reports a failure, or suspects one, wakes this
                self.0.suspected.notified().await;
            } else {
                tokio::time::sleep(PROBE).await;
            }
            self.ask().await;
        }
    }

    /// How the database is: what is known where something failed, else what it answers.
    pub async fn look(&self) -> Standing {
        if self.standing() == Standing::Ok {
            self.ask().await;
        }
        self.standing()
    }

    /// Asks the database whether it is there, and after a failure, and only then, whether it takes writes; waits for no
    /// pool. While nothing fails it is asked at most once in [`PROBE`], however many want to know; and what was found out
    /// for one is the answer for all who came meanwhile, or each would wait for a database that hangs after the other.
    async fn ask(&self) {
        let looks = self.0.looks.load(Ordering::Relaxed);
        let mut asked = self.0.asked.lock().await;
        if self.0.looks.load(Ordering::Relaxed) != looks {
            return;
        }
        let before = *self.0.known.borrow();
        let well = before.standing == Standing::Ok;
        // the probe would open the file that is there now, and say nothing about the one that serves
        let lost = !self.0.history.is_in_place().await;
        if well && !lost && asked.answered.is_some_and(|at| at.elapsed() < PROBE) {
            return;
        }
        let mut found = Standing::Ok;
        let mut outcome = if lost {
            Err("another file has taken the place of the open one, or others wrote to it".to_owned())
        } else {
            in_time(asked.probe.ask()).await
        };
        if outcome.is_err() {
            found = Standing::Down;
        } else if !well {
            outcome = in_time(asked.probe.write()).await;
            found = if outcome.is_ok() { Standing::Ok } else { Standing::ReadOnly };
        }
        asked.answered = (found == Standing::Ok).then(Instant::now);
        self.0.looks.fetch_add(1, Ordering::Relaxed);
        let news = self.0.known.send_if_modified(|known| {
            let current = known.failures == before.failures || found > known.standing;
            current && std::mem::replace(&mut known.standing, found) != found
        });
        if news {
            let cause = outcome.err().unwrap_or_else(|| "it answers".to_owned());
            tracing::warn!(?found, cause, "the database was asked");
        }
    }

    /// How the database is, as far as is known.
    pub fn standing(&self) -> Standing {
        self.0.known.borrow().standing
    }

    /// Waits until something can be written.
    pub async fn writable(&self) {
        let mut known = self.0.known.subscribe();
        // an error would say that the sender is gone, which is a part of this
        let _ = known.wait_for(|known| known.standing == Standing::Ok).await;
    }

    /// The database has failed in a way that others would meet too.
    pub(super) fn failed(&self, found: Standing) {
        if found == Standing::Down {
            self.0.pools.breaks.note();
        }
        let news = self.0.known.send_if_modified(|known| {
            known.failures += 1;
            let before = known.standing;
            known.standing = before.max(found);
            known.standing != before
        });
        if news {
            tracing::warn!(?found, "the database failed");
        }
        // whoever watches waits for this while the database is well
        self.0.suspected.notify_one();
    }

    /// Notes an error of the database, if it speaks of the database and not of one statement.
    pub(super) fn note(&self, error: &DbErr) {
        match super::failure(error) {
            Failure::Away => self.failed(Standing::Down),
            Failure::Unwritable => self.failed(Standing::ReadOnly),
            // a pool that cannot replace what broke makes its callers wait in vain, too
            Failure::Busy => self.0.suspected.notify_one(),
            Failure::Retry | Failure::Data | Failure::Timeout | Failure::Fault => {}
        }
    }

    /// A transaction that took texts away has ended, however: until SQLite's write-ahead log is emptied, they may be in it.
    pub(super) fn text_deleted(&self) {
        self.0.texts_deleted.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was since the start. Whoever has emptied the log since then, and only since then, is done.
    pub fn texts_deleted(&self) -> u64 {
        self.0.texts_deleted.load(Ordering::Relaxed)
    }

    /// A statement of a transaction was run.
    pub(super) fn observed(&self, statement: &Statement, elapsed: Duration) {
        if let Some(observe) = self.0.observer.get() {
            observe(statement, elapsed);
        }
    }

    /// Closes the pools, after the last commit.
    pub async fn close(&self) {
        self.0.pools.close().await;
    }
}

async fn in_time(asking: Asking<'_>) -> Result<(), String> {
    match tokio::time::timeout(ANSWER, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("it does not answer in time".to_owned()),
    }
}
