//! The writer of sends: group commit. It takes what queued up while its last commit ran, without a timer or a wait, and
//! commits it in one transaction; under light load that is one message, under heavy load up to [`limits::BATCH`].
//!
//! One conversation always goes to the same writer of a node, so its order is the queue's. The writer itself never waits
//! for a lock: a conversation that somebody else holds stays first in line, and the second time it goes to a side task
//! with a connection of its own, behind which later sends to it queue.

use super::transact::{self, Aborted, Commit};
use super::typing;
use super::writer_batch::{self, Outcome, Wait};
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::mailboxes::{Mark, MarkJob, SendJob, SentMessage};
use crate::store::db::Standing;
use crate::store::gate::{Account, Class};
use crate::store::{self, Failure};
use crate::supervision::Panicked;
use crate::telemetry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Side tasks of one writer at most: each takes a place among the transactions of users.
const SIDE_TASKS: usize = 2;

/// What a writer has done, for whoever measures.
#[derive(Default, Debug)]
pub struct Stats {
    /// Batches committed.
    pub batches: AtomicU64,
    /// Sends decided in them: stored, repeated or refused.
    pub sends: AtomicU64,
}

impl Stats {
    fn note(&self, outcomes: &[Outcome]) {
        let decided = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Done(_))).count() as u64;
        if decided > 0 {
            self.batches.fetch_add(1, Ordering::Relaxed);
            self.sends.fetch_add(decided, Ordering::Relaxed);
        }
    }
}

/// Runs a writer until its queue is closed and empty. `most` is the size of its batches. Sends that are in its hands when
/// it panics are answered `unavailable`; those in the queue are not touched.
pub async fn run(app: App, mut queue: mpsc::Receiver<SendJob>, most: usize, stats: Arc<Stats>) {
    let part = app.supervision().part("writer");
    while part.run(write(&app, &mut queue, most, &stats)).await.is_err() {}
}

async fn write(app: &App, queue: &mut mpsc::Receiver<SendJob>, most: usize, stats: &Arc<Stats>) {
    let (side_done, mut ended) = mpsc::unbounded_channel();
    let (app, stats) = (app.clone(), stats.clone());
    let mut office = Writer { app, stats, line: VecDeque::new(), sides: HashMap::new(), side_done };
    loop {
        // whoever waited behind a side task comes before what the queue still holds for the conversation
        while let Ok(done) = ended.try_recv() {
            office.side_ended(done);
        }
        let first = office.line.len().min(most);
        let mut batch: Vec<SendJob> = office.line.drain(..first).collect();
        if batch.is_empty() {
            tokio::select! {
                taken = queue.recv_many(&mut batch, most) => {
                    if taken == 0 && office.sides.is_empty() {
                        return;
                    }
                }
                Some(done) = ended.recv() => {
                    office.side_ended(done);
                    continue;
                }
            }
        }
        while batch.len() < most
            && let Ok(job) = queue.try_recv()
        {
            batch.push(job);
        }
        if queue.is_closed() && batch.is_empty() {
            // nothing more comes but from side tasks; do not spin while they end
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let batch = office.divert(batch);
        if !batch.is_empty() {
            office.commit(batch).await;
        }
    }
}

struct Writer {
    app: App,
    stats: Arc<Stats>,
    /// Sends whose conversation was locked, first in line.
    line: VecDeque<SendJob>,
    /// Conversations with a side task, and the sends that queue behind it.
    sides: HashMap<ConversationId, Vec<SendJob>>,
    side_done: mpsc::UnboundedSender<ConversationId>,
}

impl Writer {
    /// Takes out of `batch` the sends that queue behind a side task, and those that go to one now.
    fn divert(&mut self, batch: Vec<SendJob>) -> Vec<SendJob> {
        let mut stay = Vec::with_capacity(batch.len());
        let mut leave: HashMap<ConversationId, Vec<SendJob>> = HashMap::new();
        for job in batch {
            let conversation = job.conversation_id;
            if let Some(behind) = self.sides.get_mut(&conversation) {
                if !is_writable(&self.app) {
                    (job.answer)(Err(unavailable()));
                } else if behind.len() >= limits::BATCH {
                    (job.answer)(Err(Error::unavailable("the conversation is busy; try again")));
                } else {
                    behind.push(job);
                }
            } else if let Some(going) = leave.get_mut(&conversation) {
                going.push(job);
            } else if job.skipped >= 2 && self.sides.len() + leave.len() < SIDE_TASKS {
                leave.insert(conversation, vec![job]);
            } else {
                stay.push(job);
            }
        }
        for (conversation, jobs) in leave {
            self.sides.insert(conversation, Vec::new());
            let (app, stats, done) = (self.app.clone(), self.stats.clone(), self.side_done.clone());
            tokio::spawn(async move {
                let part = app.supervision().part("writer");
                let _ = part.attempt(commit_all(&app, &stats, jobs, Wait::ForLock)).await;
                let _ = done.send(conversation);
            });
        }
        stay
    }

    fn side_ended(&mut self, conversation: ConversationId) {
        let behind = self.sides.remove(&conversation).unwrap_or_default();
        self.line.extend(behind);
    }

    async fn commit(&mut self, batch: Vec<SendJob>) {
        if !is_writable(&self.app) {
            return self.refuse(batch).await;
        }
        let size = batch.len();
        let skipped = commit_all(&self.app, &self.stats, batch, Wait::Skip).await;
        if skipped.len() == size {
            // every conversation of the batch is locked by others: let them finish
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for mut job in skipped.into_iter().rev() {
            job.skipped += 1;
            self.line.push_front(job);
        }
    }

    /// While nothing can be written every send is refused at once, but for those that may be stored: they stay in line.
    async fn refuse(&mut self, mut batch: Vec<SendJob>) {
        for job in take_unknown(&mut batch).into_iter().rev() {
            self.line.push_front(job);
        }
        for job in batch {
            (job.answer)(Err(unavailable()));
        }
        if !self.line.is_empty() {
            // not for long: the queue is to be refused
            let _ = tokio::time::timeout(Duration::from_millis(20), self.app.db().writable()).await;
        }
    }
}

fn is_writable(app: &App) -> bool {
    app.db().standing() == Standing::Ok
}

fn unavailable() -> Error {
    Error::unavailable("nothing can be stored just now; try again")
}

/// Takes out the sends of which is not known whether they are stored, and which can still wait to be looked up.
fn take_unknown(batch: &mut Vec<SendJob>) -> Vec<SendJob> {
    let now = Instant::now();
    batch.extract_if(.., |job| job.unknown_until.is_some_and(|until| now < until)).collect()
}

/// Commits `batch` and answers its senders; returns the sends whose conversation was locked or whose commit was not
/// answered. A batch that the data of one send spoils is split until that one stands alone.
async fn commit_all(app: &App, stats: &Stats, batch: Vec<SendJob>, wait: Wait) -> Vec<SendJob> {
    let mut skipped: Vec<SendJob> = Vec::new();
    let mut pending = vec![batch];
    while let Some(batch) = pending.pop() {
        // a conversation that was locked a part ago may be free by now, but its earlier sends come first
        let is_behind = |job: &SendJob| skipped.iter().any(|first| first.conversation_id == job.conversation_id);
        let (behind, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_behind);
        skipped.extend(behind);
        if batch.is_empty() {
            continue;
        }
        let jobs = Arc::new(batch);
        let tried = app.supervision().part("writer").attempt(try_commit(app, &jobs, wait)).await;
        match tried.unwrap_or_else(|panicked| Err(Failed::panicked(panicked))) {
            Ok(commit) => commit.deliver(app, |outcomes| {
                stats.note(&outcomes);
                skipped.extend(answer(app, jobs, outcomes));
            }),
            Err(failed) => {
                let mut batch = take(jobs);
                if failed.unanswered {
                    let until = Instant::now() + limits::TRANSACTION;
                    for job in &mut batch {
                        job.unknown_until.get_or_insert(until);
                    }
                }
                if failed.splits && batch.len() > 1 {
                    let later = batch.split_off(batch.len() / 2);
                    pending.push(later);
                    pending.push(batch);
                    continue;
                }
                telemetry::failed!(error, failed.error, sends = batch.len(), "a batch of sends failed");
                let waiting = if failed.splits { Vec::new() } else { take_unknown(&mut batch) };
                for job in batch {
                    (job.answer)(Err(failed.answer()));
                }
                if wait == Wait::Skip {
                    skipped.extend(waiting);
                } else if let Some(until) = waiting.iter().filter_map(|job| job.unknown_until).max() {
                    let _ = tokio::time::timeout_at(until, app.db().writable()).await;
                    pending.push(waiting);
                }
            }
        }
    }
    skipped
}

struct Failed {
    error: Error,
    /// Whether one send may have spoilt it for the others.
    splits: bool,
    /// Whether its commit was not answered, so that it may have happened.
    unanswered: bool,
}

impl Failed {
    /// A panic is over one of the sends, and what was committed before it is not known.
    fn panicked(panicked: Panicked) -> Self {
        Self { error: Error::internal(panicked), splits: true, unanswered: true }
    }

    fn answer(&self) -> Error {
        if self.unanswered {
            unavailable()
        } else if self.splits {
            Error::internal("the database refused the message")
        } else if self.error.code() == Code::Busy {
            Error::busy("the server has much to do just now; try again")
        } else {
            unavailable()
        }
    }
}

/// Commits `jobs` in one transaction, again when the database asks for it.
async fn try_commit(app: &App, jobs: &Arc<Vec<SendJob>>, wait: Wait) -> Result<Commit<Vec<Outcome>>, Failed> {
    for attempt in 1.. {
        let work_jobs = jobs.clone();
        let work = transact::work(move |tx| {
            let jobs = work_jobs.clone();
            Box::pin(async move { writer_batch::run(tx, &jobs, wait).await })
        });
        let guarded = app.db().guard(async {
            let _turn = match (wait, jobs.first()) {
                // it may wait for as long as a user's transaction may, and so takes the place of one
                (Wait::ForLock, Some(job)) => {
                    let account = Account::Conversation(job.conversation_id);
                    app.db().turn_of(account, limits::FEW_ROWS * jobs.len()).await?
                }
                _ => app.db().turn(Class::Sends).await,
            };
            Ok(transact::attempt(app, &work, false).await)
        });
        let aborted = match guarded.await {
            Ok(Ok(commit)) => return Ok(commit),
            Ok(Err(aborted)) => aborted,
            Err(error) => return Err(Failed { error, splits: false, unanswered: false }),
        };
        let kind = match &aborted {
            Aborted::Failed(error) | Aborted::Unknown(error) => store::failure(error),
            Aborted::Refused(error) => cause(error),
            Aborted::GaveWay => Failure::Retry,
        };
        if kind != Failure::Retry || attempt >= 4 {
            let unanswered = matches!(aborted, Aborted::Unknown(_));
            return Err(Failed { error: aborted.into(), splits: kind == Failure::Data, unanswered });
        }
    }
    unreachable!("the loop returns")
}

fn cause(error: &Error) -> Failure {
    error.cause().and_then(|cause| cause.downcast_ref::<sea_orm::DbErr>()).map_or(Failure::Fault, store::failure)
}

fn take(jobs: Arc<Vec<SendJob>>) -> Vec<SendJob> {
    Arc::into_inner(jobs).expect("the attempt that shared the batch has ended")
}

/// Answers each sender; returns the sends that were skipped.
fn answer(app: &App, jobs: Arc<Vec<SendJob>>, outcomes: Vec<Outcome>) -> Vec<SendJob> {
    let mut skipped = Vec::new();
    for (job, outcome) in take(jobs).into_iter().zip(outcomes) {
        match outcome {
            Outcome::Skipped => skipped.push(job),
            Outcome::Done(result) => {
                if let Ok(sent) = result.as_ref() {
                    typing::ended(app, job.conversation_id, job.sender_id);
                    tell_read(app, &job, sent);
                }
                (job.answer)(*result);
            }
        }
    }
    skipped
}

/// Whoever sends has read what came before. Best effort, as all that is told of marks.
fn tell_read(app: &App, job: &SendJob, sent: &SentMessage) {
    if let Some(from) = sent.read_from {
        app.enqueue_mark(MarkJob {
            conversation_id: job.conversation_id,
            user_id: job.sender_id,
            mark: Mark::Sent(from),
            answer: None,
        });
    }
}
