//! One session: the state of its subscription, and the checks of everything that it gets.

use super::history::History;
use greenroom::domain::ids::{Rev, SessionId};
use greenroom::mailboxes::{Batch, RoomEvent};
use greenroom::protocol::envelope::Envelope;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The result of checking the right to read: the head of the stream, and the revision at which the user joined.
#[derive(Clone, Copy, Debug)]
pub struct RightCheck {
    pub head: Rev,
    pub joined: Rev,
}

pub struct Session {
    pub id: SessionId,
    pub user: usize,
    /// A check that was not used yet.
    pub check: Option<RightCheck>,
    /// Whether the next event does not fit into its mailbox.
    pub is_full: bool,
    pub subscription: Option<Subscription>,
    /// The number of events and answers that it has received.
    pub received_count: usize,
}

/// The subscription of a session, until it ends.
pub struct Subscription {
    /// The head of the stream when the right was last checked.
    checked_rev: Rev,
    /// Every event after this revision must arrive.
    from: Rev,
    received: BTreeSet<Rev>,
    /// The client has all events up to here from another source, and does not request them again.
    claimed: Rev,
    /// The next revision that must arrive. `None` until a second subscription is answered.
    next: Option<Rev>,
    is_answered: bool,
}

/// The failures that justify `Gone`.
#[derive(Clone, Copy, Default)]
pub struct Failures {
    /// The session whose page could not be read.
    pub failed: Option<SessionId>,
    /// Whether the log lacks the events of a gap.
    pub lost: bool,
}

/// The events that were delivered to the room or that it has read.
pub type KnownRevs = BTreeSet<Rev>;

type Checked<T = ()> = Result<T, String>;

fn require(condition: bool, message: impl FnOnce() -> String) -> Checked {
    if condition { Ok(()) } else { Err(message()) }
}

impl Session {
    pub fn new(index: usize, user: usize) -> Self {
        let id = SessionId(Uuid::from_u128(index as u128 + 1));
        Self { id, user, check: None, is_full: false, subscription: None, received_count: 0 }
    }

    /// Subscribes, or subscribes again. Returns the revision after which the events must come. It is near `preferred`,
    /// and within the range that a correct client may request.
    pub fn subscribe(&mut self, check: RightCheck, preferred: Rev) -> Rev {
        let Some(subscription) = &mut self.subscription else {
            let from = preferred.clamp(check.joined, check.head);
            self.subscription = Some(Subscription {
                checked_rev: check.head,
                from,
                received: BTreeSet::new(),
                claimed: Rev(0),
                next: Some(from.next()),
                is_answered: false,
            });
            return from;
        };
        let mut from = preferred.clamp(check.joined.max(subscription.claimed), check.head);
        if from > subscription.last() {
            // The client has all events up to `from` from another source.
            subscription.claimed = from;
            subscription.from = from;
        } else {
            from = from.min(Rev(subscription.next_missing().0 - 1));
            subscription.from = subscription.from.min(from);
        }
        subscription.checked_rev = subscription.checked_rev.max(check.head);
        subscription.next = None;
        subscription.is_answered = false;
        from
    }

    /// Checks an event that was sent to the session. Returns false if its mailbox is full.
    pub fn receive(
        &mut self,
        event: &RoomEvent,
        history: &History,
        known: &KnownRevs,
        failures: Failures,
    ) -> Checked<bool> {
        let Some(subscription) = &mut self.subscription else {
            return Err(format!("{self} has no subscription and got {}", describe(event)));
        };
        if std::mem::take(&mut self.is_full) {
            self.subscription = None;
            return Ok(false);
        }
        self.received_count += 1;
        let result = match event {
            RoomEvent::Events(batch) | RoomEvent::Page(batch) => {
                subscription.check_batch(self.user, batch, history, known)
            }
            RoomEvent::Live(rev) => subscription.check_attached(*rev),
            RoomEvent::Reset(rev) => subscription.check_reset(*rev, history),
            RoomEvent::Left(checked_rev) => {
                let result = subscription.check_left(self.user, *checked_rev, history);
                self.subscription = None;
                result
            }
            RoomEvent::Gone => {
                let lost = failures.lost || subscription.next_missing() <= history.lost_to;
                self.subscription = None;
                require(lost || failures.failed == Some(self.id), || "Gone without a failure".to_owned())
            }
            RoomEvent::Ephemeral(_) => Err("an order has no ephemeral frames".to_owned()),
        };
        result.map_err(|fault| format!("{self} got {}: {fault}", describe(event)))?;
        Ok(true)
    }

    /// Returns whether the session must get ephemeral frames: it is subscribed, and the room does not know that its
    /// user has left.
    pub fn gets_ephemeral(&self, history: &History, known: &KnownRevs) -> bool {
        let has_left = |checked_rev| history.leaves(self.user).any(|rev| rev > checked_rev && known.contains(&rev));
        self.subscription.as_ref().is_some_and(|subscription| !has_left(subscription.checked_rev))
    }

    /// Checks at the end that the session has all events.
    pub fn check_complete(&self, history: &History) -> Checked {
        let Some(subscription) = &self.subscription else { return Ok(()) };
        require(subscription.is_answered, || format!("{self} got no answer"))?;
        let missing = subscription.next_missing();
        require(missing > history.end(), || format!("{self} never got {missing}"))
    }
}

impl Subscription {
    /// Returns the newest revision that the client has.
    pub fn last(&self) -> Rev {
        self.received.last().copied().unwrap_or(self.from).max(self.from)
    }

    /// Returns the oldest revision that has not arrived.
    fn next_missing(&self) -> Rev {
        let mut missing = self.from.next();
        while self.received.contains(&missing) {
            missing = missing.next();
        }
        missing
    }

    fn check_batch(&mut self, user: usize, batch: &Batch, history: &History, known: &KnownRevs) -> Checked {
        require(!batch.envelopes.is_empty(), || "the batch is empty".to_owned())?;
        let has_no_gap = batch.envelopes.windows(2).all(|pair| pair[1].rev == pair[0].rev.next());
        require(has_no_gap, || "a gap within a batch".to_owned())?;
        batch.envelopes.iter().try_for_each(|frame| self.check_frame(user, frame, history, known))
    }

    fn check_frame(&mut self, user: usize, frame: &Envelope, history: &History, known: &KnownRevs) -> Checked {
        let rev = frame.rev;
        require(history.contains(frame), || format!("{rev} is not the event in the log"))?;
        let deleted = history.deleted_at(frame);
        require(deleted.is_none_or(|at| at > self.checked_rev), || {
            format!("{rev} shows a message that was deleted before the check")
        })?;
        require(deleted.is_none_or(|at| !known.contains(&at)), || {
            format!("{rev} shows a message that the room knows to be deleted")
        })?;
        require(rev > self.from, || format!("{rev} is not after {}", self.from))?;
        require(self.received.insert(rev), || format!("{rev} comes again"))?;
        require(history.is_for(user, rev), || format!("{rev} is from a time when the user was no participant"))?;
        let end = history.left_after(user, self.checked_rev);
        require(end.is_none_or(|end| rev <= end), || format!("{rev} comes after the user left"))?;
        if let Some(next) = &mut self.next {
            require(rev == *next, || format!("{rev} comes instead of {next}"))?;
            *next = rev.next();
        }
        Ok(())
    }

    fn check_attached(&mut self, rev: Rev) -> Checked {
        require(!self.is_answered, || "a second answer".to_owned())?;
        require(rev >= self.checked_rev, || format!("the checked revision is {}", self.checked_rev))?;
        require(self.next_missing() > rev, || format!("{} is missing", self.next_missing()))?;
        require(self.next.is_none_or(|next| next == rev.next()), || format!("live events follow {:?}", self.next))?;
        self.next = Some(rev.next());
        self.is_answered = true;
        Ok(())
    }

    fn check_reset(&mut self, rev: Rev, history: &History) -> Checked {
        require(self.next_missing() <= history.lost_to, || format!("the log has {}", self.next_missing()))?;
        require(rev >= self.checked_rev && rev <= history.end(), || format!("it was checked at {}", self.checked_rev))?;
        require(rev >= self.last(), || format!("it has {} already", self.last()))?;
        self.received.clear();
        self.from = rev;
        self.next = Some(rev.next());
        self.is_answered = true;
        Ok(())
    }

    fn check_left(&mut self, user: usize, checked_rev: Rev, history: &History) -> Checked {
        require(checked_rev >= self.checked_rev, || format!("it has a newer check, at {}", self.checked_rev))?;
        let Some(end) = history.left_after(user, self.checked_rev) else {
            return Err(format!("the user did not leave after {}", self.checked_rev));
        };
        let refused = self.received.is_empty() && !self.is_answered && self.next.is_some();
        require(refused || self.received.contains(&end), || format!("the leave at {end} was not sent"))
    }
}

impl std::fmt::Display for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session {} of user {}", self.id.0.as_u128(), self.user)
    }
}

fn describe(event: &RoomEvent) -> String {
    let revs = |batch: &Batch| batch.envelopes.iter().map(|frame| frame.rev.0).collect::<Vec<_>>();
    match event {
        RoomEvent::Events(batch) => format!("Frames{:?}", revs(batch)),
        RoomEvent::Page(batch) => format!("Page{:?}", revs(batch)),
        other => format!("{other:?}"),
    }
}
