//! Makes bulk changes: changes for so many users that one transaction must not make them, in steps.
//!
//! A use case starts a bulk change in its own transaction ([`Tx::start_bulk_change`]). Each step is one transaction, in
//! which the cursor moves with the effects, so nothing is lost when a node is killed: the next step begins where the
//! last one that was committed ended, on any node. The step locks the row of the bulk change, so two nodes never do the
//! same step. Steps take turns with the transactions of users and leave pauses like all large transactions.
//!
//! A step that fails is tried again with growing pauses and fewer users. After
//! [`MAX_ATTEMPTS`](super::failures::MAX_ATTEMPTS) the status of the bulk change becomes `failed`, until the operator
//! sets the status to `running`. A timeout is no attempt. Later steps grow again. `/health` names a kind as long as the
//! last attempt at a step of it failed. A kind that this program does not know waits for a node that knows it, and is
//! named too if no node does.

use super::RelaySignals;
use super::failures::{MAX_ATTEMPTS, error_text, is_own_fault, is_timeout, pause};
use super::page_size::PageSize;
use super::runner::RETRY_PAUSE;
use crate::app::App;
use crate::domain::ids::BulkChangeId;
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::Ephemeral;
use crate::store::bulk_changes::{self, DueBulkChange, KindState};
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::WriteOwner;
use crate::telemetry::FailureFlag;
use crate::work::read::read_as_server;
use crate::work::transact::{WorkFuture, transact_for};
use crate::work::tx::Tx;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two reads of the bulk changes that other nodes have started or not finished.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A step of a kind that this program does not know is due for this time before the kind is reported. A node that knows
/// the kind makes the step within seconds.
const UNKNOWN_KIND_WAIT: Duration = Duration::from_mins(5);
/// The time between two warnings about kinds that no node knows.
const WARNING_INTERVAL: Duration = Duration::from_hours(1);

/// A kind of bulk change.
pub trait BulkChange: Send + Sync + 'static {
    /// Returns the name in the column `kind`, which must not change while such a bulk change is unfinished.
    fn kind(&self) -> &str;

    /// Makes the change for the next users in the transaction `tx`, and must have no other effects, because it runs
    /// again if the transaction fails.
    fn step<'t>(&'t self, tx: &'t mut Tx, step: BulkStep<'t>) -> WorkFuture<'t, BulkProgress>;
}

/// What a step gets.
#[derive(Clone, Copy, Debug)]
pub struct BulkStep<'t> {
    /// The argument as it was given to [`Tx::start_bulk_change`], in JSON.
    pub argument: &'t str,
    /// What the step before returned; `None` in the first step.
    pub cursor: Option<&'t str>,
    /// The users that the step may change at most. Fewer after a failure, at least one.
    pub max_users: usize,
}

/// What a step returns.
#[derive(Debug, Default)]
pub struct BulkProgress {
    /// Where the next step begins; `None` if this step was the last one.
    pub next: Option<String>,
    /// The frames to send after the commit.
    pub frames: Vec<Ephemeral>,
}

/// Makes the bulk changes of the kinds that it knows, on one node. Clones are the same runner.
#[derive(Clone)]
pub struct BulkRunner {
    app: App,
    kinds: Arc<[Arc<dyn BulkChange>]>,
    names: Arc<[String]>,
    state: Arc<Mutex<BulkState>>,
}

/// What a runner remembers between its steps.
#[derive(Default)]
struct BulkState {
    /// How many users a step changes at most, for each bulk change that this node has begun a step of.
    sizes: BTreeMap<BulkChangeId, PageSize>,
    /// The kinds that `/health` names.
    failing: BTreeSet<String>,
    /// When the kinds that no node knows were logged.
    warned_at: Option<Instant>,
}

impl BulkRunner {
    /// Returns a runner of these kinds.
    pub fn new(app: App, kinds: Vec<Arc<dyn BulkChange>>) -> Self {
        let names = kinds.iter().map(|kind| kind.kind().to_owned()).collect();
        Self { app, kinds: kinds.into(), names, state: Arc::default() }
    }

    /// Makes steps until the server stops, and reports the kinds that fail.
    pub async fn run(self, mut signals: RelaySignals) {
        let (failure_flag, mut next_report) = (FailureFlag::default(), Instant::now());
        while !signals.is_stopping() {
            signals.mark_growth_seen();
            if Instant::now() >= next_report {
                self.report_failing().await;
                next_report = Instant::now() + POLL_INTERVAL;
            }
            let result = self.run_step().await;
            if result.is_ok() && failure_flag.clear() {
                tracing::info!("bulk changes continue");
            }
            match result {
                Ok(true) => {}
                Ok(false) => signals.wait_for_growth(Some(POLL_INTERVAL)).await,
                Err(error) => {
                    if failure_flag.set() {
                        tracing::warn!(%error, "bulk changes cannot continue; trying again");
                    }
                    signals.sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Makes the step that is due for the longest time. Returns false if no step is due, or if another node makes it.
    pub async fn run_step(&self) -> Result<bool> {
        if self.names.is_empty() {
            return Ok(false);
        }
        let due = read_as_server(&self.app, ReadPool::Log, async |conn| {
            Ok(bulk_changes::next_due(conn, &self.names, Timestamp::now()).await?)
        });
        let Some(due) = due.await? else { return Ok(false) };
        let Some(kind) = self.kinds.iter().find(|kind| kind.kind() == due.kind) else { return Ok(false) };
        let due = Arc::new(due);
        let max_users = self.with_size(due.id, |size| size.rows());
        match self.make_step(kind.clone(), due.clone(), max_users).await {
            Err(error) if is_own_fault(&error) || is_timeout(&error) => {
                self.record_failure(due, max_users, &error).await
            }
            result => result,
        }
    }

    async fn make_step(&self, kind: Arc<dyn BulkChange>, due: Arc<DueBulkChange>, max_users: usize) -> Result<bool> {
        let (id, rows) = (due.id, limits::FEW_ROWS + max_users * limits::ROWS_PER_MEMBER);
        let part = self.app.supervision().part(part_name(&due.kind));
        let progress = transact_for(&self.app, WriteOwner::BulkChanges, rows, move |tx| {
            let (kind, due, part) = (kind.clone(), due.clone(), part.clone());
            Box::pin(async move {
                if !bulk_changes::lock(tx.conn(), &due).await? {
                    return Ok(None);
                }
                let step = BulkStep { argument: &due.argument, cursor: due.cursor.as_deref(), max_users };
                let progress = part.catch_panic_in(kind.step(tx, step)).await;
                let progress = progress.unwrap_or_else(|panicked| Err(Error::internal(panicked)))?;
                match &progress.next {
                    Some(next) => bulk_changes::advance(tx.conn(), due.id, next, Timestamp::now()).await?,
                    None => bulk_changes::remove(tx.conn(), due.id).await?,
                }
                Ok(Some(progress))
            })
        });
        let Some(progress) = progress.await? else { return Ok(false) };
        self.app.notify_all(progress.frames);
        match progress.next {
            Some(_) => self.with_size(id, |size| size.grow(max_users)),
            None => self.forget_size(id),
        }
        Ok(true)
    }

    async fn record_failure(&self, due: Arc<DueBulkChange>, max_users: usize, error: &Error) -> Result<bool> {
        let timeout_pause = self.with_size(due.id, |size| {
            size.shrink(max_users);
            size.pause()
        });
        let (text, is_attempt) = (error_text(error), !is_timeout(error));
        let attempts = due.attempts + i64::from(is_attempt);
        let pause = if is_attempt { pause(attempts) } else { timeout_pause };
        let is_given_up = is_attempt && attempts >= MAX_ATTEMPTS;
        if is_given_up {
            self.forget_size(due.id);
        }
        tracing::warn!(kind = due.kind, id = %due.id, attempts, is_given_up, error = text, "a bulk change failed");
        transact_for(&self.app, WriteOwner::BulkChanges, limits::FEW_ROWS, move |tx| {
            let (due, text) = (due.clone(), text.clone());
            Box::pin(async move {
                if bulk_changes::lock(tx.conn(), &due).await? {
                    let next_at = Timestamp::now().plus(pause);
                    bulk_changes::record_failure(tx.conn(), due.id, attempts, next_at, &text, is_given_up).await?;
                }
                Ok(())
            })
        })
        .await?;
        Ok(true)
    }

    /// Reports the kinds whose last step failed, and those that no node knows, to the supervision, and so to `/health`.
    async fn report_failing(&self) {
        let kinds =
            read_as_server(&self.app, ReadPool::Log, async |conn| Ok(bulk_changes::list_kinds(conn).await?)).await;
        // While the database is unavailable, nothing new is known.
        let Ok(kinds) = kinds else { return };
        let overdue_at = Timestamp::now().minus(UNKNOWN_KIND_WAIT);
        let is_unknown = |kind: &&KindState| {
            !self.names.contains(&kind.kind) && kind.due_since.is_some_and(|due_since| due_since < overdue_at)
        };
        let unknown: BTreeSet<String> = kinds.iter().filter(is_unknown).map(|kind| kind.kind.clone()).collect();
        let mut failing = unknown.clone();
        failing.extend(kinds.iter().filter(|kind| kind.has_failed).map(|kind| kind.kind.clone()));
        let must_warn = self.with_state(|state| {
            if kinds.is_empty() {
                // Other nodes have made the last steps.
                state.sizes.clear();
            }
            for kind in state.failing.union(&failing) {
                self.app.supervision().part(part_name(kind)).set_working(!failing.contains(kind));
            }
            state.failing = failing;
            let must_warn =
                !unknown.is_empty() && state.warned_at.is_none_or(|warned_at| warned_at.elapsed() >= WARNING_INTERVAL);
            if must_warn {
                state.warned_at = Some(Instant::now());
            }
            must_warn
        });
        if must_warn {
            tracing::warn!(kinds = ?unknown, "there are bulk changes of kinds that no running node knows");
        }
    }

    fn with_size<T>(&self, id: BulkChangeId, action: impl FnOnce(&mut PageSize) -> T) -> T {
        let full_size = || PageSize::new(limits::USER_STREAMS_PER_TRANSACTION);
        self.with_state(|state| action(state.sizes.entry(id).or_insert_with(full_size)))
    }

    fn forget_size(&self, id: BulkChangeId) {
        self.with_state(|state| {
            state.sizes.remove(&id);
        });
    }

    fn with_state<T>(&self, action: impl FnOnce(&mut BulkState) -> T) -> T {
        action(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn part_name(kind: &str) -> String {
    format!("bulk change {kind}")
}
