//! What a session follows: the session passes its inputs to [`Following`] and carries out the effects.

use super::lanes::{JobState, Lane};
use super::{LaneJob, Session};
use crate::domain::limits;
use crate::error::Result;
use crate::mailboxes::{Subscription, ToRoom, ToTransport, send_always};
use crate::realtime::following::{FollowEffect, Following, Rights, SyncRights};
use actix::prelude::*;

/// What a session follows. Its rooms are actors.
pub(super) type SessionFollowing = Following<Recipient<ToRoom>>;

impl Session {
    /// Passes an input to [`Following`] and carries out the effects.
    pub(super) fn follow(&mut self, ctx: &mut Context<Self>, input: impl FnOnce(&mut SessionFollowing)) {
        self.following.set_may_replay(!self.is_closing && self.flow.has_room());
        input(&mut self.following);
        while let Some(effect) = self.following.next_effect() {
            self.carry_out(effect, ctx);
        }
    }

    fn carry_out(&mut self, effect: FollowEffect<Recipient<ToRoom>>, ctx: &mut Context<Self>) {
        match effect {
            FollowEffect::Send(frame, id) => self.send(&frame, id.as_ref(), ctx),
            FollowEffect::SendEvents(batch) => self.send_to_transport(ToTransport::Batch(batch), ctx),
            FollowEffect::Refuse(error, id) => self.refuse(&error, id.as_ref(), None, ctx),
            FollowEffect::CheckSubscribe(conversations) => {
                let work = self.check_rights(conversations);
                self.run_use_case(work, Self::handle_rights, ctx);
            }
            FollowEffect::CheckAdded(conversations) => {
                let work = self.check_rights(conversations);
                self.spawn_work(work, Self::handle_rights, ctx);
            }
            FollowEffect::CheckSync(request) => {
                let work = self.check_sync_rights(request);
                self.run_use_case(work, Self::handle_sync_rights, ctx);
            }
            FollowEffect::Subscribe { room, stream, number, from, checked_rev } => {
                let Some(caller) = self.caller() else { return };
                let session = self.session_handle(&caller, number, ctx);
                let subscription = Subscription { stream, session, after: from, checked_rev, accepted: false };
                send_always(&room, ToRoom::Subscribe(subscription));
            }
            FollowEffect::Unsubscribe { room } => send_always(&room, ToRoom::Unsubscribe(self.id)),
            FollowEffect::Continue { room } => send_always(&room, ToRoom::Continue(self.id)),
            FollowEffect::StartSyncTimer => {
                let end = |session: &mut Self, ctx: &mut Context<Self>| session.follow(ctx, Following::skip_first_sync);
                let timer = ctx.run_later(limits::FIRST_SYNC_WAIT, end);
                self.replace_sync_timer(Some(timer), ctx);
            }
            FollowEffect::StopSyncTimer => self.replace_sync_timer(None, ctx),
            FollowEffect::QueueAdded => {
                let job: LaneJob = Box::new(|session, ctx| {
                    session.follow(ctx, Following::begin_added);
                    JobState::Continues
                });
                if let Some(job) = self.lanes.enter_always(Lane::Subscriptions, job) {
                    self.run_lane(Lane::Subscriptions, job, ctx);
                }
            }
            FollowEffect::LeaveLane => self.leave_lane(Lane::Subscriptions, ctx),
            FollowEffect::Close(close) => self.close(close, ctx),
        }
    }

    fn replace_sync_timer(&mut self, timer: Option<SpawnHandle>, ctx: &mut Context<Self>) {
        if let Some(earlier) = std::mem::replace(&mut self.sync_timer, timer) {
            ctx.cancel_future(earlier);
        }
    }

    fn handle_rights(&mut self, outcome: Result<Rights<Recipient<ToRoom>>>, ctx: &mut Context<Self>) {
        self.follow(ctx, |following| following.handle_rights(outcome));
    }

    fn handle_sync_rights(&mut self, outcome: Result<SyncRights<Recipient<ToRoom>>>, ctx: &mut Context<Self>) {
        self.follow(ctx, |following| following.handle_sync_rights(outcome));
    }
}
