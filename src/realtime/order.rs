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

use super::ring::Ring;
use crate::domain::ids::{Rev, SessionId, UserId};
use crate::messages::{Batch, ReadFor, RoomEvent};
use crate::protocol::events::{Effect, Frame};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Events kept beyond a hole; the log has the others.
const HELD_FRAMES: usize = 1024;
/// Users remembered as having left, to refuse at once. A replay finds the others.
const LEAVERS: usize = 1024;

/// Where the order's decisions go.
pub trait Sink<H> {
    /// Hands something to a subscriber; false when the subscriber cannot take it and is to be forgotten.
    fn give(&mut self, to: &H, event: RoomEvent) -> bool;
    /// Asks for the events after a revision from the log. Every read is answered, if only with its failure.
    fn read(&mut self, after: Rev, purpose: ReadFor);
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
    /// Who left and at which revision, the oldest first.
    leavers: VecDeque<(UserId, Rev)>,
    /// After which revision a hole is being read.
    filling: Option<Rev>,
}

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

struct Subscriber<H> {
    handle: H,
    user: UserId,
    /// The stream's revision when the right to follow was last checked.
    checked: Rev,
    /// Everything after this, up to what is reached, has been given.
    from: Rev,
    reached: Rev,
    /// What was given before it subscribed again, from and to, as far as the replay has not passed it.
    had: Vec<(Rev, Rev)>,
    phase: Phase,
    /// Whether it knows from where events come live.
    answered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is given events as they come.
    Live,
    /// A page of its replay is being read.
    Reading,
    /// It has yet to ask for the next page.
    Waiting,
}

impl<H> Default for Order<H> {
    fn default() -> Self {
        Self {
            head: None,
            known: Rev(0),
            held: BTreeMap::new(),
            ring: Ring::default(),
            subscribers: HashMap::new(),
            leavers: VecDeque::new(),
            filling: None,
        }
    }
}

impl<H: Clone> Order<H> {
    /// Whether nobody follows.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Whether an event is known to exist that has not gone out and is not being read.
    pub fn has_hole(&self) -> bool {
        self.filling.is_none() && self.head.is_some_and(|head| head < self.known)
    }

    /// Those who follow, with their users; a replay under way counts.
    pub fn followers(&self) -> impl Iterator<Item = (UserId, &H)> {
        self.subscribers.values().map(|subscriber| (subscriber.user, &subscriber.handle))
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
        self.heard(batch.last_rev());
        let next = self.head.map(Rev::next);
        if self.held.is_empty() && next.is_some() && batch.frames.first().map(|frame| frame.rev) == next {
            // the ordinary case: the batch goes out as it came
            self.broadcast(batch, sink);
            return;
        }
        self.hold(&batch.frames);
        self.release(sink);
    }

    fn hold(&mut self, frames: &[Frame]) {
        let head = self.head.unwrap_or(Rev(0));
        for frame in frames.iter().filter(|frame| frame.rev > head) {
            self.heard(frame.rev);
            self.held.entry(frame.rev).or_insert_with(|| frame.clone());
        }
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
        self.leavers.extend(&left);
        let surplus = self.leavers.len().saturating_sub(LEAVERS);
        self.leavers.drain(..surplus);
        self.subscribers.retain(|_, subscriber| {
            // a replay comes to these events, and to its end, by itself
            subscriber.phase != Phase::Live || subscriber.hand(batch, &left, batch.last_rev(), RoomEvent::Frames, sink)
        });
    }

    // --- subscriptions and replays --------------------------------------------------------------------------------

    /// Begins to follow. Everything after `from` is given, from the ring or page by page from the log, then events as
    /// they come. One that follows already is given what it lacks, and nothing twice; what it had not been given up to
    /// `from` it is taken to have. Each is answered once, by `Attached`, `Reset`, `Left` or `Gone`, unless the session
    /// subscribes again before; then that one is answered.
    pub fn subscribe(&mut self, wanted: Subscribe<H>, sink: &mut impl Sink<H>) {
        let Subscribe { session, user, handle, from, checked } = wanted;
        let left = self.leavers.iter().any(|(leaver, rev)| *leaver == user && *rev > checked);
        // whoever still replays comes to that event in the log, and to its end with it
        if left && self.subscribers.get(&session).is_none_or(|following| following.checked > checked) {
            self.subscribers.remove(&session);
            sink.give(&handle, RoomEvent::Left(checked));
            return;
        }
        self.heard(checked);
        if self.head.is_none() {
            self.head = Some(checked);
            self.release(sink);
        }
        let subscriber = self.subscribers.entry(session).or_insert_with(|| Subscriber {
            handle: handle.clone(),
            user,
            checked,
            from,
            reached: from,
            had: Vec::new(),
            phase: Phase::Waiting,
            answered: false,
        });
        subscriber.again(handle, from, checked);
        self.advance(session, sink);
    }

    /// A replay goes on: it meets the head, or the ring bridges the rest, or the next page is read.
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
        } else if let Some(batch) = self.ring.between(subscriber.reached, head) {
            self.replayed(session, &batch, sink);
            self.advance(session, sink);
        } else {
            subscriber.phase = Phase::Reading;
            sink.read(subscriber.reached, ReadFor::Replay(session, subscriber.reached));
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

    /// Takes the events after a revision that were read for a replay; `None` when the read failed.
    pub fn page(&mut self, session: SessionId, after: Rev, frames: Option<Vec<Frame>>, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        if subscriber.phase != Phase::Reading || subscriber.reached != after {
            // a subscription that is no more asked for it
            return;
        }
        subscriber.phase = Phase::Waiting;
        let Some(frames) = frames else { return self.send_away(session, sink) };
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
        subscriber.answered = true;
        if sink.give(&subscriber.handle, RoomEvent::Reset(rev)) {
            self.advance(session, sink);
        } else {
            self.subscribers.remove(&session);
        }
    }

    fn send_away(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        if let Some(subscriber) = self.subscribers.remove(&session) {
            sink.give(&subscriber.handle, RoomEvent::Gone);
        }
    }

    // --- holes ----------------------------------------------------------------------------------------------------

    /// Asks the log for what is missing, if anything is.
    pub fn fill(&mut self, sink: &mut impl Sink<H>) {
        if let Some(head) = self.head.filter(|_| self.has_hole()) {
            self.filling = Some(head);
            sink.read(head, ReadFor::Hole);
        }
    }

    /// Takes what was read for a hole; `None` when the read failed and is to be tried again. When the log lacks it too,
    /// the room goes on from what is known, and those to whom it was to go must come back with their rights checked.
    pub fn filled(&mut self, frames: Option<Vec<Frame>>, sink: &mut impl Sink<H>) {
        let (Some(after), Some(frames)) = (self.filling.take(), frames) else { return };
        self.hold(&frames);
        self.release(sink);
        // a read proves something only about where it began; the head may have passed that meanwhile
        if self.head != Some(after) {
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

impl<H> Subscriber<H> {
    /// Asks for everything after `from`, with a right that was checked now. From here on its answers go to `handle`.
    fn again(&mut self, handle: H, from: Rev, checked: Rev) {
        self.handle = handle;
        self.had.push((self.from, self.reached));
        (self.from, self.reached) = (from, from);
        self.checked = self.checked.max(checked);
        self.phase = Phase::Waiting;
        self.answered = false;
        self.pass();
    }

    /// Whether nothing is left to replay. What the check saw belongs to it, even if the room is behind that.
    fn has_met(&self, head: Rev) -> bool {
        self.reached >= head.max(self.checked)
    }

    /// Goes past whatever was given before and begins here.
    fn pass(&mut self) {
        while let Some(at) = self.had.iter().position(|(from, to)| *from <= self.reached && self.from <= *to) {
            let (from, to) = self.had.swap_remove(at);
            (self.from, self.reached) = (self.from.min(from), self.reached.max(to));
        }
    }

    /// Gives what of a batch is not reached yet, up to `last` and to the event with which the user left, after which
    /// nothing follows; false when the subscriber is to be forgotten.
    fn hand(
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

/// Who left within a batch, and when.
fn leaves(batch: &Batch) -> Vec<(UserId, Rev)> {
    let left = |frame: &Frame| match &frame.effect {
        Effect::Left(user) => Some((*user, frame.rev)),
        _ => None,
    };
    batch.frames.iter().filter_map(left).collect()
}
