//! One batch of sends inside its transaction: lock, find repeated sends, check, give numbers, and collect. It works on
//! sets: the number of statements does not grow with the batch.

use super::access;
use super::mentions::{MentionText, Mentionable};
use super::transact::Tx;
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::mentions::has_mention_sign;
use crate::domain::roles::{Action, ConversationKind};
use crate::domain::stream::Stream;
use crate::domain::text::preview;
use crate::error::{Error, Result};
use crate::mailboxes::{SendJob, SentMessage};
use crate::protocol::events::Event;
use crate::protocol::messages::{Message, MessageEvent, Quote};
use crate::store;
use crate::store::dialect;
use crate::store::messages::assemble::assemble_for_authors;
use crate::store::messages::insert::NewMessageRow;
use crate::store::messages::{self, ParticipantRights, SendKey, StoredSend};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What to do if another transaction has locked a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockMode {
    /// Skip its sends, which the writer tries again later.
    Skip,
    Wait,
}

/// The outcome of one send.
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
        let outcome = if tx.get_conversation(job.conversation_id).is_some() {
            SendOutcome::Decided(Box::new(decide(tx, job, &snapshot, &mut state)))
        } else if missing.contains(&job.conversation_id) {
            SendOutcome::Decided(Box::new(Err(Error::not_found("conversation"))))
        } else {
            SendOutcome::Skipped
        };
        outcomes.push(outcome);
    }
    let marks: Vec<_> =
        state.marks.iter().map(|((conversation, user), (seq, count))| (*conversation, *user, *seq, *count)).collect();
    store::marks::update_sender_marks(tx.conn(), &marks, tx.now()).await?;
    state.mentionable.save(tx).await?;
    Ok(outcomes)
}

/// Locks the conversations as `lock_mode` says. Returns those that do not exist; a conversation that another
/// transaction has locked is not among them.
async fn lock_conversations(tx: &mut Tx, jobs: &[SendJob], lock_mode: LockMode) -> Result<HashSet<ConversationId>> {
    let mut ids: Vec<ConversationId> = jobs.iter().map(|job| job.conversation_id).collect();
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
    messages: HashMap<MessageId, (Message, Rev)>,
    senders: HashMap<(ConversationId, UserId), ParticipantRights>,
    targets: HashMap<MessageId, Message>,
}

impl BatchSnapshot {
    async fn read(tx: &Tx, jobs: &[SendJob]) -> Result<Self> {
        let locked = || jobs.iter().filter(|job| tx.get_conversation(job.conversation_id).is_some());
        let keys: Vec<SendKey> = locked().filter_map(send_key).collect();
        let stored = messages::stored_sends(tx.conn(), &keys).await?;
        let mut ids: Vec<MessageId> = stored.values().map(|stored| stored.id).collect();
        ids.extend(locked().filter(|job| job.unknown_until.is_some()).map(|job| job.message_id));
        let found = read_current_messages(tx, &ids).await?;
        let mut pairs: Vec<_> = locked().map(|job| (job.conversation_id, job.sender_id)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let quoted: Vec<MessageId> = locked().filter_map(|job| job.reply_to_id).collect();
        let targets = if quoted.is_empty() { Vec::new() } else { messages::by_ids(tx.conn(), &quoted).await? };
        Ok(Self {
            stored,
            messages: found,
            senders: messages::senders(tx.conn(), &pairs).await?,
            targets: targets.into_iter().map(|(message, _)| (message.id, message)).collect(),
        })
    }
}

/// Returns stored messages as their authors see them now, each with the revision of its `message.new`.
async fn read_current_messages(tx: &Tx, ids: &[MessageId]) -> Result<HashMap<MessageId, (Message, Rev)>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let (mut found, revs): (Vec<Message>, Vec<Rev>) = messages::by_ids(tx.conn(), ids).await?.into_iter().unzip();
    assemble_for_authors(tx.conn(), &mut found).await?;
    Ok(found.into_iter().zip(revs).map(|(message, rev)| (message.id, (message, rev))).collect())
}

/// Returns the texts of the batch that may mention users.
fn mention_texts(tx: &Tx, jobs: &[SendJob], snapshot: &BatchSnapshot) -> HashMap<MessageId, MentionText> {
    let named = |job: &SendJob| {
        let conversation = tx.get_conversation(job.conversation_id).filter(|_| has_mention_sign(&job.content))?;
        let role = snapshot.senders.get(&(job.conversation_id, job.sender_id))?.role?;
        let may_mention_all = role.may(Action::MentionAll) && conversation.kind != ConversationKind::Direct;
        Some((job.message_id, MentionText::new(job.conversation_id, job.sender_id, may_mention_all, &job.content)))
    };
    jobs.iter().filter_map(named).collect()
}

fn send_key(job: &SendJob) -> Option<SendKey> {
    job.temp_id.clone().map(|temp_id| (job.conversation_id, job.sender_id, temp_id))
}

/// What the later sends of this batch need: what the batch has added, and whom its texts can mention.
#[derive(Default)]
struct BatchState {
    /// Sends with a `temp_id`, because a batch may contain the same send twice.
    sends: HashMap<SendKey, (String, SentMessage)>,
    /// Messages, because a send may quote one of the same batch.
    messages: HashMap<MessageId, Message>,
    /// The texts of the batch that may mention users.
    texts: HashMap<MessageId, MentionText>,
    /// The users that these texts can mention.
    mentionable: Mentionable,
    /// The new read mark of each sender, with the count of messages there.
    marks: BTreeMap<(ConversationId, UserId), (Seq, i64)>,
}

fn decide(tx: &mut Tx, job: &SendJob, snapshot: &BatchSnapshot, state: &mut BatchState) -> Result<SentMessage> {
    if let Some(sent) = find_stored(job, snapshot, state)? {
        return Ok(sent);
    }
    tx.require_conversation(job.conversation_id)?;
    let sender = snapshot.senders.get(&(job.conversation_id, job.sender_id)).ok_or_else(Error::not_a_participant)?;
    access::require_writable(sender, Action::Send)?;
    let reply_to = match job.reply_to_id {
        Some(id) => Some(build_quote(job, id, snapshot, state)?),
        None => None,
    };
    Ok(add_message(tx, job, sender, reply_to, state))
}

/// Returns the message that this send stored before its COMMIT got no answer, or that an earlier send with the same
/// `temp_id` stored. This comes before the check of membership: a sender who has left may still learn the outcome.
fn find_stored(job: &SendJob, snapshot: &BatchSnapshot, state: &BatchState) -> Result<Option<SentMessage>> {
    if let Some((message, rev)) = snapshot.messages.get(&job.message_id) {
        return Ok(Some(SentMessage { rev: *rev, message: message.clone(), repeated: false, previous_read_seq: None }));
    }
    let Some(key) = send_key(job) else { return Ok(None) };
    if let Some((hash, sent)) = state.sends.get(&key) {
        let sent = SentMessage { repeated: true, previous_read_seq: None, ..sent.clone() };
        return if *hash == job.body_hash { Ok(Some(sent)) } else { Err(Error::temp_id_reused()) };
    }
    let Some(stored) = snapshot.stored.get(&key) else { return Ok(None) };
    if stored.body_hash != job.body_hash {
        return Err(Error::temp_id_reused());
    }
    let (message, rev) =
        snapshot.messages.get(&stored.id).ok_or_else(|| Error::internal("a stored send has no message"))?;
    let mut message = message.clone();
    let is_participant =
        snapshot.senders.get(&(job.conversation_id, job.sender_id)).is_some_and(|sender| sender.role.is_some());
    if !is_participant {
        message.reactions.clear();
        message.pinned = false;
        // The quote is the text of another user, who may have changed it since.
        if let Some(quote) = &mut message.reply_to {
            quote.content.clear();
        }
    }
    Ok(Some(SentMessage { rev: *rev, message, repeated: true, previous_read_seq: None }))
}

fn build_quote(job: &SendJob, id: MessageId, snapshot: &BatchSnapshot, state: &BatchState) -> Result<Quote> {
    let target = snapshot
        .targets
        .get(&id)
        .or_else(|| state.messages.get(&id))
        .filter(|target| target.conversation_id == job.conversation_id)
        .ok_or_else(|| Error::invalid("reply_to_id", "must be the id of a message of this conversation"))?;
    Ok(Quote {
        id,
        seq: target.seq,
        sender_id: target.sender_id,
        kind: target.kind,
        content: preview(&target.content, limits::PREVIEW_CHARS),
    })
}

fn add_message(
    tx: &mut Tx,
    job: &SendJob,
    sender: &ParticipantRights,
    reply_to: Option<Quote>,
    state: &mut BatchState,
) -> SentMessage {
    let numbers = tx.next_message_numbers(job.conversation_id, true);
    let mentioned = state.texts.get(&job.message_id).map(|text| state.mentionable.resolve(text)).unwrap_or_default();
    let message = Message {
        id: job.message_id,
        conversation_id: job.conversation_id,
        seq: numbers.seq,
        sender_id: Some(job.sender_id),
        sender: Some(sender.brief.clone()),
        kind: job.kind,
        content: job.content.clone(),
        data: job.data.clone(),
        attachments: Vec::new(),
        reply_to,
        mentions: mentioned.users.clone(),
        mentions_all: mentioned.all,
        reactions: Vec::new(),
        pinned: false,
        status: None,
        temp_id: job.temp_id.clone(),
        edited_at: None,
        deleted_at: None,
        created_at: tx.now(),
    };
    tx.insert_message(NewMessageRow {
        id: job.message_id,
        conversation_id: job.conversation_id,
        seq: numbers.seq,
        count: numbers.count,
        rev: numbers.rev,
        sender_id: Some(job.sender_id),
        kind: job.kind.as_str(),
        content: job.content.clone(),
        data: job.data.as_ref().map(ToString::to_string),
        reply_to_id: job.reply_to_id,
        temp_id: job.temp_id.clone(),
        body_hash: Some(job.body_hash.clone()),
        mentions_all: mentioned.all,
        created_at: tx.now(),
    });
    tx.insert_mentions(mentioned.rows(&message));
    let event =
        Event::MessageNew(MessageEvent { conversation_id: job.conversation_id, message: Box::new(message.clone()) });
    let rev = tx.append(Stream::Conversation(job.conversation_id), &event);
    let moved = state.marks.insert((job.conversation_id, job.sender_id), (numbers.seq, numbers.count));
    let read = moved.map(|(seq, _)| seq).or(sender.last_read_seq);
    state.messages.insert(message.id, message.clone());
    let previous_read_seq = read.filter(|read| read.0 + 1 < numbers.seq.0);
    let sent = SentMessage { rev, message, repeated: false, previous_read_seq };
    if let Some(key) = send_key(job) {
        state.sends.insert(key, (job.body_hash.clone(), sent.clone()));
    }
    sent
}
