//! A simulated server with one order and several sessions: commits, deliveries, checks, subscriptions, reads and losses
//! can happen in any sequence. Each session checks the events that it gets.

use super::history::{Change, History, user};
use super::session::{Failures, KnownRevs, RightCheck, Session};
use greenroom::domain::ids::Rev;
use greenroom::mailboxes::{Batch, ReadPurpose, RoomEvent};
use greenroom::protocol::envelope::Envelope;
use greenroom::realtime::order::{Order, Sink, SubscribeRequest};
use std::sync::Arc;

pub const USERS: usize = 3;
pub const SESSIONS: usize = 6;

/// How the frames of a commit reach the room.
#[derive(Clone, Copy, Debug)]
pub enum Delivery {
    Immediate,
    /// In a later step, in any order, perhaps several times.
    Later,
    /// In later steps, one by one.
    Split,
    /// Immediately, and again in a later step.
    Twice,
    Lost,
}

/// The revision that a session asks for: the head, the newest that it has, or any fraction of the head.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    Head,
    Last,
    Any(u8),
}

/// A step of a run. A `pick`, or the number of a session, selects one of the existing ones, modulo their number.
#[derive(Clone, Debug)]
pub enum Step {
    Commit(Vec<Change>, Delivery),
    Arrive {
        pick: usize,
        /// Whether the batch can arrive again.
        stays: bool,
    },
    NoteHead,
    Check(usize),
    Subscribe(usize, Start),
    Unsubscribe(usize),
    Resume(usize),
    ReadGap,
    /// A read gets its result, at most this number of rows, from the current log.
    Read(usize, usize),
    /// The result or the failure of a read arrives at the order.
    Answer {
        pick: usize,
        fails: bool,
    },
    /// The next event does not fit into the mailbox of a session.
    Full(usize),
    /// The log loses its oldest rows: all of them for 255.
    LoseRows(u8),
    /// The room stops, if it has no subscribers, and a new one starts.
    RestartRoom,
}

struct PendingRead {
    after: Rev,
    purpose: ReadPurpose,
    result: Option<Vec<Envelope>>,
}

pub struct Simulation {
    history: History,
    order: Order<usize>,
    sessions: Vec<Session>,
    undelivered: Vec<Arc<Batch>>,
    reads: Vec<PendingRead>,
    /// The checked revision that became the first head of the room.
    first_head: Option<Rev>,
    /// The events that were delivered to the room or that it has read.
    known: KnownRevs,
}

/// The sink of the order, which passes its events to the sessions and keeps the first fault.
struct Checker<'a> {
    history: &'a History,
    sessions: &'a mut [Session],
    reads: &'a mut Vec<PendingRead>,
    failures: Failures,
    first_head: Option<Rev>,
    known: &'a KnownRevs,
    fault: Option<String>,
}

impl Sink<usize> for Checker<'_> {
    fn send(&mut self, to: &usize, event: RoomEvent) -> bool {
        self.sessions[*to].receive(&event, self.history, self.known, self.failures).unwrap_or_else(|fault| {
            self.fault.get_or_insert(fault);
            true
        })
    }

    fn read_log(&mut self, after: Rev, purpose: ReadPurpose) {
        if purpose == ReadPurpose::Gap && self.first_head.is_none_or(|first_head| after < first_head) {
            self.fault.get_or_insert(format!("{after} is before the first head of the room"));
        }
        self.reads.push(PendingRead { after, purpose, result: None });
    }
}

type Checked = Result<(), String>;

impl Simulation {
    pub fn new() -> Self {
        Self {
            history: History::new(USERS),
            order: Order::default(),
            sessions: (0..SESSIONS).map(|index| Session::new(index, index % USERS)).collect(),
            undelivered: Vec::new(),
            reads: Vec::new(),
            first_head: None,
            known: KnownRevs::new(),
        }
    }

    /// Records the events that were delivered to the room or that it has read.
    fn note_known_events(&mut self, frames: &[Envelope]) {
        self.known.extend(frames.iter().map(|frame| frame.rev));
    }

    fn with_order(&mut self, failures: Failures, action: impl FnOnce(&mut Order<usize>, &mut Checker)) -> Checked {
        let mut checker = Checker {
            history: &self.history,
            sessions: &mut self.sessions,
            reads: &mut self.reads,
            failures,
            first_head: self.first_head,
            known: &self.known,
            fault: None,
        };
        action(&mut self.order, &mut checker);
        checker.fault.map_or(Ok(()), Err)
    }

    fn with_order_without_failures(&mut self, action: impl FnOnce(&mut Order<usize>, &mut Checker)) -> Checked {
        self.with_order(Failures::default(), action)
    }

    pub fn step(&mut self, step: &Step) -> Checked {
        match step {
            Step::Commit(changes, delivery) => self.commit(changes, *delivery),
            Step::Arrive { pick, stays } => self.arrive(*pick, *stays),
            Step::NoteHead => self.note_head(),
            Step::Check(pick) => {
                self.check(*pick);
                Ok(())
            }
            Step::Subscribe(pick, start) => self.subscribe(*pick, *start),
            Step::Unsubscribe(pick) => {
                let session = &mut self.sessions[pick % SESSIONS];
                session.subscription = None;
                self.order.unsubscribe(session.id);
                Ok(())
            }
            Step::Resume(pick) => self.resume(pick % SESSIONS),
            Step::ReadGap => self.with_order_without_failures(|order, checker| order.read_gap(checker)),
            Step::Read(pick, limit) => {
                self.read(*pick, *limit);
                Ok(())
            }
            Step::Answer { pick, fails } => self.answer(*pick, *fails),
            Step::Full(pick) => {
                let session = &mut self.sessions[pick % SESSIONS];
                session.is_full = session.subscription.is_some();
                Ok(())
            }
            Step::LoseRows(share) => {
                let rows = self.history.end().0 * i64::from(*share) / 255;
                self.history.lost_to = self.history.lost_to.max(Rev(rows));
                Ok(())
            }
            Step::RestartRoom => {
                self.restart_room();
                Ok(())
            }
        }?;
        self.check_receivers()
    }

    /// Checks that the right sessions get ephemeral frames.
    fn check_receivers(&self) -> Checked {
        let mut actual: Vec<usize> = self.order.ephemeral_receivers().map(|(_, index)| *index).collect();
        actual.sort_unstable();
        let gets_ephemeral = |index: &usize| self.sessions[*index].gets_ephemeral(&self.history, &self.known);
        let expected: Vec<usize> = (0..SESSIONS).filter(gets_ephemeral).collect();
        if actual == expected { Ok(()) } else { Err(format!("{actual:?} get ephemeral frames, not {expected:?}")) }
    }

    fn commit(&mut self, changes: &[Change], delivery: Delivery) -> Checked {
        let frames = self.history.commit(changes);
        if matches!(delivery, Delivery::Split) {
            self.undelivered.extend(frames.into_iter().map(|frame| Batch::new(vec![frame])));
            return Ok(());
        }
        let batch = Batch::new(frames);
        if matches!(delivery, Delivery::Later | Delivery::Twice) {
            self.undelivered.push(batch.clone());
        }
        if matches!(delivery, Delivery::Immediate | Delivery::Twice) {
            self.deliver(&batch)?;
        }
        Ok(())
    }

    fn arrive(&mut self, pick: usize, stays: bool) -> Checked {
        if self.undelivered.is_empty() {
            return Ok(());
        }
        let pick = pick % self.undelivered.len();
        let batch = if stays { self.undelivered[pick].clone() } else { self.undelivered.swap_remove(pick) };
        self.deliver(&batch)
    }

    /// Delivers a batch. One in seven counts as too large to be broadcast immediately.
    fn deliver(&mut self, batch: &Arc<Batch>) -> Checked {
        self.note_known_events(&batch.envelopes);
        let is_postponed = batch.last_rev().0 % 7 == 0;
        self.with_order_without_failures(|order, checker| {
            if is_postponed { order.postpone(batch, checker) } else { order.deliver(batch, checker) }
        })
    }

    fn note_head(&mut self) -> Checked {
        let end = self.history.end();
        self.with_order_without_failures(|order, _| order.note_known(end))
    }

    fn check(&mut self, pick: usize) {
        let session = &mut self.sessions[pick % SESSIONS];
        let joined = self.history.joined(session.user);
        session.check = joined.map(|joined| RightCheck { head: self.history.end(), joined });
    }

    fn subscribe(&mut self, pick: usize, start: Start) -> Checked {
        let index = pick % SESSIONS;
        let session = &mut self.sessions[index];
        let Some(check) = session.check.take() else { return Ok(()) };
        let preferred = match start {
            Start::Head => check.head,
            Start::Last => session.subscription.as_ref().map_or(check.joined, super::session::Subscription::last),
            Start::Any(share) => Rev((check.head.0 + 1) * i64::from(share) / 256),
        };
        let (is_new, count) = (session.subscription.is_none(), session.received_count);
        let (user_index, id) = (session.user, session.id);
        let from = session.subscribe(check, preferred);
        let has_left = self.history.leaves(user_index).any(|rev| rev > check.head && self.known.contains(&rev));
        // A subscription that is refused immediately does not set the first head.
        if !(is_new && has_left) {
            self.first_head.get_or_insert(check.head);
        }
        let request =
            SubscribeRequest { session: id, user: user(user_index), handle: index, from, checked_rev: check.head };
        self.with_order_without_failures(|order, checker| order.subscribe(request, checker))?;
        let session = &self.sessions[index];
        if is_new && has_left && (session.subscription.is_some() || session.received_count > count + 1) {
            return Err(format!("{session} was checked at {} and not refused", check.head));
        }
        Ok(())
    }

    fn resume(&mut self, index: usize) -> Checked {
        let id = self.sessions[index].id;
        self.with_order_without_failures(|order, checker| order.resume(id, checker))
    }

    fn read(&mut self, pick: usize, limit: usize) {
        if !self.reads.is_empty() {
            let pick = pick % self.reads.len();
            let read = &mut self.reads[pick];
            read.result = Some(self.history.read(read.after, limit));
        }
    }

    fn answer(&mut self, pick: usize, fails: bool) -> Checked {
        if self.reads.is_empty() {
            return Ok(());
        }
        let pick = pick % self.reads.len();
        if self.reads[pick].result.is_none() {
            self.read(pick, 5);
        }
        let PendingRead { after, purpose, result } = self.reads.swap_remove(pick);
        let frames = result.filter(|_| !fails);
        match purpose {
            ReadPurpose::Verify(_) => unreachable!("only a room verifies the history, not its order"),
            ReadPurpose::Gap => {
                let lost = frames.as_ref().is_some_and(|read| read.first().is_none_or(|row| row.rev > after.next()));
                let failures = Failures { lost, ..Failures::default() };
                self.note_known_events(frames.as_deref().unwrap_or_default());
                self.with_order(failures, |order, checker| order.handle_gap_read(frames, checker))
            }
            ReadPurpose::Replay { session, number, .. } => {
                let failures = Failures { failed: fails.then_some(session), ..Failures::default() };
                self.with_order(failures, |order, checker| order.handle_replay_read(session, number, frames, checker))
            }
        }
    }

    fn restart_room(&mut self) {
        if self.order.is_empty() && self.sessions.iter().all(|session| session.check.is_none()) {
            self.order = Order::default();
            self.reads.clear();
            self.first_head = None;
            self.known.clear();
        }
    }

    /// Delivers all reads, and checks that each subscribed session then has all events.
    pub fn finish(&mut self) -> Checked {
        for session in &mut self.sessions {
            session.is_full = false;
        }
        self.note_head()?;
        for _ in 0..10_000 {
            self.with_order_without_failures(|order, checker| order.read_gap(checker))?;
            for index in 0..SESSIONS {
                self.resume(index)?;
            }
            if self.reads.is_empty() && !self.order.has_gap() {
                return self.sessions.iter().try_for_each(|session| session.check_complete(&self.history));
            }
            while !self.reads.is_empty() {
                self.answer(0, false)?;
            }
            self.check_receivers()?;
        }
        Err("the reads do not end".to_owned())
    }
}
