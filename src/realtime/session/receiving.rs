//! Frames from the client: each frame is charged, then performed, queued or refused.
//!
//! Every frame is charged first, also one that cannot be parsed. If its charge is refused, nothing else happens for it.

use super::{AuthState, Credential, Session};
use crate::admission::{ChargeKind, costs};
use crate::domain::caller::Caller;
use crate::domain::codes::{Close, Code};
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::protocol::client::{self, ClientFrame, Command, FrameId};
use crate::protocol::server::ServerFrame;
use actix::prelude::*;
use std::time::Instant;

impl Session {
    /// Handles a text frame. Before the authentication only `auth` and `ping` are accepted. Frames that arrive while a
    /// credential is being checked wait.
    pub(super) fn receive(&mut self, text: &str, ctx: &mut Context<Self>) {
        if self.is_closing {
            return;
        }
        let frame = client::read(text);
        if let AuthState::Unauthenticated(state) = &mut self.auth_state {
            if let Err(error) = self.services.app.admission().charge_unauthenticated(&mut state.bucket) {
                self.refuse(&error, frame.id.as_ref(), frame.temp_id, ctx);
                return self.count_refusal(ctx);
            }
            if state.is_checking {
                state.waiting_bytes += text.len();
                if state.waiting_frames.len() >= limits::COMMANDS_WAITING
                    || state.waiting_bytes > limits::UNAUTHENTICATED_WAITING_BYTES
                {
                    return self.refuse_busy(frame.id.as_ref(), frame.temp_id, ctx);
                }
                state.waiting_frames.push_back(frame);
                return;
            }
        }
        self.handle_frame(frame, ctx);
    }

    /// Performs the command of a frame. If the session is authenticated, its user is charged first.
    pub(super) fn handle_frame(&mut self, frame: ClientFrame, ctx: &mut Context<Self>) {
        let ClientFrame { id, command, temp_id } = frame;
        let caller = self.caller();
        if let Some(caller) = caller
            && let Err(error) = self.charge_command(&caller, command.as_ref().ok())
        {
            self.refuse(&error, id.as_ref(), temp_id, ctx);
            return self.count_refusal(ctx);
        }
        let command = match command {
            Ok(command) => command,
            Err(error) => return self.refuse(&error, id.as_ref(), temp_id, ctx),
        };
        match (caller, command) {
            (_, Command::Ping) => self.send(&ServerFrame::Pong {}, id.as_ref(), ctx),
            (None, Command::Auth(auth)) => {
                if auth.subscribe.is_some() {
                    self.following.subscribe_none();
                }
                self.authenticate(Credential::Token(auth.token), id, ctx);
            }
            (None, _) => self.refuse(
                &Error::unauthorized("This connection is not authenticated; send auth first."),
                id.as_ref(),
                temp_id,
                ctx,
            ),
            (Some(caller), command) => self.run_command(caller, id, command, ctx),
        }
    }

    /// Handles a frame that the transport has refused. A frame that closes the connection is not charged.
    pub(super) fn handle_refused(&mut self, error: &Error, close: Option<Close>, ctx: &mut Context<Self>) {
        if let Some(close) = close {
            self.refuse(error, None, None, ctx);
            return self.close(close, ctx);
        }
        match self.charge_frame(ctx) {
            Ok(()) => self.refuse(error, None, None, ctx),
            Err(limited) => self.refuse(&limited, None, None, ctx),
        }
    }

    /// Charges a frame without a command, such as a ping. A refusal counts for the flood limit.
    pub(super) fn charge_frame(&mut self, ctx: &mut Context<Self>) -> Result<()> {
        let charged = match (&mut self.auth_state, self.services.app.admission()) {
            (AuthState::Unauthenticated(state), admission) => admission.charge_unauthenticated(&mut state.bucket),
            (_, admission) => match self.caller() {
                Some(caller) => admission.charge(ChargeKind::Command, &caller, 1),
                None => Ok(()),
            },
        };
        if charged.is_err() {
            self.count_refusal(ctx);
        }
        charged
    }

    fn charge_command(&self, caller: &Caller, command: Option<&Command>) -> Result<()> {
        let (kind, cost) = command.map_or((ChargeKind::Command, 1), costs::of_command);
        self.services.app.admission().charge(kind, caller, cost)
    }

    pub(super) fn refuse(
        &mut self,
        error: &Error,
        id: Option<&FrameId>,
        temp_id: Option<String>,
        ctx: &mut Context<Self>,
    ) {
        self.services.app.admission().count_if_unavailable(error);
        match (error.code(), error.cause()) {
            (Code::Internal, cause) => {
                tracing::error!(session.id = %self.id, cause, "a command failed");
            }
            // The part that watches the database logs once that it cannot be reached. Do not warn for every command.
            (code, Some(cause)) => {
                tracing::debug!(session.id = %self.id, code = code.as_str(), cause, "a command was refused");
            }
            (_, None) => {}
        }
        self.send(&ServerFrame::error(error, temp_id), id, ctx);
    }

    /// Refuses a command because too many wait. This only bounds the queue, so it does not count for the flood limit.
    pub(super) fn refuse_busy(&mut self, id: Option<&FrameId>, temp_id: Option<String>, ctx: &mut Context<Self>) {
        let admission = self.services.app.admission();
        let error = admission.busy("Too many commands of this connection wait; wait for their answers.");
        self.refuse(&error, id, temp_id, ctx);
    }

    /// Counts a refusal by a limit. Closes the session if there were [`limits::FLOOD_REFUSALS`] within
    /// [`limits::FLOOD_WINDOW`].
    fn count_refusal(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        self.refusals.push_back(now);
        if self.refusals.len() < limits::FLOOD_REFUSALS {
            return;
        }
        let first = self.refusals.pop_front();
        if first.is_some_and(|first| now.duration_since(first) <= limits::FLOOD_WINDOW) {
            self.close(Close::Flooding, ctx);
        }
    }
}
