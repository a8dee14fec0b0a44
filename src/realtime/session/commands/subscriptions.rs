//! The commands that change what a session follows. They share one lane.

use crate::domain::limits;
use crate::protocol::client::FrameId;
use crate::protocol::server::ServerFrame;
use crate::protocol::subscriptions::{ConversationIds, SyncConversations};
use crate::realtime::following::too_many;
use crate::realtime::session::lanes::{JobState, Lane};
use crate::realtime::session::{LaneJob, Session};
use actix::prelude::*;

pub(super) fn subscribe(session: &mut Session, to: ConversationIds, id: Option<FrameId>, ctx: &mut Context<Session>) {
    let conversations = to.conversation_ids;
    if conversations.len() > limits::IDS_IN_COMMAND {
        let error = too_many("conversation_ids", limits::IDS_IN_COMMAND);
        return session.refuse(&error, id.as_ref(), None, ctx);
    }
    let command_id = id.clone();
    let job: LaneJob = Box::new(move |session, ctx| {
        session.follow(ctx, |following| following.begin_subscribe(conversations, id));
        JobState::Continues
    });
    session.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
}

pub(super) fn unsubscribe(
    session: &mut Session,
    from: ConversationIds,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let command_id = id.clone();
    let job: LaneJob = Box::new(move |session, ctx| {
        session.follow(ctx, |following| following.unsubscribe(from.conversation_ids, id));
        JobState::Done
    });
    session.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
}

/// Adds one part of a sync. The last part starts the sync.
pub(super) fn sync(session: &mut Session, part: SyncConversations, id: Option<FrameId>, ctx: &mut Context<Session>) {
    let mut outcome = Ok(None);
    session.follow(ctx, |following| outcome = following.add_sync_part(part));
    match outcome {
        Err(error) => session.refuse(&error, id.as_ref(), None, ctx),
        Ok(None) if id.is_some() => session.send(&ServerFrame::Ack {}, id.as_ref(), ctx),
        Ok(None) => {}
        Ok(Some(whole)) => {
            let command_id = id.clone();
            let job: LaneJob = Box::new(move |session, ctx| {
                session.follow(ctx, |following| following.begin_sync(whole, id));
                JobState::Continues
            });
            session.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
        }
    }
}
