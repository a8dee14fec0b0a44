//! The ordering logic of a room, with no actor, clock or database in it, so that a property test can drive it through
//! every interleaving.
//!
//! Events come in any order and any number of times; what goes out is, for each subscriber, every revision once, in
//! order, from the one it asked for to the one at which its user left. Three numbers rule it: the *head*, up to which
//! everything has gone out; what is *known* to exist, which makes a hole visible; and for each subscriber what it has
//! *reached*, at or below which nothing more is for it.
//!
//! A subscriber replays until it meets the head, then it is live. To subscribe again is to replay again, past what was
//! given already. Nobody passes over a revision unseen except with a right that was checked later than it: what is lost
//! might be the one with which the user left.
//!
//! Nor does anybody get a text that was deleted before the right was checked, or that the room knows is deleted: what
//! shows it is left to the log, which has it without the text.
//!
//! Here are the live events and the holes; [`replay`] is the way from a subscription to them.

mod news;
mod replay;
mod ring;
mod subscriber;

use crate::domain::ids::{Rev, SessionId, UserId};
use crate::mailboxes::{Batch, ReadPurpose, RoomEvent};
use crate::protocol::events::{Effect, Frame};
use news::{News, leaves};
pub use replay::Subscribe;
pub use ring::Budget;
use ring::Ring;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use subscriber::{Phase, Subscriber};

/// Events kept beyond a hole; the log has the others.
const HELD_FRAMES: usize = 1024;

/// Where the order's decisions go.
pub trait Sink<H> {
    /// Hands something to a subscriber; false when the subscriber cannot take it and is to be forgotten.
    fn give(&mut self, to: &H, event: RoomEvent) -> bool;
    /// Asks for the events after a revision from the log. Every read is answered, if only with its failure.
    fn read(&mut self, after: Rev, purpose: ReadPurpose);
}

/// The order of one stream and those who follow it, each reached by a handle `H`.
pub struct Order<H> {
    /// Everything up to here has gone out; `None` until the first subscription says where the stream stands.
    head: Option<Rev>,
    /// The stream is known to reach this.
    known: Rev,
    /// Events beyond a hole, or all while the head is unknown.
    held: BTreeMap<Rev, Frame>,
    ring: Ring,
    subscribers: HashMap<SessionId, Subscriber<H>>,
    /// What is known of leaves and deletions, gone out or not.
    news: News,
    /// After which revision a hole is being read, and how many deletions were known then.
    filling: Option<(Rev, u64)>,
    /// How many reads for replays there were, which numbers them.
    reads: u64,
}

impl<H> Default for Order<H> {
    fn default() -> Self {
        Self::new(Budget::default())
    }
}

impl<H> Order<H> {
    /// One whose recent events count in `budget`.
    pub fn new(budget: Budget) -> Self {
        Self {
            head: None,
            known: Rev(0),
            held: BTreeMap::new(),
            ring: Ring::new(budget),
            subscribers: HashMap::new(),
            news: News::default(),
            filling: None,
            reads: 0,
        }
    }
}

impl<H: Clone> Order<H> {
    /// Up to where everything has gone out; `None` before anything is known.
    pub fn head(&self) -> Option<Rev> {
        self.head
    }

    /// Whether recent events are kept.
    pub fn has_recent(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Forgets the recent events that were kept the last time already.
    pub fn age(&mut self) {
        self.ring.age();
    }

    /// Whether nobody follows.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Whether an event is known to exist that has not gone out and is not being read.
    pub fn has_hole(&self) -> bool {
        self.filling.is_none() && self.head.is_some_and(|head| head < self.known)
    }

    /// Those who get what has no revision, with their users: all who follow, in a replay too, but nobody whose user is
    /// known to have left, though the event that says so may be yet to come.
    pub fn followers(&self) -> impl Iterator<Item = (UserId, &H)> {
        let stays = self.subscribers.values().filter(|subscriber| subscriber.ends.is_none());
        stays.map(|subscriber| (subscriber.user, &subscriber.handle))
    }

    /// All who wait for anything.
    pub fn subscribers(&self) -> impl Iterator<Item = &H> {
        self.subscribers.values().map(|subscriber| &subscriber.handle)
    }

    /// Forgets a subscriber.
    pub fn unsubscribe(&mut self, session: SessionId) {
        self.subscribers.remove(&session);
    }

    /// The stream is known to reach `rev`.
    pub fn heard(&mut self, rev: Rev) {
        self.known = self.known.max(rev);
    }

    // --- live -----------------------------------------------------------------------------------------------------

    /// Takes events, in any order, any number of times.
    pub fn deliver(&mut self, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        let next = self.head.filter(|head| self.known <= *head).map(Rev::next);
        self.learn(&batch.frames);
        if self.held.is_empty() && next.is_some() && batch.frames.first().map(|frame| frame.rev) == next {
            // the ordinary case: the batch goes out as it came
            self.heard(batch.last_rev());
            self.broadcast(batch, sink);
            return;
        }
        for frame in batch.frames.iter().filter(|frame| self.head.is_none_or(|head| frame.rev > head)) {
            self.known = self.known.max(frame.rev);
            if !self.news.is_deleted(frame) {
                self.held.entry(frame.rev).or_insert_with(|| frame.clone());
            }
        }
        self.bound();
        self.release(sink);
    }

    /// Takes notice of events that are too many to go out at once: they are read from the log, page by page.
    pub fn postpone(&mut self, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        self.learn(&batch.frames);
        self.heard(batch.last_rev());
        self.fill(sink);
    }

    /// Takes notice of who left, and of what was deleted, whenever that will go out: nobody who left gets what is told
    /// now, and nothing here shows what was deleted.
    fn learn(&mut self, frames: &[Frame]) {
        for frame in frames {
            match &frame.effect {
                Effect::Left(user) if self.news.left(*user, frame.rev) => {
                    let theirs = self.subscribers.values_mut().filter(|subscriber| subscriber.user == *user);
                    theirs.for_each(|subscriber| subscriber.left(frame.rev));
                }
                Effect::Deleted(message) if self.news.deleted(*message, frame.rev) => {
                    self.ring.forget(*message);
                    self.held.retain(|_, held| !self.news.is_deleted(held));
                }
                _ => {}
            }
        }
    }

    /// Keeps the nearest of what is held.
    fn bound(&mut self) {
        while self.held.len() > HELD_FRAMES {
            self.held.pop_last();
        }
    }

    /// Sends out what is held and follows the head without a hole.
    fn release(&mut self, sink: &mut impl Sink<H>) {
        let Some(head) = self.head else { return };
        let mut next = head.next();
        let mut frames = Vec::new();
        while let Some(entry) = self.held.first_entry().filter(|entry| *entry.key() <= next) {
            let frame = entry.remove();
            if frame.rev == next {
                next = next.next();
                frames.push(frame);
            }
        }
        if !frames.is_empty() {
            self.broadcast(&Batch::new(frames), sink);
        }
    }

    fn broadcast(&mut self, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        self.head = Some(batch.last_rev());
        for frame in &batch.frames {
            if let Effect::Deleted(message) = &frame.effect {
                self.ring.forget(*message);
            }
            self.ring.push(frame);
        }
        let left = leaves(batch);
        self.subscribers.retain(|_, subscriber| {
            // a replay comes to these events, and to its end, by itself
            subscriber.phase != Phase::Live || subscriber.hand(batch, &left, batch.last_rev(), RoomEvent::Frames, sink)
        });
    }

    // --- holes ----------------------------------------------------------------------------------------------------

    /// Asks the log for what is missing, if anything is.
    pub fn fill(&mut self, sink: &mut impl Sink<H>) {
        if let Some(head) = self.head.filter(|_| self.has_hole()) {
            self.filling = Some((head, self.news.deletions()));
            sink.read(head, ReadPurpose::Gap);
        }
    }

    /// Takes what was read for a hole; `None` when the read failed and is to be tried again. When the log lacks it too,
    /// the room goes on from what is known, and those to whom it was to go must come back with their rights checked.
    pub fn filled(&mut self, frames: Option<Vec<Frame>>, sink: &mut impl Sink<H>) {
        let (Some((after, known)), Some(frames)) = (self.filling.take(), frames) else { return };
        // what was deleted while it was being read is read again
        let (stale, fresh): (Vec<_>, Vec<_>) = frames.into_iter().partition(|frame| self.news.is_stale(frame, known));
        self.learn(&fresh);
        for frame in fresh {
            self.heard(frame.rev);
            // the log may have it without a text that was delivered before
            self.held.insert(frame.rev, frame);
        }
        self.bound();
        self.release(sink);
        // a read proves something only about where it began; the head may have passed that meanwhile
        if self.head != Some(after) || !stale.is_empty() {
            return;
        }
        self.head = Some(self.known);
        let behind = |subscriber: &Subscriber<H>| subscriber.phase == Phase::Live && subscriber.reached < self.known;
        let live = self.subscribers.iter().filter(|(_, subscriber)| behind(subscriber));
        for session in live.map(|(session, _)| *session).collect::<Vec<_>>() {
            self.send_away(session, sink);
        }
    }
}
