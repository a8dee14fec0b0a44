//! A session: the actor of one connection, beside its transport, which is a socket.
//!
//! It owns the identity of the user, the limits and timeouts of the connection, its subscriptions, and the count of
//! bytes that the client has not acknowledged. It never waits for the database: it spawns a use case and gets the
//! outcome as a message. Its mailbox holds [`limits::SESSION_MAILBOX`] messages; a session whose mailbox is full is too
//! slow and closes (4410).

mod auth;
mod commands;
mod deliveries;
mod flow;
mod following;
mod lanes;
mod output;
mod receiving;
mod rights;

use crate::admission::bucket::Bucket;
use crate::admission::unauthenticated::UnauthenticatedPermit;
use crate::app::App;
use crate::cluster::typing::TypingSession;
use crate::domain::caller::Caller;
use crate::domain::codes::Close;
use crate::domain::ids::{ConversationId, Rev, SessionId};
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::mailboxes::{
    CloseSession, FromRoom, FromTransport, OpenRooms, SessionHandle, ToPresence, ToRoom, ToTransport, send_always,
};
use crate::protocol::client::ClientFrame;
use crate::protocol::server::ServerFrame;
use crate::realtime::following::Following;
use crate::usecases::typing;
use actix::prelude::*;
use flow::FlowControl;
use following::SessionFollowing;
use lanes::{JobState, Lanes};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How often a session checks its timeouts.
const TIMEOUT_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The parts of the server that every session uses.
#[derive(Clone)]
pub struct SessionServices {
    pub app: App,
    pub hub: Recipient<OpenRooms>,
    pub presence: Recipient<ToPresence>,
}

/// The proof of identity that a client sends, in the handshake or in an `auth` frame.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An access token.
    Token(String),
    /// A single-use ticket.
    Ticket(String),
}

/// What a client requested in the WebSocket handshake.
#[derive(Debug, Default)]
pub struct Handshake {
    /// If `None`, the first frame must be `auth`.
    pub credential: Option<Credential>,
    /// Whether the session subscribes only to the user stream.
    pub subscribe_none: bool,
    /// The permit for an unauthenticated socket. `None` if the handshake had a credential.
    pub permit: Option<UnauthenticatedPermit>,
}

/// The actor of one connection.
pub struct Session {
    id: SessionId,
    services: SessionServices,
    handshake: Handshake,
    transport: Recipient<ToTransport>,
    auth_state: AuthState,
    following: SessionFollowing,
    lanes: Lanes<LaneJob, SessionTask>,
    /// The permits for running commands of the user, shared by all sessions of the user. `None` until the user is
    /// known.
    command_permits: Option<Arc<Semaphore>>,
    flow: FlowControl,
    /// Ends the wait for a first sync.
    sync_timer: Option<SpawnHandle>,
    /// Set when the session's mailbox was full.
    overrun: Arc<AtomicBool>,
    received_at: Instant,
    /// The times of the newest refusals by a limit, oldest first.
    refusals: VecDeque<Instant>,
    /// When the session last announced typing, by conversation.
    typing_started: HashMap<ConversationId, Instant>,
    typist: TypingSession,
    expiry_timer: Option<SpawnHandle>,
    is_closing: bool,
}

enum AuthState {
    Unauthenticated(UnauthenticatedState),
    Authenticated(Identity),
}

/// The state of a session whose user is not known yet.
#[derive(Default)]
struct UnauthenticatedState {
    /// Whether a credential is being checked. Frames that arrive during the check wait.
    is_checking: bool,
    waiting_frames: VecDeque<ClientFrame>,
    /// The bytes of the waiting frames.
    waiting_bytes: usize,
    /// Its frames are charged to this bucket.
    bucket: Bucket,
    /// Held until the user is known or the session ends.
    _permit: Option<UnauthenticatedPermit>,
}

struct Identity {
    caller: Caller,
    /// The revision of the user stream when status and login were read. A later revocation concerns this session.
    checked_rev: Rev,
    /// The epoch in `auth.success`.
    epoch: String,
}

/// A function that runs in the session, usually with the outcome of a use case.
type SessionTask = Box<dyn FnOnce(&mut Session, &mut Context<Session>) + Send>;

/// A function that runs in the session when its lane is free.
type LaneJob = Box<dyn FnOnce(&mut Session, &mut Context<Session>) -> JobState + Send>;

/// Makes a session run a task.
#[derive(Message)]
#[rtype(result = "()")]
struct RunTask(SessionTask);

impl Session {
    /// Returns a session that sends its frames to `transport`.
    pub fn new(services: SessionServices, mut handshake: Handshake, transport: Recipient<ToTransport>) -> Self {
        let (now, id) = (Instant::now(), SessionId::new());
        Self {
            id,
            services,
            following: Following::new(handshake.subscribe_none),
            auth_state: AuthState::Unauthenticated(UnauthenticatedState {
                _permit: handshake.permit.take(),
                ..UnauthenticatedState::default()
            }),
            handshake,
            transport,
            lanes: Lanes::default(),
            command_permits: None,
            flow: FlowControl::default(),
            sync_timer: None,
            overrun: Arc::default(),
            received_at: now,
            refusals: VecDeque::new(),
            typing_started: HashMap::new(),
            typist: TypingSession::new(id),
            expiry_timer: None,
            is_closing: false,
        }
    }

    fn caller(&self) -> Option<Caller> {
        match &self.auth_state {
            AuthState::Authenticated(identity) => Some(identity.caller),
            AuthState::Unauthenticated(_) => None,
        }
    }

    fn session_handle(&self, caller: &Caller, subscription_number: u64, ctx: &Context<Self>) -> SessionHandle {
        SessionHandle {
            id: self.id,
            user_id: caller.user_id,
            mailbox: ctx.address().recipient(),
            overrun: self.overrun.clone(),
            subscription_number,
        }
    }

    /// Returns a function that runs `then` in the session with an outcome. If the mailbox of the session is full, the
    /// session closes.
    fn callback<T: Send + 'static>(
        &self,
        ctx: &Context<Self>,
        then: impl FnOnce(&mut Self, T, &mut Context<Self>) + Send + Sync + 'static,
    ) -> impl FnOnce(T) + Send + Sync + 'static {
        let (mailbox, overrun) = (ctx.address(), self.overrun.clone());
        move |outcome| {
            let task = RunTask(Box::new(move |session, ctx| then(session, outcome, ctx)));
            if mailbox.try_send(task).is_err() {
                overrun.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Runs `work` on the runtime of the database, without a permit, and then `then` with its outcome in the session.
    fn spawn_work<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
        then: impl FnOnce(&mut Self, Result<T>, &mut Context<Self>) + Send + Sync + 'static,
        ctx: &Context<Self>,
    ) {
        let callback = self.callback(ctx, then);
        let part = self.services.app.supervision().part("commands");
        // A panic becomes an error, so that `then` runs and the lane continues.
        self.services.app.spawn(async move {
            callback(part.catch_panic_in(work).await.unwrap_or_else(|panicked| Err(Error::internal(panicked))));
        });
    }

    fn check_timeouts(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        if self.overrun.load(Ordering::Relaxed) || self.flow.is_stalled(now) {
            self.close(Close::TooSlow, ctx);
        } else if now.duration_since(self.received_at) >= limits::SILENCE_TIMEOUT {
            self.close(Close::Silent, ctx);
        }
        self.typing_started.retain(|_, at| now.duration_since(*at) < limits::TYPING_INTERVAL);
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(limits::SESSION_MAILBOX);
        ctx.run_interval(TIMEOUT_CHECK_INTERVAL, Self::check_timeouts);
        ctx.run_later(limits::AUTH_DEADLINE, |session, ctx| {
            // If a credential is still being checked, it arrived before the deadline; the result of the check decides.
            if matches!(&session.auth_state, AuthState::Unauthenticated(state) if !state.is_checking) {
                let error = Error::unauthorized(
                    "This connection was not authenticated in time; connect again and send auth first.",
                );
                session.send(&ServerFrame::error(&error, None), None, ctx);
                session.close(Close::Unauthorized, ctx);
            }
        });
        if let Some(credential) = self.handshake.credential.take() {
            self.authenticate(credential, None, ctx);
        }
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        for room in self.following.rooms() {
            send_always(room, ToRoom::Unsubscribe(self.id));
        }
        if let Some(caller) = self.caller() {
            send_always(&self.services.presence, ToPresence::Closed(caller.user_id, self.id));
            typing::session_closed(&self.services.app, caller.user_id, &self.typist);
        }
        if !self.is_closing {
            self.is_closing = true;
            // This also runs when the session panics. Its client must then reconnect.
            let close = if std::thread::panicking() { Close::Restart } else { Close::Normal };
            let _ = self.transport.try_send(ToTransport::Close(close));
        }
        Running::Stop
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.services.app.supervision().part("sessions").count_if_panicking();
    }
}

impl Handler<FromTransport> for Session {
    type Result = ();

    fn handle(&mut self, message: FromTransport, ctx: &mut Self::Context) {
        self.received_at = Instant::now();
        match message {
            FromTransport::Text(text) => self.receive(&text, ctx),
            FromTransport::Refused(error, close) => self.handle_refused(&error, close, ctx),
            FromTransport::Control { answer } => {
                if self.charge_frame(ctx).is_ok()
                    && let Some(answer) = answer
                {
                    self.send_to_transport(ToTransport::ControlAnswer(answer), ctx);
                }
            }
            FromTransport::Acknowledged(total_bytes) => {
                self.flow.note_acknowledged(total_bytes, Instant::now());
                self.continue_replays(ctx);
            }
            FromTransport::Closed => {
                self.is_closing = true;
                ctx.stop();
            }
        }
    }
}

impl Handler<FromRoom> for Session {
    type Result = ();

    fn handle(&mut self, message: FromRoom, ctx: &mut Self::Context) {
        if self.overrun.load(Ordering::Relaxed) {
            self.close(Close::TooSlow, ctx);
        } else {
            self.handle_room_event(message, ctx);
        }
    }
}

impl Handler<RunTask> for Session {
    type Result = ();

    fn handle(&mut self, RunTask(task): RunTask, ctx: &mut Self::Context) {
        task(self, ctx);
    }
}

impl Handler<CloseSession> for Session {
    type Result = ();

    fn handle(&mut self, CloseSession(close): CloseSession, ctx: &mut Self::Context) {
        self.close(close, ctx);
    }
}
