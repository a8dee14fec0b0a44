//! An open transaction: the streams that it has locked, and the messages, events and marks that it collects.

use crate::app::App;
use crate::domain::ids::{ConversationId, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::MovedMarks;
use crate::protocol::envelope::Envelope;
use crate::protocol::events::Event;
use crate::store::db::transaction::Transaction;
use crate::store::dialect;
use crate::store::locks::{self, LockMode, LockedConversation};
use crate::store::log;
use crate::store::marks::{self, SenderMark};
use crate::store::messages::insert::{self, NewMessageRow};
use crate::store::messages::mentions::{self, NameKey, NewMention};
use crate::store::messages::sends::{self, BatchState, SendQuery};
use crate::store::messages::single_send;
use crate::store::prepared::PreparedCall;
use crate::store::table_write;
use sea_orm::DbErr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
    sender_marks: Vec<SenderMark>,
    marks: Vec<MovedMarks>,
    effects: Vec<Effect>,
}

/// What a transaction does after its commit, for example sends an ephemeral frame.
type Effect = Box<dyn FnOnce(&App) + Send + Sync>;

/// What a committed transaction leaves to do.
pub(super) struct Delivery {
    events: Vec<Envelope>,
    marks: Vec<MovedMarks>,
    effects: Vec<Effect>,
}

impl Delivery {
    /// Delivers the events and the marks, and then runs the effects.
    pub(super) fn run(self, app: &App) {
        app.deliver(self.events, &self.marks);
        for effect in self.effects {
            effect(app);
        }
    }
}

/// The `seq`, the count and the `rev` of a new message.
#[derive(Clone, Copy, Debug)]
pub struct MessageNumbers {
    pub seq: Seq,
    /// The number of messages up to this one, without system messages.
    pub count: i64,
    /// The revision of its `message.new`, if this is the next event that is appended.
    pub rev: Rev,
}

impl Tx {
    /// Creates the state of a transaction that has just begun.
    pub(super) fn new(conn: Transaction) -> Self {
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
            sender_marks: Vec::new(),
            marks: Vec::new(),
            effects: Vec::new(),
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
        self.conversations.extend(locks::lock_conversations(&self.conn, LockMode::Wait, ids).await?);
        Ok(())
    }

    /// Locks those of `ids` that no other transaction has locked, without waiting.
    pub async fn try_lock_conversations(&mut self, ids: &[ConversationId]) -> Result<()> {
        self.conversations.extend(locks::lock_conversations(&self.conn, LockMode::Skip, ids).await?);
        Ok(())
    }

    /// Locks conversations as `mode` says, and reads the state for sends to them. The state of a send whose conversation
    /// is not locked means nothing.
    pub(super) async fn lock_and_read_sends(
        &mut self,
        mode: LockMode,
        ids: &[ConversationId],
        queries: &[SendQuery<'_>],
        names: &[NameKey],
    ) -> Result<BatchState> {
        let (locked, state) = sends::lock_and_read_batch(&self.conn, mode, ids, queries, names).await?;
        self.conversations.extend(locked);
        Ok(state)
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

    /// Returns whether a message to a locked conversation may mention all participants, because the last one that did
    /// is older than `pause`.
    pub(super) fn may_mention_all(&self, id: ConversationId, pause: Duration) -> bool {
        let since = self.now.minus(pause);
        self.get_conversation(id).is_some_and(|head| head.all_mentioned_at.is_none_or(|at| at <= since))
    }

    /// Stores that a message to a locked conversation mentions all participants now.
    ///
    /// # Panics
    ///
    /// Panics if this transaction has not locked the conversation.
    pub(super) fn set_mentioned_all(&mut self, id: ConversationId) {
        let now = self.now;
        let head = self.conversations.get_mut(&id).expect("the conversation of a message is locked");
        head.all_mentioned_at = Some(now);
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

    /// Collects the read marks of the senders of new messages. The next flush stores them.
    pub(super) fn update_sender_marks(&mut self, marks: impl IntoIterator<Item = SenderMark>) {
        self.sender_marks.extend(marks);
    }

    /// Records marks that this transaction moves. The commit delivers them with its events.
    pub(super) fn add_moved_marks(&mut self, marks: impl IntoIterator<Item = MovedMarks>) {
        self.marks.extend(marks);
    }

    /// Runs `effect` after the commit and after the delivery of the events, even if no task waits for the result of the
    /// transaction any more. If the transaction does not commit, `effect` is dropped.
    pub fn after_commit(&mut self, effect: impl FnOnce(&App) + Send + Sync + 'static) {
        self.effects.push(Box::new(effect));
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

    /// Writes everything that is collected, so that later statements see it. The commit
    /// does this too. Only work that reads its own changes calls it.
    pub async fn flush(&mut self) -> Result<(), DbErr> {
        let changed = std::mem::take(&mut self.changed_conversations);
        let heads: Vec<_> =
            changed.iter().filter_map(|id| self.conversations.get(id).map(|head| (*id, head))).collect();
        let changed_users = std::mem::take(&mut self.changed_users);
        let users: Vec<_> = changed_users.iter().filter_map(|id| self.users.get(id).map(|rev| (*id, *rev))).collect();
        let writes = [
            locks::update_conversation_heads(&heads),
            locks::update_user_heads(&users),
            insert::insert_messages(&std::mem::take(&mut self.messages)),
            mentions::insert(&std::mem::take(&mut self.mentions)),
            marks::update_sender_marks(&std::mem::take(&mut self.sender_marks), self.now),
            log::append(&self.events[self.written..], self.now),
        ];
        table_write::write_all(&self.conn, writes.into_iter().flatten().collect()).await?;
        self.written = self.events.len();
        Ok(())
    }

    /// Takes everything that is collected, if it is one message with what belongs to it and the database is PostgreSQL.
    /// The commit then writes it. Otherwise returns `None` and leaves everything to [`Self::flush`].
    pub(super) fn take_single_send(&mut self) -> Option<PreparedCall> {
        let ([message], [mark], [event]) = (&self.messages[..], &self.sender_marks[..], &self.events[..]) else {
            return None;
        };
        let is_alone = self.changed_conversations.len() == 1
            && self.changed_users.is_empty()
            && self.mentions.is_empty()
            && self.written == 0
            && dialect::is_postgres(&self.conn);
        let head = self.conversations.get(&message.conversation_id).filter(|_| is_alone)?;
        let call = single_send::call(head, message, mark, event)?;
        self.changed_conversations.clear();
        self.messages.clear();
        self.sender_marks.clear();
        self.written = self.events.len();
        Some(call)
    }

    /// Ends the collecting, and returns the connection and what to do after its commit.
    pub(super) fn into_parts(self) -> (Transaction, Delivery) {
        (self.conn, Delivery { events: self.events, marks: self.marks, effects: self.effects })
    }
}
