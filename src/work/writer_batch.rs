//! One batch of sends inside its transaction: lock, find repeated sends, check, give numbers, and collect. It works on
//! sets: the number of statements does not grow with the batch.

use super::access;
use super::assemble::messages::{AuthorMessage, for_former_participant, list_for_authors, quote_message, quote_row};
use super::assemble::new_messages::{self, InsertedMessage, MessageAuthor, NewMessageFields};
use super::mentions::{MentionText, Mentioned};
use super::tx::{MessageNumbers, Tx};
use crate::domain::content::TempId;
use crate::domain::ids::{ConversationId, MessageId, MessageKey, Seq, UserId};
use crate::domain::limits;
use crate::domain::mentions::has_mention_sign;
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::error::{Error, Result};
use crate::mailboxes::{MarkCause, MovedMarks, SendJob, SentMessage};
use crate::protocol::messages::Quote;
use crate::protocol::shared_message::SharedMessage;
use crate::store;
use crate::store::db::transaction::Transaction;
use crate::store::locks::{LockMode, LockedConversation};
use crate::store::marks::SenderMark;
use crate::store::messages;
use crate::store::messages::mentions::NameKey;
use crate::store::messages::sends::{BatchState, ParticipantRights, SendQuery, SendState};
use std::collections::{BTreeMap, HashMap, HashSet};

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
    let (mut batch, missing) = SendBatch::lock_and_read(tx, jobs, lock_mode).await?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.iter().enumerate() {
        let outcome = if tx.get_conversation(job.send.conversation_id()).is_some() {
            SendOutcome::Decided(Box::new(batch.decide(tx, index, job)))
        } else if missing.contains(&job.send.conversation_id()) {
            SendOutcome::Decided(Box::new(Err(Error::not_found("conversation"))))
        } else {
            SendOutcome::Skipped
        };
        outcomes.push(outcome);
    }
    let marks: Vec<MovedMarks> = batch.marks.into_values().collect();
    tx.update_sender_marks(marks.iter().map(|mark| SenderMark {
        conversation_id: mark.conversation_id,
        user_id: mark.user_id,
        last_read_seq: mark.last_read_seq,
        last_read_count: mark.last_read_count,
    }));
    tx.add_moved_marks(marks);
    Ok(outcomes)
}

/// Returns those of `ids` that do not exist. A conversation that another transaction has locked is not among them.
async fn list_missing(tx: &Tx, mut ids: Vec<ConversationId>) -> Result<HashSet<ConversationId>> {
    ids.retain(|id| tx.get_conversation(*id).is_none());
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let existing = store::conversations::list_existing(tx.conn(), &ids).await?;
    Ok(ids.into_iter().filter(|id| !existing.contains(id)).collect())
}

/// The state of the database for the sends of a batch, read after the locks, and what its earlier sends have added.
#[derive(Default)]
struct SendBatch {
    /// The state for each job, in their order. It means nothing for a job whose conversation is not locked.
    stored: Vec<SendState>,
    /// Messages as they are now: those of repeated sends, and those of sends with an unknown outcome.
    messages: HashMap<MessageId, AuthorMessage>,
    /// The texts of the batch that may mention users.
    texts: HashMap<MessageId, MentionText>,
    /// The users that these texts can mention.
    names: HashMap<NameKey, UserId>,
    /// Sends that this batch has added, by their `temp_id`, because a batch may contain the same send twice.
    added_sends: HashMap<SendKey, (String, SentMessage)>,
    /// Messages that this batch has added, because a send may quote one of the same batch.
    added_messages: HashMap<MessageId, SharedMessage>,
    /// The new read mark of each sender.
    marks: BTreeMap<(ConversationId, UserId), MovedMarks>,
}

/// The key that identifies a send for ever: conversation, sender, `temp_id`.
type SendKey = (ConversationId, UserId, TempId);

impl SendBatch {
    /// Locks the conversations as `lock_mode` says and reads the state in one statement. A second step reads the messages
    /// of repeated sends and of sends with an unknown outcome, which are rare. The second result has the conversations
    /// that do not exist.
    async fn lock_and_read(
        tx: &mut Tx,
        jobs: &[SendJob],
        lock_mode: LockMode,
    ) -> Result<(Self, HashSet<ConversationId>)> {
        let mut ids: Vec<ConversationId> = jobs.iter().map(|job| job.send.conversation_id()).collect();
        ids.sort_unstable();
        ids.dedup();
        let texts: HashMap<MessageId, MentionText> = jobs.iter().filter_map(mention_text).collect();
        let mut names: Vec<NameKey> = texts.values().flat_map(MentionText::name_keys).collect();
        names.sort_unstable();
        names.dedup();
        let queries: Vec<SendQuery<'_>> = jobs.iter().map(send_query).collect();
        let BatchState { sends: stored, names } = tx.lock_and_read_sends(lock_mode, &ids, &queries, &names).await?;
        let missing = list_missing(tx, ids).await?;
        let is_locked = |job: &&SendJob| tx.get_conversation(job.send.conversation_id()).is_some();
        let mut current: Vec<MessageKey> = Vec::new();
        for (job, state) in jobs.iter().zip(&stored).filter(|(job, _)| is_locked(job)) {
            let unknown = job.unknown_until.is_some().then_some(job.message_id);
            let ids = state.stored.iter().map(|stored| stored.id).chain(unknown);
            current.extend(ids.map(|id| (job.send.conversation_id(), id)));
        }
        let messages = list_for_authors(tx.conn(), messages::by_keys(tx.conn(), &current).await?).await?;
        Ok((Self { stored, messages, texts, names, ..Self::default() }, missing))
    }

    fn decide(&mut self, tx: &mut Tx, index: usize, job: &SendJob) -> Result<SentMessage> {
        if let Some(sent) = self.find_stored(index, job)? {
            return Ok(sent);
        }
        tx.require_conversation(job.send.conversation_id())?;
        let sender = self.stored[index].sender.take().ok_or_else(Error::not_a_participant)?;
        let role = access::require_writable(&sender, Action::Send)?;
        let reply_to = match job.send.reply_to_id() {
            Some(id) => Some(self.build_quote(index, job, id)?),
            None => None,
        };
        let mentioned = self.find_mentions(tx, job, role);
        Ok(self.add_message(tx, job, &sender, reply_to, mentioned))
    }

    /// Returns the message that this send stored before its COMMIT got no answer, or that an earlier send with the same
    /// `temp_id` stored. This comes before the check of membership: a sender who has left may still learn the outcome.
    fn find_stored(&self, index: usize, job: &SendJob) -> Result<Option<SentMessage>> {
        if let Some(found) = self.messages.get(&job.message_id) {
            return Ok(Some(to_sent(found, false)));
        }
        let Some(key) = send_key(job) else { return Ok(None) };
        if let Some((hash, sent)) = self.added_sends.get(&key) {
            let sent = SentMessage { repeated: true, ..sent.clone() };
            return if *hash == job.send.body_hash() { Ok(Some(sent)) } else { Err(Error::temp_id_reused()) };
        }
        let state = &self.stored[index];
        let Some(stored) = &state.stored else { return Ok(None) };
        if stored.body_hash != job.send.body_hash() {
            return Err(Error::temp_id_reused());
        }
        let found = self.messages.get(&stored.id).ok_or_else(|| Error::internal("a stored send has no message"))?;
        let is_participant = state.sender.as_ref().is_some_and(|sender| sender.role.is_some());
        let mut sent = to_sent(found, true);
        if !is_participant {
            sent.message = for_former_participant(&sent.message);
        }
        Ok(Some(sent))
    }

    /// Returns the quote of the message to which a send replies, which may be of the same batch.
    fn build_quote(&self, index: usize, job: &SendJob, id: MessageId) -> Result<Quote> {
        let conversation = job.send.conversation_id();
        let added = || self.added_messages.get(&id).filter(|target| target.conversation_id == conversation);
        let stored = self.stored[index].quoted.as_ref().map(quote_row);
        stored
            .or_else(|| added().map(quote_message))
            .ok_or_else(|| Error::invalid("reply_to_id", "must be the id of a message of this conversation"))
    }

    /// Returns whom a text mentions. Only the first `@all` of a batch in a conversation counts.
    fn find_mentions(&self, tx: &mut Tx, job: &SendJob, role: Role) -> Mentioned {
        let Some(text) = self.texts.get(&job.message_id) else { return Mentioned::default() };
        let id = job.send.conversation_id();
        let is_direct = tx.get_conversation(id).is_some_and(|found| found.kind == ConversationKind::Direct);
        let may_mention_all =
            role.may(Action::MentionAll) && !is_direct && tx.may_mention_all(id, limits::MENTION_ALL_PAUSE);
        let mentioned = text.resolve(&self.names, may_mention_all);
        if mentioned.all {
            tx.set_mentioned_all(id);
        }
        mentioned
    }

    fn add_message(
        &mut self,
        tx: &mut Tx,
        job: &SendJob,
        sender: &ParticipantRights,
        reply_to: Option<Quote>,
        mentioned: Mentioned,
    ) -> SentMessage {
        let checked = &job.send;
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
        self.move_read_mark(job, sender.last_read_seq, numbers);
        self.added_messages.insert(message.id, message.clone());
        let sent = SentMessage { rev, message, own_emojis: Vec::new(), repeated: false };
        if let Some(key) = send_key(job) {
            self.added_sends.insert(key, (checked.body_hash().to_owned(), sent.clone()));
        }
        sent
    }

    /// Moves the read mark of the sender to the new message: a user who sends has read all earlier messages.
    fn move_read_mark(&mut self, job: &SendJob, stored: Option<Seq>, numbers: MessageNumbers) {
        let (conversation_id, user_id) = (job.send.conversation_id(), job.send.sender_id());
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

/// Returns the text of a send if it may mention users.
fn mention_text(job: &SendJob) -> Option<(MessageId, MentionText)> {
    let text = job.send.content().as_str();
    has_mention_sign(text)
        .then(|| (job.message_id, MentionText::new(job.send.conversation_id(), job.send.sender_id(), text)))
}

fn send_query(job: &SendJob) -> SendQuery<'_> {
    SendQuery {
        conversation_id: job.send.conversation_id(),
        sender_id: job.send.sender_id(),
        temp_id: job.send.temp_id(),
        reply_to_id: job.send.reply_to_id(),
    }
}

fn send_key(job: &SendJob) -> Option<SendKey> {
    job.send.temp_id().map(|temp_id| (job.send.conversation_id(), job.send.sender_id(), temp_id.clone()))
}

fn to_sent(found: &AuthorMessage, repeated: bool) -> SentMessage {
    let AuthorMessage { message, own_emojis, rev } = found.clone();
    SentMessage { rev, message, own_emojis, repeated }
}

/// A batch in a transaction whose locks and rows are given instead of read. `examples/hot_pieces` counts the
/// instructions of its decisions, and a count must not depend on a database.
pub struct GivenBatch {
    tx: Tx,
    senders: HashMap<(ConversationId, UserId), ParticipantRights>,
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
        Self { tx, senders }
    }

    /// Decides on sends as [`run`] does, without its statements.
    pub fn decide(&mut self, jobs: &[SendJob]) -> Vec<Result<SentMessage>> {
        let sender = |job: &SendJob| self.senders.get(&(job.send.conversation_id(), job.send.sender_id())).cloned();
        let stored = jobs.iter().map(|job| SendState { sender: sender(job), ..SendState::default() }).collect();
        let texts = jobs.iter().filter_map(mention_text).collect();
        let mut batch = SendBatch { stored, texts, ..SendBatch::default() };
        jobs.iter().enumerate().map(|(index, job)| batch.decide(&mut self.tx, index, job)).collect()
    }
}
