//! The leaves and deletions that a room knows, also those whose events it has not broadcast yet. Both lists are
//! bounded; a replay finds older ones in the log.

use crate::domain::ids::{MessageId, Rev, UserId};
use crate::mailboxes::Batch;
use crate::protocol::envelope::Envelope;
use crate::protocol::events::EventEffect;
use std::collections::VecDeque;

/// Leaves that are remembered, so that a subscription with an older check is refused immediately.
const LEAVES: usize = 1024;
/// Deletions that are remembered, so that no event that shows a deleted message is sent.
const DELETIONS: usize = 1024;

/// The known leaves and deletions of one stream, the newest last.
#[derive(Default)]
pub(super) struct Removals {
    leaves: VecDeque<(UserId, Rev)>,
    deletions: VecDeque<(MessageId, Rev)>,
    /// The number of deletions that were ever added, also those that are forgotten.
    deletion_count: u64,
}

impl Removals {
    /// Adds that a user left at `rev`. Returns false if this was known.
    pub fn add_leave(&mut self, user: UserId, rev: Rev) -> bool {
        add_bounded(&mut self.leaves, (user, rev), LEAVES)
    }

    /// Adds that a message was deleted at `rev`. Returns false if this was known.
    pub fn add_deletion(&mut self, message: MessageId, rev: Rev) -> bool {
        let is_new = add_bounded(&mut self.deletions, (message, rev), DELETIONS);
        self.deletion_count += u64::from(is_new);
        is_new
    }

    /// Returns the first known revision after `checked_rev` at which a user left.
    pub fn first_leave_after(&self, user: UserId, checked_rev: Rev) -> Option<Rev> {
        let leaves = self.leaves.iter().filter(|(leaver, rev)| *leaver == user && *rev > checked_rev);
        leaves.map(|(_, rev)| *rev).min()
    }

    /// Returns how many deletions were ever added. A read of the log that begins now reflects all of them.
    pub fn deletion_count(&self) -> u64 {
        self.deletion_count
    }

    /// Returns whether a delivered event shows a message that was deleted after the event was committed. The log
    /// contains the event without the text.
    pub fn shows_deleted_message(&self, envelope: &Envelope) -> bool {
        shows_deleted(envelope, self.deletions.iter())
    }

    /// Returns whether a row shows a message that was deleted while the row was being read. `deletions_at_start` is
    /// [`Self::deletion_count`] at the start of the read, which reflects those deletions.
    pub fn is_stale(&self, row: &Envelope, deletions_at_start: u64) -> bool {
        let newer = usize::try_from(self.deletion_count - deletions_at_start).unwrap_or(usize::MAX);
        newer > DELETIONS || shows_deleted(row, self.deletions.iter().rev().take(newer))
    }
}

fn shows_deleted<'a>(envelope: &Envelope, mut deletions: impl Iterator<Item = &'a (MessageId, Rev)>) -> bool {
    let shows = |message: MessageId| envelope.message_id == Some(message) || envelope.quoted_id == Some(message);
    deletions.any(|(message, rev)| *rev > envelope.rev && shows(*message))
}

/// Adds an item, and removes the oldest one when there are more than `max_items`. Returns false if the item was there.
fn add_bounded<T: PartialEq>(items: &mut VecDeque<T>, item: T, max_items: usize) -> bool {
    let is_new = !items.contains(&item);
    if is_new {
        if items.len() == max_items {
            items.pop_front();
        }
        items.push_back(item);
    }
    is_new
}

/// Returns the users who left within a batch, each with the revision.
pub(super) fn leaves_in(batch: &Batch) -> Vec<(UserId, Rev)> {
    let leave = |envelope: &Envelope| match &envelope.effect {
        EventEffect::Left(user) => Some((*user, envelope.rev)),
        EventEffect::None | EventEffect::Deleted(_) | EventEffect::Subscribe(..) | EventEffect::Revoked(_) => None,
    };
    batch.envelopes.iter().filter_map(leave).collect()
}
