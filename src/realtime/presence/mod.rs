//! The presence actor: it knows the live sessions of this node, and informs other users of changes.
//!
//! It joins four parts: the registry of the sessions and the grace period of each user
//! ([`PresenceTable`](crate::cluster::presence::PresenceTable)), the [`session_limit`], the [`watchers`] and the
//! [`announcer`]. It does not decide who may see the status of a user. Its mailbox holds [`limits::PRESENCE_MAILBOX`]
//! messages; opened and closed sessions are sent to it without that limit, because these messages must not be lost.
//!
//! After a panic the actor forgets all sessions and closes them, so that their clients reconnect. It then announces the
//! users whose clients did not.

mod announcer;
mod session_limit;
mod watchers;

use crate::app::App;
use crate::domain::codes::Close;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::mailboxes::{CloseSession, PresenceAnnounced, RoomEvent, SessionHandle, ToPresence, send_always};
use crate::protocol::presence::OwnPresence;
use crate::protocol::server::ServerFrame;
use crate::supervision::Part;
use crate::work::presence;
use actix::prelude::*;
use announcer::Announcer;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use watchers::Watchers;

/// The actor that knows the live sessions of every user on this node.
pub struct Presence {
    app: App,
    sessions: HashMap<SessionId, LiveSession>,
    watchers: Watchers,
    announcer: Announcer,
    part: Part,
}

struct LiveSession {
    handle: SessionHandle,
    close: Recipient<CloseSession>,
}

impl Presence {
    /// Returns the actor without sessions. It writes the presence table of `app`.
    pub fn new(app: App) -> Self {
        let part = app.supervision().part("presence");
        Self { app, sessions: HashMap::new(), watchers: Watchers::default(), announcer: Announcer::default(), part }
    }

    /// Runs `work`. If it panics, the actor forgets all sessions and closes them.
    fn catch_panic(&mut self, ctx: &mut Context<Self>, work: impl FnOnce(&mut Self, &mut Context<Self>)) {
        let part = self.part.clone();
        if part.catch_panic(|| work(self, ctx)).is_err() {
            self.reset(ctx);
        }
    }

    fn reset(&mut self, ctx: &mut Context<Self>) {
        self.watchers = Watchers::default();
        self.announcer.clear_changes();
        for session in std::mem::take(&mut self.sessions).into_values() {
            send_always(&session.close, CloseSession(Close::Restart));
        }
        self.app.presence().clear();
        ctx.run_later(limits::OFFLINE_GRACE, |presence, ctx| {
            presence.catch_panic(ctx, |presence, ctx| {
                for user in presence.announcer.list_announced() {
                    presence.check_status(user, ctx);
                }
            });
        });
    }

    /// Schedules an announcement if the status of the user differs from the announced one. Call it after every change
    /// of the sessions of a user.
    fn check_status(&mut self, user: UserId, ctx: &mut Context<Self>) {
        self.announcer.note_status(user, self.app.presence().status(user));
        self.schedule_announcement(ctx);
    }

    fn schedule_announcement(&mut self, ctx: &mut Context<Self>) {
        if let Some(wait) = self.announcer.schedule(Instant::now()) {
            ctx.run_later(wait, |presence, ctx| presence.catch_panic(ctx, Self::announce));
        }
    }

    fn announce(&mut self, ctx: &mut Context<Self>) {
        let (sessions, watchers) = (&self.sessions, &self.watchers);
        let watching_users = |user| {
            let watching = watchers.list_sessions(user).filter_map(|id| sessions.get(&id));
            watching.map(|session| session.handle.user_id).collect()
        };
        let status = |user| self.app.presence().status(user);
        let changes = self.announcer.begin(Instant::now(), status, watching_users);
        if changes.is_empty() {
            return self.schedule_announcement(ctx);
        }
        let (app, own_mailbox) = (self.app.clone(), ctx.address().recipient());
        self.app.spawn(async move {
            let users: Vec<UserId> = changes.iter().map(|change| change.user_id).collect();
            let announced = presence::announce(&app, changes).await.map_err(|error| {
                tracing::debug!(%error, users = users.len(), "presence could not be announced; trying again");
                users
            });
            send_always(&own_mailbox, ToPresence::Announced(announced));
        });
    }

    fn finish_announcement(&mut self, outcome: Result<Vec<PresenceAnnounced>, Vec<UserId>>, ctx: &mut Context<Self>) {
        match outcome {
            Err(users) => self.announcer.fail(users),
            Ok(changes) => {
                for change in &changes {
                    self.notify_watchers(change);
                }
                self.announcer.finish(&changes);
            }
        }
        self.schedule_announcement(ctx);
    }

    fn notify_watchers(&self, change: &PresenceAnnounced) {
        for session in self.watchers.list_sessions(change.user_id).filter_map(|id| self.sessions.get(&id)) {
            if change.watchers.contains(&session.handle.user_id) {
                let event = RoomEvent::Ephemeral(change.text.clone());
                session.handle.send(Stream::User(session.handle.user_id), event);
            }
        }
    }

    fn open(&mut self, handle: SessionHandle, close: Recipient<CloseSession>, ctx: &mut Context<Self>) {
        let (user, session) = (handle.user_id, handle.id);
        self.sessions.insert(session, LiveSession { handle, close });
        let of_user = self.app.presence().add_session(user, session);
        for surplus in session_limit::surplus_sessions(&of_user) {
            self.app.presence().remove_session(user, *surplus);
            if let Some(session) = self.sessions.get(surplus) {
                send_always(&session.close, CloseSession(Close::TooMany));
            }
        }
        self.check_status(user, ctx);
    }

    fn close(&mut self, user: UserId, session: SessionId, ctx: &mut Context<Self>) {
        self.sessions.remove(&session);
        self.watchers.remove_session(session);
        if self.app.presence().remove_session(user, session) {
            ctx.run_later(limits::OFFLINE_GRACE, move |presence, ctx| {
                presence.catch_panic(ctx, |presence, ctx| {
                    presence.app.presence().end_grace(user, session);
                    presence.check_status(user, ctx);
                });
            });
        }
        self.check_status(user, ctx);
    }

    /// Notifies every session that the server stops, and closes the sessions one after another within `duration`. Each
    /// session gets a different time to reconnect.
    fn drain(&self, duration: Duration, ctx: &mut Context<Self>) {
        let count = self.sessions.len().max(1) as u32;
        for (index, session) in self.sessions.values().enumerate() {
            let delay = duration * index as u32 / count;
            let frame = ServerFrame::ServerDraining { reconnect_after_ms: 1000 + delay.as_millis() as u64 };
            let event = RoomEvent::Ephemeral(frame.text(None));
            session.handle.send(Stream::User(session.handle.user_id), event);
            let close = session.close.clone();
            ctx.run_later(delay, move |_, _| send_always(&close, CloseSession(Close::Restart)));
        }
    }
}

impl Actor for Presence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(limits::PRESENCE_MAILBOX);
    }
}

impl Handler<ToPresence> for Presence {
    type Result = ();

    fn handle(&mut self, message: ToPresence, ctx: &mut Self::Context) {
        self.catch_panic(ctx, |presence, ctx| match message {
            ToPresence::Opened(handle, close) => presence.open(handle, close, ctx),
            ToPresence::Announced(outcome) => presence.finish_announcement(outcome, ctx),
            ToPresence::Closed(user, session) => presence.close(user, session, ctx),
            ToPresence::Set(user, session, status) => {
                presence.app.presence().set_away(user, session, status == OwnPresence::Away);
                presence.check_status(user, ctx);
            }
            ToPresence::Watch(session, users) => {
                if presence.sessions.contains_key(&session) {
                    presence.watchers.watch(session, users);
                }
            }
            ToPresence::Unwatch(session, users) => presence.watchers.unwatch(session, &users),
            ToPresence::Drain(duration_ms) => presence.drain(Duration::from_millis(duration_ms), ctx),
        });
    }
}
