//! One subscriber of a room: the revisions that were sent to it, and the revision at which its user left.

use super::Sink;
use crate::domain::ids::{Rev, UserId};
use crate::mailboxes::{Batch, RoomEvent};
use std::sync::Arc;

/// What the order knows of a subscriber. `H` is the handle by which it is reached.
pub(super) struct Subscriber<H> {
    pub handle: H,
    pub user: UserId,
    /// The head of the stream when the right to read it was last checked.
    pub checked_rev: Rev,
    /// The revision at which the user left, if the room knows it and has not sent that event to the subscriber yet.
    pub left_at: Option<Rev>,
    /// Every event after this revision, up to and including `sent_to`, was sent.
    pub sent_after: Rev,
    pub sent_to: Rev,
    /// The ranges that earlier subscriptions of the session were sent and that the replay has not skipped yet. Each is
    /// a pair of `sent_after` and `sent_to`.
    pub earlier_ranges: Vec<(Rev, Rev)>,
    pub phase: Phase,
    /// Whether the subscriber got the answer that its replay is over.
    pub is_answered: bool,
}

/// How a subscriber gets its next events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It gets events when they are broadcast.
    Live,
    /// The room reads the next page of its replay from the log.
    Reading {
        /// The number of the read.
        number: u64,
        /// How many deletions were known when the read began.
        deletions: u64,
    },
    /// Its client has not read enough for the next page of its replay.
    Paused,
}

impl<H> Subscriber<H> {
    /// Returns a subscriber to which nothing was sent and which needs a replay of everything after `from`.
    pub fn new(handle: H, user: UserId, from: Rev, checked_rev: Rev) -> Self {
        Self {
            handle,
            user,
            checked_rev,
            left_at: None,
            sent_after: from,
            sent_to: from,
            earlier_ranges: Vec::new(),
            phase: Phase::Paused,
            is_answered: false,
        }
    }

    /// Begins a replay of everything after `from`, with a right that was checked at `checked_rev`. Answers go to the
    /// new `handle` from now on.
    pub fn restart(&mut self, handle: H, from: Rev, checked_rev: Rev) {
        self.handle = handle;
        self.earlier_ranges.push((self.sent_after, self.sent_to));
        (self.sent_after, self.sent_to) = (from, from);
        self.checked_rev = self.checked_rev.max(checked_rev);
        self.phase = Phase::Paused;
        self.is_answered = false;
        self.skip_earlier_ranges();
    }

    /// Notes that the user left at `rev`. A leave at or before the checked revision does not count: the user was added
    /// again.
    pub fn note_leave(&mut self, rev: Rev) {
        if rev > self.checked_rev {
            self.left_at = Some(self.left_at.map_or(rev, |left_at| left_at.min(rev)));
        }
    }

    /// Returns whether the replay is over. It must reach the checked revision, even if the room has not broadcast
    /// up to it yet.
    pub fn has_reached(&self, broadcast_to: Rev) -> bool {
        self.sent_to >= broadcast_to.max(self.checked_rev)
    }

    /// Joins the sent range with the earlier ranges that touch it, so that the replay skips their events.
    pub fn skip_earlier_ranges(&mut self) {
        while let Some(index) =
            self.earlier_ranges.iter().position(|(after, to)| *after <= self.sent_to && self.sent_after <= *to)
        {
            let (after, to) = self.earlier_ranges.swap_remove(index);
            (self.sent_after, self.sent_to) = (self.sent_after.min(after), self.sent_to.max(to));
        }
    }

    /// Sends the events of a batch that were not sent yet, up to `last`. If the user left within the batch, that event
    /// is the last one. Returns false if the subscriber must be removed: its user left, or it cannot take more.
    pub fn send_batch(
        &mut self,
        batch: &Arc<Batch>,
        leaves: &[(UserId, Rev)],
        last: Rev,
        event: fn(Arc<Batch>) -> RoomEvent,
        sink: &mut impl Sink<H>,
    ) -> bool {
        let is_own = |(user, rev): &&(UserId, Rev)| *user == self.user && *rev > self.checked_rev && *rev <= last;
        let leave = leaves.iter().find(is_own).map(|(_, rev)| *rev);
        let last = leave.unwrap_or(last);
        let part = batch.between(self.sent_to, last);
        self.sent_to = self.sent_to.max(last);
        let accepted = part.is_none_or(|part| sink.send(&self.handle, event(part)));
        if accepted && leave.is_some() {
            sink.send(&self.handle, RoomEvent::Left(self.checked_rev));
        }
        accepted && leave.is_none()
    }
}
