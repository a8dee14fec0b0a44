//! A frame came in: who pays for it, whether it is acted on now, and how a refusal is told. Every frame is charged first,
//! also one that cannot be read; what nobody pays for is refused before anything is done about it.

use super::{Credential, Session, State};
use crate::admission::{Kind, costs};
use crate::domain::codes::{Close, Code};
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::protocol::client::{self, ClientFrame, Command, FrameId};
use crate::protocol::server::ServerFrame;
use actix::prelude::*;
use std::time::Instant;

impl Session {
    /// A text frame came in. Before somebody is known only `auth` and `ping` are taken; what comes while a credential is
    /// being checked waits.
    pub(super) fn receive(&mut self, text: &str, ctx: &mut Context<Self>) {
        if self.closing {
            return;
        }
        let frame = client::read(text);
        if let State::Unknown(stranger) = &mut self.state {
            if let Err(error) = self.around.app.admission().charge_stranger(&mut stranger.bucket) {
                self.refuse(&error, frame.id.as_ref(), frame.temp_id, ctx);
                return self.count_refusal(ctx);
            }
            if stranger.checking {
                stranger.bytes += text.len();
                if stranger.waiting.len() >= limits::COMMANDS_WAITING || stranger.bytes > limits::BYTES_WAITING {
                    return self.refuse_busy(frame.id.as_ref(), frame.temp_id, ctx);
                }
                stranger.waiting.push_back(frame);
                return;
            }
        }
        self.act_on(frame, ctx);
    }

    /// Acts on a frame, which a user whom the session knows pays for.
    pub(super) fn act_on(&mut self, frame: ClientFrame, ctx: &mut Context<Self>) {
        let ClientFrame { id, command, temp_id } = frame;
        let caller = self.caller();
        if let Some(caller) = caller
            && let Err(error) = self.charge(caller.user_id, command.as_ref().ok())
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
                self.follows_gained &= auth.subscribe.is_none();
                self.authenticate(Credential::Token(auth.token), id, ctx);
            }
            (None, _) => self.refuse(
                &Error::unauthorized("nobody has signed in on this connection; send auth first"),
                id.as_ref(),
                temp_id,
                ctx,
            ),
            (Some(caller), command) => self.perform(caller, id, command, ctx),
        }
    }

    /// A frame came in that is no text. One that closes the connection needs no payment.
    pub(super) fn cannot_read(&mut self, error: &Error, close: Option<Close>, ctx: &mut Context<Self>) {
        if let Some(close) = close {
            self.refuse(error, None, None, ctx);
            return self.close(close, ctx);
        }
        match self.pay(ctx) {
            Ok(()) => self.refuse(error, None, None, ctx),
            Err(limited) => self.refuse(&limited, None, None, ctx),
        }
    }

    /// Charges a frame without a command, a ping for one; a refusal counts.
    pub(super) fn pay(&mut self, ctx: &mut Context<Self>) -> Result<()> {
        let paid = match (&mut self.state, self.around.app.admission()) {
            (State::Unknown(stranger), admission) => admission.charge_stranger(&mut stranger.bucket),
            (_, admission) => match self.caller() {
                Some(caller) => admission.charge(Kind::Command, caller.user_id, 1),
                None => Ok(()),
            },
        };
        if paid.is_err() {
            self.count_refusal(ctx);
        }
        paid
    }

    fn charge(&self, user: crate::domain::ids::UserId, command: Option<&Command>) -> Result<()> {
        let (kind, cost) = command.map_or((Kind::Command, 1), costs::of_command);
        self.around.app.admission().charge(kind, user, cost)
    }

    pub(super) fn refuse(
        &mut self,
        error: &Error,
        id: Option<&FrameId>,
        temp_id: Option<String>,
        ctx: &mut Context<Self>,
    ) {
        self.around.app.admission().answered(error);
        match (error.code(), error.cause()) {
            (Code::Internal, cause) => {
                tracing::error!(session.id = %self.id, cause, "a command failed");
            }
            // a database that is away is told of once, by whoever watches it, and not by every command that meets it
            (code, Some(cause)) => {
                tracing::debug!(session.id = %self.id, code = code.as_str(), cause, "a command was refused");
            }
            (_, None) => {}
        }
        self.send(&ServerFrame::error(error, temp_id), id, ctx);
    }

    /// Too much waits. That only bounds what waits, and is no flood.
    pub(super) fn refuse_busy(&mut self, id: Option<&FrameId>, temp_id: Option<String>, ctx: &mut Context<Self>) {
        let admission = self.around.app.admission();
        let error = admission.busy("too many commands of this connection are waiting; wait for their answers");
        self.refuse(&error, id, temp_id, ctx);
    }

    /// A limit has refused. A hundred times within ten seconds are a flood.
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
