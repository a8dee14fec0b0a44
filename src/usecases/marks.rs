//! Read and delivered marks: two numbers a participant, not a row a message and reader. Marks are not events: the newest
//! one a conversation and user is enough, so what queued up while the last round ran is merged and written together, and
//! others are told at most every `TELL_EVERY`.

use super::transact;
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::{Mark, MarkAnswer, MarkJob};
use crate::protocol::resources::{MessageStatus, ReadMark};
use crate::protocol::server::ServerFrame;
use crate::store::gate::Class;
use crate::store::marks::{self, Moved, Wanted};
use crate::store::pools::Share;
use crate::store::{blocks, conversations, messages, writes};
use crate::telemetry;
use crate::usecases::Caller;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Marks written in one round: half of what waits for a session, since all of a round may be one session's to answer.
const ROUND: usize = limits::SESSION_MAILBOX / 2;
/// How long a change of status is gathered before others are told.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// Rounds in which a mark finds its row locked before it is given up.
const ROUNDS: u32 = 100;

/// The place beyond every message.
pub const END: Seq = Seq(i64::MAX);

/// How far a caller says to have read.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// Up to this place.
    Place(Seq),
    /// Up to this message.
    Message(MessageId),
    /// To the end.
    End,
}

/// Moves the caller's read mark, never back, and answers where it stands once it is committed.
pub async fn read(app: &App, caller: &Caller, conversation: ConversationId, target: Target) -> Result<ReadMark> {
    let seq = match target {
        Target::Place(seq) => seq,
        Target::End => END,
        Target::Message(id) => {
            let (owner, caller) = (app.clone(), *caller);
            app.detached(async move { place(&owner, &caller, conversation, id).await }).await?
        }
    };
    let (answer, answered) = oneshot::channel();
    enqueue_read(app, caller, conversation, seq, |outcome| drop(answer.send(outcome)));
    answered.await.unwrap_or_else(|_| Err(Error::unavailable("the server is stopping; try again")))
}

/// [`read`] for whoever does not wait: `answer` is called once, when the mark is committed or refused.
pub fn enqueue_read(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    seq: Seq,
    answer: impl FnOnce(Result<ReadMark>) + Send + Sync + 'static,
) {
    enqueue(app, caller, conversation, Mark::Read(seq), crate::mailboxes::answer(answer));
}

fn enqueue(app: &App, caller: &Caller, conversation: ConversationId, mark: Mark, answer: MarkAnswer) {
    if let Mark::Read(seq) | Mark::Delivered(seq) = mark
        && seq.0 < 0
    {
        return answer(Err(Error::invalid("seq", "must not be negative")));
    }
    app.enqueue_mark(MarkJob { conversation_id: conversation, user_id: caller.user_id, mark, answer: Some(answer) });
}

/// The place of a message of the conversation.
pub async fn place(app: &App, caller: &Caller, conversation: ConversationId, id: MessageId) -> Result<Seq> {
    match messages::place(app.db().read(Share::Ordinary), id).await? {
        Some((home, seq)) if home == conversation => Ok(seq),
        _ => {
            super::conversations::require_participant(app, caller, conversation).await?;
            Err(Error::not_found("message"))
        }
    }
}

/// Notes that the caller's client has everything up to `seq`; beyond the end is the end as it is before `answer` is called.
pub fn enqueue_delivered(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    seq: Seq,
    answer: impl FnOnce(Result<ReadMark>) + Send + Sync + 'static,
) {
    enqueue(app, caller, conversation, Mark::Delivered(seq), crate::mailboxes::answer(answer));
}

/// Has a user's own sessions told what is unread, now that the user has hidden a message. Best effort, as all that is told
/// of marks.
pub(super) fn hidden(app: &App, conversation_id: ConversationId, user_id: UserId) {
    app.enqueue_mark(MarkJob { conversation_id, user_id, mark: Mark::Hidden, answer: None });
}

type Key = (ConversationId, UserId);

/// What is wanted of one participant's row.
#[derive(Default)]
struct Pending {
    read: Option<Seq>,
    delivered: Option<Seq>,
    /// Who waits for the read mark, and who for the delivered mark.
    readers: Vec<MarkAnswer>,
    receivers: Vec<MarkAnswer>,
    rounds: u32,
}

impl Pending {
    /// What was read by several at once counts as marked by the first.
    fn accept(self, mut mark: ReadMark) {
        for answer in self.readers {
            answer(Ok(mark));
            mark.marked = 0;
        }
        for answer in self.receivers {
            answer(Ok(mark));
        }
    }

    fn refuse(self, error: impl Fn() -> Error) {
        for answer in self.readers.into_iter().chain(self.receivers) {
            answer(Err(error()));
        }
    }
}

/// Runs the writer of marks until its queue is closed. Marks that are in its hands when it panics are answered
/// `unavailable`; those in the queue are not touched.
pub async fn run(app: App, mut queue: mpsc::Receiver<MarkJob>) {
    let part = app.supervision().part("marks_writer");
    while part.run(write(&app, &mut queue)).await.is_err() {}
}

async fn write(app: &App, queue: &mut mpsc::Receiver<MarkJob>) {
    let mut pending: BTreeMap<Key, Pending> = BTreeMap::new();
    let mut news = News::default();
    let mut jobs = Vec::with_capacity(ROUND);
    loop {
        if pending.is_empty() {
            tokio::select! {
                taken = queue.recv_many(&mut jobs, ROUND) => if taken == 0 { break },
                () = news.due() => news.tell(app),
            }
        }
        while jobs.len() < ROUND
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        for job in jobs.drain(..) {
            merge(&mut pending, &mut news, job);
        }
        if !pending.is_empty() {
            round(app, &mut pending, &mut news).await;
        }
        if news.is_due() {
            news.tell(app);
        }
    }
    news.tell(app);
}

fn merge(pending: &mut BTreeMap<Key, Pending>, news: &mut News, job: MarkJob) {
    let key = (job.conversation_id, job.user_id);
    match job.mark {
        Mark::Read(seq) => {
            let entry = pending.entry(key).or_default();
            entry.read = entry.read.max(Some(seq));
            entry.readers.extend(job.answer);
        }
        Mark::Delivered(seq) => {
            let entry = pending.entry(key).or_default();
            entry.delivered = entry.delivered.max(Some(seq));
            entry.receivers.extend(job.answer);
        }
        Mark::Sent(from) => news.sent(key, from),
        Mark::Hidden => news.hidden(job.user_id),
    }
}

/// One round: writes what can be written, answers it, and leaves what was locked for the next.
async fn round(app: &App, pending: &mut BTreeMap<Key, Pending>, news: &mut News) {
    let wanted: Arc<Vec<Wanted>> = Arc::new(
        pending
            .iter()
            .map(|((conversation, user), entry)| Wanted {
                conversation_id: *conversation,
                user_id: *user,
                read: entry.read,
                delivered: entry.delivered,
            })
            .collect(),
    );
    let work_wanted = wanted.clone();
    let work = transact::work(move |tx| {
        let wanted = work_wanted.clone();
        Box::pin(async move {
            let moved = marks::advance(tx.conn(), &wanted, tx.now()).await?;
            let inside = marks::inside(tx.conn(), &wanted).await?;
            Ok((moved, inside))
        })
    });
    let outcome = app
        .db()
        .guard(async {
            let _turn = app.db().turn(Class::Marks).await;
            transact::attempt(app, &work, false)
                .await
                .map(|commit| commit.deliver(app, |moved| moved))
                .map_err(Error::from)
        })
        .await;
    let (moved, inside) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            telemetry::failed!(error, error, marks = pending.len(), "a round of marks failed");
            let refusal = if error.code() == Code::Busy {
                || Error::busy("the server has much to do just now; try again")
            } else {
                || Error::unavailable("the database does not answer; try again")
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
        news.note(app, &moved, entry.read.is_some());
        entry.accept(moved.read_mark());
    }
    settle(app, pending, &inside).await;
}

/// Answers those who are not in the conversation; those who are were locked and stay for the next round.
async fn settle(app: &App, pending: &mut BTreeMap<Key, Pending>, inside: &HashSet<Key>) {
    let outside: Vec<Key> = pending.keys().filter(|key| !inside.contains(key)).copied().collect();
    let asked: Vec<ConversationId> = outside.iter().map(|key| key.0).collect();
    let existing =
        if asked.is_empty() { Ok(Vec::new()) } else { writes::existing(app.db().read(Share::Ordinary), &asked).await };
    for key in outside {
        let Some(entry) = pending.remove(&key) else { continue };
        entry.refuse(|| match &existing {
            Ok(existing) if existing.contains(&key.0) => Error::not_a_participant(),
            Ok(_) => Error::not_found("conversation"),
            Err(_) => Error::unavailable("the database does not answer; try again"),
        });
    }
    for entry in pending.values_mut() {
        entry.rounds += 1;
    }
    let given_up: Vec<Key> = pending.iter().filter(|(_, entry)| entry.rounds > ROUNDS).map(|(key, _)| *key).collect();
    for entry in given_up.iter().filter_map(|key| pending.remove(key)).collect::<Vec<_>>() {
        entry.refuse(|| Error::unavailable("the mark is busy; try again"));
    }
    if !pending.is_empty() {
        // their rows are locked by a batch of sends that is about to commit
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Tells the others in each conversation how far somebody got, but whom a block parts from them; and of reads only those
/// who share theirs.
async fn tell_others(app: &App, furthest: HashMap<(ConversationId, UserId, MessageStatus), Seq>) {
    let mut pairs: Vec<Key> = furthest.keys().map(|(conversation, user, _)| (*conversation, *user)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let Ok(untold) = app.db().guard(async { Ok(blocks::untold(app.db().read(Share::Ordinary), &pairs).await?) }).await
    else {
        return;
    };
    for ((conversation_id, user_id, status), seq) in furthest {
        let mut except = vec![user_id];
        if let Some(untold) = untold.get(&(conversation_id, user_id)) {
            except.extend(&untold.apart);
            if status == MessageStatus::Seen {
                except.extend(&untold.unsharing);
            }
        }
        let frame = ServerFrame::MessageStatus { conversation_id, user_id, status, seq };
        app.tell_others(vec![Stream::Conversation(conversation_id)], &frame, except.into());
    }
}

/// Changes of status that others have not been told yet.
#[derive(Default)]
struct News {
    since: Option<Instant>,
    furthest: HashMap<(ConversationId, UserId, MessageStatus), Seq>,
    /// Whose unread totals changed.
    readers: HashSet<UserId>,
    /// Whose read marks were moved by sending, and where they stood.
    senders: HashMap<Key, Seq>,
}

impl News {
    fn sent(&mut self, key: Key, from: Seq) {
        self.since.get_or_insert_with(Instant::now);
        self.senders.entry(key).and_modify(|earlier| *earlier = from.min(*earlier)).or_insert(from);
    }

    fn hidden(&mut self, user: UserId) {
        self.since.get_or_insert_with(Instant::now);
        self.readers.insert(user);
    }

    fn note(&mut self, app: &App, moved: &Moved, read_wanted: bool) {
        if read_wanted && moved.read_moved() {
            let frame = ServerFrame::ConversationRead {
                conversation_id: moved.conversation_id,
                last_read_seq: moved.last_read_seq,
                unread_count: moved.read_mark().unread_count,
            };
            app.tell(vec![Stream::User(moved.user_id)], &frame, None);
            self.since.get_or_insert_with(Instant::now);
            self.readers.insert(moved.user_id);
        }
        if !moved.tells_others {
            return;
        }
        let mut note = |status, seq| {
            self.since.get_or_insert_with(Instant::now);
            self.furthest.insert((moved.conversation_id, moved.user_id, status), seq);
        };
        if moved.read_moved() && moved.shares_receipts {
            note(MessageStatus::Seen, moved.last_read_seq);
        }
        if moved.delivered_moved() {
            note(MessageStatus::Delivered, moved.delivered_seq);
        }
    }

    fn is_due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= TELL_EVERY)
    }

    async fn due(&self) {
        match self.since {
            Some(since) => tokio::time::sleep_until(since + TELL_EVERY).await,
            None => std::future::pending().await,
        }
    }

    fn tell(&mut self, app: &App) {
        let (owner, news) = (app.clone(), std::mem::take(self));
        app.spawn(async move { news.spread(&owner).await });
    }

    /// Best effort: what cannot be read now is not told, and a client sees it when it asks.
    async fn spread(mut self, app: &App) {
        if !self.senders.is_empty() {
            let senders = std::mem::take(&mut self.senders);
            let keys = senders.keys().copied();
            let standing =
                app.db().guard(async { Ok(marks::standing(app.db().read(Share::Ordinary), keys).await?) }).await;
            for mark in standing.unwrap_or_default() {
                let from = senders.get(&(mark.conversation_id, mark.user_id)).copied();
                self.note(app, &mark.since(from), true);
            }
        }
        if !self.furthest.is_empty() {
            tell_others(app, self.furthest).await;
        }
        for user in self.readers {
            let now = Timestamp::now();
            let count = app
                .db()
                .guard(async { Ok(conversations::unread(app.db().read(Share::Ordinary), user, now).await?) })
                .await;
            if let Ok(count) = count {
                app.tell(vec![Stream::User(user)], &ServerFrame::Unread(count), None);
            }
        }
    }
}
