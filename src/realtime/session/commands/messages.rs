//! The commands that send, edit and delete messages.

use crate::domain::caller::Caller;
use crate::error::Result;
use crate::protocol::client::FrameId;
use crate::protocol::messages::{DeleteMessage, EditMessage, MessageSent, SendMessage};
use crate::protocol::sends::CheckedSend;
use crate::protocol::server::ServerFrame;
use crate::realtime::session::lanes::{JobState, Lane};
use crate::realtime::session::{LaneJob, Session};
use crate::usecases::messages::{self, AcknowledgedSend};
use crate::usecases::{deletions, edits};
use actix::prelude::*;

/// Queues a message. The lane is free as soon as the message is in the writer's queue, so the writer can commit many
/// messages together.
pub(super) fn send(
    session: &mut Session,
    caller: Caller,
    message: SendMessage,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let lane = Lane::Conversation(message.conversation_id);
    let (command_id, command_temp_id) = (id.clone(), message.temp_id.clone());
    let job: LaneJob = Box::new(move |session, ctx| {
        let temp_id = message.temp_id.clone();
        let (conversation, new) = message.into_parts();
        let then =
            move |session: &mut Session, outcome: Result<AcknowledgedSend>, ctx: &mut Context<Session>| match outcome {
                Err(error) => session.refuse(&error, id.as_ref(), temp_id, ctx),
                Ok(sent) => {
                    let message = Box::new(sent.message);
                    let frame = ServerFrame::MessageSent(MessageSent { temp_id, rev: sent.rev, message });
                    session.send(&frame, id.as_ref(), ctx);
                }
            };
        let answer = session.callback(ctx, then);
        match CheckedSend::parse(&caller, conversation, new) {
            Ok(send) => messages::enqueue(&session.services.app, send, answer),
            Err(error) => answer(Err(error)),
        }
        JobState::Done
    });
    session.enter_lane(lane, command_id.as_ref(), command_temp_id, job, ctx);
}

pub(super) fn edit(
    session: &mut Session,
    caller: Caller,
    edit: EditMessage,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let (app, lane) = (session.services.app.clone(), Lane::Conversation(edit.conversation_id));
    let work = async move {
        edits::edit(&app, &caller, edit.conversation_id, edit.message_id, edit.parse_content()?).await.map(drop)
    };
    session.run_with_ack(lane, id, work, ctx);
}

pub(super) fn delete(
    session: &mut Session,
    caller: Caller,
    delete: &DeleteMessage,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let DeleteMessage { conversation_id, message_id, audience } = *delete;
    let (app, lane) = (session.services.app.clone(), Lane::Conversation(conversation_id));
    let work = async move { deletions::delete(&app, &caller, conversation_id, message_id, audience).await };
    session.run_with_ack(lane, id, work, ctx);
}
