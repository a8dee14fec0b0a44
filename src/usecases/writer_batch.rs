//! One batch of sends inside its transaction: lock, find replays, check, place, gather. Set-based: the number of
//! statements does not grow with the batch.

use super::mentions::{Mentionable, Text};
use super::rights;
use super::transact::Tx;
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::mentions::has_sign;
use crate::domain::roles::{Action, ConversationKind};
use crate::domain::stream::Stream;
use crate::domain::text::preview;
use crate::error::{Error, Result};
use crate::mailboxes::{SendJob, SentMessage};
use crate::protocol::events::Event;
use crate::protocol::resources::{Message, Quote};
use crate::store::dialect;
use crate::store::hydrate::hydrate_for_authors;
use crate::store::messages::{self, SendKey, Sender, Stored};
use crate::store::writes::{self, NewMessage};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What to do about a conversation that somebody else has locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Leave its sends for later.
    Skip,
    /// Wait for the lock.
    ForLock,
}

/// What became of one send.
pub enum Outcome {
    /// Its conversation was locked; nothing was looked at.
    Skipped,
    /// It is decided.
    Done(Box<Result<SentMessage>>),
}

/// Runs a batch; outcomes stand in the order of `jobs`. An error here fails the whole batch, and nothing is committed.
pub async fn run(tx: &mut Tx, jobs: &[SendJob], wait: Wait) -> Result<Vec<Outcome>> {
    dialect::keep_plans(tx.conn()).await?;
    let absent = lock(tx, jobs, wait).await?;
    let known = Known::read(tx, jobs).await?;
    let mut placed = Placed { texts: texts(tx, jobs, &known), ..Placed::default() };
    placed.mentionable = Mentionable::read(tx, placed.texts.values()).await?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        let outcome = if tx.head(job.conversation_id).is_some() {
            Outcome::Done(Box::new(decide(tx, job, &known, &mut placed)))
        } else if absent.contains(&job.conversation_id) {
            Outcome::Done(Box::new(Err(Error::not_found("conversation"))))
        } else {
            Outcome::Skipped
        };
        outcomes.push(outcome);
    }
    let marks: Vec<_> =
        placed.marks.iter().map(|((conversation, user), (seq, count))| (*conversation, *user, *seq, *count)).collect();
    writes::move_senders_marks(tx.conn(), &marks, tx.now()).await?;
    placed.mentionable.note(tx).await?;
    Ok(outcomes)
}

/// Locks what can be locked, and tells missing conversations from locked ones.
async fn lock(tx: &mut Tx, jobs: &[SendJob], wait: Wait) -> Result<HashSet<ConversationId>> {
    let mut ids: Vec<ConversationId> = jobs.iter().map(|job| job.conversation_id).collect();
    ids.sort_unstable();
    ids.dedup();
    match wait {
        Wait::Skip => tx.lock_free_conversations(&ids).await?,
        Wait::ForLock => tx.lock_conversations(&ids).await?,
    }
    ids.retain(|id| tx.head(*id).is_none());
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let existing = writes::existing(tx.conn(), &ids).await?;
    Ok(ids.into_iter().filter(|id| !existing.contains(id)).collect())
}

/// What the database knows about a batch, read after the locks.
struct Known {
    stored: HashMap<SendKey, Stored>,
    /// Messages as they are now: those of repeated sends, and those whose outcome was unknown.
    messages: HashMap<MessageId, (Message, Rev)>,
    senders: HashMap<(ConversationId, UserId), Sender>,
    targets: HashMap<MessageId, Message>,
}

impl Known {
    async fn read(tx: &Tx, jobs: &[SendJob]) -> Result<Self> {
        let locked = || jobs.iter().filter(|job| tx.head(job.conversation_id).is_some());
        let keys: Vec<SendKey> = locked().filter_map(key).collect();
        let stored = messages::stored_sends(tx.conn(), &keys).await?;
        let mut ids: Vec<MessageId> = stored.values().map(|stored| stored.id).collect();
        ids.extend(locked().filter(|job| job.unknown_until.is_some()).map(|job| job.message_id));
        let found = as_they_are(tx, &ids).await?;
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

/// Stored messages as their authors see them now, with the revision of each one's `message.new`.
async fn as_they_are(tx: &Tx, ids: &[MessageId]) -> Result<HashMap<MessageId, (Message, Rev)>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let (mut found, revs): (Vec<Message>, Vec<Rev>) = messages::by_ids(tx.conn(), ids).await?.into_iter().unzip();
    hydrate_for_authors(tx.conn(), &mut found).await?;
    Ok(found.into_iter().zip(revs).map(|(message, rev)| (message.id, (message, rev))).collect())
}

/// The texts of the batch that may mention somebody.
fn texts(tx: &Tx, jobs: &[SendJob], known: &Known) -> HashMap<MessageId, Text> {
    let named = |job: &SendJob| {
        let head = tx.head(job.conversation_id).filter(|_| has_sign(&job.content))?;
        let role = known.senders.get(&(job.conversation_id, job.sender_id))?.role?;
        let may_mention_all = role.may(Action::MentionAll) && head.kind != ConversationKind::Direct;
        Some((job.message_id, Text::new(job.conversation_id, job.sender_id, may_mention_all, &job.content)))
    };
    jobs.iter().filter_map(named).collect()
}

fn key(job: &SendJob) -> Option<SendKey> {
    job.temp_id.clone().map(|temp_id| (job.conversation_id, job.sender_id, temp_id))
}

/// What this batch has placed so far.
#[derive(Default)]
struct Placed {
    /// Sends with a `temp_id`, for those that stand in the batch twice.
    sends: HashMap<SendKey, (String, SentMessage)>,
    /// Messages, for those that quote one of the same batch.
    messages: HashMap<MessageId, Message>,
    /// Texts that may mention somebody, of all messages of the batch.
    texts: HashMap<MessageId, Text>,
    /// Whom they can mention.
    mentionable: Mentionable,
    /// Where each sender's own mark moves.
    marks: BTreeMap<(ConversationId, UserId), (Seq, i64)>,
}

fn decide(tx: &mut Tx, job: &SendJob, known: &Known, placed: &mut Placed) -> Result<SentMessage> {
    if let Some(sent) = replay(job, known, placed)? {
        return Ok(sent);
    }
    tx.existing(job.conversation_id)?;
    let sender = known.senders.get(&(job.conversation_id, job.sender_id)).ok_or_else(Error::not_a_participant)?;
    rights::writes(sender, Action::Send)?;
    let reply_to = match job.reply_to_id {
        Some(id) => Some(quote(job, id, known, placed)?),
        None => None,
    };
    Ok(place(tx, job, sender, reply_to, placed))
}

/// The message a repeated send was stored as. Answered before membership: whoever sent it may learn what became of it.
fn replay(job: &SendJob, known: &Known, placed: &Placed) -> Result<Option<SentMessage>> {
    if let Some((message, rev)) = known.messages.get(&job.message_id) {
        return Ok(Some(SentMessage { rev: *rev, message: message.clone(), replayed: false, read_from: None }));
    }
    let Some(key) = key(job) else { return Ok(None) };
    if let Some((hash, sent)) = placed.sends.get(&key) {
        let sent = SentMessage { replayed: true, read_from: None, ..sent.clone() };
        return if *hash == job.body_hash { Ok(Some(sent)) } else { Err(Error::temp_id_reused()) };
    }
    let Some(stored) = known.stored.get(&key) else { return Ok(None) };
    if stored.body_hash != job.body_hash {
        return Err(Error::temp_id_reused());
    }
    let (message, rev) =
        known.messages.get(&stored.id).ok_or_else(|| Error::internal("a stored send has no message"))?;
    let mut message = message.clone();
    let inside = known.senders.get(&(job.conversation_id, job.sender_id)).is_some_and(|sender| sender.role.is_some());
    if !inside {
        message.reactions.clear();
        message.pinned = false;
        // another's words, which may have been changed since
        if let Some(quote) = &mut message.reply_to {
            quote.content.clear();
        }
    }
    Ok(Some(SentMessage { rev: *rev, message, replayed: true, read_from: None }))
}

fn quote(job: &SendJob, id: MessageId, known: &Known, placed: &Placed) -> Result<Quote> {
    let target = known
        .targets
        .get(&id)
        .or_else(|| placed.messages.get(&id))
        .filter(|target| target.conversation_id == job.conversation_id)
        .ok_or_else(|| Error::invalid("reply_to_id", "is not a message of this conversation"))?;
    Ok(Quote {
        id,
        seq: target.seq,
        sender_id: target.sender_id,
        kind: target.kind,
        content: preview(&target.content, limits::PREVIEW_CHARS),
    })
}

fn place(tx: &mut Tx, job: &SendJob, sender: &Sender, reply_to: Option<Quote>, placed: &mut Placed) -> SentMessage {
    let place = tx.next_place(job.conversation_id, true);
    let mentioned = placed.texts.get(&job.message_id).map(|text| placed.mentionable.resolve(text)).unwrap_or_default();
    let message = Message {
        id: job.message_id,
        conversation_id: job.conversation_id,
        seq: place.seq,
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
    tx.insert_message(NewMessage {
        id: job.message_id,
        conversation_id: job.conversation_id,
        seq: place.seq,
        count: place.count,
        rev: place.rev,
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
    let event = Event::MessageNew { conversation_id: job.conversation_id, message: Box::new(message.clone()) };
    let rev = tx.append(Stream::Conversation(job.conversation_id), &event);
    let moved = placed.marks.insert((job.conversation_id, job.sender_id), (place.seq, place.count));
    let read = moved.map(|(seq, _)| seq).or(sender.last_read_seq);
    placed.messages.insert(message.id, message.clone());
    let read_from = read.filter(|read| read.0 + 1 < place.seq.0);
    let sent = SentMessage { rev, message, replayed: false, read_from };
    if let Some(key) = key(job) {
        placed.sends.insert(key, (job.body_hash.clone(), sent.clone()));
    }
    sent
}
