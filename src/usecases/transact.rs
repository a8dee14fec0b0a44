//! The one way to change anything durable. Every transaction keeps the same rules, and this file is where they are kept:
//!
//! 1. *Lock first*: class, then conversations by id, then users by id; only later statements read what is decided on.
//! 2. *Nobody can cancel it*: it runs on a task of its own, and from BEGIN to "committed, delivered" nothing is owned by
//!    something that may vanish.
//! 3. *It ends*: see [`crate::domain::limits::TRANSACTION`].
//! 4. *Its connection is its own*, and goes back to the pool only after a COMMIT or ROLLBACK that succeeded: see
//!    [`crate::store::transaction`].
//! 5. Its events are appended under their streams' locks, so a revision counts 1, 2, 3 … in commit order.

use crate::app::App;
use crate::domain::ids::{ConversationId, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::Batch;
use crate::protocol::events::{Event, Frame};
use crate::store::gate::{Account, Turn};
use crate::store::mentions::{self, NewMention};
use crate::store::transaction::Transaction;
use crate::store::writes::{self, Head, NewMessage};
use crate::store::{self, Failure, log};
use bytestring::ByteString;
use sea_orm::DbErr;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

/// The future of a transaction's work.
pub type Work<'t, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 't>>;

/// A transaction under way: its connection, the streams it has locked, and what it will append. Messages and events are
/// gathered here and written together before the commit, so a statement of the same transaction does not see them.
pub struct Tx {
    conn: Transaction,
    now: Timestamp,
    heads: BTreeMap<ConversationId, Head>,
    touched: BTreeSet<ConversationId>,
    users: BTreeMap<UserId, Rev>,
    advanced: BTreeSet<UserId>,
    messages: Vec<NewMessage>,
    mentions: Vec<NewMention>,
    events: Vec<log::Row>,
    /// How many of `events` are written.
    written: usize,
}

/// Where a new message stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its place.
    pub seq: Seq,
    /// The running count of messages at it, system messages aside.
    pub count: i64,
    /// The revision its `message.new` will have if it is appended next.
    pub rev: Rev,
}

impl Tx {
    fn new(conn: Transaction) -> Self {
        Self {
            conn,
            now: Timestamp::now(),
            heads: BTreeMap::new(),
            touched: BTreeSet::new(),
            users: BTreeMap::new(),
            advanced: BTreeSet::new(),
            messages: Vec::new(),
            mentions: Vec::new(),
            events: Vec::new(),
            written: 0,
        }
    }

    /// The connection, for statements of the store.
    pub fn conn(&self) -> &Transaction {
        &self.conn
    }

    /// The moment that everything in this transaction happened at.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Locks conversations, before any user; missing and deleted ones stay unlocked and have no [`Self::head`].
    pub async fn lock_conversations(&mut self, ids: &[ConversationId]) -> Result<()> {
        debug_assert!(self.users.is_empty(), "conversations are locked before users");
        self.heads.extend(writes::lock_conversations(&self.conn, ids).await?);
        Ok(())
    }

    /// Locks those of `ids` that nobody else has locked.
    pub async fn lock_free_conversations(&mut self, ids: &[ConversationId]) -> Result<()> {
        self.heads.extend(writes::lock_free_conversations(&self.conn, ids).await?);
        Ok(())
    }

    /// Locks users, after every conversation; those that do not exist stay unlocked.
    pub async fn lock_users(&mut self, ids: &[UserId]) -> Result<()> {
        debug_assert!(ids.len() <= limits::USER_STREAMS + 1, "larger work goes in chunks");
        self.users.extend(writes::lock_users(&self.conn, ids).await?);
        Ok(())
    }

    /// The locked conversation.
    pub fn head(&self, id: ConversationId) -> Option<&Head> {
        self.heads.get(&id)
    }

    /// The locked conversation, or `not_found`.
    pub fn existing(&self, id: ConversationId) -> Result<&Head> {
        self.heads.get(&id).filter(|head| !head.deleted).ok_or_else(|| Error::not_found("conversation"))
    }

    /// Whether the user exists and is locked.
    pub fn has_user(&self, id: UserId) -> bool {
        self.users.contains_key(&id)
    }

    /// Takes charge of a conversation that this transaction has just inserted.
    pub fn created_conversation(&mut self, id: ConversationId, head: Head) {
        self.heads.insert(id, head);
    }

    /// Takes charge of a user that this transaction has just inserted.
    pub fn created_user(&mut self, id: UserId) {
        self.users.insert(id, Rev(0));
    }

    /// The next place in a locked conversation; `counts` is false for a system message.
    ///
    /// # Panics
    ///
    /// If this transaction has not locked the conversation.
    pub fn next_place(&mut self, id: ConversationId, counts: bool) -> Place {
        let now = self.now;
        let head =
            self.heads.get_mut(&id).expect("a message goes into a conversation that this transaction has locked");
        head.last_seq = head.last_seq.next();
        head.last_count += i64::from(counts);
        head.last_message_at = Some(now);
        self.touched.insert(id);
        Place { seq: head.last_seq, count: head.last_count, rev: head.last_rev.next() }
    }

    /// Inserts a message at a place taken by [`Self::next_place`], when the transaction flushes.
    pub fn insert_message(&mut self, message: NewMessage) {
        self.messages.push(message);
    }

    /// Inserts whom a message mentions, after the message, when the transaction flushes.
    pub fn insert_mentions(&mut self, mentions: impl IntoIterator<Item = NewMention>) {
        self.mentions.extend(mentions);
    }

    /// Appends an event to a locked stream and returns its revision.
    ///
    /// # Panics
    ///
    /// If this transaction has not locked the stream.
    pub fn append(&mut self, stream: Stream, event: &Event) -> Rev {
        let rev = self.next_rev(stream);
        let text = event.frame(stream, rev);
        debug_assert!(text.len() <= limits::EVENT_BYTES, "{} of {} bytes", event.name(), text.len());
        let frame = Frame {
            rev,
            text: text.into(),
            effect: event.effect(),
            message_id: event.message_id(),
            quoted_id: event.quoted_id(),
        };
        self.events.push(log::Row { stream, frame, event_type: event.name(), created_at: self.now });
        rev
    }

    /// Appends one event to the streams of many locked users, for whom it is the same, and writes it: it is serialised
    /// once, and sent to the database once.
    ///
    /// # Panics
    ///
    /// If this transaction has not locked the streams.
    pub async fn append_same(&mut self, users: &[UserId], event: &Event) -> Result<(), DbErr> {
        let tail = event.tail();
        let revs: Vec<_> = users.iter().map(|user| (*user, self.next_rev(Stream::User(*user)))).collect();
        self.flush().await?;
        log::append_same(&self.conn, &revs, event.name(), &tail, self.now).await?;
        for (user, rev) in revs {
            let stream = Stream::User(user);
            let text: ByteString = (Event::head(stream, rev) + &tail).into();
            let frame = Frame { rev, text, effect: event.effect(), message_id: None, quoted_id: None };
            self.events.push(log::Row { stream, frame, event_type: event.name(), created_at: self.now });
        }
        self.written = self.events.len();
        Ok(())
    }

    fn next_rev(&mut self, stream: Stream) -> Rev {
        let rev = match stream {
            Stream::Conversation(id) => {
                self.touched.insert(id);
                &mut self
                    .heads
                    .get_mut(&id)
                    .expect("an event goes into a stream that this transaction has locked")
                    .last_rev
            }
            Stream::User(id) => {
                self.advanced.insert(id);
                self.users.get_mut(&id).expect("an event goes into a stream that this transaction has locked")
            }
        };
        *rev = rev.next();
        *rev
    }

    /// Writes what was gathered so far, in a fixed order of tables, so that later statements see it. The commit does it
    /// anyway; only work that reads its own changes calls it.
    pub async fn flush(&mut self) -> Result<(), DbErr> {
        let touched = std::mem::take(&mut self.touched);
        let heads: Vec<_> = touched.iter().filter_map(|id| self.heads.get(id).map(|head| (*id, head))).collect();
        writes::advance_conversations(&self.conn, &heads).await?;
        let advanced = std::mem::take(&mut self.advanced);
        let users: Vec<_> = advanced.iter().filter_map(|id| self.users.get(id).map(|rev| (*id, *rev))).collect();
        writes::advance_users(&self.conn, &users).await?;
        writes::insert_messages(&self.conn, &std::mem::take(&mut self.messages)).await?;
        mentions::insert(&self.conn, &std::mem::take(&mut self.mentions)).await?;
        log::append(&self.conn, &self.events[self.written..]).await?;
        self.written = self.events.len();
        Ok(())
    }
}

/// What each stream got, in its order.
fn batches(events: Vec<log::Row>) -> Vec<(Stream, Arc<Batch>)> {
    let mut streams: BTreeMap<Stream, Vec<Frame>> = BTreeMap::new();
    for row in events {
        streams.entry(row.stream).or_default().push(row.frame);
    }
    streams.into_iter().map(|(stream, frames)| (stream, Batch::new(frames))).collect()
}

/// What an attempt committed: its result, and its events, which are still to be delivered.
#[must_use = "events that are not delivered reach nobody before the catch-up finds them"]
pub(crate) struct Commit<T> {
    result: T,
    events: Vec<log::Row>,
    /// How many rows it changed.
    touched: u64,
}

impl<T> Commit<T> {
    /// Answers first, then delivers: whoever acted hears of it before the others do.
    pub(crate) fn deliver<R>(self, app: &App, answer: impl FnOnce(T) -> R) -> R {
        let answered = answer(self.result);
        app.deliver(batches(self.events));
        answered
    }
}

/// Why an attempt did not commit.
pub(crate) enum Aborted {
    /// The work refused, or could not go on; nothing was committed.
    Refused(Error),
    /// The database failed; nothing is committed that this process could see ([`Transaction::commit`]).
    Failed(DbErr),
    /// The commit was not answered; it may have happened.
    Unknown(DbErr),
    /// It was large and sends waited; nothing was committed.
    GaveWay,
}

impl From<Aborted> for Error {
    fn from(aborted: Aborted) -> Self {
        match aborted {
            Aborted::Refused(error) => error,
            Aborted::Failed(error) | Aborted::Unknown(error) => error.into(),
            Aborted::GaveWay => Error::overloaded("it gave way to sends"),
        }
    }
}

/// Runs `work` in a transaction, commits, delivers its events and returns its result. `work` may run again if the
/// database asks for it (a deadlock, a serialisation failure), so it changes nothing outside the transaction.
///
/// It is charged to `account`, whoever is known to ask for it, and touches about so many `rows`; where it touches more,
/// these are charged too once it has: turns are fair by user and charged by rows ([`crate::store::gate`]).
/// The caller may vanish at any moment: the transaction runs to its end all the same.
pub async fn transact_for<T, W>(app: &App, account: impl Into<Account>, rows: usize, work: W) -> Result<T>
where
    T: Send + 'static,
    W: for<'t> Fn(&'t mut Tx) -> Work<'t, T> + Send + Sync + 'static,
{
    let (owner, account) = (app.clone(), account.into());
    app.detached(async move {
        let mut turn = owner.db().turn_of(account, rows).await?;
        let commit = committed(&owner, &mut turn, &work).await?;
        turn.touched(commit.touched);
        Ok(commit.deliver(&owner, |result| result))
    })
    .await
}

/// Tries again after a deadlock or a serialisation failure, four attempts at most. The caller holds `turn` and runs on a
/// task that nobody can cancel.
pub(crate) async fn committed<T>(
    app: &App,
    turn: &mut Turn,
    work: &(impl for<'t> Fn(&'t mut Tx) -> Work<'t, T> + Send + Sync),
) -> Result<Commit<T>> {
    let (mut attempts, mut ways) = (0, 0);
    loop {
        attempts += 1;
        let gives_way = turn.is_large() && ways < limits::WAYS_GIVEN;
        match attempt(app, work, gives_way).await {
            Ok(commit) => return Ok(commit),
            Err(Aborted::GaveWay) => {
                attempts -= 1;
                ways += 1;
                turn.step_aside(app.db()).await;
            }
            Err(aborted) if attempts < 4 && may_retry(&aborted) => {}
            Err(aborted) => return Err(aborted.into()),
        }
    }
}

fn may_retry(aborted: &Aborted) -> bool {
    match aborted {
        Aborted::Refused(error) => error
            .cause()
            .and_then(|cause| cause.downcast_ref::<DbErr>())
            .is_some_and(|cause| store::failure(cause) == Failure::Retry),
        Aborted::Failed(error) => store::failure(error) == Failure::Retry,
        Aborted::Unknown(_) | Aborted::GaveWay => false,
    }
}

/// Names the type of a transaction's work, which a closure bound to a variable cannot say by itself.
pub(crate) fn work<T, W>(work: W) -> W
where
    W: for<'t> Fn(&'t mut Tx) -> Work<'t, T> + Send + Sync + 'static,
{
    work
}

/// One attempt, which is given up where it `gives_way` and sends wait. The caller holds the turn to write and runs on a
/// task that nobody can cancel.
pub(crate) async fn attempt<T>(
    app: &App,
    work: &(impl for<'t> Fn(&'t mut Tx) -> Work<'t, T> + Send + Sync),
    gives_way: bool,
) -> Result<Commit<T>, Aborted> {
    let conn = app.db().begin().await.map_err(Aborted::Refused)?;
    if gives_way {
        conn.give_way();
    }
    let mut tx = Tx::new(conn);
    let done = async {
        let result = work(&mut tx).await.map_err(Aborted::Refused)?;
        tx.flush().await.map_err(Aborted::Failed)?;
        Ok(result)
    };
    let result = match done.await {
        Ok(result) => result,
        Err(aborted) => {
            let gave_way = tx.conn.gave_way();
            tx.conn.rollback().await;
            return Err(if gave_way { Aborted::GaveWay } else { aborted });
        }
    };
    let Tx { conn, events, .. } = tx;
    let touched = conn.touched().await;
    if let Err(error) = conn.commit().await {
        // should it have happened after all, only the log can tell the others
        app.wake_catch_up();
        let unanswered = store::failure(&error) == Failure::Away;
        return Err(if unanswered { Aborted::Unknown(error) } else { Aborted::Failed(error) });
    }
    Ok(Commit { result, events, touched })
}
