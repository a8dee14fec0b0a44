//! Lanes: what a session does about one conversation it does one thing at a time, in the order of its frames. A lane that
//! is busy queues; a full one refuses.

use super::{LaneJob, Session};
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::error::Error;
use crate::protocol::client::FrameId;
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

/// The lanes of a session; `J` is a job that waits.
#[derive(Debug)]
pub struct Lanes<J>(HashMap<Lane, VecDeque<J>>);

impl<J> Default for Lanes<J> {
    fn default() -> Self {
        Self(HashMap::new())
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
    /// The lane is full.
    Full(J),
}

impl<J> Lanes<J> {
    /// A job comes to a lane.
    pub fn enter(&mut self, lane: Lane, job: J) -> Entered<J> {
        match self.0.get_mut(&lane) {
            None => {
                self.0.insert(lane, VecDeque::new());
                Entered::Run(job)
            }
            Some(waiting) if waiting.len() >= limits::LANE => Entered::Full(job),
            Some(waiting) => {
                waiting.push_back(job);
                Entered::Queued
            }
        }
    }

    /// A job comes to a lane that must take it, however many wait. For what comes from no client.
    pub fn enter_always(&mut self, lane: Lane, job: J) -> Option<J> {
        let Some(waiting) = self.0.get_mut(&lane) else {
            self.0.insert(lane, VecDeque::new());
            return Some(job);
        };
        waiting.push_back(job);
        None
    }

    /// The job that ran is done; returns the next to run.
    pub fn leave(&mut self, lane: Lane) -> Option<J> {
        let waiting = self.0.get_mut(&lane)?;
        let next = waiting.pop_front();
        if next.is_none() {
            self.0.remove(&lane);
        }
        next
    }
}

impl Session {
    /// Runs `job` when its lane is free. A full lane refuses the command that `id` and `temp_id` name.
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
            Entered::Full(_) => {
                let error = Error::busy("too many commands of this connection are waiting; wait for their answers");
                self.refuse(&error, id, temp_id, ctx);
            }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_runs_one_job_at_a_time_in_order_and_refuses_when_full() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.enter(Lane::Subscriptions, 0), Entered::Run(0));
        for job in 1..=limits::LANE {
            assert_eq!(lanes.enter(Lane::Subscriptions, job), Entered::Queued);
        }
        assert_eq!(lanes.enter(Lane::Subscriptions, 999), Entered::Full(999));
        assert_eq!(lanes.enter(Lane::Presence, 7), Entered::Run(7), "lanes do not wait for each other");
        assert_eq!(lanes.leave(Lane::Subscriptions), Some(1));
        assert_eq!(lanes.leave(Lane::Presence), None);
        assert_eq!(lanes.enter(Lane::Presence, 8), Entered::Run(8));
        assert_eq!(lanes.enter(Lane::Subscriptions, 998), Entered::Queued);
        assert_eq!(lanes.enter_always(Lane::Subscriptions, 1000), None, "not even a full one refuses this");
        let rest: Vec<_> = std::iter::from_fn(|| lanes.leave(Lane::Subscriptions)).collect();
        assert_eq!(rest[rest.len() - 2..], [998, 1000]);
        assert_eq!(lanes.enter_always(Lane::Subscriptions, 1), Some(1));
    }
}
