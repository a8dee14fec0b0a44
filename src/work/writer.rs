//! The writer of sends: group commit. It takes the sends that queued up during its last commit and commits them in one
//! transaction. There is no timer and no waiting: under light load a batch is one message, under heavy load up to
//! [`limits::BATCH_SIZE`].
//!
//! All sends to one conversation go to the same writer of a node, so their order is the order of its queue. The writer
//! never waits for a lock. If another transaction has locked a conversation, its sends stay first in the queue. The
//! second time, they go to a side task with a connection of its own, and later sends to this conversation queue behind
//! that task.

use super::transact::{self, AbortReason, Commit};
use super::typing;
use super::writer_batch::{self, LockMode, SendOutcome};
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::mailboxes::SendJob;
use crate::store::db::DbState;
use crate::store::db::failure::{FailureKind, failure_kind};
use crate::store::db::write_queue::{ServerWriter, WriteOwner};
use crate::supervision::Panicked;
use crate::telemetry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The greatest number of side tasks of one writer. Each uses one of the write turns of users' transactions.
const MAX_SIDE_TASKS: usize = 2;

/// Counters of a writer, for measurements.
#[derive(Default, Debug)]
pub struct WriterStats {
    /// Committed batches with at least one decided send.
    pub batches: AtomicU64,
    /// Sends that were stored, found repeated or refused in these batches.
    pub sends: AtomicU64,
}

impl WriterStats {
    fn add(&self, outcomes: &[SendOutcome]) {
        let decided = outcomes.iter().filter(|outcome| matches!(outcome, SendOutcome::Decided(_))).count() as u64;
        if decided > 0 {
            self.batches.fetch_add(1, Ordering::Relaxed);
            self.sends.fetch_add(decided, Ordering::Relaxed);
        }
    }
}

/// Runs a writer until its queue is closed and empty. A batch has at most `max_batch` sends. If the writer panics, the
/// sends that it has taken are answered with `unavailable`. The sends in the queue stay there.
pub async fn run(app: App, mut queue: mpsc::Receiver<SendJob>, max_batch: usize, stats: Arc<WriterStats>) {
    let part = app.supervision().part("writer");
    while part.catch_panic_and_pause(write_sends(&app, &mut queue, max_batch, &stats)).await.is_err() {}
}

async fn write_sends(app: &App, queue: &mut mpsc::Receiver<SendJob>, max_batch: usize, stats: &Arc<WriterStats>) {
    let (side_done, mut ended) = mpsc::unbounded_channel();
    let (app, stats) = (app.clone(), stats.clone());
    let mut writer = Writer { app, stats, front: VecDeque::new(), side_queues: HashMap::new(), side_done };
    loop {
        // Sends that waited behind a side task come before the sends to the same conversation that are still in the
        // queue.
        while let Ok(done) = ended.try_recv() {
            writer.side_ended(done);
        }
        let first = writer.front.len().min(max_batch);
        let mut batch: Vec<SendJob> = writer.front.drain(..first).collect();
        if batch.is_empty() {
            tokio::select! {
                count = queue.recv_many(&mut batch, max_batch) => {
                    if count == 0 && writer.side_queues.is_empty() {
                        return;
                    }
                }
                Some(done) = ended.recv() => {
                    writer.side_ended(done);
                    continue;
                }
            }
        }
        while batch.len() < max_batch
            && let Ok(job) = queue.try_recv()
        {
            batch.push(job);
        }
        if queue.is_closed() && batch.is_empty() {
            // Only side tasks can still bring sends. Wait a moment instead of looping without a pause.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let batch = writer.keep_main_sends(batch);
        if !batch.is_empty() {
            writer.commit(batch).await;
        }
    }
}

struct Writer {
    app: App,
    stats: Arc<WriterStats>,
    /// Sends whose conversation was locked. They are first in the next batch.
    front: VecDeque<SendJob>,
    /// Conversations with a side task, and the sends that queue behind it.
    side_queues: HashMap<ConversationId, Vec<SendJob>>,
    side_done: mpsc::UnboundedSender<ConversationId>,
}

impl Writer {
    /// Returns the sends of `batch` that the writer commits itself. Sends to a conversation with a side task queue
    /// behind that task, and sends whose conversation was locked twice start a side task.
    fn keep_main_sends(&mut self, batch: Vec<SendJob>) -> Vec<SendJob> {
        let mut staying = Vec::with_capacity(batch.len());
        let mut leaving: HashMap<ConversationId, Vec<SendJob>> = HashMap::new();
        for job in batch {
            let conversation = job.send.conversation_id();
            if let Some(behind) = self.side_queues.get_mut(&conversation) {
                if !is_writable(&self.app) {
                    (job.answer)(Err(unavailable()));
                } else if behind.len() >= limits::BATCH_SIZE {
                    (job.answer)(Err(Error::unavailable("The conversation is locked by other changes; try again.")));
                } else {
                    behind.push(job);
                }
            } else if let Some(jobs) = leaving.get_mut(&conversation) {
                jobs.push(job);
            } else if job.times_postponed >= 2 && self.side_queues.len() + leaving.len() < MAX_SIDE_TASKS {
                leaving.insert(conversation, vec![job]);
            } else {
                staying.push(job);
            }
        }
        for (conversation, jobs) in leaving {
            self.side_queues.insert(conversation, Vec::new());
            let (app, stats, done) = (self.app.clone(), self.stats.clone(), self.side_done.clone());
            tokio::spawn(async move {
                let part = app.supervision().part("writer");
                let _ = part.catch_panic_in(commit_all(&app, &stats, jobs, LockMode::Wait)).await;
                let _ = done.send(conversation);
            });
        }
        staying
    }

    fn side_ended(&mut self, conversation: ConversationId) {
        let behind = self.side_queues.remove(&conversation).unwrap_or_default();
        self.front.extend(behind);
    }

    async fn commit(&mut self, batch: Vec<SendJob>) {
        if !is_writable(&self.app) {
            return self.refuse(batch).await;
        }
        let size = batch.len();
        let skipped = commit_all(&self.app, &self.stats, batch, LockMode::Skip).await;
        if skipped.len() == size {
            // Other transactions have locked all conversations of the batch. Let them finish.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for mut job in skipped.into_iter().rev() {
            job.times_postponed += 1;
            self.front.push_front(job);
        }
    }

    /// Refuses a batch while the database takes no writes. Sends that may be stored already stay at the front.
    async fn refuse(&mut self, mut batch: Vec<SendJob>) {
        for job in take_unknown(&mut batch).into_iter().rev() {
            self.front.push_front(job);
        }
        for job in batch {
            (job.answer)(Err(unavailable()));
        }
        if !self.front.is_empty() {
            // Wait at most 20 ms. Then the sends that came meanwhile are refused too.
            let _ = tokio::time::timeout(Duration::from_millis(20), self.app.db().wait_until_writable()).await;
        }
    }
}

fn is_writable(app: &App) -> bool {
    app.db().state() == DbState::Ok
}

fn unavailable() -> Error {
    Error::unavailable("The server cannot store data at the moment; try again.")
}

/// Takes out the sends with an unknown outcome that can still be looked up.
fn take_unknown(batch: &mut Vec<SendJob>) -> Vec<SendJob> {
    let now = Instant::now();
    batch.extract_if(.., |job| job.unknown_until.is_some_and(|until| now < until)).collect()
}

/// Commits `batch` and answers its senders. Returns the sends whose conversation was locked or whose COMMIT got no
/// answer. If the data of one send makes the batch fail, the batch is split until that send is alone.
async fn commit_all(app: &App, stats: &WriterStats, batch: Vec<SendJob>, lock_mode: LockMode) -> Vec<SendJob> {
    let mut skipped: Vec<SendJob> = Vec::new();
    let mut pending = vec![batch];
    while let Some(batch) = pending.pop() {
        // A conversation that was locked in an earlier part may be free by now, but its earlier sends come first.
        let is_behind =
            |job: &SendJob| skipped.iter().any(|first| first.send.conversation_id() == job.send.conversation_id());
        let (behind, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_behind);
        skipped.extend(behind);
        if batch.is_empty() {
            continue;
        }
        let jobs = Arc::new(batch);
        let outcome = app.supervision().part("writer").catch_panic_in(try_commit(app, &jobs, lock_mode)).await;
        match outcome.unwrap_or_else(|panicked| Err(BatchFailure::panicked(panicked))) {
            Ok(commit) => commit.deliver(app, |outcomes| {
                stats.add(&outcomes);
                skipped.extend(answer_senders(app, jobs, outcomes));
            }),
            Err(failed) => {
                let mut batch = unwrap_jobs(jobs);
                if failed.unanswered {
                    let until = Instant::now() + limits::TRANSACTION_TIMEOUT;
                    for job in &mut batch {
                        job.unknown_until.get_or_insert(until);
                    }
                }
                if failed.may_split && batch.len() > 1 {
                    let later = batch.split_off(batch.len() / 2);
                    pending.push(later);
                    pending.push(batch);
                    continue;
                }
                telemetry::log_failure!(error, failed.error, sends = batch.len(), "a batch of sends failed");
                let waiting = if failed.may_split { Vec::new() } else { take_unknown(&mut batch) };
                for job in batch {
                    (job.answer)(Err(failed.answer()));
                }
                if lock_mode == LockMode::Skip {
                    skipped.extend(waiting);
                } else if let Some(until) = waiting.iter().filter_map(|job| job.unknown_until).max() {
                    let _ = tokio::time::timeout_at(until, app.db().wait_until_writable()).await;
                    pending.push(waiting);
                }
            }
        }
    }
    skipped
}

struct BatchFailure {
    error: Error,
    /// Whether a single send may have caused the failure.
    may_split: bool,
    /// Whether the COMMIT got no answer, so that it may have happened.
    unanswered: bool,
}

impl BatchFailure {
    /// One of the sends caused the panic, and it is unknown whether a commit happened before it.
    fn panicked(panicked: Panicked) -> Self {
        Self { error: Error::internal(panicked), may_split: true, unanswered: true }
    }

    fn answer(&self) -> Error {
        if self.unanswered {
            unavailable()
        } else if self.may_split {
            Error::internal("the database refused the data of the message")
        } else if self.error.code() == Code::Busy {
            Error::busy("The server is overloaded; try again.")
        } else {
            unavailable()
        }
    }
}

/// Commits `jobs` in one transaction, and repeats it after a deadlock or a serialisation failure.
async fn try_commit(
    app: &App,
    jobs: &Arc<Vec<SendJob>>,
    lock_mode: LockMode,
) -> Result<Commit<Vec<SendOutcome>>, BatchFailure> {
    for attempt in 1.. {
        let work_jobs = jobs.clone();
        let work = transact::typed_work(move |tx| {
            let jobs = work_jobs.clone();
            Box::pin(async move { writer_batch::run(tx, &jobs, lock_mode).await })
        });
        let guarded = app.db().run(async {
            let _turn = match (lock_mode, jobs.first()) {
                // It may wait as long as a user's transaction, so it uses a turn of users' transactions.
                (LockMode::Wait, Some(job)) => {
                    let owner = WriteOwner::Conversation(job.send.conversation_id());
                    app.db().take_owner_turn(owner, limits::FEW_ROWS * jobs.len()).await?
                }
                _ => app.db().take_server_turn(ServerWriter::Sends).await,
            };
            Ok(transact::run_attempt(app, &work, false).await)
        });
        let reason = match guarded.await {
            Ok(Ok(commit)) => return Ok(commit),
            Ok(Err(reason)) => reason,
            Err(error) => return Err(BatchFailure { error, may_split: false, unanswered: false }),
        };
        let kind = match &reason {
            AbortReason::Failed(error) | AbortReason::Unknown(error) => failure_kind(error),
            AbortReason::Refused(error) => failure_of(error),
            AbortReason::Yielded => FailureKind::Retry,
        };
        if kind != FailureKind::Retry || attempt >= 4 {
            let unanswered = matches!(reason, AbortReason::Unknown(_));
            return Err(BatchFailure { error: reason.into(), may_split: kind == FailureKind::Data, unanswered });
        }
    }
    unreachable!("the loop returns")
}

fn failure_of(error: &Error) -> FailureKind {
    error.cause().and_then(|cause| cause.downcast_ref::<sea_orm::DbErr>()).map_or(FailureKind::Fault, failure_kind)
}

fn unwrap_jobs(jobs: Arc<Vec<SendJob>>) -> Vec<SendJob> {
    Arc::into_inner(jobs).expect("the attempt that shared the batch has ended")
}

/// Answers each sender and returns the sends that were skipped.
fn answer_senders(app: &App, jobs: Arc<Vec<SendJob>>, outcomes: Vec<SendOutcome>) -> Vec<SendJob> {
    let mut skipped = Vec::new();
    for (job, outcome) in unwrap_jobs(jobs).into_iter().zip(outcomes) {
        match outcome {
            SendOutcome::Skipped => skipped.push(job),
            SendOutcome::Decided(result) => {
                if result.is_ok() {
                    typing::stop_all(app, job.send.conversation_id(), job.send.sender_id());
                }
                (job.answer)(*result);
            }
        }
    }
    skipped
}
