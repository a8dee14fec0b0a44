//! The writer of sends: group commit. It takes the sends that queued up during its last commit and commits them in one
//! transaction. Under light load a batch is one message and waits for nothing. Under heavy load it is up to
//! [`limits::BATCH_SIZE`], and may wait a moment for more sends ([`super::send_gather`]).
//!
//! On PostgreSQL further batches commit at the same time while more sends wait than one batch can take. A conversation
//! is in one batch at a time ([`super::send_queue`]), so its sends are committed in the order in which they came.
//!
//! A batch never waits for a lock. If another transaction has locked a conversation, its sends go back to the front of
//! its queue. The second time, they go to a side task with a connection of its own, and later sends to this conversation
//! wait for that task.

use super::send_gather::{self, SendGather};
use super::send_queue::{QueuedSend, SendQueue};
use super::transact::{self, AbortReason, Commit};
use super::typing;
use super::writer_batch::{self, SendOutcome};
use super::writer_stats::WriterStats;
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::mailboxes::SendJob;
use crate::store::db::DbState;
use crate::store::db::failure::{FailureKind, failure_kind};
use crate::store::db::write_queue::{ServerWriter, WriteOwner};
use crate::store::locks::LockMode;
use crate::supervision::Panicked;
use crate::telemetry;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The greatest number of side tasks. Each uses one of the write turns of users' transactions.
const MAX_SIDE_TASKS: usize = 4;

/// Runs the writer until its queue is closed and empty. At most `max_batches` batches of at most `max_sends` sends
/// commit at the same time. If the writer panics, the sends that it has taken are answered with `unavailable`. The sends
/// in the channel stay there.
pub async fn run(app: App, mut queue: mpsc::UnboundedReceiver<SendJob>, limits: WriterLimits, stats: Arc<WriterStats>) {
    let part = app.supervision().part("writer");
    while part.catch_panic_and_pause(Writer::new(&app, limits, &stats).run(&mut queue)).await.is_err() {}
}

/// How much a writer commits at the same time.
#[derive(Clone, Copy, Debug)]
pub struct WriterLimits {
    /// The number of batches at the same time; 1 on SQLite.
    pub batches: usize,
    /// The number of sends of a batch.
    pub sends: usize,
}

struct Writer {
    app: App,
    limits: WriterLimits,
    stats: Arc<WriterStats>,
    queue: SendQueue<SendJob>,
    /// The conversations whose sends a side task commits.
    side_tasks: HashSet<ConversationId>,
    gather: SendGather,
    /// When the newest batch began.
    newest_batch_at: Instant,
    side_done: mpsc::UnboundedSender<ConversationId>,
    side_ended: mpsc::UnboundedReceiver<ConversationId>,
}

/// A batch that has ended: its conversations, and the sends that were not decided.
struct EndedBatch {
    sends: usize,
    conversations: Vec<ConversationId>,
    postponed: Vec<SendJob>,
}

impl Writer {
    fn new(app: &App, limits: WriterLimits, stats: &Arc<WriterStats>) -> Self {
        let (side_done, side_ended) = mpsc::unbounded_channel();
        let (app, stats, side_tasks) = (app.clone(), stats.clone(), HashSet::new());
        let (queue, gather) = (SendQueue::default(), SendGather::default());
        Self { app, limits, stats, queue, side_tasks, gather, newest_batch_at: Instant::now(), side_done, side_ended }
    }

    async fn run(mut self, queue: &mut mpsc::UnboundedReceiver<SendJob>) {
        let mut batches: FuturesUnordered<BoxFuture<'static, EndedBatch>> = FuturesUnordered::new();
        let mut is_closed = false;
        loop {
            while let Ok(job) = queue.try_recv() {
                self.push(job);
            }
            let gathers_until = self.gather.waits_until(batches.len(), self.queue.ready(), Instant::now());
            if gathers_until.is_none() && self.may_begin_batch(batches.len()) {
                let batch = self.begin_batch();
                // The first batch runs in this task, so that a lone send changes threads as rarely as possible.
                let is_first = batches.is_empty();
                batches.push(if is_first { batch } else { in_own_task(batch) });
                continue;
            }
            if is_closed && self.queue.is_empty() && batches.is_empty() && self.side_tasks.is_empty() {
                return;
            }
            let begins_at = gathers_until.or_else(|| self.begins_beside_stalled_at(batches.len()));
            tokio::select! {
                Some(ended) = batches.next(), if !batches.is_empty() => self.end_batch(ended),
                () = send_gather::wait_until(begins_at) => {}
                Some(conversation) = self.side_ended.recv() => {
                    self.side_tasks.remove(&conversation);
                    self.queue.end_batch(conversation, std::iter::empty());
                }
                job = queue.recv(), if !is_closed => match job {
                    Some(job) => self.push(job),
                    None => is_closed = true,
                },
            }
        }
    }

    /// Returns whether another batch should begin while `running` ones commit. A further batch takes work of the
    /// database for its own round trips and commit, so it begins only if more sends wait than the running ones could
    /// take, or if the newest of these is stalled.
    fn may_begin_batch(&self, running: usize) -> bool {
        let ready = self.queue.ready();
        let is_stalled = || self.newest_batch_at.elapsed() >= limits::BATCH_STALL;
        ready > 0 && running < self.limits.batches && (ready >= running * self.limits.sends || is_stalled())
    }

    /// Returns when the newest batch counts as stalled, if another one would begin then.
    fn begins_beside_stalled_at(&self, running: usize) -> Option<Instant> {
        let would_begin = self.queue.ready() > 0 && running < self.limits.batches;
        would_begin.then(|| self.newest_batch_at + limits::BATCH_STALL)
    }

    /// Adds a send to the queue. A conversation that another transaction has locked holds a bounded number of sends.
    fn push(&mut self, job: SendJob) {
        let conversation = job.send.conversation_id();
        if self.side_tasks.contains(&conversation) {
            if !is_writable(&self.app) {
                return (job.answer)(Err(unavailable()));
            }
            if self.queue.waiting_behind(conversation) >= limits::BATCH_SIZE {
                let text = "The conversation is locked by other changes; try again.";
                return (job.answer)(Err(Error::unavailable(text)));
            }
        }
        self.queue.push(job);
    }

    fn begin_batch(&mut self) -> BoxFuture<'static, EndedBatch> {
        self.newest_batch_at = Instant::now();
        let batch = self.queue.take_batch(self.limits.sends);
        let mut conversations: Vec<ConversationId> = batch.iter().map(QueuedSend::conversation_id).collect();
        conversations.sort_unstable();
        conversations.dedup();
        let (app, stats, sends) = (self.app.clone(), self.stats.clone(), batch.len());
        Box::pin(async move { EndedBatch { sends, conversations, postponed: commit(&app, &stats, batch).await } })
    }

    /// Puts postponed sends back into the queue. Those whose conversation was locked twice start a side task, which
    /// waits for the lock.
    fn end_batch(&mut self, ended: EndedBatch) {
        self.gather.end_batch(ended.sends, Instant::now());
        let mut postponed: HashMap<ConversationId, Vec<SendJob>> = HashMap::new();
        for job in ended.postponed {
            postponed.entry(job.send.conversation_id()).or_default().push(job);
        }
        for conversation in ended.conversations {
            let jobs = postponed.remove(&conversation).unwrap_or_default();
            let is_locked_twice = jobs.first().is_some_and(|job| job.times_postponed >= 2);
            if is_locked_twice && self.side_tasks.len() < MAX_SIDE_TASKS {
                self.start_side_task(conversation, jobs);
            } else {
                self.queue.end_batch(conversation, jobs.into_iter());
            }
        }
    }

    /// Commits sends to one conversation in a task that waits for its lock. Later sends to it wait in the queue.
    fn start_side_task(&mut self, conversation: ConversationId, jobs: Vec<SendJob>) {
        self.side_tasks.insert(conversation);
        let (app, stats, done) = (self.app.clone(), self.stats.clone(), self.side_done.clone());
        tokio::spawn(async move {
            let part = app.supervision().part("writer");
            let _ = part.catch_panic_in(commit_all(&app, &stats, jobs, LockMode::Wait)).await;
            let _ = done.send(conversation);
        });
    }
}

impl QueuedSend for SendJob {
    fn conversation_id(&self) -> ConversationId {
        self.send.conversation_id()
    }
}

/// Runs a batch in a task of its own. If the task panics, its senders have been answered with `unavailable`.
fn in_own_task(batch: BoxFuture<'static, EndedBatch>) -> BoxFuture<'static, EndedBatch> {
    let task = tokio::spawn(batch);
    Box::pin(async move { task.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic())) })
}

/// Commits a batch and returns the sends that were postponed.
async fn commit(app: &App, stats: &WriterStats, batch: Vec<SendJob>) -> Vec<SendJob> {
    if !is_writable(app) {
        return refuse(app, batch).await;
    }
    let size = batch.len();
    let mut postponed = commit_all(app, stats, batch, LockMode::Skip).await;
    if postponed.len() == size {
        // Other transactions have locked all conversations of the batch. Let them finish.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for job in &mut postponed {
        job.times_postponed += 1;
    }
    postponed
}

/// Refuses a batch while the database takes no writes. Sends that may be stored already are postponed.
async fn refuse(app: &App, mut batch: Vec<SendJob>) -> Vec<SendJob> {
    let postponed = take_unknown(&mut batch);
    for job in batch {
        (job.answer)(Err(unavailable()));
    }
    if !postponed.is_empty() {
        // Wait at most 20 ms. Then the sends that came meanwhile are refused too.
        let _ = tokio::time::timeout(Duration::from_millis(20), app.db().wait_until_writable()).await;
    }
    postponed
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
