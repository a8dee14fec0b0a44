//! What happened: the log of one stream, who was in it when, and which of the oldest rows are gone. Nothing here knows a
//! room or a session.

use bytestring::ByteString;
use greenroom::domain::ids::{MessageId, Rev, UserId};
use greenroom::protocol::events::{Effect, Frame};
use std::sync::LazyLock;
use uuid::Uuid;

/// More than a third of what a ring keeps.
const BIG: usize = 100 * 1024;

/// What stands in the log's row once the message that it showed is deleted.
const REWRITTEN: &str = "rewritten";

fn text(big: bool) -> ByteString {
    static BIG_TEXT: LazyLock<ByteString> = LazyLock::new(|| ByteString::from("t".repeat(BIG)));
    if big { BIG_TEXT.clone() } else { ByteString::from_static("t") }
}

/// What a transaction may say.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// A message, which may quote an earlier one, and may be long.
    Message { quotes: Option<usize>, big: bool },
    /// The user leaves, or comes back.
    Turn(usize),
    /// An earlier message is deleted.
    Delete(usize),
}

#[derive(Default)]
pub struct History {
    log: Vec<Frame>,
    /// For each user, from and to when: everything after the first revision up to the second is for them.
    spells: Vec<Vec<(Rev, Option<Rev>)>>,
    messages: Vec<MessageId>,
    /// Which messages were deleted, and with which event.
    deleted: Vec<(MessageId, Rev)>,
    /// Rows up to here are gone.
    pub lost: Rev,
}

pub fn user(index: usize) -> UserId {
    UserId(Uuid::from_u128(index as u128 + 1))
}

impl History {
    /// A stream that so many users are in from its beginning.
    pub fn new(users: usize) -> Self {
        Self { spells: vec![vec![(Rev(0), None)]; users], ..Self::default() }
    }

    pub fn end(&self) -> Rev {
        Rev(self.log.len() as i64)
    }

    /// Commits; returns the frames as they are delivered.
    pub fn commit(&mut self, words: &[Word]) -> Vec<Frame> {
        let before = self.log.len();
        for word in words {
            self.append(*word, before);
        }
        self.log[before..].to_vec()
    }

    /// Appends one event of a transaction that began after so many.
    fn append(&mut self, word: Word, before: usize) {
        let rev = self.end().next();
        let mut frame = Frame { rev, text: text(false), effect: Effect::None, message_id: None, quoted_id: None };
        match word {
            Word::Message { quotes, big } => {
                let id = MessageId(Uuid::from_u128(rev.0 as u128));
                frame.text = text(big);
                frame.message_id = Some(id);
                frame.quoted_id = quotes.and_then(|pick| picked(&self.messages, pick));
                self.messages.push(id);
            }
            Word::Turn(pick) => {
                let index = pick % self.spells.len();
                match self.spells[index].last_mut() {
                    Some((_, to @ None)) => {
                        *to = Some(rev);
                        frame.effect = Effect::Left(user(index));
                    }
                    _ => self.spells[index].push((rev, None)),
                }
            }
            Word::Delete(pick) => {
                // nothing is deleted by the transaction that says or quotes it
                let now = &self.log[before..];
                let fresh =
                    |id: &MessageId| now.iter().any(|said| [said.message_id, said.quoted_id].contains(&Some(*id)));
                if let Some(id) = picked(&self.messages, pick).filter(|id| !fresh(id)) {
                    self.messages.retain(|message| *message != id);
                    self.deleted.push((id, rev));
                    frame.effect = Effect::Deleted(id);
                }
            }
        }
        self.log.push(frame);
    }

    /// What a read brings now: the rows that showed what is deleted are rewritten.
    pub fn read(&self, after: Rev, limit: usize) -> Vec<Frame> {
        let there = self.log.iter().filter(|frame| frame.rev > after.max(self.lost)).take(limit).cloned();
        let rewritten = |frame: Frame| match self.deleted_at(&frame) {
            Some(_) => Frame { text: ByteString::from_static(REWRITTEN), ..frame },
            None => frame,
        };
        there.map(rewritten).collect()
    }

    /// Since when a user who is in now has been in.
    pub fn joined(&self, index: usize) -> Option<Rev> {
        self.spells[index].last().and_then(|(from, to)| to.is_none().then_some(*from))
    }

    /// Whether an event is for a user at all.
    pub fn is_for(&self, index: usize, rev: Rev) -> bool {
        self.spells[index].iter().any(|(from, to)| rev > *from && to.is_none_or(|to| rev <= to))
    }

    /// The first event with which a user left after a revision.
    pub fn left_after(&self, index: usize, rev: Rev) -> Option<Rev> {
        self.spells[index].iter().filter_map(|(_, to)| *to).find(|to| *to > rev)
    }

    /// Whether a frame is the one in the log, whichever way it came.
    pub fn holds(&self, frame: &Frame) -> bool {
        let row = self.log.get(frame.rev.0 as usize - 1);
        row.is_some_and(|row| row.effect == frame.effect && row.message_id == frame.message_id)
    }

    /// With which event the message was deleted whose text a frame shows; `None` if it shows none that was.
    pub fn deleted_at(&self, frame: &Frame) -> Option<Rev> {
        let shows = |id: &MessageId| frame.message_id == Some(*id) || frame.quoted_id == Some(*id);
        let full = frame.text != REWRITTEN;
        self.deleted.iter().filter(|(id, at)| full && shows(id) && frame.rev < *at).map(|(_, at)| *at).min()
    }

    /// The events of a kind that matters here: with which a user left.
    pub fn leaves(&self, index: usize) -> impl Iterator<Item = Rev> {
        self.spells[index].iter().filter_map(|(_, to)| *to)
    }
}

fn picked(messages: &[MessageId], pick: usize) -> Option<MessageId> {
    (!messages.is_empty()).then(|| messages[pick % messages.len()])
}
