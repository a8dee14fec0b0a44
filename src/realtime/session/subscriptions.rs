//! The subscriptions of a session: it passes commands and timers to [`Following`], and carries out what comes of them.
//!
//! Its jobs share the lane [`Lane::Subscriptions`], whose comment lists them.

use super::lanes::{JobState, Lane};
use super::{LaneJob, Session};
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::mailboxes::{OpenRooms, Subscription, ToRoom, ToTransport};
use crate::protocol::client::FrameId;
use crate::protocol::server::ServerFrame;
use crate::protocol::subscriptions::SyncConversations;
use crate::realtime::following::{FollowEffect, Following, Rights, SyncRights, too_many};
use crate::usecases::sessions;
use actix::prelude::*;
use std::collections::HashSet;

/// The subscriptions of a session, whose rooms are actors.
pub(super) type SessionFollowing = Following<Recipient<ToRoom>>;

impl Session {
    pub(super) fn subscribe(
        &mut self,
        conversations: Vec<ConversationId>,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        if conversations.len() > limits::IDS_IN_COMMAND {
            let error = too_many("conversation_ids", limits::IDS_IN_COMMAND);
            return self.refuse(&error, id.as_ref(), None, ctx);
        }
        let command_id = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            session.follow(ctx, |following| following.begin_subscribe(conversations, id));
            JobState::Continues
        });
        self.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
    }

    pub(super) fn unsubscribe(
        &mut self,
        conversations: Vec<ConversationId>,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let command_id = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            session.follow(ctx, |following| following.unsubscribe(conversations, id));
            JobState::Done
        });
        self.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
    }

    /// Adds one part of a sync. The last part starts the sync.
    pub(super) fn sync(&mut self, part: SyncConversations, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let mut outcome = Ok(None);
        self.follow(ctx, |following| outcome = following.sync_part(part));
        match outcome {
            Err(error) => self.refuse(&error, id.as_ref(), None, ctx),
            Ok(None) if id.is_some() => self.send(&ServerFrame::Ack {}, id.as_ref(), ctx),
            Ok(None) => {}
            Ok(Some(whole)) => {
                let command_id = id.clone();
                let job: LaneJob = Box::new(move |session, ctx| {
                    session.follow(ctx, |following| following.begin_sync(whole, id));
                    JobState::Continues
                });
                self.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
            }
        }
    }

    /// Passes something to [`Following`] and carries out what comes of it.
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
                self.run_use_case(work, Self::rights_read, ctx);
            }
            FollowEffect::CheckAdded(conversations) => {
                let work = self.check_rights(conversations);
                self.spawn_work(work, Self::rights_read, ctx);
            }
            FollowEffect::CheckSync(request) => self.check_sync(request, ctx),
            FollowEffect::Attach { room, stream, number, from, checked } => {
                let Some(caller) = self.caller() else { return };
                let session = self.session_handle(&caller, number, ctx);
                let subscription = Subscription { stream, session, after: from, checked_rev: checked, accepted: false };
                room.do_send(ToRoom::Subscribe(subscription)); // attach
            }
            FollowEffect::Detach { room } => room.do_send(ToRoom::Unsubscribe(self.id)), // detach
            FollowEffect::Continue { room } => room.do_send(ToRoom::Continue(self.id)),  // attach
            FollowEffect::AwaitSync => {
                let end = |session: &mut Self, ctx: &mut Context<Self>| session.follow(ctx, Following::no_sync_first);
                let timer = ctx.run_later(limits::FIRST_SYNC_WAIT, end);
                self.replace_sync_timer(Some(timer), ctx);
            }
            FollowEffect::StopAwaitingSync => self.replace_sync_timer(None, ctx),
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

    fn rights_read(&mut self, outcome: Result<Rights<Recipient<ToRoom>>>, ctx: &mut Context<Self>) {
        self.follow(ctx, |following| following.rights_read(outcome));
    }

    fn check_sync(&mut self, request: SyncConversations, ctx: &mut Context<Self>) {
        let check = self.check_rights(request.conversations.keys().copied().collect());
        let (app, caller) = (self.services.app.clone(), self.caller());
        let work = async move {
            let caller =
                caller.ok_or_else(|| Error::unauthorized("This connection is not authenticated; send auth first."))?;
            plan_sync(&app, &caller, check.await?, &request).await
        };
        let then = |session: &mut Self, outcome: Result<SyncRights<Recipient<ToRoom>>>, ctx: &mut Context<Self>| {
            session.follow(ctx, |following| following.sync_rights_read(outcome));
        };
        self.run_use_case(work, then, ctx);
    }

    /// Starts the rooms of conversations, then checks in the database whether the user may subscribe to them.
    fn check_rights(
        &self,
        conversations: Vec<ConversationId>,
    ) -> impl Future<Output = Result<Rights<Recipient<ToRoom>>>> + Send + 'static {
        let (app, hub, caller) = (self.services.app.clone(), self.services.hub.clone(), self.caller());
        async move {
            let caller =
                caller.ok_or_else(|| Error::unauthorized("This connection is not authenticated; send auth first."))?;
            // Start only rooms of conversations that the user is probably in, because a client can send any ids.
            let likely = sessions::filter_likely_conversations(&app, &caller, &conversations).await?;
            let streams = likely.iter().map(|id| Stream::Conversation(*id)).collect();
            let rooms = open_rooms(&hub, streams).await?;
            let (memberships, denied) = sessions::check_subscriptions(&app, &caller, &conversations).await?;
            Ok(Rights { rooms: likely.into_iter().zip(rooms).collect(), memberships, denied })
        }
    }
}

/// Starts rooms and returns them in the order of the streams. A hub that does not answer must not hold the permits of
/// the user for ever.
pub(super) async fn open_rooms(hub: &Recipient<OpenRooms>, streams: Vec<Stream>) -> Result<Vec<Recipient<ToRoom>>> {
    let answer = tokio::time::timeout(limits::TRANSACTION_TIMEOUT, hub.send(OpenRooms(streams))).await;
    answer.map_err(Error::overloaded)?.map_err(Error::internal)?
}

/// Decides which conversations the client must read again. A reset is necessary if the client has revisions that the
/// server does not have, if the user was not a participant all the time, or if the log lacks events.
async fn plan_sync(
    app: &crate::app::App,
    caller: &crate::domain::caller::Caller,
    rights: Rights<Recipient<ToRoom>>,
    request: &SyncConversations,
) -> Result<SyncRights<Recipient<ToRoom>>> {
    let user_rev = sessions::read_user_rev_of_valid_login(app, caller).await?;
    let mut reset_all = request.epoch.as_ref().is_some_and(|epoch| *epoch != app.epoch());
    let mut reset = HashSet::new();
    let mut behind = Vec::new();
    for membership in &rights.memberships {
        let id = membership.conversation_id;
        let from = request.conversations.get(&id).copied().unwrap_or(membership.last_rev);
        if from > membership.last_rev || from < membership.joined_rev {
            reset.insert(id);
        } else if from < membership.last_rev {
            behind.push((Stream::Conversation(id), from));
        }
    }
    match request.user_rev {
        Some(from) if from > user_rev => reset_all = true,
        Some(from) if from < user_rev => behind.push((Stream::User(caller.user_id), from)),
        _ => {}
    }
    if !reset_all {
        for stream in sessions::list_truncated(app, &behind).await? {
            match stream {
                Stream::Conversation(id) => {
                    reset.insert(id);
                }
                Stream::User(_) => reset_all = true,
            }
        }
    }
    Ok(SyncRights { rights, user_rev, reset_all, reset })
}
