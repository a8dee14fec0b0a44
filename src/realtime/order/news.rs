//! What a room remembers of the events it was told of, whether or not they have gone out: who left, and which messages
//! were deleted. Both bounded; what is forgotten a replay finds in the log.

use crate::domain::ids::{MessageId, Rev, UserId};
use crate::mailboxes::Batch;
use crate::protocol::events::{Effect, Frame};
use std::collections::VecDeque;

/// Users remembered as having left, to refuse at once. A replay finds the others.
const LEAVERS: usize = 1024;
/// Deletions remembered, to keep back what shows the messages.
const DELETIONS: usize = 1024;

/// See the module.
#[derive(Default)]
pub(super) struct News {
    /// Who left and at which revision, as it was learned.
    leavers: VecDeque<(UserId, Rev)>,
    /// Which message was deleted and at which revision, as it was learned.
    deletions: VecDeque<(MessageId, Rev)>,
    /// How many deletions were ever learned.
    learned: u64,
}

impl News {
    /// Notes that a user left; false if that was known.
    pub fn left(&mut self, user: UserId, rev: Rev) -> bool {
        note(&mut self.leavers, (user, rev), LEAVERS)
    }

    /// Notes that a message was deleted; false if that was known.
    pub fn deleted(&mut self, message: MessageId, rev: Rev) -> bool {
        let new = note(&mut self.deletions, (message, rev), DELETIONS);
        self.learned += u64::from(new);
        new
    }

    /// The first event with which a user left after `checked`, as far as it is known.
    pub fn left_after(&self, user: UserId, checked: Rev) -> Option<Rev> {
        let left = self.leavers.iter().filter(|(leaver, rev)| *leaver == user && *rev > checked);
        left.map(|(_, rev)| *rev).min()
    }

    /// How many deletions were learned so far: what is asked of the log now knows of all of them.
    pub fn deletions(&self) -> u64 {
        self.learned
    }

    /// Whether a frame, delivered as it was committed, shows a message that is known to have been deleted since. The log
    /// has it without the text.
    pub fn is_deleted(&self, frame: &Frame) -> bool {
        shown_by(frame, self.deletions.iter())
    }

    /// The same for a row that was asked for when `known` deletions were learned, all of which it takes into account.
    pub fn is_stale(&self, row: &Frame, known: u64) -> bool {
        let newer = usize::try_from(self.learned - known).unwrap_or(usize::MAX);
        newer > DELETIONS || shown_by(row, self.deletions.iter().rev().take(newer))
    }
}

fn shown_by<'a>(frame: &Frame, mut deletions: impl Iterator<Item = &'a (MessageId, Rev)>) -> bool {
    let shows = |message: MessageId| frame.message_id == Some(message) || frame.quoted_id == Some(message);
    deletions.any(|(message, rev)| *rev > frame.rev && shows(*message))
}

/// Notes what is new and forgets the oldest; false if it was noted before.
fn note<T: PartialEq>(notes: &mut VecDeque<T>, note: T, most: usize) -> bool {
    let new = !notes.contains(&note);
    if new {
        if notes.len() == most {
            notes.pop_front();
        }
        notes.push_back(note);
    }
    new
}

/// Who left within a batch, and when.
pub(super) fn leaves(batch: &Batch) -> Vec<(UserId, Rev)> {
    let left = |frame: &Frame| match &frame.effect {
        Effect::Left(user) => Some((*user, frame.rev)),
        _ => None,
    };
    batch.frames.iter().filter_map(left).collect()
}
