//! The presence registry: one per node. It owns which user has which live sessions, the grace after the last one, and who
//! watches whom; it does not decide who may see it. Its mailbox holds `MAILBOX` messages; comings and goings are sent to
//! it without a limit, because they must not be lost.

use crate::app::App;
use crate::domain::codes::Close;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::messages::{CloseSession, PresenceChanged, RoomEvent, SessionHandle, ToPresence};
use crate::protocol::client::OwnPresence;
use crate::protocol::server::ServerFrame;
use crate::usecases::presence;
use actix::prelude::*;
use bytestring::ByteString;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::sync::mpsc;

/// Messages that wait for the registry.
const MAILBOX: usize = 65_536;

/// The actor.
pub struct Presence {
    app: App,
    sessions: HashMap<SessionId, Live>,
    watchers: HashMap<UserId, HashSet<SessionId>>,
    /// What is to be announced, and to which watchers.
    announcements: mpsc::UnboundedSender<(PresenceChanged, Vec<UserId>)>,
    queue: Option<mpsc::UnboundedReceiver<(PresenceChanged, Vec<UserId>)>>,
}

struct Live {
    handle: SessionHandle,
    close: Recipient<CloseSession>,
    watches: HashSet<UserId>,
}

impl Presence {
    /// A registry that writes the book of `app`.
    pub fn new(app: App) -> Self {
        // as long as the list of users whose presence changed and who were not announced yet
        let (announcements, queue) = mpsc::unbounded_channel();
        Self { app, sessions: HashMap::new(), watchers: HashMap::new(), announcements, queue: Some(queue) }
    }

    /// Does something to a user's sessions and tells whoever may know when that changed whether the user is there.
    fn change(&mut self, user_id: UserId, change: impl FnOnce(&mut Self)) {
        let before = self.app.presence().status(user_id);
        change(self);
        let status = self.app.presence().status(user_id);
        if status != before {
            self.announce(PresenceChanged { user_id, status });
        }
    }

    /// Announcements are made one after another, so that the last one told is the last one true.
    fn announce(&self, changed: PresenceChanged) {
        let watchers = self.watchers.get(&changed.user_id).into_iter().flatten();
        let users: HashSet<UserId> =
            watchers.filter_map(|session| self.sessions.get(session)).map(|live| live.handle.user_id).collect();
        let _ = self.announcements.send((changed, users.into_iter().collect()));
    }

    fn announced(&self, user: UserId, text: &ByteString, to: &[UserId]) {
        let Some(watchers) = self.watchers.get(&user) else { return };
        for live in watchers.iter().filter_map(|session| self.sessions.get(session)) {
            if to.contains(&live.handle.user_id) {
                let event = RoomEvent::Ephemeral(text.clone());
                live.handle.give(Stream::User(live.handle.user_id), event);
            }
        }
    }

    fn opened(&mut self, handle: SessionHandle, close: Recipient<CloseSession>) {
        let (user, session) = (handle.user_id, handle.id);
        self.sessions.insert(session, Live { handle, close, watches: HashSet::new() });
        self.change(user, |registry| {
            for surplus in registry.app.presence().open(user, session, limits::SESSIONS_PER_USER) {
                if let Some(live) = registry.sessions.get(&surplus) {
                    live.close.do_send(CloseSession(Close::TooMany)); // detach
                }
            }
        });
    }

    fn closed(&mut self, user: UserId, session: SessionId, ctx: &mut Context<Self>) {
        if let Some(live) = self.sessions.remove(&session) {
            self.unwatch(session, live.watches);
        }
        let mut last = false;
        self.change(user, |registry| last = registry.app.presence().close(user, session));
        if last {
            ctx.run_later(limits::OFFLINE_GRACE, move |registry, _| {
                registry.change(user, |registry| {
                    registry.app.presence().end_grace(user);
                });
            });
        }
    }

    fn watch(&mut self, session: SessionId, users: Vec<UserId>) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        for user in users {
            if live.watches.len() >= limits::PRESENCE_WATCHED {
                break;
            }
            live.watches.insert(user);
            self.watchers.entry(user).or_default().insert(session);
        }
    }

    fn unwatch(&mut self, session: SessionId, users: impl IntoIterator<Item = UserId>) {
        for user in users {
            if let Some(watchers) = self.watchers.get_mut(&user) {
                watchers.remove(&session);
                if watchers.is_empty() {
                    self.watchers.remove(&user);
                }
            }
            if let Some(live) = self.sessions.get_mut(&session) {
                live.watches.remove(&user);
            }
        }
    }

    /// Says that the server stops, each session with a time of its own to come back, and closes them one after another.
    fn drain(&self, over: Duration, ctx: &mut Context<Self>) {
        let count = self.sessions.len().max(1) as u32;
        for (place, live) in self.sessions.values().enumerate() {
            let slot = over * place as u32 / count;
            let frame = ServerFrame::ServerDraining { reconnect_after_ms: 1000 + slot.as_millis() as u64 };
            let event = RoomEvent::Ephemeral(frame.text(None));
            live.handle.give(Stream::User(live.handle.user_id), event);
            let close = live.close.clone();
            ctx.run_later(slot, move |_, _| close.do_send(CloseSession(Close::Restart))); // detach
        }
    }
}

impl Actor for Presence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(queue) = self.queue.take() {
            self.app.spawn(announce(self.app.clone(), queue, ctx.address().recipient()));
        }
    }
}

impl Handler<ToPresence> for Presence {
    type Result = ();

    fn handle(&mut self, message: ToPresence, ctx: &mut Self::Context) {
        match message {
            ToPresence::Opened(handle, close) => self.opened(handle, close),
            ToPresence::Announced(user, text, peers) => self.announced(user, &text, &peers),
            ToPresence::Closed(user, session) => self.closed(user, session, ctx),
            ToPresence::Set(user, session, presence) => {
                let away = presence == OwnPresence::Away;
                self.change(user, |registry| registry.app.presence().set_away(user, session, away));
            }
            ToPresence::Watch(session, users) => self.watch(session, users),
            ToPresence::Unwatch(session, users) => self.unwatch(session, users),
            ToPresence::Drain(over) => self.drain(Duration::from_millis(over), ctx),
        }
    }
}

/// Announces what comes, in order, and hands back whom of the watchers to tell.
async fn announce(
    app: App,
    mut queue: mpsc::UnboundedReceiver<(PresenceChanged, Vec<UserId>)>,
    registry: Recipient<ToPresence>,
) {
    while let Some((changed, watchers)) = queue.recv().await {
        match app.db().guard(presence::announce(&app, changed, &watchers)).await {
            Ok((text, to)) => registry.do_send(ToPresence::Announced(changed.user_id, text, to)), // attach
            Err(error) => tracing::warn!(%error, user.id = %changed.user_id, "presence could not be announced"),
        }
    }
}
