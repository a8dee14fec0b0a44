//! What a session does, and in which order: what it does about one conversation it does one thing at a time, in the order
//! of its frames. A lane that is busy queues; and of what asks the database only a few things run at a time, whatever
//! their lanes. How much waits is bounded over all lanes: a client that makes up conversations gains nothing by it.

use super::{Job, LaneJob, Session};
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::error::Result;
use crate::protocol::client::FrameId;
use crate::store::reading::on_behalf;
use actix::prelude::*;
use std::collections::{HashMap, VecDeque};

/// What must keep its order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// Commands about one conversation.
    Conversation(ConversationId),
    /// Subscribe, unsubscribe and sync, of whatever conversations.
    Subscriptions,
    /// Whose presence is watched.
    Presence,
}

/// The lanes of a session. `J` is a job that waits for its lane, `W` is work of one that waits for a place to run in.
#[derive(Debug)]
pub struct Lanes<J, W> {
    taken: HashMap<Lane, VecDeque<J>>,
    /// How many jobs wait in all lanes.
    queued: usize,
    /// How much work runs.
    running: usize,
    /// Work that waits for a place.
    ready: VecDeque<W>,
}

impl<J, W> Default for Lanes<J, W> {
    fn default() -> Self {
        Self { taken: HashMap::new(), queued: 0, running: 0, ready: VecDeque::new() }
    }
}

/// What a job that ran leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is done, and the lane is free for the next.
    Over,
    /// It goes on elsewhere, and whoever ends it leaves the lane.
    Goes,
}

/// What became of a job that came to a lane.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered<J> {
    /// The lane was free: run it, and leave the lane when it is done.
    Run(J),
    /// It waits its turn.
    Queued,
    /// Too much waits already.
    Full(J),
}

impl<J, W> Lanes<J, W> {
    /// How much waits, for its lane or for a place.
    fn waiting(&self) -> usize {
        self.queued + self.ready.len()
    }

    /// A job comes to a lane.
    pub fn enter(&mut self, lane: Lane, job: J) -> Entered<J> {
        if self.waiting() >= limits::COMMANDS_WAITING {
            return Entered::Full(job);
        }
        match self.enter_always(lane, job) {
            Some(job) => Entered::Run(job),
            None => Entered::Queued,
        }
    }

    /// A job comes to a lane that must take it, however many wait. For what comes from no client.
    pub fn enter_always(&mut self, lane: Lane, job: J) -> Option<J> {
        let Some(waiting) = self.taken.get_mut(&lane) else {
            self.taken.insert(lane, VecDeque::new());
            return Some(job);
        };
        waiting.push_back(job);
        self.queued += 1;
        None
    }

    /// The job that ran is done; returns the next to run.
    pub fn leave(&mut self, lane: Lane) -> Option<J> {
        let next = self.taken.get_mut(&lane)?.pop_front();
        match next {
            None => drop(self.taken.remove(&lane)),
            Some(_) => self.queued -= 1,
        }
        next
    }

    /// Work that asks the database is to begin; returned if there is a place for it, kept until there is one if not.
    pub fn begin(&mut self, work: W) -> Option<W> {
        if self.running < limits::COMMANDS_RUNNING_PER_SESSION {
            self.running += 1;
            return Some(work);
        }
        self.ready.push_back(work);
        None
    }

    /// Work has ended; returns the next to begin, in the place that became free.
    pub fn end(&mut self) -> Option<W> {
        let next = self.ready.pop_front();
        if next.is_none() {
            self.running -= 1;
        }
        next
    }
}

impl Session {
    /// Runs `job` when its lane is free. When too much waits the command that `id` and `temp_id` name is refused.
    pub(super) fn enter(
        &mut self,
        lane: Lane,
        id: Option<&FrameId>,
        temp_id: Option<String>,
        job: LaneJob,
        ctx: &mut Context<Self>,
    ) {
        match self.lanes.enter(lane, job) {
            Entered::Run(job) => self.work(lane, job, ctx),
            Entered::Queued => {}
            Entered::Full(_) => self.refuse_busy(id, temp_id, ctx),
        }
    }

    /// Runs a job, and as long as each is over at once those that wait behind it.
    pub(super) fn work(&mut self, lane: Lane, job: LaneJob, ctx: &mut Context<Self>) {
        let mut next = Some(job);
        while let Some(job) = next
            && job(self, ctx) == Turn::Over
        {
            next = self.lanes.leave(lane);
        }
    }

    /// What went on elsewhere is over.
    pub(super) fn leave(&mut self, lane: Lane, ctx: &mut Context<Self>) {
        if let Some(job) = self.lanes.leave(lane) {
            self.work(lane, job, ctx);
        }
    }

    /// Runs the use case of a command and `then` with its outcome here: as soon as few others of this session run, and
    /// then as soon as few others of its user do. A lane stays taken for as long as its job wants; the place is given
    /// back with the outcome, so that a replay that waits for the client to read holds none.
    pub(super) fn run<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = Result<T>> + Send + 'static,
        then: impl FnOnce(&mut Self, Result<T>, &mut Context<Self>) + Send + Sync + 'static,
        ctx: &mut Context<Self>,
    ) {
        let start: Job = Box::new(move |session, ctx| {
            let places = session.places.clone();
            let reads = session.caller().map(|caller| session.around.app.places_of(caller.user_id));
            let work = async move {
                let _place = match places {
                    Some(places) => places.acquire_owned().await.ok(),
                    None => None,
                };
                on_behalf(reads, work).await
            };
            let then = move |session: &mut Self, outcome: Result<T>, ctx: &mut Context<Self>| {
                if let Some(next) = session.lanes.end() {
                    next(session, ctx);
                }
                then(session, outcome, ctx);
            };
            session.run_aside(work, then, ctx);
        });
        if let Some(start) = self.lanes.begin(start) {
            start(self, ctx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes() -> Lanes<usize, usize> {
        Lanes::default()
    }

    #[test]
    fn a_lane_runs_one_job_at_a_time_in_order_and_refuses_when_too_many_wait() {
        let mut lanes = lanes();
        assert_eq!(lanes.enter(Lane::Subscriptions, 0), Entered::Run(0));
        for job in 1..=limits::COMMANDS_WAITING {
            assert_eq!(lanes.enter(Lane::Subscriptions, job), Entered::Queued);
        }
        assert_eq!(lanes.enter(Lane::Subscriptions, 999), Entered::Full(999));
        assert_eq!(lanes.enter(Lane::Presence, 7), Entered::Full(7), "the bound is over all lanes");
        assert_eq!(lanes.leave(Lane::Subscriptions), Some(1));
        assert_eq!(lanes.enter(Lane::Presence, 8), Entered::Run(8), "lanes do not wait for each other");
        assert_eq!(lanes.leave(Lane::Presence), None);
        assert_eq!(lanes.enter(Lane::Subscriptions, 998), Entered::Queued);
        assert_eq!(lanes.enter_always(Lane::Subscriptions, 1000), None, "not even a full one refuses this");
        let rest: Vec<_> = std::iter::from_fn(|| lanes.leave(Lane::Subscriptions)).collect();
        assert_eq!(rest[rest.len() - 2..], [998, 1000]);
        assert_eq!(lanes.enter_always(Lane::Subscriptions, 1), Some(1));
    }

    #[test]
    fn a_few_run_and_what_waits_for_a_place_counts_as_waiting_whatever_its_lane() {
        let (mut lanes, few) = (lanes(), limits::COMMANDS_RUNNING_PER_SESSION);
        for number in 0..few + limits::COMMANDS_WAITING {
            let lane = Lane::Conversation(ConversationId::new());
            assert_eq!(lanes.enter(lane, number), Entered::Run(number));
            assert_eq!(lanes.begin(number), (number < few).then_some(number));
        }
        assert_eq!(lanes.enter(Lane::Presence, 999), Entered::Full(999));
        assert_eq!(lanes.end(), Some(few), "the place goes to whoever came first");
        assert_eq!(lanes.enter(Lane::Presence, 999), Entered::Run(999));
        let rest = std::iter::from_fn(|| lanes.end()).count();
        assert_eq!(rest, limits::COMMANDS_WAITING - 1);
        assert_eq!(lanes.running, few - 1);
    }
}
