//! One batch of sends inside its transaction: lock, find repeated sends, check, give numbers, and collect. It works on
//! sets: the number of statements does not grow with the batch.

use super::access;
use super::assemble::messages::{AuthorMessage, for_former_participant, list_for_authors, quote_message, quote_row};
use super::assemble::new_messages::{self, InsertedMessage, MessageAuthor, NewMessageFields};
use super::mentions::{MentionText, Mentionable};
use super::tx::{MessageNumbers, Tx};
use crate::domain::ids::{ConversationId, MessageId, MessageKey, Seq, UserId};
use crate::domain::mentions::has_mention_sign;
use crate::domain::roles::{Action, ConversationKind};
use crate::error::{Error, Result};
use crate::mailboxes::{MarkCause, MovedMarks, SendJob, SentMessage};
use crate::protocol::messages::Quote;
use crate::protocol::shared_message::SharedMessage;
use crate::store;
use crate::store::db::transaction::Transaction;
use crate::store::dialect;
use crate::store::locks::LockedConversation;
use crate::store::messages::{self, MessageRow, ParticipantRights, SendKey, StoredSend};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What to do if another transaction has locked a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockMode {
    /// Skip its sends, which the writer tries again later.
    Skip,
    Wait,
}

/// What the batch did with one send.
pub enum SendOutcome {
    /// Its conversation was locked, so the send was not examined.
    Skipped,
    /// It was stored, found repeated, or refused.
    Decided(Box<Result<SentMessage>>),
}

/// Runs a batch and returns the outcomes in the order of `jobs`. An error fails the whole batch, and nothing is
/// committed.
pub async fn run(tx: &mut Tx, jobs: &[SendJob], lock_mode: LockMode) -> Result<Vec<SendOutcome>> {
    dialect::force_generic_plans(tx.conn()).await?;
    let missing = lock_conversations(tx, jobs, lock_mode).await?;
    let snapshot = BatchSnapshot::read(tx, jobs).await?;
    let mut state = BatchState { texts: mention_texts(tx, jobs, &snapshot), ..BatchState::default() };
    state.mentionable = Mentionable::read(tx, state.texts.values()).await?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        let outcome = if tx.get_conversation(job.send.conversation_id()).is_some() {
            SendOutcome::Decided(Box::new(decide(tx, job, &snapshot, &mut state)))
        } else if missing.contains(&job.send.conversation_id()) {
            SendOutcome::Decided(Box::new(Err(Error::not_found("conversation"))))
        } else {
            SendOutcome::Skipped
        };
        outcomes.push(outcome);
    }
    let marks: Vec<MovedMarks> = std::mem::take(&mut state.marks).into_values().collect();
    let updates: Vec<_> = marks
        .iter()
        .map(|mark| (mark.conversation_id, mark.user_id, mark.last_read_seq, mark.last_read_count))
        .collect();
    store::marks::update_sender_marks(tx.conn(), &updates, tx.now()).await?;
    tx.add_moved_marks(marks);
    state.mentionable.save(tx).await?;
    Ok(outcomes)
}

/// Locks the conversations as `lock_mode` says. Returns those that do not exist; a conversation that another
/// transaction has locked is not among them.
async fn lock_conversations(tx: &mut Tx, jobs: &[SendJob], lock_mode: LockMode) -> Result<HashSet<ConversationId>> {
    let mut ids: Vec<ConversationId> = jobs.iter().map(|job| job.send.conversation_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    match lock_mode {
        LockMode::Skip => tx.try_lock_conversations(&ids).await?,
        LockMode::Wait => tx.lock_conversations(&ids).await?,
    }
    ids.retain(|id| tx.get_conversation(*id).is_none());
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let existing = store::conversations::list_existing(tx.conn(), &ids).await?;
    Ok(ids.into_iter().filter(|id| !existing.contains(id)).collect())
}

/// The state of the database for a batch, read after the locks.
struct BatchSnapshot {
    stored: HashMap<SendKey, StoredSend>,
    /// Messages as they are now: those of repeated sends, and those of sends with an unknown outcome.
    messages: HashMap<MessageId, AuthorMessage>,
    senders: HashMap<(ConversationId, UserId), ParticipantRights>,
    targets: HashMap<MessageId, MessageRow>,
}

impl BatchSnapshot {
    async fn read(tx: &Tx, jobs: &[SendJob]) -> Result<Self> {
        let locked = || jobs.iter().filter(|job| tx.get_conversation(job.send.conversation_id()).is_some());
        let keys: Vec<SendKey> = locked().filter_map(send_key).collect();
        let stored = messages::stored_sends(tx.conn(), &keys).await?;
        let mut current: Vec<MessageKey> = stored.iter().map(|(send, stored)| (send.0, stored.id)).collect();
        let unknown = locked().filter(|job| job.unknown_until.is_some());
        current.extend(unknown.map(|job| (job.send.conversation_id(), job.message_id)));
        let found = list_for_authors(tx.conn(), messages::by_keys(tx.conn(), &current).await?).await?;
        let mut pairs: Vec<_> = locked().map(sender_key).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let quoted = |job: &SendJob| Some((job.send.conversation_id(), job.send.reply_to_id()?));
        let quoted: Vec<MessageKey> = locked().filter_map(quoted).collect();
        let targets = messages::by_keys(tx.conn(), &quoted).await?;
        Ok(Self {
            stored,
            messages: found,
            senders: messages::senders(tx.conn(), &pairs).await?,
            targets: targets.into_iter().map(|row| (row.id, row)).collect(),
        })
    }
}

/// Returns the texts of the batch that may mention users.
fn mention_texts(tx: &Tx, jobs: &[SendJob], snapshot: &BatchSnapshot) -> HashMap<MessageId, MentionText> {
    let named = |job: &SendJob| {
        let (send, text) = (&job.send, job.send.content().as_str());
        let conversation = tx.get_conversation(send.conversation_id()).filter(|_| has_mention_sign(text))?;
        let role = snapshot.senders.get(&sender_key(job))?.role?;
        let may_mention_all = role.may(Action::MentionAll) && conversation.kind != ConversationKind::Direct;
        let (conversation, sender) = sender_key(job);
        Some((job.message_id, MentionText::new(conversation, sender, may_mention_all, text)))
    };
    jobs.iter().filter_map(named).collect()
}

fn sender_key(job: &SendJob) -> (ConversationId, UserId) {
    (job.send.conversation_id(), job.send.sender_id())
}

fn send_key(job: &SendJob) -> Option<SendKey> {
    job.send.temp_id().map(|temp_id| (job.send.conversation_id(), job.send.sender_id(), temp_id.clone()))
}

/// What the later sends of this batch need: what the batch has added, and whom its texts can mention.
#[derive(Default)]
struct BatchState {
    /// Sends with a `temp_id`, because a batch may contain the same send twice.
    sends: HashMap<SendKey, (String, SentMessage)>,
    /// Messages, because a send may quote one of the same batch.
    messages: HashMap<MessageId, SharedMessage>,
    /// The texts of the batch that may mention users.
    texts: HashMap<MessageId, MentionText>,
    /// The users that these texts can mention.
    mentionable: Mentionable,
    /// The new read mark of each sender.
    marks: BTreeMap<(ConversationId, UserId), MovedMarks>,
}

impl BatchState {
    /// Moves the read mark of the sender to the new message: a user who sends has read all earlier messages.
    fn move_read_mark(&mut self, job: &SendJob, stored: Option<Seq>, numbers: MessageNumbers) {
        let (conversation_id, user_id) = sender_key(job);
        let earlier = self.marks.get(&(conversation_id, user_id));
        let read = earlier.map(|mark| mark.last_read_seq).or(stored);
        let previous_read_seq = match earlier.map(|mark| mark.cause) {
            Some(MarkCause::Send { previous_read_seq: Some(earlier) }) => Some(earlier),
            _ => read.filter(|read| read.0 + 1 < numbers.seq.0),
        };
        let mark = MovedMarks {
            conversation_id,
            user_id,
            last_read_seq: numbers.seq,
            last_read_count: numbers.count,
            delivered_seq: None,
            cause: MarkCause::Send { previous_read_seq },
        };
        self.marks.insert((conversation_id, user_id), mark);
    }
}

fn decide(tx: &mut Tx, job: &SendJob, snapshot: &BatchSnapshot, state: &mut BatchState) -> Result<SentMessage> {
    if let Some(sent) = find_stored(job, snapshot, state)? {
        return Ok(sent);
    }
    tx.require_conversation(job.send.conversation_id())?;
    let sender = snapshot.senders.get(&sender_key(job)).ok_or_else(Error::not_a_participant)?;
    access::require_writable(sender, Action::Send)?;
    let reply_to = match job.send.reply_to_id() {
        Some(id) => Some(build_quote(job, id, snapshot, state)?),
        None => None,
    };
    Ok(add_message(tx, job, sender, reply_to, state))
}

/// Returns the message that this send stored before its COMMIT got no answer, or that an earlier send with the same
/// `temp_id` stored. This comes before the check of membership: a sender who has left may still learn the outcome.
fn find_stored(job: &SendJob, snapshot: &BatchSnapshot, state: &BatchState) -> Result<Option<SentMessage>> {
    if let Some(found) = snapshot.messages.get(&job.message_id) {
        return Ok(Some(to_sent(found, false)));
    }
    let Some(key) = send_key(job) else { return Ok(None) };
    if let Some((hash, sent)) = state.sends.get(&key) {
        let sent = SentMessage { repeated: true, ..sent.clone() };
        return if *hash == job.send.body_hash() { Ok(Some(sent)) } else { Err(Error::temp_id_reused()) };
    }
    let Some(stored) = snapshot.stored.get(&key) else { return Ok(None) };
    if stored.body_hash != job.send.body_hash() {
        return Err(Error::temp_id_reused());
    }
    let found = snapshot.messages.get(&stored.id).ok_or_else(|| Error::internal("a stored send has no message"))?;
    let is_participant = snapshot.senders.get(&sender_key(job)).is_some_and(|sender| sender.role.is_some());
    let mut sent = to_sent(found, true);
    if !is_participant {
        sent.message = for_former_participant(&sent.message);
    }
    Ok(Some(sent))
}

fn to_sent(found: &AuthorMessage, repeated: bool) -> SentMessage {
    let AuthorMessage { message, own_emojis, rev } = found.clone();
    SentMessage { rev, message, own_emojis, repeated }
}

/// Returns the quote of the message to which a send replies, which may be of the same batch.
fn build_quote(job: &SendJob, id: MessageId, snapshot: &BatchSnapshot, state: &BatchState) -> Result<Quote> {
    let conversation = job.send.conversation_id();
    let stored = snapshot.targets.get(&id).filter(|target| target.conversation_id == conversation).map(quote_row);
    let added = || state.messages.get(&id).filter(|target| target.conversation_id == conversation).map(quote_message);
    stored
        .or_else(added)
        .ok_or_else(|| Error::invalid("reply_to_id", "must be the id of a message of this conversation"))
}

fn add_message(
    tx: &mut Tx,
    job: &SendJob,
    sender: &ParticipantRights,
    reply_to: Option<Quote>,
    state: &mut BatchState,
) -> SentMessage {
    let checked = &job.send;
    let mentioned = state.texts.get(&job.message_id).map(|text| state.mentionable.resolve(text)).unwrap_or_default();
    let InsertedMessage { numbers, rev, message } = new_messages::insert(
        tx,
        NewMessageFields {
            id: job.message_id,
            conversation_id: checked.conversation_id(),
            author: Some(MessageAuthor {
                brief: &sender.brief,
                temp_id: checked.temp_id(),
                body_hash: checked.body_hash(),
            }),
            kind: checked.kind(),
            text: checked.content().as_str(),
            data: checked.data(),
            reply_to,
            mentioned,
        },
    );
    state.move_read_mark(job, sender.last_read_seq, numbers);
    state.messages.insert(message.id, message.clone());
    let sent = SentMessage { rev, message, own_emojis: Vec::new(), repeated: false };
    if let Some(key) = send_key(job) {
        state.sends.insert(key, (checked.body_hash().to_owned(), sent.clone()));
    }
    sent
}

/// A batch in a transaction whose locks and rows are given instead of read. `examples/hot_pieces` counts the
/// instructions of its decisions, and a count must not depend on a database.
pub struct GivenBatch {
    tx: Tx,
    snapshot: BatchSnapshot,
}

impl GivenBatch {
    /// Returns a batch of sends of `senders` into `conversations`, which count as locked. No send was stored before.
    pub fn new(
        conn: Transaction,
        conversations: Vec<(ConversationId, LockedConversation)>,
        senders: HashMap<(ConversationId, UserId), ParticipantRights>,
    ) -> Self {
        let mut tx = Tx::new(conn);
        for (id, head) in conversations {
            tx.add_conversation(id, head);
        }
        let snapshot =
            BatchSnapshot { stored: HashMap::new(), messages: HashMap::new(), senders, targets: HashMap::new() };
        Self { tx, snapshot }
    }

    /// Decides on sends as [`run`] does, without its statements.
    pub fn decide(&mut self, jobs: &[SendJob]) -> Vec<Result<SentMessage>> {
        let texts = mention_texts(&self.tx, jobs, &self.snapshot);
        let mut state = BatchState { texts, ..BatchState::default() };
        jobs.iter().map(|job| decide(&mut self.tx, job, &self.snapshot, &mut state)).collect()
    }
}
