//! The ordering logic of a room, with no actor, clock or database in it, so that a property test can drive it through
//! every interleaving.
//!
//! Events come in any order and any number of times; what goes out is, for each subscriber, every revision once, in
//! order, from the one it asked for to the one at which its user left. Three numbers rule it: the *head*, up to which
//! everything has gone out; what is *known* to exist, which makes a hole visible; and for each subscriber the *floor*, at
//! or below which live events are not for it.

use crate::domain::ids::{Rev, SessionId, UserId};
use crate::messages::{Batch, ReadFor, RoomEvent};
use crate::protocol::events::{Effect, Frame};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Recent events kept for subscribers that are a little behind.
const RING_FRAMES: usize = 256;
/// Bytes of them.
const RING_BYTES: usize = 256 * 1024;
/// Events kept beyond a hole; the log has the others.
const HELD_FRAMES: usize = 1024;
/// Users remembered as having left.
const LEAVERS: usize = 1024;

/// Where the order's decisions go.
pub trait Sink<H> {
    /// Hands something to a subscriber; false when the subscriber cannot take it and is to be forgotten.
    fn give(&mut self, to: &H, event: RoomEvent) -> bool;
    /// Asks for the events after a revision from the log.
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
    ring: VecDeque<Frame>,
    ring_bytes: usize,
    subscribers: HashMap<SessionId, Subscriber<H>>,
    /// Who left and at which revision, the oldest first.
    leavers: VecDeque<(UserId, Rev)>,
    /// The newest revision of a leaver no longer remembered.
    forgotten: Rev,
    /// Whether a read for a hole is under way.
    filling: bool,
}

struct Subscriber<H> {
    handle: H,
    user: UserId,
    /// The stream's revision when the right to follow was last checked.
    checked: Rev,
    /// All after this has been given, or will be.
    start: Rev,
    /// Live events at or below it are not given; `None` while a replay has not met the head.
    floor: Option<Rev>,
    replay: Option<Replay>,
    /// An earlier revision asked for while a replay was under way.
    again: Option<Rev>,
}

#[derive(Clone, Copy)]
struct Replay {
    /// Everything up to here has been given.
    cursor: Rev,
    /// Where it ends; `None`: where it meets the head.
    until: Option<Rev>,
    /// Whether a read is under way; otherwise the subscriber has yet to ask for more.
    reading: bool,
}

/// A subscription whose right was checked.
pub struct Subscribe<H> {
    /// The subscriber.
    pub session: SessionId,
    /// Its user.
    pub user: UserId,
    /// How to reach it.
    pub handle: H,
    /// All after this.
    pub from: Rev,
    /// The stream's revision when the right was checked; the only number that may seed the room.
    pub checked: Rev,
}

impl<H> Default for Order<H> {
    fn default() -> Self {
        Self {
            head: None,
            known: Rev(0),
            held: BTreeMap::new(),
            ring: VecDeque::new(),
            ring_bytes: 0,
            subscribers: HashMap::new(),
            leavers: VecDeque::new(),
            forgotten: Rev(0),
            filling: false,
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
        !self.filling && self.head.is_some_and(|head| head < self.known)
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

    /// Takes events, in any order, any number of times.
    pub fn deliver(&mut self, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        self.heard(batch.last_rev());
        let Some(head) = self.head else {
            self.hold(&batch.frames);
            return;
        };
        let next = batch.frames.first().is_some_and(|frame| frame.rev == head.next());
        if next && self.held.is_empty() {
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
            self.known = self.known.max(frame.rev);
            if !self.held.contains_key(&frame.rev) {
                self.held.insert(frame.rev, frame.clone());
            }
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
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() > next {
                break;
            }
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
        let (Some(first), last) = (batch.frames.first().map(|frame| frame.rev), batch.last_rev()) else { return };
        self.head = Some(last);
        let mut left: Vec<(UserId, Rev)> = Vec::new();
        for frame in &batch.frames {
            match &frame.effect {
                Effect::Left(user) => left.push((*user, frame.rev)),
                Effect::Deleted(message) => {
                    let gone = Some(*message);
                    self.ring.retain(|kept| kept.message_id != gone && kept.quoted_id != gone);
                    self.ring_bytes = self.ring.iter().map(|kept| kept.text.len()).sum();
                }
                _ => {}
            }
            self.remember(frame);
        }
        for leaver in &left {
            self.leavers.push_back(*leaver);
        }
        while self.leavers.len() > LEAVERS {
            self.forgotten = self.forgotten.max(self.leavers.pop_front().map_or(Rev(0), |(_, rev)| rev));
        }
        self.subscribers.retain(|_, subscriber| {
            let end = left
                .iter()
                .find(|(user, rev)| *user == subscriber.user && *rev > subscriber.checked)
                .map(|(_, rev)| *rev);
            let Some(floor) = subscriber.floor else {
                // a replay under way ends by itself when it reaches the event in the log
                return true;
            };
            let event = if floor < first && end.is_none() {
                Some(batch.clone())
            } else {
                part(&batch.frames, floor, end.unwrap_or(last))
            };
            let taken = event.is_none_or(|batch| sink.give(&subscriber.handle, RoomEvent::Frames(batch)));
            if end.is_some() {
                sink.give(&subscriber.handle, RoomEvent::Left);
            }
            taken && end.is_none()
        });
    }

    fn remember(&mut self, frame: &Frame) {
        self.ring_bytes += frame.text.len();
        self.ring.push_back(frame.clone());
        while self.ring.len() > RING_FRAMES || self.ring_bytes > RING_BYTES {
            match self.ring.pop_front() {
                Some(oldest) => self.ring_bytes -= oldest.text.len(),
                None => break,
            }
        }
    }

    /// The events between a revision and the head, if the ring still holds every one of them.
    fn from_ring(&self, after: Rev) -> Option<Arc<Batch>> {
        let head = self.head?;
        let frames: Vec<Frame> = self.ring.iter().filter(|frame| frame.rev > after).cloned().collect();
        (frames.len() as i64 == head.0 - after.0).then(|| Batch::new(frames))
    }

    /// Begins to follow. Everything after `from` is given, from the ring or page by page from the log, then events as
    /// they come. One that follows already is given what it lacks, and nothing twice.
    pub fn subscribe(&mut self, wanted: Subscribe<H>, sink: &mut impl Sink<H>) {
        let left = self.leavers.iter().rev().find(|(user, _)| *user == wanted.user).map(|(_, rev)| *rev);
        if left.is_some_and(|rev| rev > wanted.checked) || self.forgotten > wanted.checked {
            self.subscribers.remove(&wanted.session);
            sink.give(&wanted.handle, RoomEvent::Left);
            return;
        }
        self.heard(wanted.checked);
        if self.head.is_none() {
            self.head = Some(wanted.checked);
            self.held.retain(|rev, _| *rev > wanted.checked);
            self.release(sink);
        }
        if let Some(following) = self.subscribers.get_mut(&wanted.session) {
            following.checked = following.checked.max(wanted.checked);
            let Some(floor) = following.floor.filter(|_| following.replay.is_none()) else {
                // the replay under way goes first and then says when all is over
                following.again = Some(following.again.map_or(wanted.from, |again| again.min(wanted.from)));
                return;
            };
            let rev = self.head.unwrap_or(floor).max(floor);
            if !backfill(wanted.session, following, wanted.from, sink) {
                sink.give(&following.handle, RoomEvent::Attached(rev));
            }
            return;
        }
        let subscriber = Subscriber {
            handle: wanted.handle,
            user: wanted.user,
            checked: wanted.checked,
            start: wanted.from,
            floor: None,
            replay: Some(Replay { cursor: wanted.from, until: None, reading: false }),
            again: None,
        };
        self.subscribers.insert(wanted.session, subscriber);
        self.advance(wanted.session, sink);
    }

    /// A replay goes on: it meets the head, or the ring bridges the rest, or the next page is read.
    fn advance(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get(&session) else { return };
        let Some(replay) = subscriber.replay else { return };
        let head = self.head.unwrap_or(Rev(0));
        if let Some(until) = replay.until {
            if replay.cursor >= until {
                let rev = subscriber.floor.unwrap_or(head).max(head);
                self.attach(session, subscriber.floor.unwrap_or(head), rev, sink);
                return;
            }
        } else if replay.cursor >= head.max(subscriber.checked) {
            self.attach(session, replay.cursor, replay.cursor, sink);
            return;
        } else if head >= subscriber.checked
            && let Some(batch) = self.from_ring(replay.cursor)
        {
            self.replayed(session, &batch, sink);
            if self.subscribers.contains_key(&session) {
                self.attach(session, head, head, sink);
            }
            return;
        }
        if let Some(replay) = self.subscribers.get_mut(&session).and_then(|subscriber| subscriber.replay.as_mut()) {
            replay.reading = true;
            sink.read(replay.cursor, ReadFor::Replay(session));
        }
    }

    fn attach(&mut self, session: SessionId, floor: Rev, rev: Rev, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        subscriber.floor = Some(floor);
        subscriber.replay = None;
        if let Some(from) = subscriber.again.take()
            && backfill(session, subscriber, from, sink)
        {
            return;
        }
        if !sink.give(&subscriber.handle, RoomEvent::Attached(rev)) {
            self.subscribers.remove(&session);
        }
    }

    /// Gives a page of a replay, up to the event with which the subscriber's user left, after which nothing follows.
    fn replayed(&mut self, session: SessionId, batch: &Arc<Batch>, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        let Some(replay) = subscriber.replay.as_mut() else { return };
        let end = batch
            .frames
            .iter()
            .find(|frame| frame.effect == Effect::Left(subscriber.user) && frame.rev > subscriber.checked)
            .map(|frame| frame.rev);
        let last = end.unwrap_or(batch.last_rev()).min(replay.until.unwrap_or(Rev(i64::MAX)));
        let Some(page) = part(&batch.frames, replay.cursor, last) else { return };
        replay.cursor = last;
        replay.reading = false;
        let taken = sink.give(&subscriber.handle, RoomEvent::Page(page));
        if end.is_some() {
            sink.give(&subscriber.handle, RoomEvent::Left);
        }
        if !taken || end.is_some() {
            self.subscribers.remove(&session);
        }
    }

    /// The subscriber has room for the next page.
    pub fn resume(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        let waiting = self
            .subscribers
            .get(&session)
            .and_then(|subscriber| subscriber.replay)
            .is_some_and(|replay| !replay.reading);
        if waiting {
            self.advance(session, sink);
        }
    }

    /// Takes a page that was read for a replay; `None` when the read failed.
    pub fn page(&mut self, session: SessionId, frames: Option<Vec<Frame>>, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get(&session) else { return };
        let Some(replay) = subscriber.replay.filter(|replay| replay.reading) else { return };
        let Some(frames) = frames else {
            sink.give(&subscriber.handle, RoomEvent::Gone);
            self.subscribers.remove(&session);
            return;
        };
        if frames.first().is_none_or(|frame| frame.rev != replay.cursor.next()) {
            self.reset(session, sink);
            return;
        }
        self.replayed(session, &Batch::new(frames), sink);
        let Some(subscriber) = self.subscribers.get(&session) else { return };
        let Some(replay) = subscriber.replay else { return };
        let target = replay.until.unwrap_or_else(|| self.head.unwrap_or(Rev(0)).max(subscriber.checked));
        if replay.cursor >= target {
            self.advance(session, sink);
        }
    }

    /// The log does not bridge the gap: the subscriber begins anew from where the stream stands.
    fn reset(&mut self, session: SessionId, sink: &mut impl Sink<H>) {
        let Some(subscriber) = self.subscribers.get_mut(&session) else { return };
        let rev = self.head.unwrap_or(Rev(0)).max(subscriber.checked).max(subscriber.floor.unwrap_or(Rev(0)));
        subscriber.floor = Some(rev);
        subscriber.start = rev;
        subscriber.replay = None;
        subscriber.again = None;
        if !sink.give(&subscriber.handle, RoomEvent::Reset(rev)) {
            self.subscribers.remove(&session);
        }
    }

    /// Asks the log for what is missing, if anything is.
    pub fn fill(&mut self, sink: &mut impl Sink<H>) {
        if self.has_hole() {
            self.filling = true;
            sink.read(self.head.unwrap_or(Rev(0)), ReadFor::Hole);
        }
    }

    /// Takes what was read for a hole; `None` when the read failed and is to be tried again. A hole that the log does not
    /// fill is a reset for everybody.
    pub fn filled(&mut self, frames: Option<Vec<Frame>>, sink: &mut impl Sink<H>) {
        self.filling = false;
        let (Some(frames), Some(head)) = (frames, self.head) else { return };
        if head >= self.known {
            return;
        }
        if frames.iter().any(|frame| frame.rev == head.next()) {
            self.hold(&frames);
            self.release(sink);
            return;
        }
        self.head = Some(self.known);
        self.ring.clear();
        self.ring_bytes = 0;
        self.held.clear();
        let live: Vec<SessionId> = self
            .subscribers
            .iter()
            .filter(|(_, subscriber)| subscriber.floor.is_some())
            .map(|(session, _)| *session)
            .collect();
        for session in live {
            self.reset(session, sink);
        }
    }
}

/// Begins to give a live subscriber what lies between `from` and where it started; false when it has that already.
fn backfill<H>(session: SessionId, subscriber: &mut Subscriber<H>, from: Rev, sink: &mut impl Sink<H>) -> bool {
    if from >= subscriber.start {
        return false;
    }
    subscriber.replay = Some(Replay { cursor: from, until: Some(subscriber.start), reading: true });
    subscriber.start = from;
    sink.read(from, ReadFor::Replay(session));
    true
}

/// The events after `floor` up to `last`; none if there are none.
fn part(frames: &[Frame], floor: Rev, last: Rev) -> Option<Arc<Batch>> {
    let part: Vec<Frame> = frames.iter().filter(|frame| frame.rev > floor && frame.rev <= last).cloned().collect();
    (!part.is_empty()).then(|| Batch::new(part))
}
