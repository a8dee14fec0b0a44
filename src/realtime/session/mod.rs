//! A session: one per connection, a plain actor beside its socket. It owns who the connection is, its limits and
//! heartbeat, the rooms it follows, and the account of what was handed out and not yet read. It never waits for the
//! database: it spawns a use case and gets the outcome back as a message. Its mailbox holds
//! [`limits::SESSION_MAILBOX`] messages; a session whose mailbox overflows is too slow and closes (4410).

mod auth;
mod commands;
mod deliveries;
mod first_sync;
mod flow;
mod lanes;
mod output;
mod receiving;
mod subscriptions;
mod syncing;

use crate::admission::bucket::Bucket;
use crate::admission::strangers::Place;
use crate::app::App;
use crate::cluster::typing::Typist;
use crate::domain::codes::Close;
use crate::domain::ids::{ConversationId, Rev, SessionId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::mailboxes::{CloseSession, FromRoom, FromSocket, OpenRooms, SessionHandle, ToPresence, ToRoom, ToSocket};
use crate::protocol::client::{self, ClientFrame};
use crate::protocol::server::ServerFrame;
use crate::usecases::{Caller, typing};
use actix::prelude::*;
use first_sync::FirstSync;
use flow::Flow;
use lanes::{Lanes, Turn};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use syncing::Syncing;
use tokio::sync::Semaphore;

/// How often a session looks at its clocks.
const TICK: Duration = Duration::from_secs(5);

/// What every session is given.
#[derive(Clone)]
pub struct Surroundings {
    /// What use cases need.
    pub app: App,
    /// Starts rooms.
    pub hub: Recipient<OpenRooms>,
    /// Knows who is there.
    pub presence: Recipient<ToPresence>,
}

/// What a client brought to the handshake.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An access token.
    Token(String),
    /// A single-use ticket.
    Ticket(String),
}

/// How a connection begins.
#[derive(Debug, Default)]
pub struct Opening {
    /// What it brought; without it the first frame must be `auth`.
    pub credential: Option<Credential>,
    /// Whether it wants to be subscribed to nothing but the user's own stream.
    pub subscribe_none: bool,
    /// Its place among those of which nobody knows whose they are, where it brought no credential.
    pub place: Option<Place>,
}

/// The actor.
pub struct Session {
    id: SessionId,
    around: Surroundings,
    opening: Opening,
    socket: Recipient<ToSocket>,
    state: State,
    rooms: HashMap<Stream, Followed>,
    /// How many subscriptions it has made, which numbers them.
    subscriptions: u64,
    lanes: Lanes<LaneJob, Job>,
    /// Where commands of its user run, over all sessions; none until it is known whose it is.
    places: Option<Arc<Semaphore>>,
    flow: Flow,
    /// Replays that wait for the client to read.
    paused: Vec<Stream>,
    sync_parts: client::Sync,
    syncing: Option<Syncing>,
    first_sync: FirstSync,
    /// Whether conversations gained are followed without being asked for.
    follows_gained: bool,
    /// Conversations gained that are not followed yet, and from which revision.
    gained: HashMap<ConversationId, Rev>,
    overrun: Arc<AtomicBool>,
    heard_at: Instant,
    pinged_at: Instant,
    /// When a limiter refused, the latest times.
    refusals: VecDeque<Instant>,
    typing: HashMap<ConversationId, Instant>,
    typist: Typist,
    expiry: Option<SpawnHandle>,
    closing: bool,
}

/// A stream that the session follows.
struct Followed {
    room: Recipient<ToRoom>,
    /// The stream's revision when the right to follow it was last checked.
    checked: Rev,
    /// The number of the subscription.
    subscription: u64,
    /// The first subscription whose events go out; what an earlier one still brings will come again.
    since: u64,
    /// Up to where it was handed out; while a replay is under way some before it may still come.
    reached: Rev,
    /// Nothing up to here is handed out: it belongs to an earlier subscription, from before the user left and came back.
    after: Rev,
    /// Where a sync made it begin: the client has, or reads anew, everything up to here.
    synced: Option<Rev>,
}

impl Followed {
    /// Whether a sync found the user in who came in at `from`: it began where the client said, which may be before that or
    /// further on.
    fn stands(&self, from: Rev) -> bool {
        self.synced.is_some() && self.checked >= from
    }
}

enum State {
    /// Nobody yet.
    Unknown(Stranger),
    /// Somebody.
    Known(Identity),
}

/// What is known of a connection before it is known whose it is.
#[derive(Default)]
struct Stranger {
    /// Whether a credential is being checked; frames that come meanwhile wait.
    checking: bool,
    waiting: VecDeque<ClientFrame>,
    /// Bytes of the frames that wait.
    bytes: usize,
    /// What its frames are charged to.
    bucket: Bucket,
    /// Given back when it is known whose it is, or over.
    _place: Option<Place>,
}

struct Identity {
    caller: Caller,
    /// The revision of the user's stream when status and login were read: a revocation above it concerns this session.
    checked: Rev,
    /// The epoch that the client was told.
    epoch: String,
}

/// Something to do in the session after a use case.
type Job = Box<dyn FnOnce(&mut Session, &mut Context<Session>) + Send>;

/// Something to do in the session when its lane is free.
type LaneJob = Box<dyn FnOnce(&mut Session, &mut Context<Session>) -> Turn + Send>;

/// The outcome of a use case.
#[derive(Message)]
#[rtype(result = "()")]
struct Done(Job);

impl Session {
    /// A session that talks to `socket`.
    pub fn new(around: Surroundings, mut opening: Opening, socket: Recipient<ToSocket>) -> Self {
        let (now, id) = (Instant::now(), SessionId::new());
        Self {
            id,
            around,
            follows_gained: !opening.subscribe_none,
            state: State::Unknown(Stranger { _place: opening.place.take(), ..Stranger::default() }),
            opening,
            socket,
            rooms: HashMap::new(),
            subscriptions: 0,
            lanes: Lanes::default(),
            places: None,
            flow: Flow::default(),
            paused: Vec::new(),
            sync_parts: client::Sync::default(),
            syncing: None,
            first_sync: FirstSync::Over,
            gained: HashMap::new(),
            overrun: Arc::default(),
            heard_at: now,
            pinged_at: now,
            refusals: VecDeque::new(),
            typing: HashMap::new(),
            typist: Typist::new(id),
            expiry: None,
            closing: false,
        }
    }

    fn caller(&self) -> Option<Caller> {
        match &self.state {
            State::Known(identity) => Some(identity.caller),
            State::Unknown(_) => None,
        }
    }

    fn reach(&self, caller: &Caller, ctx: &Context<Self>) -> SessionHandle {
        SessionHandle {
            id: self.id,
            user_id: caller.user_id,
            mailbox: ctx.address().recipient(),
            overrun: self.overrun.clone(),
            subscription: self.subscriptions,
        }
    }

    // --- work -----------------------------------------------------------------------------------------------------

    /// A way for an outcome to come back here. One that cannot be delivered closes the session.
    fn back<T: Send + 'static>(
        &self,
        ctx: &Context<Self>,
        then: impl FnOnce(&mut Self, T, &mut Context<Self>) + Send + Sync + 'static,
    ) -> impl FnOnce(T) + Send + Sync + 'static {
        let (mailbox, overrun) = (ctx.address(), self.overrun.clone());
        move |outcome| {
            let done = Done(Box::new(move |session, ctx| then(session, outcome, ctx)));
            if mailbox.try_send(done).is_err() {
                overrun.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Runs what is no command on the database's runtime, and `then` with its outcome here.
    fn run_aside<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
        then: impl FnOnce(&mut Self, Result<T>, &mut Context<Self>) + Send + Sync + 'static,
        ctx: &Context<Self>,
    ) {
        let back = self.back(ctx, then);
        let part = self.around.app.supervision().part("commands");
        // what panics has failed, and its lane goes on
        self.around.app.spawn(async move {
            back(part.attempt(work).await.unwrap_or_else(|panicked| Err(Error::internal(panicked))));
        });
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        if self.overrun.load(Ordering::Relaxed) || self.flow.is_stalled(now) {
            self.close(Close::TooSlow, ctx);
        } else if now.duration_since(self.heard_at) >= limits::SILENCE {
            self.close(Close::Silent, ctx);
        } else if let Some(count) = self.flow.unasked() {
            self.ping(count);
        } else if now.duration_since(self.pinged_at) >= limits::HEARTBEAT {
            let count = self.flow.ping();
            self.ping(count);
        }
        self.typing.retain(|_, at| now.duration_since(*at) < limits::TYPING_EVERY);
    }

    fn heard(&mut self) {
        self.heard_at = Instant::now();
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(limits::SESSION_MAILBOX);
        ctx.run_interval(TICK, Self::tick);
        ctx.run_later(limits::AUTH_DEADLINE, |session, ctx| {
            // a credential that is being checked has come in time; the outcome lets it in, or closes
            if matches!(&session.state, State::Unknown(stranger) if !stranger.checking) {
                let error = Error::unauthorized(
                    "nobody has signed in on this connection in time; connect again, and send auth first",
                );
                session.send(&ServerFrame::error(&error, None), None, ctx);
                session.close(Close::Unauthorized, ctx);
            }
        });
        if let Some(credential) = self.opening.credential.take() {
            self.authenticate(credential, None, ctx);
        }
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        for followed in self.rooms.values() {
            followed.room.do_send(ToRoom::Unsubscribe(self.id)); // detach
        }
        if let Some(caller) = self.caller() {
            self.around.presence.do_send(ToPresence::Closed(caller.user_id, self.id)); // detach
            typing::closed(&self.around.app, caller.user_id, &self.typist);
        }
        if !self.closing {
            self.closing = true;
            // a session that panics is stopped on its way out, and its client comes back
            let why = if std::thread::panicking() { Close::Restart } else { Close::Normal };
            let _ = self.socket.try_send(ToSocket::Close(why));
        }
        Running::Stop
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.around.app.supervision().part("sessions").ended();
    }
}

impl Handler<FromSocket> for Session {
    type Result = ();

    fn handle(&mut self, message: FromSocket, ctx: &mut Self::Context) {
        match message {
            FromSocket::Text(text) => {
                self.heard();
                self.receive(&text, ctx);
            }
            FromSocket::Refused(error, close) => {
                self.heard();
                self.cannot_read(&error, close, ctx);
            }
            FromSocket::Ping(payload) => {
                self.heard();
                if self.pay(ctx).is_ok() {
                    self.hand(payload.len(), ToSocket::Pong(payload), ctx);
                }
            }
            FromSocket::Pong(count) => {
                self.heard();
                if count.is_some_and(|count| self.flow.pong(count, Instant::now())) {
                    self.read_on(ctx);
                } else {
                    // one that nobody asked for is lawful, but not free; there is nothing to answer
                    let _ = self.pay(ctx);
                }
            }
            FromSocket::Closed => {
                self.closing = true;
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
            self.room_says(message, ctx);
        }
    }
}

impl Handler<Done> for Session {
    type Result = ();

    fn handle(&mut self, Done(job): Done, ctx: &mut Self::Context) {
        job(self, ctx);
    }
}

impl Handler<CloseSession> for Session {
    type Result = ();

    fn handle(&mut self, CloseSession(why): CloseSession, ctx: &mut Self::Context) {
        self.close(why, ctx);
    }
}
