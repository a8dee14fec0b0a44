//! One who follows a stream: up to where everything was given, and from when on nothing more is.

use super::Sink;
use crate::domain::ids::{Rev, UserId};
use crate::mailboxes::{Batch, RoomEvent};
use std::sync::Arc;

pub(super) struct Subscriber<H> {
    pub handle: H,
    pub user: UserId,
    /// The stream's revision when the right to follow was last checked.
    pub checked: Rev,
    /// With which event, known to the room and not given yet, its user left.
    pub ends: Option<Rev>,
    /// Everything after this, up to what is reached, has been given.
    pub from: Rev,
    pub reached: Rev,
    /// What was given before it subscribed again, from and to, as far as the replay has not passed it.
    pub had: Vec<(Rev, Rev)>,
    pub phase: Phase,
    /// Whether it knows from where events come live.
    pub answered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is given events as they come.
    Live,
    /// A page of its replay is being read, by the read of that number, asked for when so many deletions were known.
    Reading(u64, u64),
    /// It has yet to ask for the next page.
    Waiting,
}

impl<H> Subscriber<H> {
    pub fn new(handle: H, user: UserId, from: Rev, checked: Rev) -> Self {
        Self {
            handle,
            user,
            checked,
            ends: None,
            from,
            reached: from,
            had: Vec::new(),
            phase: Phase::Waiting,
            answered: false,
        }
    }

    /// Asks for everything after `from`, with a right that was checked now. From here on its answers go to `handle`.
    pub fn again(&mut self, handle: H, from: Rev, checked: Rev) {
        self.handle = handle;
        self.had.push((self.from, self.reached));
        (self.from, self.reached) = (from, from);
        self.checked = self.checked.max(checked);
        self.phase = Phase::Waiting;
        self.answered = false;
        self.pass();
    }

    /// The user left with the event of this revision.
    pub fn left(&mut self, rev: Rev) {
        if rev > self.checked {
            self.ends = Some(self.ends.map_or(rev, |ends| ends.min(rev)));
        }
    }

    /// Whether nothing is left to replay. What the check saw belongs to it, even if the room is behind that.
    pub fn has_met(&self, head: Rev) -> bool {
        self.reached >= head.max(self.checked)
    }

    /// Goes past whatever was given before and begins here.
    pub fn pass(&mut self) {
        while let Some(at) = self.had.iter().position(|(from, to)| *from <= self.reached && self.from <= *to) {
            let (from, to) = self.had.swap_remove(at);
            (self.from, self.reached) = (self.from.min(from), self.reached.max(to));
        }
    }

    /// Gives what of a batch is not reached yet, up to `last` and to the event with which the user left, after which
    /// nothing follows; false when the subscriber is to be forgotten.
    pub fn hand(
        &mut self,
        batch: &Arc<Batch>,
        left: &[(UserId, Rev)],
        last: Rev,
        form: fn(Arc<Batch>) -> RoomEvent,
        sink: &mut impl Sink<H>,
    ) -> bool {
        let ends = |(user, rev): &&(UserId, Rev)| *user == self.user && *rev > self.checked && *rev <= last;
        let end = left.iter().find(ends).map(|(_, rev)| *rev);
        let last = end.unwrap_or(last);
        let part = batch.between(self.reached, last);
        self.reached = self.reached.max(last);
        let taken = part.is_none_or(|part| sink.give(&self.handle, form(part)));
        if taken && end.is_some() {
            sink.give(&self.handle, RoomEvent::Left(self.checked));
        }
        taken && end.is_none()
    }
}
