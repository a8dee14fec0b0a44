//! The presence registry: the actor that knows the live sessions of each user on this node and announces status
//! changes.
//!
//! It also knows which session watches which users, and the grace period after the last session of a user. It does not
//! decide who may see the status of a user. Its mailbox holds [`limits::PRESENCE_MAILBOX`] messages; opened and closed
//! sessions are sent to it without that limit, because these messages must not be lost.
//!
//! Changes are announced together, at most once in `limits::ANNOUNCE_INTERVAL`, and only the newest status of each
//! user. A user who connects and disconnects a thousand times in between is one change, or none if the status is again
//! the announced one.
//!
//! After a panic the registry forgets all sessions and closes them, so that their clients reconnect. It then announces
//! the users whose clients did not.

use crate::app::App;
use crate::domain::codes::Close;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::mailboxes::{CloseSession, PresenceAnnounced, PresenceChanged, RoomEvent, SessionHandle, ToPresence};
use crate::protocol::presence::{OwnPresence, PresenceStatus};
use crate::protocol::server::ServerFrame;
use crate::supervision::Part;
use crate::work::presence;
use actix::prelude::*;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// The actor that knows the live sessions of every user on this node.
pub struct Presence {
    app: App,
    sessions: HashMap<SessionId, LiveSession>,
    watchers: HashMap<UserId, HashSet<SessionId>>,
    /// The status that was announced last, of each user who was not offline then.
    announced: HashMap<UserId, PresenceStatus>,
    /// Users whose status may differ from the announced one, and the order in which they are announced.
    changed: HashSet<UserId>,
    change_queue: VecDeque<UserId>,
    /// Whether an announcement runs or has a timer.
    is_announcing: bool,
    announced_at: Option<Instant>,
    part: Part,
}

struct LiveSession {
    handle: SessionHandle,
    close: Recipient<CloseSession>,
    watches: HashSet<UserId>,
}

impl Presence {
    /// Returns a registry without sessions. It writes the presence table of `app`.
    pub fn new(app: App) -> Self {
        Self {
            part: app.supervision().part("presence"),
            app,
            sessions: HashMap::new(),
            watchers: HashMap::new(),
            announced: HashMap::new(),
            changed: HashSet::new(),
            change_queue: VecDeque::new(),
            is_announcing: false,
            announced_at: None,
        }
    }

    /// Runs `work`. If it panics, the registry forgets all sessions and closes them.
    fn catch_panic(&mut self, ctx: &mut Context<Self>, work: impl FnOnce(&mut Self, &mut Context<Self>)) {
        let part = self.part.clone();
        if part.catch(|| work(self, ctx)).is_err() {
            self.reset(ctx);
        }
    }

    fn reset(&mut self, ctx: &mut Context<Self>) {
        self.watchers.clear();
        self.changed.clear();
        self.change_queue.clear();
        self.is_announcing = false;
        for session in std::mem::take(&mut self.sessions).into_values() {
            session.close.do_send(CloseSession(Close::Restart)); // detach
        }
        self.app.presence().clear();
        ctx.run_later(limits::OFFLINE_GRACE, |registry, ctx| {
            registry.catch_panic(ctx, |registry, ctx| {
                for user in registry.announced.keys().copied().collect::<Vec<_>>() {
                    registry.check_status(user, ctx);
                }
            });
        });
    }

    /// Schedules an announcement if the status of the user differs from the announced one. Call it after every change
    /// of the sessions of a user.
    fn check_status(&mut self, user: UserId, ctx: &mut Context<Self>) {
        if self.announced_status(user) != self.app.presence().status(user) {
            self.queue_change(user);
            self.schedule_announcement(ctx);
        }
    }

    fn queue_change(&mut self, user: UserId) {
        if self.changed.insert(user) {
            self.change_queue.push_back(user);
        }
    }

    fn announced_status(&self, user: UserId) -> PresenceStatus {
        self.announced.get(&user).copied().unwrap_or(PresenceStatus::Offline)
    }

    /// Begins an announcement at the end of the current interval, unless one runs or is scheduled.
    fn schedule_announcement(&mut self, ctx: &mut Context<Self>) {
        if self.is_announcing || self.changed.is_empty() {
            return;
        }
        self.is_announcing = true;
        let elapsed = self.announced_at.map_or(limits::ANNOUNCE_INTERVAL, |at| at.elapsed());
        let wait = limits::ANNOUNCE_INTERVAL.saturating_sub(elapsed);
        ctx.run_later(wait, |registry, ctx| registry.catch_panic(ctx, Self::announce));
    }

    /// Announces the current status of changed users: of as many as one statement can handle, of the others next time.
    fn announce(&mut self, ctx: &mut Context<Self>) {
        self.announced_at = Some(Instant::now());
        let (mut changes, mut watcher_count) = (Vec::new(), 0);
        while changes.len() < limits::ANNOUNCED_USERS
            && watcher_count < limits::ANNOUNCED_WATCHERS
            && let Some(user_id) = self.change_queue.pop_front()
        {
            self.changed.remove(&user_id);
            let status = self.app.presence().status(user_id);
            if status == self.announced_status(user_id) {
                continue;
            }
            let watchers = self.watchers.get(&user_id).into_iter().flatten();
            let watchers = watchers.filter_map(|id| self.sessions.get(id)).map(|session| session.handle.user_id);
            let watchers: HashSet<UserId> = watchers.collect();
            watcher_count += watchers.len();
            changes.push(PresenceChanged { user_id, status, watchers });
        }
        if changes.is_empty() {
            self.is_announcing = false;
            return self.schedule_announcement(ctx);
        }
        let (app, registry) = (self.app.clone(), ctx.address());
        self.app.spawn(async move {
            let users: Vec<UserId> = changes.iter().map(|change| change.user_id).collect();
            let announced = presence::announce(&app, changes).await.map_err(|error| {
                tracing::debug!(%error, users = users.len(), "presence could not be announced; trying again");
                users
            });
            registry.do_send(ToPresence::Announced(announced)); // attach
        });
    }

    fn finish_announcement(&mut self, outcome: Result<Vec<PresenceAnnounced>, Vec<UserId>>, ctx: &mut Context<Self>) {
        self.is_announcing = false;
        match outcome {
            Err(users) => users.into_iter().for_each(|user| self.queue_change(user)),
            Ok(changes) => {
                for change in changes {
                    self.notify_watchers(&change);
                    match change.status {
                        PresenceStatus::Offline => self.announced.remove(&change.user_id),
                        status => self.announced.insert(change.user_id, status),
                    };
                }
            }
        }
        self.schedule_announcement(ctx);
    }

    fn notify_watchers(&self, change: &PresenceAnnounced) {
        let Some(watchers) = self.watchers.get(&change.user_id) else { return };
        for session in watchers.iter().filter_map(|id| self.sessions.get(id)) {
            if change.watchers.contains(&session.handle.user_id) {
                let event = RoomEvent::Ephemeral(change.text.clone());
                session.handle.send(Stream::User(session.handle.user_id), event);
            }
        }
    }

    fn open(&mut self, handle: SessionHandle, close: Recipient<CloseSession>, ctx: &mut Context<Self>) {
        let (user, session) = (handle.user_id, handle.id);
        self.sessions.insert(session, LiveSession { handle, close, watches: HashSet::new() });
        for surplus in self.app.presence().add_session(user, session, limits::SESSIONS_PER_USER) {
            if let Some(session) = self.sessions.get(&surplus) {
                session.close.do_send(CloseSession(Close::TooMany)); // detach
            }
        }
        self.check_status(user, ctx);
    }

    fn close(&mut self, user: UserId, session: SessionId, ctx: &mut Context<Self>) {
        if let Some(removed) = self.sessions.remove(&session) {
            self.unwatch(session, removed.watches);
        }
        if self.app.presence().remove_session(user, session) {
            ctx.run_later(limits::OFFLINE_GRACE, move |registry, ctx| {
                registry.catch_panic(ctx, |registry, ctx| {
                    registry.app.presence().end_grace(user, session);
                    registry.check_status(user, ctx);
                });
            });
        }
        self.check_status(user, ctx);
    }

    fn watch(&mut self, id: SessionId, users: Vec<UserId>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for user in users {
            if session.watches.len() >= limits::PRESENCE_WATCHED {
                break;
            }
            session.watches.insert(user);
            self.watchers.entry(user).or_default().insert(id);
        }
    }

    fn unwatch(&mut self, id: SessionId, users: impl IntoIterator<Item = UserId>) {
        for user in users {
            if let Some(watchers) = self.watchers.get_mut(&user) {
                watchers.remove(&id);
                if watchers.is_empty() {
                    self.watchers.remove(&user);
                }
            }
            if let Some(session) = self.sessions.get_mut(&id) {
                session.watches.remove(&user);
            }
        }
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
            ctx.run_later(delay, move |_, _| close.do_send(CloseSession(Close::Restart))); // detach
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
        self.catch_panic(ctx, |registry, ctx| match message {
            ToPresence::Opened(handle, close) => registry.open(handle, close, ctx),
            ToPresence::Announced(outcome) => registry.finish_announcement(outcome, ctx),
            ToPresence::Closed(user, session) => registry.close(user, session, ctx),
            ToPresence::Set(user, session, presence) => {
                let is_away = presence == OwnPresence::Away;
                registry.app.presence().set_away(user, session, is_away);
                registry.check_status(user, ctx);
            }
            ToPresence::Watch(session, users) => registry.watch(session, users),
            ToPresence::Unwatch(session, users) => registry.unwatch(session, users),
            ToPresence::Drain(duration_ms) => registry.drain(Duration::from_millis(duration_ms), ctx),
        });
    }
}
