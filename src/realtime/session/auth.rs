//! How a session learns who it is: from the handshake or a first frame, and again later, to extend.

use super::lanes::{Lane, Turn};
use super::{Credential, Followed, Identity, LaneJob, Session, State};
use crate::admission::Kind;
use crate::domain::codes::Close;
use crate::domain::ids::{LoginId, Rev};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::domain::tokens::Claims;
use crate::error::{Error, Result};
use crate::mailboxes::{OpenRooms, Subscription, ToPresence, ToRoom};
use crate::protocol::client::{Auth, FrameId};
use crate::protocol::server::{AuthSuccess, ServerFrame};
use crate::store::participants::Membership;
use crate::usecases::{Caller, logins, sessions};
use actix::prelude::*;
use std::time::Duration;

/// A warning comes this long before the token runs out.
const WARNING: Duration = Duration::from_mins(1);

/// What says whose a connection is.
enum Proof {
    /// An access token whose signature is good.
    Claims(Claims),
    /// A ticket whose seal is good, and the login that it names; it may be spent.
    Ticket(String, LoginId),
}

/// What an authenticated session begins with.
struct Welcome {
    caller: Caller,
    expires_at: Timestamp,
    /// The epoch that all revisions here belong to.
    epoch: String,
    user_rev: Rev,
    user_room: Recipient<ToRoom>,
    memberships: Vec<Membership>,
    /// The rooms to follow, each with the revision it is followed from; none with `subscribe=none`.
    rooms: Vec<(Membership, Recipient<ToRoom>)>,
}

impl Session {
    /// Checks a credential; `id` is that of the `auth` frame it came in, if it came in one. Whose it is its signature
    /// tells, so that user is charged before the database is asked.
    pub(super) fn authenticate(&mut self, credential: Credential, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let app = self.around.app.clone();
        let proof = match credential {
            Credential::Token(token) => logins::claims(&app, &token).and_then(|claims| {
                app.admission().charge(Kind::Handshake, claims.sub, 1)?;
                self.places = Some(app.admission().commands(claims.sub));
                Ok(Proof::Claims(claims))
            }),
            Credential::Ticket(ticket) => logins::login_of_ticket(&app, &ticket).and_then(|login| {
                app.admission().charge(Kind::Handshake, login, 1)?;
                Ok(Proof::Ticket(ticket, login))
            }),
        };
        let proof = match proof {
            Ok(proof) => proof,
            Err(error) => return self.turn_away(&error, id.as_ref(), ctx),
        };
        if let State::Unknown(stranger) = &mut self.state {
            stranger.checking = true;
        }
        let (hub, follow) = (self.around.hub.clone(), self.follows_gained);
        let work = async move {
            let (caller, expires_at) = match proof {
                Proof::Claims(claims) => (logins::authenticate(&app, &claims).await?, claims.exp),
                Proof::Ticket(ticket, login) => {
                    let (caller, expires_at) = logins::redeem_ticket(&app, &ticket, login).await?;
                    app.admission().charge(Kind::Handshake, caller.user_id, 1)?;
                    (caller, expires_at)
                }
            };
            let expires_at = Timestamp(expires_at * 1000);
            app.db().guard(welcome(&app, &hub, caller, expires_at, follow)).await
        };
        self.run(work, move |session, outcome, ctx| session.authenticated(outcome, id.as_ref(), ctx), ctx);
    }

    /// Says why nobody is let in, and closes. A fault of the server says nothing about the credential: whoever has it comes
    /// back with the same one, or all clients would refresh theirs for it.
    fn turn_away(&mut self, error: &Error, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        self.refuse(error, id, None, ctx);
        let why = match error.code().status() {
            403 => Close::Kicked,
            429 => Close::Flooding,
            500.. => Close::Restart,
            _ => Close::Unauthorized,
        };
        self.close(why, ctx);
    }

    fn authenticated(&mut self, outcome: Result<Welcome>, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        let welcome = match outcome {
            Ok(welcome) => welcome,
            Err(error) => return self.turn_away(&error, id, ctx),
        };
        self.send(&self.success(&welcome), id, ctx);
        let caller = welcome.caller;
        let identity = Identity { caller, checked: welcome.user_rev, epoch: welcome.epoch };
        let State::Unknown(stranger) = std::mem::replace(&mut self.state, State::Known(identity)) else { return };
        self.places = Some(self.around.app.admission().commands(caller.user_id));
        self.expires(welcome.expires_at, ctx);
        self.follow(Stream::User(caller.user_id), welcome.user_room, welcome.user_rev, welcome.user_rev, ctx);
        if !self.follows_gained {
            self.await_sync(ctx);
        }
        for (membership, room) in welcome.rooms {
            let stream = Stream::Conversation(membership.conversation_id);
            self.follow(stream, room, membership.last_rev, membership.last_rev, ctx);
        }
        let presence = &self.around.presence;
        presence.do_send(ToPresence::Opened(self.reach(&caller, ctx), ctx.address().recipient())); // attach
        for frame in stranger.waiting {
            self.act_on(frame, ctx);
        }
    }

    fn success(&self, welcome: &Welcome) -> ServerFrame {
        let shown = welcome.memberships.iter().take(limits::CONVERSATIONS_IN_AUTH);
        let app = &self.around.app;
        ServerFrame::AuthSuccess(Box::new(AuthSuccess {
            user_id: welcome.caller.user_id,
            session_id: self.id,
            heartbeat_seconds: limits::HEARTBEAT.as_secs(),
            epoch: welcome.epoch.clone(),
            file_token: app.keys().file_token(welcome.caller.user_id, Timestamp::now()),
            conversations: shown.clone().map(|of| (of.conversation_id, of.last_rev)).collect(),
            truncated: welcome.memberships.len() > limits::CONVERSATIONS_IN_AUTH,
            reads: shown.map(|of| (of.conversation_id, of.last_read_seq)).collect(),
            user_rev: welcome.user_rev,
        }))
    }

    /// Follows a stream whose right was checked when it stood at `head`.
    pub(super) fn follow(
        &mut self,
        stream: Stream,
        room: Recipient<ToRoom>,
        from: Rev,
        checked: Rev,
        ctx: &mut Context<Self>,
    ) {
        let Some(caller) = self.caller() else { return };
        self.forget_what_was_held(stream, ctx);
        self.subscriptions += 1;
        let subscription = Subscription { stream, session: self.reach(&caller, ctx), from, checked, accepted: false };
        room.do_send(ToRoom::Subscribe(subscription)); // attach
        let subscription = self.subscriptions;
        let since = self.rooms.get(&stream).map_or(subscription, |followed| followed.since);
        let followed = Followed { room, checked, subscription, since, reached: from, after: from, synced: None };
        self.rooms.insert(stream, followed);
    }

    /// `auth` on a session that is known already: it may only extend itself.
    pub(super) fn extend(&mut self, auth: Auth, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let (app, refused) = (self.around.app.clone(), id.clone());
        let job: LaneJob = Box::new(move |session, ctx| {
            let work = async move {
                let claims = logins::claims(&app, &auth.token)?;
                Ok((logins::authenticate(&app, &claims).await?, Timestamp(claims.exp * 1000)))
            };
            session.run(work, move |session, outcome, ctx| session.extended(outcome, id.as_ref(), ctx), ctx);
            Turn::Goes
        });
        self.enter(Lane::Subscriptions, refused.as_ref(), None, job, ctx);
    }

    fn extended(&mut self, outcome: Result<(Caller, Timestamp)>, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        let same = self.caller().map(|caller| caller.user_id);
        match outcome {
            Ok((caller, expires_at)) if same == Some(caller.user_id) => {
                if let State::Known(identity) = &mut self.state {
                    identity.caller = caller;
                }
                self.expires(expires_at, ctx);
                self.report(id, ctx);
                return;
            }
            Ok(_) => {
                self.refuse(
                    &Error::forbidden("this token is another user's; open a connection of its own for it"),
                    id,
                    None,
                    ctx,
                );
            }
            Err(error) => self.refuse(&error, id, None, ctx),
        }
        self.leave(Lane::Subscriptions, ctx);
    }

    /// Answers a repeated `auth` with where everything stands now.
    fn report(&mut self, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        let Some(caller) = self.caller() else { return };
        let (app, hub, id) = (self.around.app.clone(), self.around.hub.clone(), id.cloned());
        let work = async move { app.db().guard(welcome(&app, &hub, caller, Timestamp::now(), false)).await };
        let then = move |session: &mut Self, outcome: Result<Welcome>, ctx: &mut Context<Self>| {
            match outcome {
                Ok(welcome) => session.send(&session.success(&welcome), id.as_ref(), ctx),
                Err(error) => {
                    session.refuse(&error, id.as_ref(), None, ctx);
                    // the login was revoked while the session changed over to it
                    if error.code().status() < 500 {
                        session.close(Close::Unauthorized, ctx);
                    }
                }
            }
            session.leave(Lane::Subscriptions, ctx);
        };
        self.run(work, then, ctx);
    }

    /// Warns before the token runs out, and closes when it has.
    fn expires(&mut self, at: Timestamp, ctx: &mut Context<Self>) {
        if let Some(timer) = self.expiry.take() {
            ctx.cancel_future(timer);
        }
        let left = Duration::from_millis((at.0 - Timestamp::now().0).max(0) as u64);
        let warned = left.saturating_sub(WARNING);
        let timer = ctx.run_later(warned, move |session, ctx| {
            let rest = left.saturating_sub(warned);
            session.send(&ServerFrame::AuthExpiring { seconds: rest.as_secs() as i64 }, None, ctx);
            session.expiry = Some(ctx.run_later(rest, |session, ctx| {
                let error = Error::unauthorized("the access token has run out; refresh it and connect again");
                session.send(&ServerFrame::error(&error, None), None, ctx);
                session.close(Close::Unauthorized, ctx);
            }));
        });
        self.expiry = Some(timer);
    }
}

/// Starts the rooms first, then reads where everything stands: whatever commits in between is held back by the rooms.
async fn welcome(
    app: &crate::app::App,
    hub: &Recipient<OpenRooms>,
    caller: Caller,
    expires_at: Timestamp,
    follow: bool,
) -> Result<Welcome> {
    let likely = sessions::likely(app, &caller).await?;
    let mut streams = vec![Stream::User(caller.user_id)];
    if follow {
        streams.extend(likely.iter().map(|id| Stream::Conversation(*id)));
    }
    let mut rooms = hub.send(OpenRooms(streams)).await.map_err(Error::internal)??.into_iter();
    let user_room = rooms.next().ok_or_else(|| Error::internal("the hub answered without a room"))?;
    let mut rooms: std::collections::HashMap<_, _> = likely.iter().copied().zip(rooms).collect();
    let opened = sessions::open(app, &caller, &likely).await?;
    let followed = opened
        .memberships
        .iter()
        .filter_map(|membership| rooms.remove(&membership.conversation_id).map(|room| (*membership, room)))
        .collect();
    Ok(Welcome {
        caller,
        expires_at,
        epoch: app.epoch(),
        user_rev: opened.user_rev,
        user_room,
        memberships: opened.memberships,
        rooms: followed,
    })
}
