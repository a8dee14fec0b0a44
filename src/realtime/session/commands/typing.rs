//! The commands by which a client says that its user types or has stopped.

use crate::domain::caller::Caller;
use crate::domain::limits;
use crate::protocol::client::FrameId;
use crate::protocol::server::ServerFrame;
use crate::protocol::typing::TypingConversation;
use crate::realtime::session::lanes::Lane;
use crate::realtime::session::{RunTask, Session, SessionTask};
use crate::usecases::typing;
use actix::prelude::*;
use std::time::Instant;

/// Announces typing at most once in [`limits::TYPING_INTERVAL`] for each conversation. A command in between is only
/// acknowledged.
pub(super) fn start(
    session: &mut Session,
    caller: Caller,
    at: &TypingConversation,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let (conversation, now) = (at.conversation_id, Instant::now());
    let is_recent =
        session.typing_started.get(&conversation).is_some_and(|at| now.duration_since(*at) < limits::TYPING_INTERVAL);
    if is_recent {
        if id.is_some() {
            session.send(&ServerFrame::Ack {}, id.as_ref(), ctx);
        }
        return;
    }
    session.typing_started.insert(conversation, now);
    let (app, typist, mailbox) = (session.services.app.clone(), session.typist.clone(), ctx.address());
    let work = async move {
        let started = typing::start(&app, &caller, &typist, conversation).await;
        if started.is_err() {
            // The client may repeat a refused command immediately, and must then get the error again.
            let forget: SessionTask = Box::new(move |session, _| {
                session.typing_started.remove(&conversation);
            });
            let _ = mailbox.try_send(RunTask(forget));
        }
        started
    };
    session.run_with_optional_ack(Lane::Conversation(conversation), id, work, ctx);
}

pub(super) fn stop(
    session: &mut Session,
    caller: Caller,
    at: &TypingConversation,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let (app, typist, conversation) = (session.services.app.clone(), session.typist.clone(), at.conversation_id);
    let work = async move { typing::stop(&app, &caller, &typist, conversation).await };
    session.run_with_optional_ack(Lane::Conversation(conversation), id, work, ctx);
}
