//! The ordering logic of a room. It contains no actor, clock or database, so a property test can drive it through every
//! interleaving.
//!
//! Events arrive in any order and any number of times. Each subscriber gets every revision once and in order: from the
//! revision it asked for to the one at which its user left. Three revisions control this:
//!
//! - `broadcast_to`: the room has broadcast every event up to this revision;
//! - `highest_known`: the newest revision that the room knows of; if it is above `broadcast_to`, the room has a gap;
//! - `sent_to` of each subscriber: every event up to this revision was sent to the subscriber.
//!
//! A subscriber gets a replay until it reaches `broadcast_to`, then it is live. A session that subscribes again gets
//! another replay, which skips the events that it has. A subscriber may skip a revision that it did not get only if its
//! right was checked at a later revision: the missing event may be the one with which its user left.
//!
//! No subscriber gets the text of a message that was deleted before its right was checked, or that the room knows to be
//! deleted. The log contains such events without the text, so the room reads them from there.
//!
//! This file handles live events and gaps. [`replay`] handles subscriptions until they are live.

mod removals;
mod replay;
mod ring;
mod subscriber;

use crate::domain::ids::{Rev, SessionId, UserId};
use crate::domain::limits;
use crate::mailboxes::{Batch, ReadPurpose, RoomEvent};
use crate::protocol::envelope::Envelope;
use crate::protocol::events::EventEffect;
use removals::{Removals, leaves_in};
pub use replay::SubscribeRequest;
use ring::Ring;
pub use ring::RingBudget;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use subscriber::{Phase, Subscriber};

/// Carries out the decisions of an [`Order`].
pub trait Sink<H> {
    /// Sends an event to a subscriber. Returns false if the subscriber cannot take it and must be removed.
    fn send(&mut self, to: &H, event: RoomEvent) -> bool;
    /// Requests the events after a revision from the log. Every read gets an answer, also one that failed.
    fn read_log(&mut self, after: Rev, purpose: ReadPurpose);
}

/// The order of the events of one stream, and the subscribers of the stream. `H` is the handle by which a subscriber is
/// reached.
pub struct Order<H> {
    /// The room has broadcast every event up to this revision. The log can have newer events. `None` until the first
    /// subscription brings a checked revision.
    broadcast_to: Option<Rev>,
    highest_known: Rev,
    /// Events beyond a gap, or all events while `broadcast_to` is unknown.
    pending: BTreeMap<Rev, Envelope>,
    ring: Ring,
    subscribers: HashMap<SessionId, Subscriber<H>>,
    /// The known leaves and deletions, also those that were not broadcast yet.
    removals: Removals,
    /// The running read of a gap: the revision after which it reads, and how many deletions were known when it began.
    gap_read: Option<(Rev, u64)>,
    /// The number of reads for replays so far. It is the number of the newest one.
    replay_reads: u64,
}

impl<H> Default for Order<H> {
    fn default() -> Self {
        Self::new(RingBudget::default())
    }
}

impl<H> Order<H> {
    /// Returns an order without subscribers. The bytes of its ring count in `budget`.
    pub fn new(budget: RingBudget) -> Self {
        Self {
            broadcast_to: None,
            highest_known: Rev(0),
            pending: BTreeMap::new(),
            ring: Ring::new(budget),
            subscribers: HashMap::new(),
            removals: Removals::default(),
            gap_read: None,
            replay_reads: 0,
        }
    }
}

impl<H: Clone> Order<H> {
    /// Returns the revision up to which every event was broadcast. `None` before the first subscription.
    pub fn broadcast_to(&self) -> Option<Rev> {
        self.broadcast_to
    }

    /// Returns whether the ring has events.
    pub fn has_recent_events(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Removes the events from the ring that were in it at the previous call already.
    pub fn age_ring(&mut self) {
        self.ring.age();
    }

    /// Returns whether the stream has no subscribers.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Returns whether the room misses an event that exists, and does not read it at this moment.
    pub fn has_gap(&self) -> bool {
        self.gap_read.is_none() && self.broadcast_to.is_some_and(|broadcast_to| broadcast_to < self.highest_known)
    }

    /// Returns the subscribers that get ephemeral frames, with their users: all of them, also during a replay, except
    /// those whose user is known to have left. The event of the leave may still have to be sent to them.
    pub fn ephemeral_receivers(&self) -> impl Iterator<Item = (UserId, &H)> {
        let participating = self.subscribers.values().filter(|subscriber| subscriber.left_at.is_none());
        participating.map(|subscriber| (subscriber.user, &subscriber.handle))
    }

    /// Returns the handles of all subscribers.
    pub fn subscribers(&self) -> impl Iterator<Item = &H> {
        self.subscribers.values().map(|subscriber| &subscriber.handle)
    }

    /// Removes a subscriber without an answer.
    pub fn unsubscribe(&mut self, session: SessionId) {
        self.subscribers.remove(&session);
    }

    /// Notes that the stream has events up to `rev`.
    pub fn note_known(&mut self, rev: Rev) {
        self.highest_known = self.highest_known.max(rev);
    }

    /// Takes events in any order and any number of times, and broadcasts those that follow `broadcast_to` without a
    /// gap.
    pub fn deliver(&mut self, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        let next = self.broadcast_to.filter(|broadcast_to| self.highest_known <= *broadcast_to).map(Rev::next);
        self.note_removals(&batch.envelopes);
        if self.pending.is_empty() && next.is_some() && batch.envelopes.first().map(|envelope| envelope.rev) == next {
            // The usual case: broadcast the batch unchanged.
            self.note_known(batch.last_rev());
            self.broadcast(batch, sink);
            return;
        }
        let broadcast_to = self.broadcast_to;
        for envelope in batch.envelopes.iter().filter(|envelope| broadcast_to.is_none_or(|rev| envelope.rev > rev)) {
            self.highest_known = self.highest_known.max(envelope.rev);
            if !self.removals.shows_deleted_message(envelope) {
                self.pending.entry(envelope.rev).or_insert_with(|| envelope.clone());
            }
        }
        self.limit_pending();
        self.broadcast_pending(sink);
    }

    /// Notes events that are too large to be broadcast together. The room reads them from the log, page by page.
    pub fn postpone(&mut self, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        self.note_removals(&batch.envelopes);
        self.note_known(batch.last_rev());
        self.read_gap(sink);
    }

    /// Notes leaves and deletions immediately, even if their events are broadcast later. From now on a user who left
    /// gets no ephemeral frames, and neither the ring nor the pending events show a deleted message.
    fn note_removals(&mut self, envelopes: &[Envelope]) {
        for envelope in envelopes {
            match &envelope.effect {
                EventEffect::Left(user) if self.removals.add_leave(*user, envelope.rev) => {
                    let of_user = self.subscribers.values_mut().filter(|subscriber| subscriber.user == *user);
                    of_user.for_each(|subscriber| subscriber.note_leave(envelope.rev));
                }
                EventEffect::Deleted(message) if self.removals.add_deletion(*message, envelope.rev) => {
                    self.ring.remove_message(*message);
                    self.pending.retain(|_, pending| !self.removals.shows_deleted_message(pending));
                }
                EventEffect::Left(_)
                | EventEffect::Deleted(_)
                | EventEffect::None
                | EventEffect::Subscribe(..)
                | EventEffect::Revoked(_) => {}
            }
        }
    }

    /// Removes the newest pending events above the limit.
    fn limit_pending(&mut self) {
        while self.pending.len() > limits::PENDING_EVENTS {
            self.pending.pop_last();
        }
    }

    /// Broadcasts the pending events that follow `broadcast_to` without a gap.
    fn broadcast_pending(&mut self, sink: &mut impl Sink<H>) {
        let Some(broadcast_to) = self.broadcast_to else { return };
        let mut next = broadcast_to.next();
        let mut envelopes = Vec::new();
        while let Some(entry) = self.pending.first_entry().filter(|entry| *entry.key() <= next) {
            let envelope = entry.remove();
            if envelope.rev == next {
                next = next.next();
                envelopes.push(envelope);
            }
        }
        if !envelopes.is_empty() {
            self.broadcast(&Batch::new(envelopes), sink);
        }
    }

    fn broadcast(&mut self, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        self.broadcast_to = Some(batch.last_rev());
        for envelope in &batch.envelopes {
            if let EventEffect::Deleted(message) = &envelope.effect {
                self.ring.remove_message(*message);
            }
            self.ring.push(envelope);
        }
        let leaves = leaves_in(batch);
        self.subscribers.retain(|_, subscriber| {
            // A subscriber in a replay gets these events, and perhaps its end, from its replay.
            subscriber.phase != Phase::Live
                || subscriber.send_batch(batch, &leaves, batch.last_rev(), RoomEvent::Events, sink)
        });
    }

    /// Reads the missing events from the log, if the room has a gap and no such read runs.
    pub fn read_gap(&mut self, sink: &mut impl Sink<H>) {
        if let Some(after) = self.broadcast_to.filter(|_| self.has_gap()) {
            self.gap_read = Some((after, self.removals.deletion_count()));
            sink.read_log(after, ReadPurpose::Gap);
        }
    }

    /// Takes the result of a read of a gap. `None` means that the read failed; the caller then reads again. If the log
    /// lacks the events too, the room continues at the highest known revision, and the live subscribers that would have
    /// got them must reconnect, so that their rights are checked again.
    pub fn handle_gap_read(&mut self, envelopes: Option<Vec<Envelope>>, sink: &mut impl Sink<H>) {
        let (Some((after, deletions)), Some(envelopes)) = (self.gap_read.take(), envelopes) else { return };
        // Events that show a message deleted during the read are read again.
        let (stale, fresh): (Vec<_>, Vec<_>) =
            envelopes.into_iter().partition(|envelope| self.removals.is_stale(envelope, deletions));
        self.note_removals(&fresh);
        for envelope in fresh {
            self.note_known(envelope.rev);
            // The event of the log replaces a pending one, because the log may have removed the text of a message.
            self.pending.insert(envelope.rev, envelope);
        }
        self.limit_pending();
        self.broadcast_pending(sink);
        // The read only proves that the log lacks the event after its own start. If the room has broadcast that event
        // in the meantime, the read proves nothing.
        if self.broadcast_to != Some(after) || !stale.is_empty() {
            return;
        }
        self.broadcast_to = Some(self.highest_known);
        let is_behind =
            |subscriber: &Subscriber<H>| subscriber.phase == Phase::Live && subscriber.sent_to < self.highest_known;
        let behind = self.subscribers.iter().filter(|(_, subscriber)| is_behind(subscriber));
        for session in behind.map(|(session, _)| *session).collect::<Vec<_>>() {
            self.make_reconnect(session, sink);
        }
    }
}
