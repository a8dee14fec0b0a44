//! Transactions: the only way to make durable changes. Every transaction keeps these rules, which this file enforces:
//!
//! 1. *Lock first*: the class, then conversations by id, then users by id. Only later statements read what a decision
//!    depends on.
//! 2. *It cannot be cancelled*: it runs in a task of its own. From BEGIN until its events are delivered, no state
//!    belongs to a task that may disappear.
//! 3. *It ends*: see [`crate::domain::limits::TRANSACTION_TIMEOUT`].
//! 4. *It owns its connection*. The connection returns to the pool only after a COMMIT or ROLLBACK that succeeded: see
//!    [`crate::store::db::transaction`].
//! 5. Its events are appended while their streams are locked, so revisions count 1, 2, 3 … in the order of commits.

use crate::app::App;
use crate::domain::ids::{ConversationId, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::envelope::Envelope;
use crate::protocol::events::Event;
use crate::store::db::failure::{FailureKind, failure_kind};
use crate::store::db::transaction::Transaction;
use crate::store::db::write_queue::{ServerWriter, WriteOwner, WriteTurn};
use crate::store::locks::{self, LockedConversation};
use crate::store::log;
use crate::store::messages::insert::{self, NewMessageRow};
use crate::store::messages::mentions::{self, NewMention};
use sea_orm::DbErr;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

/// The future of the work of a transaction.
pub type WorkFuture<'t, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 't>>;

/// An open transaction: its connection, the streams that it has locked, and what it will append. Messages and events
/// are collected here and written together before the commit, so earlier statements of the same transaction do not see
/// them.
pub struct Tx {
    conn: Transaction,
    now: Timestamp,
    conversations: BTreeMap<ConversationId, LockedConversation>,
    changed_conversations: BTreeSet<ConversationId>,
    users: BTreeMap<UserId, Rev>,
    changed_users: BTreeSet<UserId>,
    messages: Vec<NewMessageRow>,
    mentions: Vec<NewMention>,
    events: Vec<Envelope>,
    /// The number of `events` that are written already.
    written: usize,
}

/// The numbers of a new message.
#[derive(Clone, Copy, Debug)]
pub struct MessageNumbers {
    pub seq: Seq,
    /// The number of messages up to this one, without system messages.
    pub count: i64,
    /// The revision of its `message.new`, if this is the next event that is appended.
    pub rev: Rev,
}

impl Tx {
    fn new(conn: Transaction) -> Self {
        Self {
            conn,
            now: Timestamp::now(),
            conversations: BTreeMap::new(),
            changed_conversations: BTreeSet::new(),
            users: BTreeMap::new(),
            changed_users: BTreeSet::new(),
            messages: Vec::new(),
            mentions: Vec::new(),
            events: Vec::new(),
            written: 0,
        }
    }

    /// Returns the connection, for statements of the store.
    pub fn conn(&self) -> &Transaction {
        &self.conn
    }

    /// Returns the time of this transaction: everything in it happens at this moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Locks conversations. This must happen before users are locked. Conversations that are missing or deleted are not
    /// locked, and [`Self::get_conversation`] returns `None` for them.
    pub async fn lock_conversations(&mut self, ids: &[ConversationId]) -> Result<()> {
        debug_assert!(self.users.is_empty(), "conversations are locked before users");
        self.conversations.extend(locks::lock_conversations(&self.conn, ids).await?);
        Ok(())
    }

    /// Locks those of `ids` that no other transaction has locked, without waiting.
    pub async fn try_lock_conversations(&mut self, ids: &[ConversationId]) -> Result<()> {
        self.conversations.extend(locks::try_lock_conversations(&self.conn, ids).await?);
        Ok(())
    }

    /// Locks users. This must happen after all conversations are locked. Users that do not exist are not locked.
    pub async fn lock_users(&mut self, ids: &[UserId]) -> Result<()> {
        debug_assert!(ids.len() <= limits::USER_STREAMS_PER_TRANSACTION + 1, "split larger work into chunks");
        self.users.extend(locks::lock_users(&self.conn, ids).await?);
        Ok(())
    }

    /// Returns a conversation that this transaction has locked.
    pub fn get_conversation(&self, id: ConversationId) -> Option<&LockedConversation> {
        self.conversations.get(&id)
    }

    /// Returns a conversation that this transaction has locked. Fails with `not_found` if it does not exist or is
    /// deleted.
    pub fn require_conversation(&self, id: ConversationId) -> Result<&LockedConversation> {
        self.conversations.get(&id).filter(|head| !head.deleted).ok_or_else(|| Error::not_found("conversation"))
    }

    /// Returns whether the user exists and is locked.
    pub fn has_user(&self, id: UserId) -> bool {
        self.users.contains_key(&id)
    }

    /// Adds a conversation that this transaction has inserted. It counts as locked.
    pub fn add_conversation(&mut self, id: ConversationId, head: LockedConversation) {
        self.conversations.insert(id, head);
    }

    /// Adds a user that this transaction has inserted. The user counts as locked.
    pub fn add_user(&mut self, id: UserId) {
        self.users.insert(id, Rev(0));
    }

    /// Returns the numbers of the next message in a locked conversation. `counts` is false for a system message.
    ///
    /// # Panics
    ///
    /// Panics if this transaction has not locked the conversation.
    pub(super) fn next_message_numbers(&mut self, id: ConversationId, counts: bool) -> MessageNumbers {
        let now = self.now;
        let head =
            self.conversations.get_mut(&id).expect("the conversation of a message is locked by this transaction");
        head.last_seq = head.last_seq.next();
        head.last_count += i64::from(counts);
        head.last_message_at = Some(now);
        self.changed_conversations.insert(id);
        MessageNumbers { seq: head.last_seq, count: head.last_count, rev: head.last_rev.next() }
    }

    /// Changes the number of participants of a locked conversation by `delta`. The next flush stores it.
    ///
    /// # Panics
    ///
    /// Panics if this transaction has not locked the conversation.
    pub fn add_to_member_count(&mut self, id: ConversationId, delta: i64) {
        let head = self.conversations.get_mut(&id).expect("the conversation of a participant is locked");
        head.member_count += delta;
        self.changed_conversations.insert(id);
    }

    /// Collects a message with numbers from [`Self::next_message_numbers`]. The next flush inserts it.
    pub(super) fn insert_message(&mut self, message: NewMessageRow) {
        self.messages.push(message);
    }

    /// Collects the mentions of a message. The next flush inserts them after the message.
    pub(super) fn insert_mentions(&mut self, mentions: impl IntoIterator<Item = NewMention>) {
        self.mentions.extend(mentions);
    }

    /// Appends an event to a locked stream and returns its revision.
    ///
    /// # Panics
    ///
    /// Panics if this transaction has not locked the stream.
    pub fn append(&mut self, stream: Stream, event: &Event) -> Rev {
        let rev = self.next_rev(stream);
        let envelope = Envelope::new(event, stream, rev);
        let bytes = envelope.text.len();
        debug_assert!(bytes <= limits::EVENT_BYTES, "{} of {bytes} bytes", envelope.event_type.as_str());
        self.events.push(envelope);
        rev
    }

    /// Appends the same event to the streams of many locked users, and writes it immediately. It is serialised only
    /// once and sent to the database only once.
    ///
    /// # Panics
    ///
    /// Panics if this transaction has not locked the streams.
    pub async fn append_same(&mut self, users: &[UserId], event: &Event) -> Result<(), DbErr> {
        let tail = event.frame_end();
        let revs: Vec<_> = users.iter().map(|user| (*user, self.next_rev(Stream::User(*user)))).collect();
        self.flush().await?;
        log::append_to_users(&self.conn, &revs, event.event_type(), &tail, self.now).await?;
        for (user, rev) in revs {
            let stream = Stream::User(user);
            let text = Event::frame_start(stream, rev) + &tail;
            self.events.push(Envelope::with_text(event, stream, rev, text));
        }
        self.written = self.events.len();
        Ok(())
    }

    fn next_rev(&mut self, stream: Stream) -> Rev {
        let rev = match stream {
            Stream::Conversation(id) => {
                self.changed_conversations.insert(id);
                &mut self
                    .conversations
                    .get_mut(&id)
                    .expect("the stream of an event is locked by this transaction")
                    .last_rev
            }
            Stream::User(id) => {
                self.changed_users.insert(id);
                self.users.get_mut(&id).expect("the stream of an event is locked by this transaction")
            }
        };
        *rev = rev.next();
        *rev
    }

    /// Writes everything that is collected, in a fixed order of tables, so that later statements see it. The commit
    /// does this too. Only work that reads its own changes calls it.
    pub async fn flush(&mut self) -> Result<(), DbErr> {
        let changed = std::mem::take(&mut self.changed_conversations);
        let heads: Vec<_> =
            changed.iter().filter_map(|id| self.conversations.get(id).map(|head| (*id, head))).collect();
        locks::update_conversation_heads(&self.conn, &heads).await?;
        let changed_users = std::mem::take(&mut self.changed_users);
        let users: Vec<_> = changed_users.iter().filter_map(|id| self.users.get(id).map(|rev| (*id, *rev))).collect();
        locks::update_user_heads(&self.conn, &users).await?;
        insert::insert_messages(&self.conn, &std::mem::take(&mut self.messages)).await?;
        mentions::insert(&self.conn, &std::mem::take(&mut self.mentions)).await?;
        log::append(&self.conn, &self.events[self.written..], self.now).await?;
        self.written = self.events.len();
        Ok(())
    }
}

/// The result of a committed attempt, and its events, which must still be delivered.
#[must_use = "events that are not delivered reach no client before the catch-up finds them"]
pub(crate) struct Commit<T> {
    result: T,
    events: Vec<Envelope>,
    changed_rows: u64,
}

impl<T> Commit<T> {
    /// Calls `answer` first and then delivers the events, so that the sender knows the result before other users get
    /// the events.
    pub(crate) fn deliver<R>(self, app: &App, answer: impl FnOnce(T) -> R) -> R {
        let answered = answer(self.result);
        app.deliver(self.events);
        answered
    }
}

/// Why an attempt did not commit.
pub(crate) enum AbortReason {
    /// The work returned an error; nothing was committed.
    Refused(Error),
    /// The database failed. Nothing was committed that this process can see ([`Transaction::commit`]).
    Failed(DbErr),
    /// The COMMIT got no answer, so it may have happened.
    Unknown(DbErr),
    /// The transaction was large and stopped because sends waited; nothing was committed.
    Yielded,
}

impl From<AbortReason> for Error {
    fn from(reason: AbortReason) -> Self {
        match reason {
            AbortReason::Refused(error) => error,
            AbortReason::Failed(error) | AbortReason::Unknown(error) => error.into(),
            AbortReason::Yielded => Error::overloaded("the transaction yielded to sends"),
        }
    }
}

/// Runs `work` in a transaction, commits, delivers its events and returns its result. `work` may run again after a
/// deadlock or a serialisation failure, so it must not change anything outside the transaction.
///
/// The transaction is charged to `owner` for about `rows` rows. If it changes more rows, these are charged after the
/// commit. Turns are fair by user and charged by rows ([`crate::store::db::write_queue`]). If no task waits for the
/// result any more, the transaction still runs to its end.
pub async fn transact_for<T, W>(app: &App, owner: impl Into<WriteOwner>, rows: usize, work: W) -> Result<T>
where
    T: Send + 'static,
    W: for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync + 'static,
{
    let (owned_app, owner) = (app.clone(), owner.into());
    app.run_with_deadline(async move {
        let mut turn = owned_app.db().take_owner_turn(owner, rows).await?;
        let commit = commit_with_retries(&owned_app, &mut turn, &work).await?;
        turn.charge_rows(commit.changed_rows);
        Ok(commit.deliver(&owned_app, |result| result))
    })
    .await
}

/// Runs `work` like [`transact_for`], but as a part of the server that writes for all users together, and in the task of
/// the calling function. If that task ends before the COMMIT, the database rolls back. If it ends during the COMMIT, the
/// catch-up delivers the events.
pub(crate) async fn transact_as<T>(
    app: &App,
    writer: ServerWriter,
    work: &(impl for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync),
) -> Result<T> {
    let attempts = async {
        let mut turn = app.db().take_server_turn(writer).await;
        let commit = commit_with_retries(app, &mut turn, work).await?;
        Ok(commit.deliver(app, |result| result))
    };
    app.db().run(attempts).await
}

/// Makes at most four attempts: repeats after a deadlock or a serialisation failure. The calling function holds `turn`
/// and runs in a task that cannot be cancelled.
pub(crate) async fn commit_with_retries<T>(
    app: &App,
    turn: &mut WriteTurn,
    work: &(impl for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync),
) -> Result<Commit<T>> {
    let (mut attempts, mut yields) = (0, 0);
    loop {
        attempts += 1;
        let may_yield = turn.is_large() && yields < limits::LARGE_YIELDS;
        match run_attempt(app, work, may_yield).await {
            Ok(commit) => return Ok(commit),
            Err(AbortReason::Yielded) => {
                attempts -= 1;
                yields += 1;
                turn.requeue(app.db()).await;
            }
            Err(reason) if attempts < 4 && is_retryable(&reason) => {}
            Err(reason) => return Err(reason.into()),
        }
    }
}

fn is_retryable(reason: &AbortReason) -> bool {
    match reason {
        AbortReason::Refused(error) => error
            .cause()
            .and_then(|cause| cause.downcast_ref::<DbErr>())
            .is_some_and(|cause| failure_kind(cause) == FailureKind::Retry),
        AbortReason::Failed(error) => failure_kind(error) == FailureKind::Retry,
        AbortReason::Unknown(_) | AbortReason::Yielded => false,
    }
}

/// Gives a closure the type of a transaction's work, which the compiler cannot infer for a closure in a variable.
pub(crate) fn typed_work<T, W>(work: W) -> W
where
    W: for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync + 'static,
{
    work
}

/// Runs one attempt. If `may_yield` is true, it stops when sends wait. The calling function holds the turn to write and
/// runs in a task that cannot be cancelled.
pub(crate) async fn run_attempt<T>(
    app: &App,
    work: &(impl for<'t> Fn(&'t mut Tx) -> WorkFuture<'t, T> + Send + Sync),
    may_yield: bool,
) -> Result<Commit<T>, AbortReason> {
    let conn = app.db().begin().await.map_err(AbortReason::Refused)?;
    if may_yield {
        conn.yield_to_sends();
    }
    let mut tx = Tx::new(conn);
    let done = async {
        let result = work(&mut tx).await.map_err(AbortReason::Refused)?;
        tx.flush().await.map_err(AbortReason::Failed)?;
        Ok(result)
    };
    let result = match done.await {
        Ok(result) => result,
        Err(reason) => {
            let yielded = tx.conn.has_yielded();
            tx.conn.rollback().await;
            return Err(if yielded { AbortReason::Yielded } else { reason });
        }
    };
    let Tx { conn, events, .. } = tx;
    let changed_rows = conn.changed_rows().await;
    if let Err(error) = conn.commit().await {
        // The commit may have happened. Then only the log contains its events.
        app.wake_catch_up();
        let is_unknown = failure_kind(&error) == FailureKind::Unreachable;
        return Err(if is_unknown { AbortReason::Unknown(error) } else { AbortReason::Failed(error) });
    }
    Ok(Commit { result, events, changed_rows })
}
