//! What one session knows of its subscription, and what of all it is given must hold. It judges and decides nothing.

use super::history::History;
use greenroom::domain::ids::{Rev, SessionId};
use greenroom::mailboxes::{Batch, RoomEvent};
use greenroom::protocol::events::Frame;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The right to follow, as read at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    pub head: Rev,
    pub joined: Rev,
}

pub struct Session {
    pub id: SessionId,
    pub user: usize,
    /// A right that was read and not used yet.
    pub check: Option<Check>,
    /// Whether the next thing finds its mailbox full.
    pub full: bool,
    pub following: Option<Following>,
    /// Everything it was ever given.
    pub count: usize,
}

/// From a subscription until it leaves, is left out or forgotten.
pub struct Following {
    /// When the right was last checked.
    checked: Rev,
    /// Everything after this is to come.
    from: Rev,
    given: BTreeSet<Rev>,
    /// An honest client asks for nothing before this again.
    claimed: Rev,
    /// What must come next; `None` while a second subscription is being answered.
    next: Option<Rev>,
    answered: bool,
}

/// What explains that a session is sent away.
#[derive(Clone, Copy, Default)]
pub struct Troubles {
    /// Its page could not be read.
    pub failed: Option<SessionId>,
    /// What the room lacks is not in the log.
    pub lost: bool,
}

/// The events that the room was given, or read for itself.
pub type Told = BTreeSet<Rev>;

type Judged<T = ()> = Result<T, String>;

fn must(holds: bool, said: impl FnOnce() -> String) -> Judged {
    if holds { Ok(()) } else { Err(said()) }
}

impl Session {
    pub fn new(index: usize, user: usize) -> Self {
        let id = SessionId(Uuid::from_u128(index as u128 + 1));
        Self { id, user, check: None, full: false, following: None, count: 0 }
    }

    /// The session subscribes, or does so again; returns from where: near `wish`, as far as an honest client may.
    pub fn subscribe(&mut self, check: Check, wish: Rev) -> Rev {
        let Some(following) = &mut self.following else {
            let from = wish.clamp(check.joined, check.head);
            self.following = Some(Following {
                checked: check.head,
                from,
                given: BTreeSet::new(),
                claimed: Rev(0),
                next: Some(from.next()),
                answered: false,
            });
            return from;
        };
        let mut from = wish.clamp(check.joined.max(following.claimed), check.head);
        if from > following.last() {
            // it has everything up to there from elsewhere
            following.claimed = from;
            following.from = from;
        } else {
            from = from.min(Rev(following.missing().0 - 1));
            following.from = following.from.min(from);
        }
        following.checked = following.checked.max(check.head);
        following.next = None;
        following.answered = false;
        from
    }

    /// Judges what it is given; false when its mailbox is full.
    pub fn take(&mut self, event: &RoomEvent, history: &History, told: &Told, troubles: Troubles) -> Judged<bool> {
        let Some(following) = &mut self.following else {
            return Err(format!("{self} follows nothing and is given {}", named(event)));
        };
        if std::mem::take(&mut self.full) {
            self.following = None;
            return Ok(false);
        }
        self.count += 1;
        let judged = match event {
            RoomEvent::Frames(batch) | RoomEvent::Page(batch) => following.frames(self.user, batch, history, told),
            RoomEvent::Attached(rev) => following.attached(*rev),
            RoomEvent::Reset(rev) => following.reset(*rev, history),
            RoomEvent::Left(checked) => {
                let judged = following.left(self.user, *checked, history);
                self.following = None;
                judged
            }
            RoomEvent::Gone => {
                let lost = troubles.lost || following.missing() <= history.lost;
                self.following = None;
                must(lost || troubles.failed == Some(self.id), || "sent away for nothing".to_owned())
            }
            RoomEvent::Ephemeral(_) => Err("an order has no ephemeral frames".to_owned()),
        };
        judged.map_err(|fault| format!("{self}, given {}: {fault}", named(event)))?;
        Ok(true)
    }

    /// Whether it is to get frames without a revision: as long as the room was not told that its user left.
    pub fn listens(&self, history: &History, told: &Told) -> bool {
        let out = |checked| history.leaves(self.user).any(|rev| rev > checked && told.contains(&rev));
        self.following.as_ref().is_some_and(|following| !out(following.checked))
    }

    /// Judges what it has when nothing is under way any more.
    pub fn settled(&self, history: &History) -> Judged {
        let Some(following) = &self.following else { return Ok(()) };
        must(following.answered, || format!("{self} never heard that its replay is over"))?;
        let missing = following.missing();
        must(missing > history.end(), || format!("{self} never got {missing}"))
    }
}

impl Following {
    /// The newest it has.
    pub fn last(&self) -> Rev {
        self.given.last().copied().unwrap_or(self.from).max(self.from)
    }

    /// The oldest that has not come yet.
    fn missing(&self) -> Rev {
        let mut missing = self.from.next();
        while self.given.contains(&missing) {
            missing = missing.next();
        }
        missing
    }

    fn frames(&mut self, user: usize, batch: &Batch, history: &History, told: &Told) -> Judged {
        must(!batch.frames.is_empty(), || "nothing in it".to_owned())?;
        let dense = batch.frames.windows(2).all(|pair| pair[1].rev == pair[0].rev.next());
        must(dense, || "a gap within a batch".to_owned())?;
        batch.frames.iter().try_for_each(|frame| self.frame(user, frame, history, told))
    }

    fn frame(&mut self, user: usize, frame: &Frame, history: &History, told: &Told) -> Judged {
        let rev = frame.rev;
        must(history.holds(frame), || format!("{rev} is not what the log says"))?;
        let deleted = history.deleted_at(frame);
        must(deleted.is_none_or(|at| at > self.checked), || format!("{rev} shows what was deleted before the check"))?;
        must(deleted.is_none_or(|at| !told.contains(&at)), || format!("{rev} shows what the room knows is deleted"))?;
        must(rev > self.from, || format!("{rev} is not after {}", self.from))?;
        must(self.given.insert(rev), || format!("{rev} comes again"))?;
        must(history.is_for(user, rev), || format!("{rev} came when the user was out"))?;
        let end = history.left_after(user, self.checked);
        must(end.is_none_or(|end| rev <= end), || format!("{rev} comes after the user left"))?;
        if let Some(next) = &mut self.next {
            must(rev == *next, || format!("{rev} comes in place of {next}"))?;
            *next = rev.next();
        }
        Ok(())
    }

    fn attached(&mut self, rev: Rev) -> Judged {
        must(!self.answered, || "answered twice".to_owned())?;
        must(rev >= self.checked, || format!("it was to know everything up to {}", self.checked))?;
        must(self.missing() > rev, || format!("it never got {}", self.missing()))?;
        must(self.next.is_none_or(|next| next == rev.next()), || format!("live events follow {:?}", self.next))?;
        self.next = Some(rev.next());
        self.answered = true;
        Ok(())
    }

    fn reset(&mut self, rev: Rev, history: &History) -> Judged {
        must(self.missing() <= history.lost, || format!("the log has {}", self.missing()))?;
        must(rev >= self.checked && rev <= history.end(), || format!("it was checked at {}", self.checked))?;
        must(rev >= self.last(), || format!("it has {} already", self.last()))?;
        self.given.clear();
        self.from = rev;
        self.next = Some(rev.next());
        self.answered = true;
        Ok(())
    }

    fn left(&mut self, user: usize, checked: Rev, history: &History) -> Judged {
        must(checked >= self.checked, || format!("it was checked since, at {}", self.checked))?;
        let Some(end) = history.left_after(user, self.checked) else {
            return Err(format!("the user did not leave after {}", self.checked));
        };
        let refused = self.given.is_empty() && !self.answered && self.next.is_some();
        must(refused || self.given.contains(&end), || format!("the user left at {end}, and never got that"))
    }
}

impl std::fmt::Display for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session {} of user {}", self.id.0.as_u128(), self.user)
    }
}

fn named(event: &RoomEvent) -> String {
    let revs = |batch: &Batch| batch.frames.iter().map(|frame| frame.rev.0).collect::<Vec<_>>();
    match event {
        RoomEvent::Frames(batch) => format!("Frames{:?}", revs(batch)),
        RoomEvent::Page(batch) => format!("Page{:?}", revs(batch)),
        other => format!("{other:?}"),
    }
}
