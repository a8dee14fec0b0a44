//! Subscriptions until they are live: the replay from the ring, or page by page from the log, until it reaches the last
//! event that the room has broadcast.

use super::removals::leaves_in;
use super::subscriber::{Phase, Subscriber};
use super::{Order, Sink};
use crate::domain::ids::{Rev, SessionId, UserId};
use crate::mailboxes::{Batch, ReadPurpose, RoomEvent};
use crate::protocol::envelope::Envelope;
use std::sync::Arc;

/// A subscription of a session whose right to read the stream was checked.
pub struct SubscribeRequest<H> {
    pub session: SessionId,
    pub user: UserId,
    pub handle: H,
    /// The session gets every event after this revision. It is not above `checked_rev`, and not below the revision at
    /// which the user joined.
    pub from: Rev,
    /// The head of the stream when the right was checked. Only this revision may set the first `broadcast_to` of
    /// the room.
    pub checked_rev: Rev,
}

impl<H: Clone> Order<H> {
    /// Adds a subscription. The session gets every event after `from`: first a replay, from the ring or page by page
    /// from the log, then live events. A session that is subscribed already gets only the events that it lacks; the
    /// room assumes that it has those up to `from`. Each subscription gets one answer: `Live`, `Reset`, `Left` or
    /// `Gone`. If the session subscribes again before the answer, only the newer subscription gets one.
    pub fn subscribe(&mut self, request: SubscribeRequest<H>, sink: &mut impl Sink<H>) {
        let SubscribeRequest { session, user, handle, from, checked_rev } = request;
        let left_at = self.removals.first_leave_after(user, checked_rev);
        // A subscriber whose right was not checked later stays: its replay ends when it reaches the leave.
        if left_at.is_some() && self.subscribers.get(&session).is_none_or(|existing| existing.checked_rev > checked_rev)
        {
            self.subscribers.remove(&session);
            sink.send(&handle, RoomEvent::Left(checked_rev));
            return;
        }
        self.note_known(checked_rev);
        if self.broadcast_to.is_none() {
            self.broadcast_to = Some(checked_rev);
            self.broadcast_pending(sink);
        }
        let new = || Subscriber::new(handle.clone(), user, from, checked_rev);
        let subscriber = self.subscribers.entry(session).or_insert_with(new);
        subscriber.restart(handle, from, checked_rev);
        subscriber.left_at = self.removals.first_leave_after(user, subscriber.checked_rev);
        self.continue_replay(session, sink);
    }

    /// Takes the next step of a replay: it is over, or the ring has the remaining events, or the next page is read from
    /// the log. A room that has not broadcast up to the checked revision may lack a deletion before it. Its ring may
    /// show the deleted message, so it is not used.
    fn continue_replay(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        let broadcast_to = self.broadcast_to.unwrap_or(Rev(0));
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        if subscriber.has_reached(broadcast_to) {
            subscriber.phase = Phase::Live;
            subscriber.earlier_ranges.clear();
            let was_answered = std::mem::replace(&mut subscriber.is_answered, true);
            if !was_answered && !sink.send(&subscriber.handle, RoomEvent::Live(subscriber.sent_to)) {
                self.subscribers.remove(&session);
            }
        } else if subscriber.checked_rev <= broadcast_to
            && let Some(batch) = self.ring.between(subscriber.sent_to, broadcast_to)
        {
            self.send_page(session, &batch, sink);
            self.continue_replay(session, sink);
        } else {
            self.replay_reads += 1;
            let number = self.replay_reads;
            subscriber.phase = Phase::Reading { number, deletions: self.removals.deletion_count() };
            let purpose = ReadPurpose::Replay { user: subscriber.user, session, number };
            sink.read_log(subscriber.sent_to, purpose);
        }
    }

    /// Sends a page of a replay, up to the next range that the subscriber has from an earlier subscription.
    fn send_page(&mut self, session: SessionId, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        let ahead =
            subscriber.earlier_ranges.iter().map(|(after, _)| *after).filter(|after| *after > subscriber.sent_to);
        let last = ahead.min().map_or(batch.last_rev(), |after| after.min(batch.last_rev()));
        if subscriber.send_batch(batch, &leaves_in(batch), last, RoomEvent::Page, sink) {
            subscriber.skip_earlier_ranges();
        } else {
            self.subscribers.remove(&session);
        }
    }

    /// Continues a replay whose client has read enough for the next page.
    pub fn resume(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        if self.subscribers.get(&session).is_some_and(|subscriber| subscriber.phase == Phase::Paused) {
            self.continue_replay(session, sink);
        }
    }

    /// Takes the result of a read for a replay, `None` if the read failed. A result that the subscriber no longer waits
    /// for is ignored, because it may be from before its right was checked.
    pub fn handle_replay_read(
        &mut self,
        session: SessionId,
        read: u64,
        envelopes: Option<Vec<Envelope>>,
        sink: &mut impl Sink<H>,
    ) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        let after = subscriber.sent_to;
        let deletions_at_start = match subscriber.phase {
            Phase::Reading { number, deletions } if number == read => deletions,
            _ => return,
        };
        subscriber.phase = Phase::Paused;
        let Some(envelopes) = envelopes else { return self.make_reconnect(session, sink) };
        if envelopes.iter().any(|envelope| self.removals.is_stale(envelope, deletions_at_start)) {
            // A message was deleted during the read: read the page again.
            return self.continue_replay(session, sink);
        }
        if envelopes.last().is_none_or(|last| last.rev.0 - after.0 != envelopes.len() as i64) {
            return self.reset(session, sink);
        }
        self.send_page(session, &Batch::new(envelopes), sink);
        let broadcast_to = self.broadcast_to.unwrap_or(Rev(0));
        if self.subscribers.get(&session).is_some_and(|subscriber| subscriber.has_reached(broadcast_to)) {
            self.continue_replay(session, sink);
        }
    }

    /// Resets a subscriber because the log lacks the next events: it continues at the revision at which its right was
    /// checked. If events after that revision are missing, one of them may be the leave of its user, so its client must
    /// reconnect and its right is checked again.
    fn reset(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        let rev = subscriber.earlier_ranges.drain(..).map(|(_, to)| to).fold(subscriber.checked_rev, Rev::max);
        if subscriber.sent_to >= rev {
            return self.make_reconnect(session, sink);
        }
        (subscriber.sent_after, subscriber.sent_to, subscriber.checked_rev) = (rev, rev, rev);
        subscriber.left_at = subscriber.left_at.filter(|left_at| *left_at > rev);
        subscriber.is_answered = true;
        if sink.send(&subscriber.handle, RoomEvent::Reset(rev)) {
            self.continue_replay(session, sink);
        } else {
            self.subscribers.remove(&session);
        }
    }

    /// Removes a subscriber and sends it `Gone`, which makes its client reconnect.
    pub(super) fn make_reconnect(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        if let Some(subscriber) = self.subscribers.remove(&session) {
            sink.send(&subscriber.handle, RoomEvent::Gone);
        }
    }
}
