//! The answers of commands that run a use case in a lane: `ack`, the result of the use case, or its error.

use crate::error::Result;
use crate::protocol::client::FrameId;
use crate::protocol::server::ServerFrame;
use crate::realtime::session::lanes::{JobState, Lane};
use crate::realtime::session::{LaneJob, Session};
use actix::prelude::*;

impl Session {
    /// Runs a command that is answered with `ack`.
    pub(super) fn run_with_ack(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<()>> + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.run_with_answer(lane, id, work, |()| ServerFrame::Ack {}, ctx);
    }

    /// Runs a command that is answered with the result of its use case.
    pub(super) fn run_with_answer<T: Send + 'static>(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<T>> + Send + 'static,
        frame: impl FnOnce(T) -> ServerFrame + Send + Sync + 'static,
        ctx: &mut Context<Self>,
    ) {
        let answer = |session: &mut Self, outcome: Result<T>, id: Option<&FrameId>, ctx: &mut Context<Self>| {
            session.send_outcome(outcome, frame, id, ctx);
        };
        self.run_in_lane(lane, id, work, answer, ctx);
    }

    /// Runs a command that is answered with `ack` only if it has an `id`. An error is always sent.
    pub(super) fn run_with_optional_ack(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<()>> + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        let answer = |session: &mut Self, outcome: Result<()>, id: Option<&FrameId>, ctx: &mut Context<Self>| {
            if outcome.is_err() || id.is_some() {
                session.send_outcome(outcome, |()| ServerFrame::Ack {}, id, ctx);
            }
        };
        self.run_in_lane(lane, id, work, answer, ctx);
    }

    /// Runs the use case of a command when its lane is free, and then `answer` with the outcome. Then the lane is free
    /// again.
    pub(super) fn run_in_lane<T: Send + 'static>(
        &mut self,
        lane: Lane,
        id: Option<FrameId>,
        work: impl Future<Output = Result<T>> + Send + 'static,
        answer: impl FnOnce(&mut Self, Result<T>, Option<&FrameId>, &mut Context<Self>) + Send + Sync + 'static,
        ctx: &mut Context<Self>,
    ) {
        let command_id = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            let then = move |session: &mut Self, outcome: Result<T>, ctx: &mut Context<Self>| {
                answer(session, outcome, id.as_ref(), ctx);
                session.leave_lane(lane, ctx);
            };
            session.run_use_case(work, then, ctx);
            JobState::Continues
        });
        self.enter_lane(lane, command_id.as_ref(), None, job, ctx);
    }

    /// Sends the frame of a result, or the error.
    pub(super) fn send_outcome<T>(
        &mut self,
        outcome: Result<T>,
        frame: impl FnOnce(T) -> ServerFrame,
        id: Option<&FrameId>,
        ctx: &mut Context<Self>,
    ) {
        match outcome {
            Ok(result) => self.send(&frame(result), id, ctx),
            Err(error) => self.refuse(&error, id, None, ctx),
        }
    }
}
