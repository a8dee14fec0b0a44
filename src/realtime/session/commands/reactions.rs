//! The commands that add and remove reactions.

use crate::domain::caller::Caller;
use crate::protocol::client::FrameId;
use crate::protocol::reactions::{ReactMessage, ReactionAck};
use crate::protocol::server::ServerFrame;
use crate::realtime::session::Session;
use crate::realtime::session::lanes::Lane;
use crate::usecases::reactions::{self, ReactionChange};
use actix::prelude::*;

pub(super) fn add(
    session: &mut Session,
    caller: Caller,
    reaction: ReactMessage,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let (app, lane) = (session.services.app.clone(), Lane::Conversation(reaction.conversation_id));
    let work = async move {
        let ReactMessage { conversation_id, message_id, emoji } = reaction;
        reactions::add(&app, &caller, conversation_id, message_id, &emoji).await
    };
    session.run_with_answer(lane, id, work, |change| ack(&change), ctx);
}

pub(super) fn remove(
    session: &mut Session,
    caller: Caller,
    reaction: ReactMessage,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let (app, lane) = (session.services.app.clone(), Lane::Conversation(reaction.conversation_id));
    let work = async move {
        let ReactMessage { conversation_id, message_id, emoji } = reaction;
        reactions::remove(&app, &caller, conversation_id, message_id, &emoji).await
    };
    session.run_with_answer(lane, id, work, |change| ack(&change), ctx);
}

fn ack(change: &ReactionChange) -> ServerFrame {
    ServerFrame::AckReaction(ReactionAck { action: change.action.into() })
}
