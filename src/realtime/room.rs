//! A room: the actor of one stream that has subscribers on this node.
//!
//! It owns the [`Order`] of the stream and carries out its decisions. It does not use the database: the log reader
//! reads the events that it lacks. Its mailbox holds [`limits::ROOM_MAILBOX`] messages; the catch-up finds the events
//! that did not fit. A room stops when it has had no subscribers for [`IDLE_TIMEOUT`] and the hub agrees. If it ends
//! for another reason, it sends `Gone` to its sessions, whose clients reconnect.

use super::order::{Order, RingBudget, Sink, SubscribeRequest};
use crate::domain::ids::Rev;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::mailboxes::{ReadLog, ReadPurpose, Retire, RoomEvent, SessionHandle, ToRoom};
use crate::supervision::Part;
use actix::prelude::*;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A room asks at most once in this time whether the database has another history.
const VERIFY_INTERVAL: Duration = Duration::from_secs(1);
/// A room without subscribers stops after this time.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// What all rooms of a node share.
#[derive(Clone)]
pub struct RoomServices {
    /// The queue of the log reader.
    pub log: mpsc::Sender<ReadLog>,
    /// Counts the rooms that panicked.
    pub part: Part,
    pub ring_budget: RingBudget,
}

/// The actor of one stream.
pub struct Room {
    stream: Stream,
    order: Order<SessionHandle>,
    hub: Recipient<Retire>,
    services: RoomServices,
    gap_timer: Option<SpawnHandle>,
    ring_timer: Option<SpawnHandle>,
    idle_timer: Option<SpawnHandle>,
    /// When the room last asked whether the database has another history.
    verified_at: Option<Instant>,
}

impl Room {
    /// Returns the room of a stream. It holds all events back until its first subscription brings a checked revision.
    pub fn new(stream: Stream, hub: Recipient<Retire>, services: RoomServices) -> Self {
        let order = Order::new(services.ring_budget.clone());
        Self { stream, order, hub, services, gap_timer: None, ring_timer: None, idle_timer: None, verified_at: None }
    }

    /// Starts and cancels the timers after a message: for a gap, for events in the ring, and for a room without
    /// subscribers.
    fn update_timers(&mut self, ctx: &mut Context<Self>) {
        if self.order.has_gap() {
            if self.gap_timer.is_none() {
                let timer = ctx.run_later(limits::GAP_WAIT, |room, ctx| {
                    room.gap_timer = None;
                    let mut sink = room.sink(ctx);
                    room.order.read_gap(&mut sink);
                    room.update_timers(ctx);
                });
                self.gap_timer = Some(timer);
            }
        } else if let Some(timer) = self.gap_timer.take() {
            ctx.cancel_future(timer);
        }
        if self.order.has_recent_events() && self.ring_timer.is_none() {
            let timer = ctx.run_later(limits::RING_ROUND, |room, ctx| {
                room.ring_timer = None;
                room.order.age_ring();
                room.update_timers(ctx);
            });
            self.ring_timer = Some(timer);
        }
        if !self.order.is_empty() {
            if let Some(timer) = self.idle_timer.take() {
                ctx.cancel_future(timer);
            }
        } else if self.idle_timer.is_none() {
            self.idle_timer = Some(ctx.run_later(IDLE_TIMEOUT, Self::retire));
        }
    }

    /// Asks the hub whether the room may stop. If it may not, it asks again after [`IDLE_TIMEOUT`].
    fn retire(&mut self, ctx: &mut Context<Self>) {
        let answer = self.hub.send(Retire(self.stream)).into_actor(self);
        // The room handles no message until the hub answers: it must not accept a subscription and then stop.
        answer
            .map(|agreed, room, ctx| {
                room.idle_timer = None;
                match agreed {
                    Ok(false) => room.update_timers(ctx),
                    Ok(true) | Err(_) => ctx.stop(),
                }
            })
            .wait(ctx);
    }

    /// Asks the log reader whether the stream still reaches as far as the room has broadcast, if `rev` is less. `rev`
    /// is the revision of an event of this node, or of a right that was just checked. Usually the room has got newer
    /// events in the meantime. But the database may hold another history, in which the stream is shorter.
    fn verify_history(&mut self, rev: Rev, ctx: &Context<Self>) {
        let now = Instant::now();
        let Some(broadcast_to) = self.order.broadcast_to().filter(|broadcast_to| rev < *broadcast_to) else { return };
        if self.verified_at.is_some_and(|at| now.duration_since(at) < VERIFY_INTERVAL) {
            return;
        }
        self.verified_at = Some(now);
        let purpose = ReadPurpose::Verify(now);
        // If the queue is full, a later event asks again.
        let _ = self.services.log.try_send(ReadLog::new(self.stream, broadcast_to, purpose, ctx.address().recipient()));
    }

    fn sink(&self, ctx: &Context<Self>) -> RoomSink {
        RoomSink { stream: self.stream, log: self.services.log.clone(), room: ctx.address().recipient() }
    }
}

/// Sends the events of an order to sessions, and its reads to the log reader.
struct RoomSink {
    stream: Stream,
    log: mpsc::Sender<ReadLog>,
    room: Recipient<ToRoom>,
}

impl Sink<SessionHandle> for RoomSink {
    fn send(&mut self, to: &SessionHandle, event: RoomEvent) -> bool {
        let RoomEvent::Page(batch) = event else { return to.send(self.stream, event) };
        // The page is sent in parts, so that a slow client can acknowledge each of them.
        let mut parts = batch.chunks();
        let last = parts.pop().expect("a batch has a part");
        let sent = parts.into_iter().all(|part| to.send(self.stream, RoomEvent::Events(part)));
        sent && to.send(self.stream, RoomEvent::Page(last))
    }

    fn read_log(&mut self, after: Rev, purpose: ReadPurpose) {
        // If the queue is full, the read is dropped. This tells the room that it failed, and the room asks again if it
        // must.
        let _ = self.log.try_send(ReadLog::new(self.stream, after, purpose, self.room.clone()));
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(limits::ROOM_MAILBOX);
        self.update_timers(ctx);
    }
}

impl Handler<ToRoom> for Room {
    type Result = ();

    fn handle(&mut self, message: ToRoom, ctx: &mut Self::Context) {
        let mut sink = self.sink(ctx);
        match message {
            ToRoom::Deliver(batch) => {
                self.verify_history(batch.last_rev(), ctx);
                if batch.bytes > limits::LIVE_BYTES {
                    self.order.postpone(&batch, &mut sink);
                } else {
                    for part in batch.chunks() {
                        self.order.deliver(&part, &mut sink);
                    }
                }
            }
            ToRoom::Head(rev) => self.order.note_known(rev),
            ToRoom::Ephemeral(text, except) => {
                for (user, handle) in self.order.ephemeral_receivers() {
                    if !except.contains(&user) {
                        handle.send(self.stream, RoomEvent::Ephemeral(text.clone()));
                    }
                }
            }
            ToRoom::Subscribe(mut subscription) => {
                self.verify_history(subscription.checked_rev, ctx);
                let request = SubscribeRequest {
                    session: subscription.session.id,
                    user: subscription.session.user_id,
                    from: subscription.after,
                    checked_rev: subscription.checked_rev,
                    handle: subscription.session.clone(),
                };
                self.order.subscribe(request, &mut sink);
                subscription.accepted = true;
            }
            ToRoom::End => return ctx.stop(),
            ToRoom::Unsubscribe(session) => self.order.unsubscribe(session),
            ToRoom::Continue(session) => self.order.resume(session, &mut sink),
            ToRoom::Read { purpose: ReadPurpose::Verify(_), .. } => {}
            ToRoom::Read { purpose: ReadPurpose::Gap, envelopes } => self.order.handle_gap_read(envelopes, &mut sink),
            ToRoom::Read { purpose: ReadPurpose::Replay { session, number, .. }, envelopes } => {
                self.order.handle_replay_read(session, number, envelopes, &mut sink);
            }
        }
        self.update_timers(ctx);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.services.part.count_if_panicking();
        for handle in self.order.subscribers() {
            handle.send(self.stream, RoomEvent::Gone);
        }
    }
}
