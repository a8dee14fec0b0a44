//! A room: one per stream with a live session on this node. It holds the stream's [`Order`] and does what that decides.
//! It knows no database: what it lacks, the reader of the log brings. Its mailbox holds `MAILBOX` messages; what does
//! not fit is found again by the catch-up. It stops when nobody has followed for a while and the hub agrees; should it
//! ever die otherwise, it tells its sessions, which subscribe again.

use super::order::{Budget, Order, Sink, Subscribe};
use crate::domain::ids::Rev;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::mailboxes::{ReadLog, ReadPurpose, Retire, RoomEvent, SessionHandle, ToRoom};
use crate::supervision::Part;
use actix::prelude::*;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Messages that wait for a room.
const MAILBOX: usize = 4096;
/// How often a room doubts at most.
const DOUBT: Duration = Duration::from_secs(1);
/// How long a room stays when nobody follows.
const IDLE: Duration = Duration::from_mins(1);

/// What all rooms of a node share.
#[derive(Clone)]
pub struct Shared {
    /// Reads the log for them.
    pub log: mpsc::Sender<ReadLog>,
    /// Counts what fails in them.
    pub part: Part,
    /// Bounds the recent events that they keep.
    pub recent: Budget,
}

/// The actor.
pub struct Room {
    stream: Stream,
    order: Order<SessionHandle>,
    hub: Recipient<Retire>,
    shared: Shared,
    hole: Option<SpawnHandle>,
    ageing: Option<SpawnHandle>,
    idle: Option<SpawnHandle>,
    /// When it last doubted that what it handed out is still there.
    doubted: Option<Instant>,
}

impl Room {
    /// The room of a stream; it holds everything back until its first subscription says where the stream stands.
    pub fn new(stream: Stream, hub: Recipient<Retire>, shared: Shared) -> Self {
        let order = Order::new(shared.recent.clone());
        Self { stream, order, hub, shared, hole: None, ageing: None, idle: None, doubted: None }
    }

    /// Sees to what every message may leave behind: a hole, events that are to be forgotten, or an empty room.
    fn tidy(&mut self, ctx: &mut Context<Self>) {
        if self.order.has_hole() {
            if self.hole.is_none() {
                let timer = ctx.run_later(limits::HOLE, |room, ctx| {
                    room.hole = None;
                    let mut sink = room.sink(ctx);
                    room.order.fill(&mut sink);
                    room.tidy(ctx);
                });
                self.hole = Some(timer);
            }
        } else if let Some(timer) = self.hole.take() {
            ctx.cancel_future(timer);
        }
        if self.order.has_recent() && self.ageing.is_none() {
            let timer = ctx.run_later(limits::RING_ROUND, |room, ctx| {
                room.ageing = None;
                room.order.age();
                room.tidy(ctx);
            });
            self.ageing = Some(timer);
        }
        if !self.order.is_empty() {
            if let Some(timer) = self.idle.take() {
                ctx.cancel_future(timer);
            }
        } else if self.idle.is_none() {
            self.idle = Some(ctx.run_later(IDLE, Self::retire));
        }
    }

    /// Asks the hub whether the room may stop; a room that may not asks again later.
    fn retire(&mut self, ctx: &mut Context<Self>) {
        let asked = self.hub.send(Retire(self.stream)).into_actor(self);
        // waiting is right here: the room is empty, and must not take a subscription while it may be stopping
        asked
            .map(|agreed, room, ctx| {
                room.idle = None;
                match agreed {
                    Ok(false) => room.tidy(ctx),
                    Ok(true) | Err(_) => ctx.stop(),
                }
            })
            .wait(ctx);
    }

    /// An event of this node, or a right just checked, stands at `rev`, where the room has been before. Mostly another was
    /// faster; but it may be that the database holds another history, in which the stream does not reach so far.
    fn doubt(&mut self, rev: Rev, ctx: &Context<Self>) {
        let now = Instant::now();
        let Some(head) = self.order.head().filter(|head| rev < *head) else { return };
        if self.doubted.is_some_and(|at| now.duration_since(at) < DOUBT) {
            return;
        }
        self.doubted = Some(now);
        let purpose = ReadPurpose::Verify(now);
        // one that finds no place is raised again with the next event
        let _ = self.shared.log.try_send(ReadLog::new(self.stream, head, 0, purpose, ctx.address().recipient()));
    }

    fn sink(&self, ctx: &Context<Self>) -> RoomSink {
        RoomSink { stream: self.stream, log: self.shared.log.clone(), room: ctx.address().recipient() }
    }
}

/// Carries the order's decisions out.
struct RoomSink {
    stream: Stream,
    log: mpsc::Sender<ReadLog>,
    room: Recipient<ToRoom>,
}

impl Sink<SessionHandle> for RoomSink {
    fn give(&mut self, to: &SessionHandle, event: RoomEvent) -> bool {
        let RoomEvent::Page(batch) = event else { return to.send(self.stream, event) };
        // a client that reads slowly acknowledges each part
        let mut parts = batch.parts();
        let last = parts.pop().expect("a batch has a part");
        let gave = parts.into_iter().all(|part| to.send(self.stream, RoomEvent::Frames(part)));
        gave && to.send(self.stream, RoomEvent::Page(last))
    }

    fn read(&mut self, after: Rev, purpose: ReadPurpose) {
        // where too many reads wait this one has failed, and is asked for again by whoever needs it
        let _ = self.log.try_send(ReadLog::new(self.stream, after, limits::REPLAY_PAGE, purpose, self.room.clone()));
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.tidy(ctx);
    }
}

impl Handler<ToRoom> for Room {
    type Result = ();

    fn handle(&mut self, message: ToRoom, ctx: &mut Self::Context) {
        let mut sink = self.sink(ctx);
        match message {
            ToRoom::Deliver(batch) => {
                self.doubt(batch.last_rev(), ctx);
                if batch.bytes > limits::LIVE_BYTES {
                    self.order.postpone(&batch, &mut sink);
                } else {
                    for part in batch.parts() {
                        self.order.deliver(&part, &mut sink);
                    }
                }
            }
            ToRoom::Head(rev) => self.order.heard(rev),
            ToRoom::Ephemeral(text, except) => {
                for (user, handle) in self.order.followers() {
                    if !except.contains(&user) {
                        handle.send(self.stream, RoomEvent::Ephemeral(text.clone()));
                    }
                }
            }
            ToRoom::Subscribe(mut wanted) => {
                self.doubt(wanted.checked, ctx);
                let subscribe = Subscribe {
                    session: wanted.session.id,
                    user: wanted.session.user_id,
                    from: wanted.from,
                    checked: wanted.checked,
                    handle: wanted.session.clone(),
                };
                self.order.subscribe(subscribe, &mut sink);
                wanted.accepted = true;
            }
            ToRoom::End => return ctx.stop(),
            ToRoom::Unsubscribe(session) => self.order.unsubscribe(session),
            ToRoom::Continue(session) => self.order.resume(session, &mut sink),
            ToRoom::Read { purpose: ReadPurpose::Verify(_), .. } => {}
            ToRoom::Read { purpose: ReadPurpose::Gap, frames } => self.order.filled(frames, &mut sink),
            ToRoom::Read { purpose: ReadPurpose::Replay { session, number, .. }, frames } => {
                self.order.page(session, number, frames, &mut sink);
            }
        }
        self.tidy(ctx);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.part.ended();
        for handle in self.order.subscribers() {
            handle.send(self.stream, RoomEvent::Gone);
        }
    }
}
