//! Authentication of a session: by a credential in the handshake or in the first frame, and later by a newer token.

use super::lanes::{JobState, Lane};
use super::rights::open_rooms;
use super::{AuthState, Credential, Identity, LaneJob, Session};
use crate::admission::{ChargeKind, Payer};
use crate::domain::caller::{Caller, TicketHolder};
use crate::domain::codes::Close;
use crate::domain::ids::Rev;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::domain::tokens::Claims;
use crate::error::{Error, Result};
use crate::mailboxes::{OpenRooms, ToPresence, ToRoom, send_always};
use crate::protocol::client::FrameId;
use crate::protocol::server::ServerFrame;
use crate::protocol::sessions::{AuthExpiring, AuthSuccess, Authenticate};
use crate::store::members::Membership;
use crate::usecases::{logins, sessions};
use actix::prelude::*;
use std::time::Duration;

/// A credential with a valid signature. The database has not been asked yet.
enum VerifiedCredential {
    Claims(Claims),
    /// A ticket and its holder. It may have been used already.
    Ticket(String, TicketHolder),
}

/// What a session needs after its authentication.
struct AuthenticatedStart {
    caller: Caller,
    expires_at: Timestamp,
    /// The epoch of all revisions in this struct.
    epoch: String,
    user_rev: Rev,
    user_room: Recipient<ToRoom>,
    memberships: Vec<Membership>,
    /// The conversations to subscribe to, from their current revision. Empty with `subscribe=none`.
    rooms: Vec<(Membership, Recipient<ToRoom>)>,
}

impl Session {
    /// Checks a credential. `id` is the id of its `auth` frame; `None` if it came in the handshake. The signed
    /// credential names the user, so the user is charged before the database is asked.
    pub(super) fn authenticate(&mut self, credential: Credential, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let app = self.services.app.clone();
        let verified = match credential {
            Credential::Token(token) => logins::verify_access_token(&app, &token).and_then(|claims| {
                app.admission().charge(ChargeKind::Handshake, claims.sub, 1)?;
                self.command_permits = Some(app.admission().command_permits(claims.sub));
                Ok(VerifiedCredential::Claims(claims))
            }),
            Credential::Ticket(ticket) => logins::get_ticket_holder(&app, &ticket).and_then(|holder| {
                app.admission().charge(ChargeKind::Handshake, holder, 1)?;
                Ok(VerifiedCredential::Ticket(ticket, holder))
            }),
        };
        let verified = match verified {
            Ok(verified) => verified,
            Err(error) => return self.reject(&error, id.as_ref(), ctx),
        };
        if let AuthState::Unauthenticated(state) = &mut self.auth_state {
            state.is_checking = true;
        }
        let (hub, subscribes) = (self.services.hub.clone(), self.following.follows_all());
        let work = async move {
            let (caller, expires_at) = match verified {
                VerifiedCredential::Claims(claims) => {
                    (logins::authenticate(&app, &claims).await?, Timestamp(claims.exp * 1000))
                }
                VerifiedCredential::Ticket(ticket, holder) => {
                    let (caller, expires_at) = logins::redeem_ticket(&app, &ticket, holder).await?;
                    if Payer::from(holder) != Payer::from(&caller) {
                        app.admission().charge(ChargeKind::Handshake, &caller, 1)?;
                    }
                    (caller, expires_at)
                }
            };
            read_start(&app, &hub, caller, expires_at, subscribes).await
        };
        self.run_use_case(
            work,
            move |session, outcome, ctx| session.finish_authentication(outcome, id.as_ref(), ctx),
            ctx,
        );
    }

    /// Sends the error of a failed authentication and closes. After an error of the server the client reconnects with
    /// the same credential. With the code `Unauthorized`, all clients would refresh their tokens at the same time.
    fn reject(&mut self, error: &Error, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        self.refuse(error, id, None, ctx);
        let close = match error.code().status() {
            403 => Close::EndedByAdmin,
            429 => Close::Flooding,
            500.. => Close::Restart,
            _ => Close::Unauthorized,
        };
        self.close(close, ctx);
    }

    fn finish_authentication(
        &mut self,
        outcome: Result<AuthenticatedStart>,
        id: Option<&FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let start = match outcome {
            Ok(start) => start,
            Err(error) => return self.reject(&error, id, ctx),
        };
        self.send(&self.auth_success(&start), id, ctx);
        let caller = start.caller;
        let identity = Identity { caller, checked_rev: start.user_rev, epoch: start.epoch };
        let before = std::mem::replace(&mut self.auth_state, AuthState::Authenticated(identity));
        let AuthState::Unauthenticated(before) = before else { return };
        self.command_permits = Some(self.services.app.admission().command_permits(&caller));
        self.set_expiry(start.expires_at, ctx);
        let rooms = start.rooms.into_iter().map(|(of, room)| (of.conversation_id, room, of.last_rev)).collect();
        self.follow(ctx, |following| following.begin_session(caller.user_id, start.user_room, start.user_rev, rooms));
        let presence = &self.services.presence;
        send_always(presence, ToPresence::Opened(self.session_handle(&caller, 0, ctx), ctx.address().recipient()));
        for frame in before.waiting_frames {
            self.handle_frame(frame, ctx);
        }
    }

    fn auth_success(&self, start: &AuthenticatedStart) -> ServerFrame {
        let shown = start.memberships.iter().take(limits::CONVERSATIONS_IN_AUTH);
        let app = &self.services.app;
        ServerFrame::AuthSuccess(Box::new(AuthSuccess {
            user_id: start.caller.user_id,
            session_id: self.id,
            heartbeat_seconds: limits::HEARTBEAT_INTERVAL.as_secs(),
            epoch: start.epoch.clone(),
            file_token: app.keys().create_file_token(start.caller.user_id, Timestamp::now()),
            conversations: shown.clone().map(|of| (of.conversation_id, of.last_rev)).collect(),
            truncated: start.memberships.len() > limits::CONVERSATIONS_IN_AUTH,
            reads: shown.map(|of| (of.conversation_id, of.last_read_seq)).collect(),
            user_rev: start.user_rev,
        }))
    }

    /// Handles `auth` in an authenticated session: a newer token of the same user replaces the old one.
    pub(super) fn renew_auth(&mut self, auth: Authenticate, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let (app, command_id) = (self.services.app.clone(), id.clone());
        let job: LaneJob = Box::new(move |session, ctx| {
            let work = async move {
                let claims = logins::verify_access_token(&app, &auth.token)?;
                Ok((logins::authenticate(&app, &claims).await?, Timestamp(claims.exp * 1000)))
            };
            session.run_use_case(
                work,
                move |session, outcome, ctx| session.finish_renewal(outcome, id.as_ref(), ctx),
                ctx,
            );
            JobState::Continues
        });
        self.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
    }

    fn finish_renewal(&mut self, outcome: Result<(Caller, Timestamp)>, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        let user = self.caller().map(|caller| caller.user_id);
        match outcome {
            Ok((caller, expires_at)) if user == Some(caller.user_id) => {
                if let AuthState::Authenticated(identity) = &mut self.auth_state {
                    identity.caller = caller;
                }
                self.set_expiry(expires_at, ctx);
                self.send_auth_success(id, ctx);
                return;
            }
            Ok(_) => {
                self.refuse(
                    &Error::forbidden("This token belongs to another user; open another connection for it."),
                    id,
                    None,
                    ctx,
                );
            }
            Err(error) => self.refuse(&error, id, None, ctx),
        }
        self.leave_lane(Lane::Subscriptions, ctx);
    }

    /// Answers an `auth` in an authenticated session with the current revisions.
    fn send_auth_success(&mut self, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        let Some(caller) = self.caller() else { return };
        let (app, hub, id) = (self.services.app.clone(), self.services.hub.clone(), id.cloned());
        let work = async move { read_start(&app, &hub, caller, Timestamp::now(), false).await };
        let then = move |session: &mut Self, outcome: Result<AuthenticatedStart>, ctx: &mut Context<Self>| {
            match outcome {
                Ok(start) => session.send(&session.auth_success(&start), id.as_ref(), ctx),
                Err(error) => {
                    session.refuse(&error, id.as_ref(), None, ctx);
                    // The login of the new token was revoked in the meantime.
                    if error.code().status() < 500 {
                        session.close(Close::Unauthorized, ctx);
                    }
                }
            }
            session.leave_lane(Lane::Subscriptions, ctx);
        };
        self.run_use_case(work, then, ctx);
    }

    /// Sets the time at which the token expires: the client gets a warning before it, and the session closes at it.
    fn set_expiry(&mut self, at: Timestamp, ctx: &mut Context<Self>) {
        if let Some(timer) = self.expiry_timer.take() {
            ctx.cancel_future(timer);
        }
        let left = Duration::from_millis((at.0 - Timestamp::now().0).max(0) as u64);
        let until_warning = left.saturating_sub(limits::EXPIRY_WARNING);
        let timer = ctx.run_later(until_warning, move |session, ctx| {
            let rest = left.saturating_sub(until_warning);
            session.send(&ServerFrame::AuthExpiring(AuthExpiring { seconds: rest.as_secs() as i64 }), None, ctx);
            session.expiry_timer = Some(ctx.run_later(rest, |session, ctx| {
                let error = Error::unauthorized("The access token has expired; refresh it and connect again.");
                session.send(&ServerFrame::error(&error, None), None, ctx);
                session.close(Close::Unauthorized, ctx);
            }));
        });
        self.expiry_timer = Some(timer);
    }
}

/// Starts the rooms and then reads the memberships and revisions. The rooms hold back the events that are committed in
/// between.
async fn read_start(
    app: &crate::app::App,
    hub: &Recipient<OpenRooms>,
    caller: Caller,
    expires_at: Timestamp,
    subscribes: bool,
) -> Result<AuthenticatedStart> {
    let likely = sessions::list_likely_conversations(app, &caller).await?;
    let mut streams = vec![Stream::User(caller.user_id)];
    if subscribes {
        streams.extend(likely.iter().map(|id| Stream::Conversation(*id)));
    }
    let mut rooms = open_rooms(hub, streams).await?.into_iter();
    let user_room = rooms.next().ok_or_else(|| Error::internal("the hub answered without a room"))?;
    let mut rooms: std::collections::HashMap<_, _> = likely.iter().copied().zip(rooms).collect();
    let opened = sessions::read_start(app, &caller, &likely).await?;
    let followed = opened
        .memberships
        .iter()
        .filter_map(|membership| rooms.remove(&membership.conversation_id).map(|room| (*membership, room)))
        .collect();
    Ok(AuthenticatedStart {
        caller,
        expires_at,
        epoch: app.epoch(),
        user_rev: opened.user_rev,
        user_room,
        memberships: opened.memberships,
        rooms: followed,
    })
}
