//! The presence registry: one per node. It owns which user has which live sessions, the grace after the last one, and who
//! watches whom; it does not decide who may see it. Its mailbox holds `MAILBOX` messages; comings and goings are sent to
//! it without a limit, because they must not be lost.
//!
//! Changes are told together, at most once within `TOLD_EVERY`, and each user's newest only: whoever comes and goes a
//! thousand times in between is one entry, and who is then what was told last is none.
//!
//! After a panic it knows nobody: all sessions close and come back, and of whoever does not it is told.

use crate::app::App;
use crate::domain::codes::Close;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::Error;
use crate::mailboxes::{CloseSession, PresenceAnnounced, PresenceChanged, RoomEvent, SessionHandle, ToPresence};
use crate::protocol::client::OwnPresence;
use crate::protocol::resources::PresenceStatus;
use crate::protocol::server::ServerFrame;
use crate::supervision::Part;
use crate::usecases::presence;
use actix::prelude::*;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// Messages that wait for the registry.
const MAILBOX: usize = 65_536;
/// At most one round of telling within this.
const TOLD_EVERY: Duration = Duration::from_millis(250);
/// Users told of in one round.
const TOLD_USERS: usize = 500;
/// Watchers of theirs, all together, after which no more users are added to the round.
const TOLD_WATCHERS: usize = 10_000;

/// The actor.
pub struct Presence {
    app: App,
    sessions: HashMap<SessionId, Live>,
    watchers: HashMap<UserId, HashSet<SessionId>>,
    /// What was told last of whoever was then there.
    told: HashMap<UserId, PresenceStatus>,
    /// Those who may be something else by now, and the order in which they are told of.
    changed: HashSet<UserId>,
    order: VecDeque<UserId>,
    /// Whether a round of telling is under way, or begins by itself.
    telling: bool,
    told_at: Option<Instant>,
    part: Part,
}

struct Live {
    handle: SessionHandle,
    close: Recipient<CloseSession>,
    watches: HashSet<UserId>,
}

impl Presence {
    /// A registry that writes the book of `app`.
    pub fn new(app: App) -> Self {
        Self {
            part: app.supervision().part("presence"),
            app,
            sessions: HashMap::new(),
            watchers: HashMap::new(),
            told: HashMap::new(),
            changed: HashSet::new(),
            order: VecDeque::new(),
            telling: false,
            told_at: None,
        }
    }

    /// Does something; after a panic all that is known of sessions is thrown away, and they come back.
    fn guarded(&mut self, ctx: &mut Context<Self>, work: impl FnOnce(&mut Self, &mut Context<Self>)) {
        let part = self.part.clone();
        if part.catch(|| work(self, ctx)).is_err() {
            self.begin_anew(ctx);
        }
    }

    fn begin_anew(&mut self, ctx: &mut Context<Self>) {
        self.watchers.clear();
        self.changed.clear();
        self.order.clear();
        self.telling = false;
        for live in std::mem::take(&mut self.sessions).into_values() {
            live.close.do_send(CloseSession(Close::Restart)); // detach
        }
        self.app.presence().forget_all();
        ctx.run_later(limits::OFFLINE_GRACE, |registry, ctx| {
            registry.guarded(ctx, |registry, ctx| {
                for user in registry.told.keys().copied().collect::<Vec<_>>() {
                    registry.touch(user, ctx);
                }
            });
        });
    }

    /// Something was done to a user's sessions: whoever may know is told soon, if that changed whether the user is there.
    fn touch(&mut self, user: UserId, ctx: &mut Context<Self>) {
        if self.told_of(user) != self.app.presence().status(user) {
            self.note(user);
            self.tell_soon(ctx);
        }
    }

    fn note(&mut self, user: UserId) {
        if self.changed.insert(user) {
            self.order.push_back(user);
        }
    }

    fn told_of(&self, user: UserId) -> PresenceStatus {
        self.told.get(&user).copied().unwrap_or(PresenceStatus::Offline)
    }

    /// Begins a round when the last one is over and long enough ago.
    fn tell_soon(&mut self, ctx: &mut Context<Self>) {
        if self.telling || self.changed.is_empty() {
            return;
        }
        self.telling = true;
        let since = self.told_at.map_or(TOLD_EVERY, |at| at.elapsed());
        ctx.run_later(TOLD_EVERY.saturating_sub(since), |registry, ctx| registry.guarded(ctx, Self::tell));
    }

    /// Tells what is true now of those who changed: of as many as one statement can be about, the others next time.
    fn tell(&mut self, ctx: &mut Context<Self>) {
        self.told_at = Some(Instant::now());
        let (mut changes, mut watching) = (Vec::new(), 0);
        while changes.len() < TOLD_USERS
            && watching < TOLD_WATCHERS
            && let Some(user_id) = self.order.pop_front()
        {
            self.changed.remove(&user_id);
            let status = self.app.presence().status(user_id);
            if status == self.told_of(user_id) {
                continue;
            }
            let watchers = self.watchers.get(&user_id).into_iter().flatten();
            let watchers = watchers.filter_map(|session| self.sessions.get(session)).map(|live| live.handle.user_id);
            let watchers: HashSet<UserId> = watchers.collect();
            watching += watchers.len();
            changes.push(PresenceChanged { user_id, status, watchers });
        }
        if changes.is_empty() {
            self.telling = false;
            return self.tell_soon(ctx);
        }
        let (app, registry) = (self.app.clone(), ctx.address());
        self.app.spawn(async move {
            let users: Vec<UserId> = changes.iter().map(|change| change.user_id).collect();
            let owner = app.clone();
            let part = app.supervision().part("presence_announcements");
            let told = app.detached(async move {
                let announced = part.attempt(presence::announce(&owner, changes)).await;
                announced.unwrap_or_else(|panicked| Err(Error::internal(panicked)))
            });
            let told = told.await;
            let told = told.map_err(|error| {
                tracing::debug!(%error, users = users.len(), "presence could not be told; trying again");
                users
            });
            registry.do_send(ToPresence::Announced(told)); // attach
        });
    }

    fn announced(&mut self, told: Result<Vec<PresenceAnnounced>, Vec<UserId>>, ctx: &mut Context<Self>) {
        self.telling = false;
        match told {
            Err(users) => users.into_iter().for_each(|user| self.note(user)),
            Ok(told) => {
                for told in told {
                    self.hand(&told);
                    match told.status {
                        PresenceStatus::Offline => self.told.remove(&told.user_id),
                        status => self.told.insert(told.user_id, status),
                    };
                }
            }
        }
        self.tell_soon(ctx);
    }

    fn hand(&self, told: &PresenceAnnounced) {
        let Some(watchers) = self.watchers.get(&told.user_id) else { return };
        for live in watchers.iter().filter_map(|session| self.sessions.get(session)) {
            if told.watchers.contains(&live.handle.user_id) {
                let event = RoomEvent::Ephemeral(told.text.clone());
                live.handle.send(Stream::User(live.handle.user_id), event);
            }
        }
    }

    fn opened(&mut self, handle: SessionHandle, close: Recipient<CloseSession>, ctx: &mut Context<Self>) {
        let (user, session) = (handle.user_id, handle.id);
        self.sessions.insert(session, Live { handle, close, watches: HashSet::new() });
        for surplus in self.app.presence().open(user, session, limits::SESSIONS_PER_USER) {
            if let Some(live) = self.sessions.get(&surplus) {
                live.close.do_send(CloseSession(Close::TooMany)); // detach
            }
        }
        self.touch(user, ctx);
    }

    fn closed(&mut self, user: UserId, session: SessionId, ctx: &mut Context<Self>) {
        if let Some(live) = self.sessions.remove(&session) {
            self.unwatch(session, live.watches);
        }
        if self.app.presence().close(user, session) {
            ctx.run_later(limits::OFFLINE_GRACE, move |registry, ctx| {
                registry.guarded(ctx, |registry, ctx| {
                    registry.app.presence().end_grace(user, session);
                    registry.touch(user, ctx);
                });
            });
        }
        self.touch(user, ctx);
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
            live.handle.send(Stream::User(live.handle.user_id), event);
            let close = live.close.clone();
            ctx.run_later(slot, move |_, _| close.do_send(CloseSession(Close::Restart))); // detach
        }
    }
}

impl Actor for Presence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<ToPresence> for Presence {
    type Result = ();

    fn handle(&mut self, message: ToPresence, ctx: &mut Self::Context) {
        self.guarded(ctx, |registry, ctx| match message {
            ToPresence::Opened(handle, close) => registry.opened(handle, close, ctx),
            ToPresence::Announced(told) => registry.announced(told, ctx),
            ToPresence::Closed(user, session) => registry.closed(user, session, ctx),
            ToPresence::Set(user, session, presence) => {
                let away = presence == OwnPresence::Away;
                registry.app.presence().set_away(user, session, away);
                registry.touch(user, ctx);
            }
            ToPresence::Watch(session, users) => registry.watch(session, users),
            ToPresence::Unwatch(session, users) => registry.unwatch(session, users),
            ToPresence::Drain(over) => registry.drain(Duration::from_millis(over), ctx),
        });
    }
}
