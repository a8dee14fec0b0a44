//! Commands of an authenticated session: each is performed by a function in the file of its noun.
//!
//! The function chooses the lane in which the command waits, calls one use case, and answers with its result. `auth`,
//! which replaces the token, is in `session/auth.rs`.

mod answers;
mod marks;
mod messages;
mod presence;
mod reactions;
mod subscriptions;
mod typing;

use super::Session;
use crate::domain::caller::Caller;
use crate::protocol::client::{Command, FrameId};
use crate::protocol::server::ServerFrame;
use crate::realtime::following::Following;
use actix::prelude::*;

impl Session {
    /// Performs a command. `id` is the client's own id of the command, which the answer repeats.
    pub(super) fn run_command(
        &mut self,
        caller: Caller,
        id: Option<FrameId>,
        command: Command,
        ctx: &mut Context<Self>,
    ) {
        if !matches!(command, Command::Sync(_)) {
            self.follow(ctx, Following::skip_first_sync);
        }
        match command {
            Command::Auth(auth) => self.renew_auth(auth, id, ctx),
            Command::Subscribe(to) => subscriptions::subscribe(self, to, id, ctx),
            Command::Unsubscribe(from) => subscriptions::unsubscribe(self, from, id, ctx),
            Command::Sync(part) => subscriptions::sync(self, part, id, ctx),
            Command::Send(message) => messages::send(self, caller, message, id, ctx),
            Command::Edit(edit) => messages::edit(self, caller, edit, id, ctx),
            Command::Delete(delete) => messages::delete(self, caller, &delete, id, ctx),
            Command::React(reaction) => reactions::add(self, caller, reaction, id, ctx),
            Command::Unreact(reaction) => reactions::remove(self, caller, reaction, id, ctx),
            Command::Read(mark) => marks::update_read(self, caller, &mark, id, ctx),
            Command::Delivered(mark) => marks::update_delivered(self, caller, &mark, id, ctx),
            Command::TypingStart(typing) => typing::start(self, caller, &typing, id, ctx),
            Command::TypingStop(typing) => typing::stop(self, caller, &typing, id, ctx),
            Command::SetPresence(presence) => presence::set(self, caller, &presence, id.as_ref(), ctx),
            Command::WatchPresence(users) => presence::watch(self, caller, users, id, ctx),
            Command::UnwatchPresence(users) => presence::unwatch(self, users, id, ctx),
            Command::Ping => self.send(&ServerFrame::Pong {}, id.as_ref(), ctx),
        }
    }
}
