//! What happened: the log of one stream, who was in it when, and which of the oldest rows are gone. Nothing here knows a
//! room or a session.

use bytestring::ByteString;
use greenroom::domain::ids::{MessageId, Rev, UserId};
use greenroom::protocol::events::{Effect, Frame};
use std::sync::LazyLock;
use uuid::Uuid;

/// More than a third of what a ring keeps.
const BIG: usize = 100 * 1024;

/// By which way a frame came to the room; its text begins with the letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Delivered,
    ReadForAHole,
    ReadForAReplay,
}

impl Way {
    fn text(self, big: bool) -> ByteString {
        type Texts = [ByteString; 2];
        static TEXTS: LazyLock<[Texts; 3]> =
            LazyLock::new(|| ["d", "h", "r"].map(|way| [ByteString::from(way), ByteString::from(way.repeat(BIG))]));
        TEXTS[self as usize][usize::from(big)].clone()
    }

    /// Whether a frame was read for a replay; one in a page that was not comes from the ring.
    pub fn is_replay(frame: &Frame) -> bool {
        frame.text.starts_with('r')
    }
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
            self.append(*word);
        }
        self.log[before..].to_vec()
    }

    fn append(&mut self, word: Word) {
        let rev = self.end().next();
        let mut frame =
            Frame { rev, text: Way::Delivered.text(false), effect: Effect::None, message_id: None, quoted_id: None };
        match word {
            Word::Message { quotes, big } => {
                let id = MessageId(Uuid::from_u128(rev.0 as u128));
                frame.text = Way::Delivered.text(big);
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
                if let Some(id) = picked(&self.messages, pick) {
                    self.messages.retain(|message| *message != id);
                    self.deleted.push((id, rev));
                    frame.message_id = Some(id);
                    frame.effect = Effect::Deleted(id);
                }
            }
        }
        self.log.push(frame);
    }

    /// What a read brings now.
    pub fn read(&self, after: Rev, limit: usize, way: Way) -> Vec<Frame> {
        let there = self.log.iter().filter(|frame| frame.rev > after.max(self.lost)).take(limit).cloned();
        there.map(|frame| Frame { text: way.text(frame.text.len() > 1), ..frame }).collect()
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

    /// Whether a frame shows a message that was deleted later than it, and not after `rev`.
    pub fn is_deleted(&self, frame: &Frame, rev: Rev) -> bool {
        self.deleted.iter().any(|(id, at)| {
            let shows = frame.message_id == Some(*id) || frame.quoted_id == Some(*id);
            shows && frame.rev < *at && *at <= rev
        })
    }
}

fn picked(messages: &[MessageId], pick: usize) -> Option<MessageId> {
    (!messages.is_empty()).then(|| messages[pick % messages.len()])
}
