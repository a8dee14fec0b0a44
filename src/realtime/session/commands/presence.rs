//! The commands that set the presence of the user, and those that begin and end to watch the presence of others.

use crate::domain::caller::Caller;
use crate::domain::ids::UserId;
use crate::error::{Error, Result};
use crate::mailboxes::{ToPresence, send_always};
use crate::protocol::client::FrameId;
use crate::protocol::presence::{PresenceUsers, SetPresence, WatchedPresence};
use crate::protocol::server::ServerFrame;
use crate::realtime::session::Session;
use crate::realtime::session::lanes::Lane;
use crate::usecases::presence;
use actix::prelude::*;
use std::collections::BTreeMap;

pub(super) fn set(
    session: &mut Session,
    caller: Caller,
    set: &SetPresence,
    id: Option<&FrameId>,
    ctx: &mut Context<Session>,
) {
    let message = ToPresence::Set(caller.user_id, session.id, set.status);
    if session.services.presence.try_send(message).is_ok() {
        session.send(&ServerFrame::Ack {}, id, ctx);
    } else {
        let error = Error::unavailable("The server cannot change the presence now; try again.");
        session.refuse(&error, id, None, ctx);
    }
}

/// Watches the users whom the caller may see, and answers with their presence.
pub(super) fn watch(
    session: &mut Session,
    caller: Caller,
    watch: PresenceUsers,
    id: Option<FrameId>,
    ctx: &mut Context<Session>,
) {
    let app = session.services.app.clone();
    let work = async move { presence::list_visible(&app, &caller, &watch.user_ids).await };
    let answer = |session: &mut Session, visible: Result<Vec<UserId>>, id: Option<&FrameId>, ctx: &mut Context<_>| {
        let state = visible.map(|visible| {
            let registry = session.services.app.presence();
            let users = visible.iter().map(|user| (*user, registry.status(*user))).collect();
            send_always(&session.services.presence, ToPresence::Watch(session.id, visible));
            WatchedPresence { users }
        });
        session.send_outcome(state, ServerFrame::PresenceState, id, ctx);
    };
    session.run_in_lane(Lane::Presence, id, work, answer, ctx);
}

pub(super) fn unwatch(session: &mut Session, unwatch: PresenceUsers, id: Option<FrameId>, ctx: &mut Context<Session>) {
    let (app, session_id, registry) = (session.services.app.clone(), session.id, session.services.presence.clone());
    let work = async move {
        let users = presence::resolve(&app, &unwatch.user_ids).await?;
        send_always(&registry, ToPresence::Unwatch(session_id, users));
        Ok(())
    };
    let no_users = |()| ServerFrame::PresenceState(WatchedPresence { users: BTreeMap::new() });
    session.run_with_answer(Lane::Presence, id, work, no_users, ctx);
}
