//! Lanes: what a session does about one conversation it does one thing at a time, in the order of its frames. A lane that
//! is busy queues; a full one refuses.

use crate::domain::ids::ConversationId;
use crate::domain::limits;
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
    }
}
