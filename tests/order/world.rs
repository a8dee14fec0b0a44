//! A world in which anything may happen to one room's order, in any sequence: commits, deliveries, checks,
//! subscriptions, reads and their answers, losses. Every step is judged by the sessions it reaches.

use super::history::{History, Word, user};
use super::session::{Check, Session, Told, Troubles};
use greenroom::domain::ids::Rev;
use greenroom::mailboxes::{Batch, ReadPurpose, RoomEvent};
use greenroom::protocol::events::Frame;
use greenroom::realtime::order::{Order, Sink, Subscribe};
use std::sync::Arc;

pub const USERS: usize = 3;
pub const SESSIONS: usize = 6;

/// What becomes of a commit's frames.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Delivered,
    /// Later, in any order, perhaps several times.
    Underway,
    /// Later, one by one.
    Split,
    Twice,
    Lost,
}

/// What a session asks for.
#[derive(Clone, Copy, Debug)]
pub enum From {
    Head,
    Last,
    Any(u8),
}

/// What may happen next. Numbers pick one of what there is.
#[derive(Clone, Debug)]
pub enum Step {
    Commit(Vec<Word>, Fate),
    Arrive {
        pick: usize,
        again: bool,
    },
    Heard,
    Check(usize),
    Subscribe(usize, From),
    Unsubscribe(usize),
    Resume(usize),
    Fill,
    /// A read sees the log as it is now.
    Read(usize, usize),
    /// A read's answer arrives, or its failure.
    Answer {
        pick: usize,
        fails: bool,
    },
    Full(usize),
    /// The log loses its oldest rows.
    Forget(u8),
    /// The room stops, if nobody needs it, and another takes its place.
    Retire,
}

struct Read {
    after: Rev,
    purpose: ReadPurpose,
    seen: Option<Vec<Frame>>,
}

pub struct World {
    history: History,
    order: Order<usize>,
    sessions: Vec<Session>,
    underway: Vec<Arc<Batch>>,
    reads: Vec<Read>,
    /// The check with which the room began.
    began: Option<Rev>,
    /// What the room was told.
    told: Told,
}

/// Takes what the order decides and has it judged.
struct Judge<'a> {
    history: &'a History,
    sessions: &'a mut [Session],
    reads: &'a mut Vec<Read>,
    troubles: Troubles,
    began: Option<Rev>,
    told: &'a Told,
    fault: Option<String>,
}

impl Sink<usize> for Judge<'_> {
    fn give(&mut self, to: &usize, event: RoomEvent) -> bool {
        self.sessions[*to].take(&event, self.history, self.told, self.troubles).unwrap_or_else(|fault| {
            self.fault.get_or_insert(fault);
            true
        })
    }

    fn read(&mut self, after: Rev, purpose: ReadPurpose) {
        if purpose == ReadPurpose::Gap && self.began.is_none_or(|began| after < began) {
            self.fault.get_or_insert(format!("{after} is before the room began"));
        }
        self.reads.push(Read { after, purpose, seen: None });
    }
}

type Judged = Result<(), String>;

impl World {
    pub fn new() -> Self {
        Self {
            history: History::new(USERS),
            order: Order::default(),
            sessions: (0..SESSIONS).map(|index| Session::new(index, index % USERS)).collect(),
            underway: Vec::new(),
            reads: Vec::new(),
            began: None,
            told: Told::new(),
        }
    }

    /// The room is given events, or has read them for itself.
    fn tell(&mut self, frames: &[Frame]) {
        self.told.extend(frames.iter().map(|frame| frame.rev));
    }

    fn drive(&mut self, troubles: Troubles, act: impl FnOnce(&mut Order<usize>, &mut Judge)) -> Judged {
        let mut judge = Judge {
            history: &self.history,
            sessions: &mut self.sessions,
            reads: &mut self.reads,
            troubles,
            began: self.began,
            told: &self.told,
            fault: None,
        };
        act(&mut self.order, &mut judge);
        judge.fault.map_or(Ok(()), Err)
    }

    fn calm(&mut self, act: impl FnOnce(&mut Order<usize>, &mut Judge)) -> Judged {
        self.drive(Troubles::default(), act)
    }

    pub fn step(&mut self, step: &Step) -> Judged {
        match step {
            Step::Commit(words, fate) => self.commit(words, *fate),
            Step::Arrive { pick, again } => self.arrive(*pick, *again),
            Step::Heard => self.heard(),
            Step::Check(pick) => {
                self.check(*pick);
                Ok(())
            }
            Step::Subscribe(pick, from) => self.subscribe(*pick, *from),
            Step::Unsubscribe(pick) => {
                let session = &mut self.sessions[pick % SESSIONS];
                session.following = None;
                self.order.unsubscribe(session.id);
                Ok(())
            }
            Step::Resume(pick) => self.resume(pick % SESSIONS),
            Step::Fill => self.calm(|order, judge| order.fill(judge)),
            Step::Read(pick, limit) => {
                self.read(*pick, *limit);
                Ok(())
            }
            Step::Answer { pick, fails } => self.answer(*pick, *fails),
            Step::Full(pick) => {
                let session = &mut self.sessions[pick % SESSIONS];
                session.full = session.following.is_some();
                Ok(())
            }
            Step::Forget(share) => {
                let rows = self.history.end().0 * i64::from(*share) / 255;
                self.history.lost = self.history.lost.max(Rev(rows));
                Ok(())
            }
            Step::Retire => {
                self.retire();
                Ok(())
            }
        }?;
        self.agree()
    }

    /// The room knows those who listen, and no others.
    fn agree(&self) -> Judged {
        let mut known: Vec<usize> = self.order.followers().map(|(_, index)| *index).collect();
        known.sort_unstable();
        let listens = |index: &usize| self.sessions[*index].listens(&self.history, &self.told);
        let expected: Vec<usize> = (0..SESSIONS).filter(listens).collect();
        if known == expected { Ok(()) } else { Err(format!("to {known:?} it tells all, not to {expected:?}")) }
    }

    fn commit(&mut self, words: &[Word], fate: Fate) -> Judged {
        let frames = self.history.commit(words);
        if matches!(fate, Fate::Split) {
            self.underway.extend(frames.into_iter().map(|frame| Batch::new(vec![frame])));
            return Ok(());
        }
        let batch = Batch::new(frames);
        if matches!(fate, Fate::Underway | Fate::Twice) {
            self.underway.push(batch.clone());
        }
        if matches!(fate, Fate::Delivered | Fate::Twice) {
            self.deliver(&batch)?;
        }
        Ok(())
    }

    fn arrive(&mut self, pick: usize, again: bool) -> Judged {
        if self.underway.is_empty() {
            return Ok(());
        }
        let pick = pick % self.underway.len();
        let batch = if again { self.underway[pick].clone() } else { self.underway.swap_remove(pick) };
        self.deliver(&batch)
    }

    /// Some of what is delivered counts as too much to go out at once.
    fn deliver(&mut self, batch: &Arc<Batch>) -> Judged {
        self.tell(&batch.frames);
        let postponed = batch.last_rev().0 % 7 == 0;
        self.calm(|order, judge| if postponed { order.postpone(batch, judge) } else { order.deliver(batch, judge) })
    }

    fn heard(&mut self) -> Judged {
        let end = self.history.end();
        self.calm(|order, _| order.heard(end))
    }

    fn check(&mut self, pick: usize) {
        let session = &mut self.sessions[pick % SESSIONS];
        let joined = self.history.joined(session.user);
        session.check = joined.map(|joined| Check { head: self.history.end(), joined });
    }

    fn subscribe(&mut self, pick: usize, from: From) -> Judged {
        let index = pick % SESSIONS;
        let session = &mut self.sessions[index];
        let Some(check) = session.check.take() else { return Ok(()) };
        let wish = match from {
            From::Head => check.head,
            From::Last => session.following.as_ref().map_or(check.joined, super::session::Following::last),
            From::Any(share) => Rev((check.head.0 + 1) * i64::from(share) / 256),
        };
        let (fresh, count, of, id) = (session.following.is_none(), session.count, session.user, session.id);
        let from = session.subscribe(check, wish);
        let gone = self.history.leaves(of).any(|rev| rev > check.head && self.told.contains(&rev));
        // one that is refused at once begins nothing
        if !(fresh && gone) {
            self.began.get_or_insert(check.head);
        }
        let wanted = Subscribe { session: id, user: user(of), handle: index, from, checked: check.head };
        self.calm(|order, judge| order.subscribe(wanted, judge))?;
        let session = &self.sessions[index];
        if fresh && gone && (session.following.is_some() || session.count > count + 1) {
            return Err(format!("{session} was checked at {} and not refused", check.head));
        }
        Ok(())
    }

    fn resume(&mut self, index: usize) -> Judged {
        let id = self.sessions[index].id;
        self.calm(|order, judge| order.resume(id, judge))
    }

    fn read(&mut self, pick: usize, limit: usize) {
        if !self.reads.is_empty() {
            let pick = pick % self.reads.len();
            let read = &mut self.reads[pick];
            read.seen = Some(self.history.read(read.after, limit));
        }
    }

    fn answer(&mut self, pick: usize, fails: bool) -> Judged {
        if self.reads.is_empty() {
            return Ok(());
        }
        let pick = pick % self.reads.len();
        if self.reads[pick].seen.is_none() {
            self.read(pick, 5);
        }
        let Read { after, purpose, seen } = self.reads.swap_remove(pick);
        let frames = seen.filter(|_| !fails);
        match purpose {
            ReadPurpose::Verify(_) => unreachable!("a room doubts, its order does not"),
            ReadPurpose::Gap => {
                let lost = frames.as_ref().is_some_and(|read| read.first().is_none_or(|row| row.rev > after.next()));
                let troubles = Troubles { lost, ..Troubles::default() };
                self.tell(frames.as_deref().unwrap_or_default());
                self.drive(troubles, |order, judge| order.filled(frames, judge))
            }
            ReadPurpose::Replay { session, number, .. } => {
                let troubles = Troubles { failed: fails.then_some(session), ..Troubles::default() };
                self.drive(troubles, |order, judge| order.page(session, number, frames, judge))
            }
        }
    }

    fn retire(&mut self) {
        if self.order.is_empty() && self.sessions.iter().all(|session| session.check.is_none()) {
            self.order = Order::default();
            self.reads.clear();
            self.began = None;
            self.told.clear();
        }
    }

    /// Lets everything under way come to its end; then whoever follows has everything.
    pub fn settle(&mut self) -> Judged {
        for session in &mut self.sessions {
            session.full = false;
        }
        self.heard()?;
        for _ in 0..10_000 {
            self.calm(|order, judge| order.fill(judge))?;
            for index in 0..SESSIONS {
                self.resume(index)?;
            }
            if self.reads.is_empty() && !self.order.has_hole() {
                return self.sessions.iter().try_for_each(|session| session.settled(&self.history));
            }
            while !self.reads.is_empty() {
                self.answer(0, false)?;
            }
            self.agree()?;
        }
        Err("it does not come to rest".to_owned())
    }
}
