//! The history of one stream: its log, the times at which each user was a participant, and the old rows that are lost.
//!
//! This file does not use rooms or sessions.

use bytestring::ByteString;
use greenroom::domain::ids::{ConversationId, MessageId, Rev, UserId};
use greenroom::domain::stream::Stream;
use greenroom::protocol::envelope::Envelope;
use greenroom::protocol::event_type::{EventType, StoredEventType};
use greenroom::protocol::events::EventEffect;
use std::sync::LazyLock;
use uuid::Uuid;

/// The length of a big text. Three of them do not fit into a ring.
const BIG_BYTES: usize = 100 * 1024;

/// The text of a log row whose message was deleted.
const REWRITTEN: &str = "rewritten";

/// Returns an event without a text, a message or an effect.
pub fn empty_event(rev: Rev) -> Envelope {
    Envelope {
        stream: Stream::Conversation(ConversationId(Uuid::nil())),
        rev,
        event_type: StoredEventType::Known(EventType::MessageNew),
        message_id: None,
        quoted_id: None,
        text: ByteString::new(),
        effect: EventEffect::None,
    }
}

fn text(is_big: bool) -> ByteString {
    static BIG_TEXT: LazyLock<ByteString> = LazyLock::new(|| ByteString::from("t".repeat(BIG_BYTES)));
    if is_big { BIG_TEXT.clone() } else { ByteString::from_static("t") }
}

/// A change that a transaction can make.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// A new message, which may quote an earlier one.
    Message { quotes: Option<usize>, is_big: bool },
    /// A participant leaves, or another user joins.
    LeaveOrJoin(usize),
    /// Deletes an earlier message.
    Delete(usize),
}

#[derive(Default)]
pub struct History {
    log: Vec<Envelope>,
    /// The memberships of each user: every event after the first revision, up to and including the second, is for the
    /// user.
    memberships: Vec<Vec<(Rev, Option<Rev>)>>,
    messages: Vec<MessageId>,
    /// The deleted messages, each with the revision of its deletion.
    deleted: Vec<(MessageId, Rev)>,
    /// Rows up to this revision are lost.
    pub lost_to: Rev,
}

pub fn user(index: usize) -> UserId {
    UserId(Uuid::from_u128(index as u128 + 1))
}

impl History {
    /// Returns an empty stream with this number of participants.
    pub fn new(users: usize) -> Self {
        Self { memberships: vec![vec![(Rev(0), None)]; users], ..Self::default() }
    }

    pub fn end(&self) -> Rev {
        Rev(self.log.len() as i64)
    }

    /// Commits changes. Returns the frames as they are delivered.
    pub fn commit(&mut self, changes: &[Change]) -> Vec<Envelope> {
        let before = self.log.len();
        for change in changes {
            self.append(*change, before);
        }
        self.log[before..].to_vec()
    }

    /// Appends one event of a transaction. `before` is the number of events before the transaction.
    fn append(&mut self, change: Change, before: usize) {
        let rev = self.end().next();
        let mut frame = Envelope { text: text(false), ..empty_event(rev) };
        match change {
            Change::Message { quotes, is_big } => {
                let id = MessageId(Uuid::from_u128(rev.0 as u128));
                frame.text = text(is_big);
                frame.message_id = Some(id);
                frame.quoted_id = quotes.and_then(|pick| pick_message(&self.messages, pick));
                self.messages.push(id);
            }
            Change::LeaveOrJoin(pick) => {
                let index = pick % self.memberships.len();
                match self.memberships[index].last_mut() {
                    Some((_, to @ None)) => {
                        *to = Some(rev);
                        frame.effect = EventEffect::Left(user(index));
                    }
                    _ => self.memberships[index].push((rev, None)),
                }
            }
            Change::Delete(pick) => {
                // A transaction does not delete a message that it sends or quotes.
                let own = &self.log[before..];
                let is_own =
                    |id: &MessageId| own.iter().any(|frame| [frame.message_id, frame.quoted_id].contains(&Some(*id)));
                if let Some(id) = pick_message(&self.messages, pick).filter(|id| !is_own(id)) {
                    self.messages.retain(|message| *message != id);
                    self.deleted.push((id, rev));
                    frame.effect = EventEffect::Deleted(id);
                }
            }
        }
        self.log.push(frame);
    }

    /// Returns the rows that a read of the log finds now. The rows that show a deleted message have another text.
    pub fn read(&self, after: Rev, limit: usize) -> Vec<Envelope> {
        let rows = self.log.iter().filter(|frame| frame.rev > after.max(self.lost_to)).take(limit).cloned();
        let rewritten = |frame: Envelope| match self.deleted_at(&frame) {
            Some(_) => Envelope { text: ByteString::from_static(REWRITTEN), ..frame },
            None => frame,
        };
        rows.map(rewritten).collect()
    }

    /// Returns the revision at which a user joined. `None` if the user is no participant now.
    pub fn joined(&self, index: usize) -> Option<Rev> {
        self.memberships[index].last().and_then(|(from, to)| to.is_none().then_some(*from))
    }

    /// Returns whether the user was a participant at an event.
    pub fn is_for(&self, index: usize, rev: Rev) -> bool {
        self.memberships[index].iter().any(|(from, to)| rev > *from && to.is_none_or(|to| rev <= to))
    }

    /// Returns the first leave of a user after a revision.
    pub fn left_after(&self, index: usize, rev: Rev) -> Option<Rev> {
        self.memberships[index].iter().filter_map(|(_, to)| *to).find(|to| *to > rev)
    }

    /// Returns whether a frame belongs to the row of its revision. Its text may differ from the row.
    pub fn contains(&self, frame: &Envelope) -> bool {
        let row = self.log.get(frame.rev.0 as usize - 1);
        row.is_some_and(|row| row.effect == frame.effect && row.message_id == frame.message_id)
    }

    /// Returns the revision at which a message was deleted whose text the frame shows. `None` if there is none.
    pub fn deleted_at(&self, frame: &Envelope) -> Option<Rev> {
        let shows = |id: &MessageId| frame.message_id == Some(*id) || frame.quoted_id == Some(*id);
        let has_text = frame.text != REWRITTEN;
        self.deleted.iter().filter(|(id, at)| has_text && shows(id) && frame.rev < *at).map(|(_, at)| *at).min()
    }

    /// Returns the revisions at which a user left.
    pub fn leaves(&self, index: usize) -> impl Iterator<Item = Rev> {
        self.memberships[index].iter().filter_map(|(_, to)| *to)
    }
}

fn pick_message(messages: &[MessageId], pick: usize) -> Option<MessageId> {
    (!messages.is_empty()).then(|| messages[pick % messages.len()])
}
