//! Lanes: a session runs its commands about one conversation, about its subscriptions, or about presence one at a time,
//! in the order of their frames.
//!
//! Each lane has a queue. Of the work that uses the database, only a few pieces run at a time over all lanes. The
//! number of waiting commands is also bounded over all lanes, so that a client cannot wait more by naming more
//! conversations.

use super::{LaneJob, Session, SessionTask};
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::error::Result;
use crate::protocol::client::FrameId;
use crate::store::db::reading::with_permits;
use actix::prelude::*;
use std::collections::{HashMap, VecDeque};

/// A lane of a session. Jobs in one lane run one after another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// Commands about one conversation.
    Conversation(ConversationId),
    /// The commands `subscribe`, `unsubscribe` and `sync`, an `auth` that renews the token, and the subscriptions to
    /// conversations that the user is added to.
    Subscriptions,
    /// The commands that change whose presence the session watches.
    Presence,
}

/// The lanes of a session. `J` is a job, which waits for its lane. `W` is a piece of work that uses the database, which
/// waits for a permit.
#[derive(Debug)]
pub struct Lanes<J, W> {
    /// The waiting jobs of each lane in which a job runs.
    queues: HashMap<Lane, VecDeque<J>>,
    /// The number of jobs that wait in all lanes.
    queued_jobs: usize,
    /// The number of pieces of work that run.
    running_work: usize,
    /// The work that waits for a permit.
    waiting_work: VecDeque<W>,
}

impl<J, W> Default for Lanes<J, W> {
    fn default() -> Self {
        Self { queues: HashMap::new(), queued_jobs: 0, running_work: 0, waiting_work: VecDeque::new() }
    }
}

/// The state of a job after its function has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The job is done, and the lane is free for the next one.
    Done,
    /// The job continues in a use case. The code that handles its outcome must leave the lane.
    Continues,
}

/// What happened to a job that was added to a lane.
#[derive(Debug, PartialEq, Eq)]
pub enum LaneEntry<J> {
    /// The lane was free. The caller must run the job, and leave the lane when it is done.
    Run(J),
    /// The job waits for the lane.
    Queued,
    /// Too many jobs wait already.
    Full(J),
}

impl<J, W> Lanes<J, W> {
    /// Returns how many jobs wait for a lane and how many pieces of work wait for a permit, together.
    fn waiting_count(&self) -> usize {
        self.queued_jobs + self.waiting_work.len()
    }

    /// Adds a job to a lane, unless too many wait.
    pub fn enter(&mut self, lane: Lane, job: J) -> LaneEntry<J> {
        if self.waiting_count() >= limits::COMMANDS_WAITING {
            return LaneEntry::Full(job);
        }
        match self.enter_always(lane, job) {
            Some(job) => LaneEntry::Run(job),
            None => LaneEntry::Queued,
        }
    }

    /// Adds a job to a lane, even if too many wait. For jobs that no client has caused. Returns the job if the lane was
    /// free.
    pub fn enter_always(&mut self, lane: Lane, job: J) -> Option<J> {
        let Some(queue) = self.queues.get_mut(&lane) else {
            self.queues.insert(lane, VecDeque::new());
            return Some(job);
        };
        queue.push_back(job);
        self.queued_jobs += 1;
        None
    }

    /// Ends the job that ran in a lane. Returns the next one to run.
    pub fn leave(&mut self, lane: Lane) -> Option<J> {
        let next = self.queues.get_mut(&lane)?.pop_front();
        match next {
            None => drop(self.queues.remove(&lane)),
            Some(_) => self.queued_jobs -= 1,
        }
        next
    }

    /// Returns the work if it may begin now. Otherwise keeps it until [`Self::end_work`] returns it.
    pub fn begin_work(&mut self, work: W) -> Option<W> {
        if self.running_work < limits::COMMANDS_RUNNING_PER_SESSION {
            self.running_work += 1;
            return Some(work);
        }
        self.waiting_work.push_back(work);
        None
    }

    /// Notes that a piece of work has ended. Returns the next one, which gets its permit.
    pub fn end_work(&mut self) -> Option<W> {
        let next = self.waiting_work.pop_front();
        if next.is_none() {
            self.running_work -= 1;
        }
        next
    }
}

impl Session {
    /// Runs `job` when its lane is free. If too many jobs wait, refuses the command, which `id` and `temp_id` name.
    pub(super) fn enter_lane(
        &mut self,
        lane: Lane,
        id: Option<&FrameId>,
        temp_id: Option<String>,
        job: LaneJob,
        ctx: &mut Context<Self>,
    ) {
        match self.lanes.enter(lane, job) {
            LaneEntry::Run(job) => self.run_lane(lane, job, ctx),
            LaneEntry::Queued => {}
            LaneEntry::Full(_) => self.refuse_busy(id, temp_id, ctx),
        }
    }

    /// Runs a job, and then the waiting jobs of its lane until one of them continues in a use case.
    pub(super) fn run_lane(&mut self, lane: Lane, job: LaneJob, ctx: &mut Context<Self>) {
        let mut next = Some(job);
        while let Some(job) = next
            && job(self, ctx) == JobState::Done
        {
            next = self.lanes.leave(lane);
        }
    }

    /// Ends a job that continued in a use case, and runs the waiting jobs of its lane.
    pub(super) fn leave_lane(&mut self, lane: Lane, ctx: &mut Context<Self>) {
        if let Some(job) = self.lanes.leave(lane) {
            self.run_lane(lane, job, ctx);
        }
    }

    /// Runs the use case of a command, and then `then` with its outcome in the session. The use case waits until few
    /// others of this session run, and then until few others of its user run. Its permit ends with its outcome, even if
    /// the job stays in its lane: a replay that waits for the client to read has no permit.
    pub(super) fn run_use_case<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = Result<T>> + Send + 'static,
        then: impl FnOnce(&mut Self, Result<T>, &mut Context<Self>) + Send + Sync + 'static,
        ctx: &mut Context<Self>,
    ) {
        let start: SessionTask = Box::new(move |session, ctx| {
            let command_permits = session.command_permits.clone();
            let read_permits =
                session.caller().map(|caller| session.services.app.database_read_permits(caller.user_id));
            let work = async move {
                let _permit = match command_permits {
                    Some(permits) => permits.acquire_owned().await.ok(),
                    None => None,
                };
                with_permits(read_permits, work).await
            };
            let then = move |session: &mut Self, outcome: Result<T>, ctx: &mut Context<Self>| {
                if let Some(next) = session.lanes.end_work() {
                    next(session, ctx);
                }
                then(session, outcome, ctx);
            };
            session.spawn_work(work, then, ctx);
        });
        if let Some(start) = self.lanes.begin_work(start) {
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
        assert_eq!(lanes.enter(Lane::Subscriptions, 0), LaneEntry::Run(0));
        for job in 1..=limits::COMMANDS_WAITING {
            assert_eq!(lanes.enter(Lane::Subscriptions, job), LaneEntry::Queued);
        }
        assert_eq!(lanes.enter(Lane::Subscriptions, 999), LaneEntry::Full(999));
        assert_eq!(lanes.enter(Lane::Presence, 7), LaneEntry::Full(7), "the limit is for all lanes together");
        assert_eq!(lanes.leave(Lane::Subscriptions), Some(1));
        assert_eq!(lanes.enter(Lane::Presence, 8), LaneEntry::Run(8), "lanes do not wait for each other");
        assert_eq!(lanes.leave(Lane::Presence), None);
        assert_eq!(lanes.enter(Lane::Subscriptions, 998), LaneEntry::Queued);
        assert_eq!(lanes.enter_always(Lane::Subscriptions, 1000), None, "a full lane accepts this too");
        let rest: Vec<_> = std::iter::from_fn(|| lanes.leave(Lane::Subscriptions)).collect();
        assert_eq!(rest[rest.len() - 2..], [998, 1000]);
        assert_eq!(lanes.enter_always(Lane::Subscriptions, 1), Some(1));
    }

    #[test]
    fn little_work_runs_at_a_time_and_waiting_work_of_all_lanes_is_bounded() {
        let (mut lanes, few) = (lanes(), limits::COMMANDS_RUNNING_PER_SESSION);
        for number in 0..few + limits::COMMANDS_WAITING {
            let lane = Lane::Conversation(ConversationId::new());
            assert_eq!(lanes.enter(lane, number), LaneEntry::Run(number));
            assert_eq!(lanes.begin_work(number), (number < few).then_some(number));
        }
        assert_eq!(lanes.enter(Lane::Presence, 999), LaneEntry::Full(999));
        assert_eq!(lanes.end_work(), Some(few), "the oldest waiting work gets the permit");
        assert_eq!(lanes.enter(Lane::Presence, 999), LaneEntry::Run(999));
        let rest = std::iter::from_fn(|| lanes.end_work()).count();
        assert_eq!(rest, limits::COMMANDS_WAITING - 1);
        assert_eq!(lanes.running_work, few - 1);
    }
}
