//! The commands that move the read mark and the delivered mark.
//!
//! A mark leaves its lane as soon as it is in the queue of the marks writer, which commits all marks that have arrived
//! together.

use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, Seq};
use crate::error::{Error, Result};
use crate::protocol::client::FrameId;
use crate::protocol::marks::{DeliveredMessage, ReadMark, ReadMessage};
use crate::protocol::server::ServerFrame;
use crate::realtime::session::lanes::{JobState, Lane};
use crate::realtime::session::{LaneJob, Session};
use crate::usecases::marks::{self, ReadTarget};
use actix::prelude::*;

/// Queues a read mark. If the command names a message, its `seq` is read first.
pub(super) fn update_read(
    session: &mut Session,
    caller: Caller,
    read: &ReadMessage,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let target = match (read.seq, read.message_id) {
        (Some(_), Some(_)) => {
            let error = Error::invalid("seq", "and message_id cannot both be given");
            return session.refuse(&error, id.as_ref(), None, ctx);
        }
        (Some(seq), None) => ReadTarget::Seq(seq),
        (None, Some(message)) => ReadTarget::Message(message),
        (None, None) => ReadTarget::End,
    };
    let (conversation_id, command_id) = (read.conversation_id, id.clone());
    let lane = Lane::Conversation(conversation_id);
    let job: LaneJob = Box::new(move |session, ctx| {
        let message = match target {
            ReadTarget::Message(message) => message,
            ReadTarget::Seq(seq) => return enqueue_read(session, &caller, conversation_id, seq, id, ctx),
            ReadTarget::End => return enqueue_read(session, &caller, conversation_id, marks::END, id, ctx),
        };
        let app = session.services.app.clone();
        let work = async move { marks::get_seq(&app, &caller, conversation_id, message).await };
        let then = move |session: &mut Session, seq: Result<Seq>, ctx: &mut Context<Session>| {
            match seq {
                Ok(seq) => drop(enqueue_read(session, &caller, conversation_id, seq, id, ctx)),
                Err(error) => session.refuse(&error, id.as_ref(), None, ctx),
            }
            session.leave_lane(lane, ctx);
        };
        session.run_use_case(work, then, ctx);
        JobState::Continues
    });
    session.enter_lane(lane, command_id.as_ref(), None, job, ctx);
}

fn enqueue_read(
    session: &Session,
    caller: &Caller,
    conversation_id: ConversationId,
    seq: Seq,
    id: Option<FrameId>,
    ctx: &Context<Session>,
) -> JobState {
    let then = session.callback(ctx, move |session, outcome, ctx| {
        session.send_outcome(outcome, ServerFrame::AckRead, id.as_ref(), ctx);
    });
    marks::enqueue_read(&session.services.app, caller, conversation_id, seq, then);
    JobState::Done
}

/// Queues a delivered mark. The answer comes after the commit: a mark beyond the last message has then been set to the
/// last message at a moment before the answer.
pub(super) fn update_delivered(
    session: &mut Session,
    caller: Caller,
    mark: &DeliveredMessage,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let DeliveredMessage { conversation_id, seq } = *mark;
    let (lane, command_id) = (Lane::Conversation(conversation_id), id.clone());
    let job: LaneJob = Box::new(move |session, ctx| {
        let then = session.callback(ctx, move |session, outcome: Result<ReadMark>, ctx| {
            session.send_outcome(outcome, |_| ServerFrame::Ack {}, id.as_ref(), ctx);
        });
        marks::enqueue_delivered(&session.services.app, &caller, conversation_id, seq, then);
        JobState::Done
    });
    session.enter_lane(lane, command_id.as_ref(), None, job, ctx);
}
