//! Makes bulk changes: changes for so many users that one transaction must not make them, in steps.
//!
//! A use case starts a bulk change in its own transaction ([`Tx::start_bulk_change`]). Each step is one transaction, in
//! which the cursor moves with the effects, so a node that dies loses nothing: the next step begins where the last one
//! that was committed ended, on any node. The step locks the row of the bulk change, so two nodes never do the same step.
//! Steps take turns with the transactions of users and leave pauses like all large transactions.
//!
//! A step that fails is tried again with growing pauses and fewer users. After
//! [`MAX_ATTEMPTS`](super::failures::MAX_ATTEMPTS) its status becomes `failed`, and `/health` names its kind until the
//! operator sets the status to `running`. A kind that this program does not know waits for a node that knows it.

use super::RelaySignals;
use super::failures::{MAX_ATTEMPTS, error_text, is_own_fault, is_timeout, pause};
use super::runner::RETRY_PAUSE;
use crate::app::App;
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::Ephemeral;
use crate::store::bulk_changes::{self, DueBulkChange};
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::WriteOwner;
use crate::telemetry::FailureFlag;
use crate::work::transact::{WorkFuture, transact_for};
use crate::work::tx::Tx;
use std::sync::Arc;
use std::time::Duration;

/// The time between two looks for bulk changes that other nodes started or left.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

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
}

impl BulkRunner {
    /// Returns a runner of these kinds.
    pub fn new(app: App, kinds: Vec<Arc<dyn BulkChange>>) -> Self {
        let names = kinds.iter().map(|kind| kind.kind().to_owned()).collect();
        Self { app, kinds: kinds.into(), names }
    }

    /// Makes steps until the server stops.
    pub async fn run(self, mut signals: RelaySignals) {
        let failure_flag = FailureFlag::default();
        while !signals.is_stopping() {
            signals.mark_growth_seen();
            let result = self.run_step().await;
            if result.is_ok() && failure_flag.clear() {
                tracing::info!("bulk changes continue");
            }
            match result {
                Ok(true) => {}
                Ok(false) => {
                    self.report_failed().await;
                    signals.wait_for_growth(Some(POLL_INTERVAL)).await;
                }
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
        let (db, now) = (self.app.db(), Timestamp::now());
        let conn = db.read(ReadPool::Log);
        let due = db.run(async { Ok(bulk_changes::next_due(conn, &self.names, now).await?) }).await?;
        let Some(due) = due else { return Ok(false) };
        let Some(kind) = self.kinds.iter().find(|kind| kind.kind() == due.kind) else { return Ok(false) };
        let due = Arc::new(due);
        match self.make_step(kind.clone(), due.clone()).await {
            Err(error) if is_own_fault(&error) || is_timeout(&error) => self.record_failure(due, &error).await,
            result => result,
        }
    }

    async fn make_step(&self, kind: Arc<dyn BulkChange>, due: Arc<DueBulkChange>) -> Result<bool> {
        let max_users = (limits::USER_STREAMS_PER_TRANSACTION >> due.attempts.clamp(0, 20)).max(1);
        let rows = limits::FEW_ROWS + max_users * limits::ROWS_PER_MEMBER;
        let part = self.app.supervision().part(part_name(&due.kind));
        let frames = transact_for(&self.app, WriteOwner::BulkChanges, rows, move |tx| {
            let (kind, due, part) = (kind.clone(), due.clone(), part.clone());
            Box::pin(async move {
                if !bulk_changes::lock(tx.conn(), &due).await? {
                    return Ok(None);
                }
                let step = BulkStep { argument: &due.argument, cursor: due.cursor.as_deref(), max_users };
                let progress = part.attempt(kind.step(tx, step)).await;
                let progress = progress.unwrap_or_else(|panicked| Err(Error::internal(panicked)))?;
                match progress.next {
                    Some(next) => bulk_changes::advance(tx.conn(), due.id, &next, Timestamp::now()).await?,
                    None => bulk_changes::remove(tx.conn(), due.id).await?,
                }
                Ok(Some(progress.frames))
            })
        });
        let Some(frames) = frames.await? else { return Ok(false) };
        self.app.notify_all(frames);
        Ok(true)
    }

    async fn record_failure(&self, due: Arc<DueBulkChange>, error: &Error) -> Result<bool> {
        let (text, attempts) = (error_text(error), due.attempts + 1);
        let is_given_up = attempts >= MAX_ATTEMPTS;
        tracing::warn!(kind = due.kind, id = %due.id, attempts, is_given_up, error = text, "a bulk change failed");
        transact_for(&self.app, WriteOwner::BulkChanges, limits::FEW_ROWS, move |tx| {
            let (due, text) = (due.clone(), text.clone());
            Box::pin(async move {
                if bulk_changes::lock(tx.conn(), &due).await? {
                    let next_at = Timestamp::now().plus(pause(attempts));
                    bulk_changes::record_failure(tx.conn(), due.id, next_at, &text, is_given_up).await?;
                }
                Ok(())
            })
        })
        .await?;
        Ok(true)
    }

    /// Reports the kinds of failed bulk changes to the supervision, and so to `/health`.
    async fn report_failed(&self) {
        let db = self.app.db();
        let failed = db.run(async { Ok(bulk_changes::list_failed_kinds(db.read(ReadPool::Log)).await?) }).await;
        // While the database is unavailable, nothing new is known.
        let Ok(failed) = failed else { return };
        for name in self.names.iter() {
            self.app.supervision().part(part_name(name)).set_working(!failed.contains(name));
        }
    }
}

fn part_name(kind: &str) -> String {
    format!("bulk change {kind}")
}
