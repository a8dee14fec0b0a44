//! The way from a subscription to the live events: a replay, from the ring or page by page from the log, until it meets
//! the head of the room.

use super::subscriber::{Phase, Subscriber};
use super::{Order, Sink, leaves};
use crate::domain::ids::{Rev, SessionId, UserId};
use crate::mailboxes::{Batch, ReadPurpose, RoomEvent};
use crate::protocol::events::Frame;
use std::sync::Arc;

/// A subscription whose right was checked.
pub struct Subscribe<H> {
    /// The subscriber.
    pub session: SessionId,
    /// Its user.
    pub user: UserId,
    /// How to reach it.
    pub handle: H,
    /// All after this, which is not above `checked` and not from before the user came in.
    pub from: Rev,
    /// The stream's revision when the right was checked; the only number that may seed the room.
    pub checked: Rev,
}

impl<H: Clone> Order<H> {
    /// Begins to follow. Everything after `from` is given, from the ring or page by page from the log, then events as
    /// they come. One that follows already is given what it lacks, and nothing twice; what it had not been given up to
    /// `from` it is taken to have. Each is answered once, by `Attached`, `Reset`, `Left` or `Gone`, unless the session
    /// subscribes again before; then that one is answered.
    pub fn subscribe(&mut self, wanted: Subscribe<H>, sink: &mut impl Sink<H>) {
        let Subscribe { session, user, handle, from, checked } = wanted;
        let left = self.news.left_after(user, checked);
        // whoever still replays comes to that event in the log, and to its end with it
        if left.is_some() && self.subscribers.get(&session).is_none_or(|following| following.checked > checked) {
            self.subscribers.remove(&session);
            sink.give(&handle, RoomEvent::Left(checked));
            return;
        }
        self.heard(checked);
        if self.head.is_none() {
            self.head = Some(checked);
            self.release(sink);
        }
        let fresh = || Subscriber::new(handle.clone(), user, from, checked);
        let subscriber = self.subscribers.entry(session).or_insert_with(fresh);
        subscriber.again(handle, from, checked);
        subscriber.ends = self.news.left_after(user, subscriber.checked);
        self.advance(session, sink);
    }

    /// A replay goes on: it meets the head, or the ring bridges the rest, or the next page is read. A room that is behind
    /// the check may lack a deletion that came before it, so then its ring does not count.
    fn advance(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        let head = self.head.unwrap_or(Rev(0));
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        if subscriber.has_met(head) {
            subscriber.phase = Phase::Live;
            subscriber.had.clear();
            let answered = std::mem::replace(&mut subscriber.answered, true);
            if !answered && !sink.give(&subscriber.handle, RoomEvent::Attached(subscriber.reached)) {
                self.subscribers.remove(&session);
            }
        } else if subscriber.checked <= head
            && let Some(batch) = self.ring.between(subscriber.reached, head)
        {
            self.replayed(session, &batch, sink);
            self.advance(session, sink);
        } else {
            self.reads += 1;
            subscriber.phase = Phase::Reading(self.reads, self.news.deletions());
            let purpose = ReadPurpose::Replay { user: subscriber.user, session, number: self.reads };
            sink.read(subscriber.reached, purpose);
        }
    }

    /// Gives a page of a replay, up to what was given before.
    fn replayed(&mut self, session: SessionId, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        let ahead = subscriber.had.iter().map(|(from, _)| *from).filter(|from| *from > subscriber.reached);
        let last = ahead.min().map_or(batch.last_rev(), |had| had.min(batch.last_rev()));
        if subscriber.hand(batch, &leaves(batch), last, RoomEvent::Page, sink) {
            subscriber.pass();
        } else {
            self.subscribers.remove(&session);
        }
    }

    /// The subscriber has room for the next page.
    pub fn resume(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        if self.subscribers.get(&session).is_some_and(|subscriber| subscriber.phase == Phase::Waiting) {
            self.advance(session, sink);
        }
    }

    /// Takes the events that a read for a replay brought; `None` when it failed. One that the subscriber waits for no more
    /// is not taken: it may be from before the right was checked.
    pub fn page(&mut self, session: SessionId, read: u64, frames: Option<Vec<Frame>>, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        let after = subscriber.reached;
        let known = match subscriber.phase {
            Phase::Reading(number, known) if number == read => known,
            _ => return,
        };
        subscriber.phase = Phase::Waiting;
        let Some(frames) = frames else { return self.send_away(session, sink) };
        if frames.iter().any(|frame| self.news.is_stale(frame, known)) {
            // something was deleted while it was being read
            return self.advance(session, sink);
        }
        if frames.last().is_none_or(|last| last.rev.0 - after.0 != frames.len() as i64) {
            return self.reset(session, sink);
        }
        self.replayed(session, &Batch::new(frames), sink);
        let head = self.head.unwrap_or(Rev(0));
        if self.subscribers.get(&session).is_some_and(|subscriber| subscriber.has_met(head)) {
            self.advance(session, sink);
        }
    }

    /// The log does not bridge the gap: the subscriber begins anew from where its right was checked. A gap beyond that
    /// may hide that its user left, so its right must be checked anew.
    fn reset(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        let rev = subscriber.had.drain(..).map(|(_, to)| to).fold(subscriber.checked, Rev::max);
        if subscriber.reached >= rev {
            return self.send_away(session, sink);
        }
        (subscriber.from, subscriber.reached, subscriber.checked) = (rev, rev, rev);
        subscriber.ends = subscriber.ends.filter(|ends| *ends > rev);
        subscriber.answered = true;
        if sink.give(&subscriber.handle, RoomEvent::Reset(rev)) {
            self.advance(session, sink);
        } else {
            self.subscribers.remove(&session);
        }
    }

    pub(super) fn send_away(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        if let Some(subscriber) = self.subscribers.remove(&session) {
            sink.give(&subscriber.handle, RoomEvent::Gone);
        }
    }
}
