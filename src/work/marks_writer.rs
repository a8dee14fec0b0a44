//! The writer of read and delivered marks. Marks are two numbers for each participant, instead of a row for each
//! message and reader. They are not events, because only the newest mark of a user in a conversation matters. The marks
//! that queue up during a round are merged and written together in the next one. Other participants are notified at
//! most every [`limits::STATUS_INTERVAL`].

use super::read::read_as_server;
use super::{transact, views};
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::ids::{ConversationId, Seq, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::Error;
use crate::mailboxes::{MarkAnswer, MarkCause, MarkJob, MarkWork, MovedMarks};
use crate::protocol::marks::{ConversationRead, ReadMark};
use crate::protocol::messages::{MessageStatus, StatusUpdate};
use crate::protocol::server::ServerFrame;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::ServerWriter;
use crate::store::marks::{self, MarkUpdate, UpdatedMarks};
use crate::store::{blocks, conversations};
use crate::telemetry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The most marks in one round: half of the mailbox of a session, because one session may get all answers of a round.
const MARKS_PER_ROUND: usize = limits::SESSION_MAILBOX / 2;
/// A mark is refused after its row was locked in so many rounds.
const MAX_ROUNDS: u32 = 100;

type MarkKey = (ConversationId, UserId);

/// The marks that are requested for one participant.
#[derive(Default)]
struct PendingMarks {
    read: Option<Seq>,
    delivered: Option<Seq>,
    /// The answers to call for the read mark, and for the delivered mark.
    read_answers: Vec<MarkAnswer>,
    delivered_answers: Vec<MarkAnswer>,
    /// The number of rounds in which the row was locked.
    rounds: u32,
}

impl PendingMarks {
    /// If several reads are answered together, only the first answer counts the messages that were marked.
    fn accept(self, mut mark: ReadMark) {
        for answer in self.read_answers {
            answer(Ok(mark));
            mark.newly_read_count = 0;
        }
        for answer in self.delivered_answers {
            answer(Ok(mark));
        }
    }

    fn refuse(self, error: impl Fn() -> Error) {
        for answer in self.read_answers.into_iter().chain(self.delivered_answers) {
            answer(Err(error()));
        }
    }
}

/// Runs the marks writer until its queue is closed. If it panics, the marks that it has taken are answered with
/// `unavailable`. The marks in the queue stay there.
pub async fn run(app: App, mut queue: mpsc::Receiver<MarkJob>) {
    let part = app.supervision().part("marks_writer");
    while part.catch_panic_and_pause(write_marks(&app, &mut queue)).await.is_err() {}
}

async fn write_marks(app: &App, queue: &mut mpsc::Receiver<MarkJob>) {
    let mut pending: BTreeMap<MarkKey, PendingMarks> = BTreeMap::new();
    let mut changes = StatusChanges::default();
    let mut jobs = Vec::with_capacity(MARKS_PER_ROUND);
    loop {
        if pending.is_empty() {
            tokio::select! {
                count = queue.recv_many(&mut jobs, MARKS_PER_ROUND) => if count == 0 { break },
                () = changes.wait_until_due() => changes.send(app),
            }
        }
        while jobs.len() < MARKS_PER_ROUND
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        for job in jobs.drain(..) {
            merge(&mut pending, &mut changes, job);
        }
        if !pending.is_empty() {
            run_round(app, &mut pending, &mut changes).await;
        }
        if changes.is_due() {
            changes.send(app);
        }
    }
    changes.send(app);
}

fn merge(pending: &mut BTreeMap<MarkKey, PendingMarks>, changes: &mut StatusChanges, job: MarkJob) {
    let key = (job.conversation_id, job.user_id);
    match job.work {
        MarkWork::MoveRead(seq) => {
            let entry = pending.entry(key).or_default();
            entry.read = entry.read.max(Some(seq));
            entry.read_answers.extend(job.answer);
        }
        MarkWork::MoveDelivered(seq) => {
            let entry = pending.entry(key).or_default();
            entry.delivered = entry.delivered.max(Some(seq));
            entry.delivered_answers.extend(job.answer);
        }
        MarkWork::NotifyAfterSend { previous_read_seq } => changes.add_sent(key, previous_read_seq),
        MarkWork::NotifyAfterHide => changes.add_hidden(job.user_id),
    }
}

/// Writes the marks whose rows are free and answers them. Marks whose row is locked stay for the next round.
async fn run_round(app: &App, pending: &mut BTreeMap<MarkKey, PendingMarks>, changes: &mut StatusChanges) {
    let updates: Arc<Vec<MarkUpdate>> = Arc::new(
        pending
            .iter()
            .map(|((conversation, user), entry)| MarkUpdate {
                conversation_id: *conversation,
                user_id: *user,
                read: entry.read,
                delivered: entry.delivered,
            })
            .collect(),
    );
    let work_updates = updates.clone();
    let work = transact::typed_work(move |tx| {
        let updates = work_updates.clone();
        Box::pin(async move {
            let moved = marks::update(tx.conn(), &updates, tx.now()).await?;
            tx.add_moved_marks(moved.iter().filter(|marks| marks.has_moved()).map(to_moved_marks));
            let participants = marks::list_existing(tx.conn(), &updates).await?;
            Ok((moved, participants))
        })
    });
    let outcome = app
        .db()
        .run(async {
            let _turn = app.db().take_server_turn(ServerWriter::Marks).await;
            transact::run_attempt(app, &work, false)
                .await
                .map(|commit| commit.deliver(app, |moved| moved))
                .map_err(Error::from)
        })
        .await;
    let (moved, participants) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            telemetry::log_failure!(error, error, marks = pending.len(), "a round of marks failed");
            let refusal = if error.code() == Code::Busy {
                || Error::busy("The server is overloaded; try again.")
            } else {
                || Error::unavailable("The database does not answer; try again.")
            };
            for entry in std::mem::take(pending).into_values() {
                entry.refuse(refusal);
            }
            return;
        }
    };
    for moved in moved {
        let key = (moved.conversation_id, moved.user_id);
        let Some(entry) = pending.remove(&key) else { continue };
        changes.add(app, &moved, entry.read.is_some());
        entry.accept(moved.read_mark());
    }
    refuse_outsiders(app, pending, &participants).await;
}

fn to_moved_marks(marks: &UpdatedMarks) -> MovedMarks {
    MovedMarks {
        conversation_id: marks.conversation_id,
        user_id: marks.user_id,
        last_read_seq: marks.last_read_seq,
        last_read_count: marks.last_read_count(),
        delivered_seq: Some(marks.delivered_seq),
        cause: MarkCause::Request,
    }
}

/// Refuses the marks of users who are not in the conversation. The rows of the others were locked, so their marks stay
/// for the next round.
async fn refuse_outsiders(app: &App, pending: &mut BTreeMap<MarkKey, PendingMarks>, participants: &HashSet<MarkKey>) {
    let outside: Vec<MarkKey> = pending.keys().filter(|key| !participants.contains(key)).copied().collect();
    let ids: Vec<ConversationId> = outside.iter().map(|key| key.0).collect();
    let existing = read_as_server(app, ReadPool::Ordinary, async |conn| {
        Ok(if ids.is_empty() { Vec::new() } else { conversations::list_existing(conn, &ids).await? })
    })
    .await;
    for key in outside {
        let Some(entry) = pending.remove(&key) else { continue };
        entry.refuse(|| match &existing {
            Ok(existing) if existing.contains(&key.0) => Error::not_a_participant(),
            Ok(_) => Error::not_found("conversation"),
            Err(_) => Error::unavailable("The database does not answer; try again."),
        });
    }
    for entry in pending.values_mut() {
        entry.rounds += 1;
    }
    let expired: Vec<MarkKey> =
        pending.iter().filter(|(_, entry)| entry.rounds > MAX_ROUNDS).map(|(key, _)| *key).collect();
    for entry in expired.iter().filter_map(|key| pending.remove(key)).collect::<Vec<_>>() {
        entry.refuse(|| Error::unavailable("The mark is locked by other changes; try again."));
    }
    if !pending.is_empty() {
        // A batch of sends has locked these rows and commits soon.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Notifies the other participants of how far a user has read or received messages. It leaves out users who are
/// separated from this user by a block, and for read marks also users who do not share theirs.
async fn notify_others(app: &App, seqs: HashMap<(ConversationId, UserId, MessageStatus), Seq>) {
    let mut pairs: Vec<MarkKey> = seqs.keys().map(|(conversation, user, _)| (*conversation, *user)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let exclusions =
        read_as_server(app, ReadPool::Ordinary, async |conn| Ok(blocks::receipt_exclusions(conn, &pairs).await?));
    let Ok(exclusions) = exclusions.await else { return };
    for ((conversation_id, user_id, status), seq) in seqs {
        let mut except = vec![user_id];
        if let Some(exclusions) = exclusions.get(&(conversation_id, user_id)) {
            except.extend(&exclusions.blocked);
            if status == MessageStatus::Seen {
                except.extend(&exclusions.not_sharing);
            }
        }
        let frame = ServerFrame::MessageStatus(StatusUpdate { conversation_id, user_id, status, seq });
        app.notify_except(vec![Stream::Conversation(conversation_id)], &frame, except.into());
    }
}

/// Changes of message status of which other participants are not notified yet.
#[derive(Default)]
struct StatusChanges {
    since: Option<Instant>,
    seqs: HashMap<(ConversationId, UserId, MessageStatus), Seq>,
    /// Users whose unread count changed.
    unread_users: HashSet<UserId>,
    /// Participants whose read mark was moved by a send, with the read mark before it.
    previous_read_seqs: HashMap<MarkKey, Seq>,
}

impl StatusChanges {
    fn add_sent(&mut self, key: MarkKey, previous_read_seq: Seq) {
        self.since.get_or_insert_with(Instant::now);
        let entry = self.previous_read_seqs.entry(key);
        entry.and_modify(|earlier| *earlier = previous_read_seq.min(*earlier)).or_insert(previous_read_seq);
    }

    fn add_hidden(&mut self, user: UserId) {
        self.since.get_or_insert_with(Instant::now);
        self.unread_users.insert(user);
    }

    fn add(&mut self, app: &App, moved: &UpdatedMarks, read_requested: bool) {
        if read_requested && moved.read_moved() {
            let frame = ServerFrame::ConversationRead(ConversationRead {
                conversation_id: moved.conversation_id,
                last_read_seq: moved.last_read_seq,
                unread_count: moved.read_mark().unread_count,
            });
            app.notify(vec![Stream::User(moved.user_id)], &frame, None);
            self.since.get_or_insert_with(Instant::now);
            self.unread_users.insert(moved.user_id);
        }
        if !moved.notifies_others {
            return;
        }
        let mut add = |status, seq| {
            self.since.get_or_insert_with(Instant::now);
            self.seqs.insert((moved.conversation_id, moved.user_id, status), seq);
        };
        if moved.read_moved() && moved.shares_receipts {
            add(MessageStatus::Seen, moved.last_read_seq);
        }
        if moved.delivered_moved() {
            add(MessageStatus::Delivered, moved.delivered_seq);
        }
    }

    fn is_due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= limits::STATUS_INTERVAL)
    }

    async fn wait_until_due(&self) {
        match self.since {
            Some(since) => tokio::time::sleep_until(since + limits::STATUS_INTERVAL).await,
            None => std::future::pending().await,
        }
    }

    fn send(&mut self, app: &App) {
        let (owned_app, changes) = (app.clone(), std::mem::take(self));
        app.spawn(async move { changes.send_now(&owned_app).await });
    }

    /// Best effort: if a read fails, no notification is sent, and clients get the value with their next request.
    async fn send_now(mut self, app: &App) {
        if !self.previous_read_seqs.is_empty() {
            let previous_read_seqs = std::mem::take(&mut self.previous_read_seqs);
            let keys = previous_read_seqs.keys().copied();
            let current =
                read_as_server(app, ReadPool::Ordinary, async |conn| Ok(marks::list_current(conn, keys).await?));
            for mark in current.await.unwrap_or_default() {
                let from = previous_read_seqs.get(&(mark.conversation_id, mark.user_id)).copied();
                self.add(app, &mark.with_earlier_read(from), true);
            }
        }
        if !self.seqs.is_empty() {
            notify_others(app, self.seqs).await;
        }
        let users: Vec<UserId> = self.unread_users.into_iter().collect();
        let Ok(counts) = views::list_unread_counts(app, &users).await else { return };
        for user in users {
            let count = counts.get(&user).copied().unwrap_or_default();
            app.notify(vec![Stream::User(user)], &ServerFrame::Unread(count), None);
        }
    }
}
