//! The hub: the actor that starts the rooms of a node and finds them.
//!
//! A room asks the hub whether it may stop, so that no subscription goes to a room that is stopping. The hub keeps no
//! state across an await. Its mailbox holds [`limits::HUB_MAILBOX`] messages; the catch-up finds the commits that did
//! not fit. After a panic the hub ends all rooms, and the clients of their sessions reconnect.

use super::order::RingBudget;
use super::room::{Room, RoomServices};
use crate::cluster::catch_up::CatchUpSchedule;
use crate::domain::ids::Rev;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::mailboxes::{
    Committed, EndRooms, Ephemeral, Heads, ListOpenStreams, OpenRooms, ReadLog, Retire, ToRoom, send_always,
};
use crate::supervision::{Panicked, Part, Supervision};
use actix::prelude::*;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A room may not stop within this time after a session asked for it. Every subscription arrives sooner.
const OPEN_TIME: Duration = Duration::from_secs(30);

/// The actor that maps each stream to its room.
pub struct Hub {
    rooms: HashMap<Stream, RoomEntry>,
    arbiters: Vec<ArbiterHandle>,
    services: RoomServices,
    catch_up_schedule: CatchUpSchedule,
    /// The newest revision that did not fit into the mailbox of a room. The hub sends it with the next [`Heads`].
    missed_heads: HashMap<Stream, Rev>,
    part: Part,
}

struct RoomEntry {
    room: Addr<Room>,
    opened_at: Instant,
}

impl Hub {
    /// Returns a hub whose rooms run on `arbiters`, which must not be empty.
    pub fn new(
        arbiters: Vec<ArbiterHandle>,
        log: mpsc::Sender<ReadLog>,
        catch_up_schedule: CatchUpSchedule,
        supervision: &Supervision,
    ) -> Self {
        let services = RoomServices { log, part: supervision.part("rooms"), ring_budget: RingBudget::default() };
        let part = supervision.part("hub");
        Self { rooms: HashMap::new(), arbiters, services, catch_up_schedule, missed_heads: HashMap::new(), part }
    }

    /// Runs `work`. If it panics, all rooms end, because the state of the hub may be wrong.
    fn catch_panic<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> std::result::Result<R, Panicked> {
        let part = self.part.clone();
        part.catch_panic(|| work(self)).inspect_err(|_| self.end_rooms())
    }

    /// Ends every room. The clients of their sessions reconnect, also those whose subscription is still on its way.
    fn end_rooms(&mut self) {
        self.missed_heads.clear();
        for entry in std::mem::take(&mut self.rooms).into_values() {
            send_always(&entry.room.recipient(), ToRoom::End);
        }
    }

    fn open(&mut self, stream: Stream, ctx: &Context<Self>) -> Recipient<ToRoom> {
        if let Some(entry) = self.rooms.get_mut(&stream).filter(|entry| entry.room.connected()) {
            entry.opened_at = Instant::now();
            return entry.room.clone().recipient();
        }
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        let arbiter = &self.arbiters[(hasher.finish() % self.arbiters.len() as u64) as usize];
        let (hub, services) = (ctx.address().recipient(), self.services.clone());
        let room = Room::start_in_arbiter(arbiter, move |_| Room::new(stream, hub, services));
        self.rooms.insert(stream, RoomEntry { room: room.clone(), opened_at: Instant::now() });
        room.recipient()
    }

    /// Sends `message` to the room of `stream`, if it has one on this node. If its mailbox is full, the room learns the
    /// revision later and reads the events from the log.
    fn send_to_room(&mut self, stream: Stream, message: ToRoom) {
        let Some(entry) = self.rooms.get(&stream) else { return };
        match entry.room.try_send(message) {
            Ok(()) => {}
            Err(SendError::Full(message)) => {
                let head = match message {
                    ToRoom::Deliver(batch) => batch.last_rev(),
                    ToRoom::Head(rev) => rev,
                    _ => return,
                };
                let missed_head = self.missed_heads.entry(stream).or_insert(head);
                *missed_head = head.max(*missed_head);
                self.catch_up_schedule.wake();
            }
            Err(SendError::Closed(_)) => {
                self.rooms.remove(&stream);
            }
        }
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(limits::HUB_MAILBOX);
    }
}

impl Handler<Committed> for Hub {
    type Result = ();

    fn handle(&mut self, Committed(batches): Committed, _: &mut Self::Context) {
        let _ = self.catch_panic(|hub| {
            for batch in batches {
                if let Some(stream) = batch.stream() {
                    hub.send_to_room(stream, ToRoom::Deliver(batch));
                }
            }
        });
    }
}

impl Handler<Ephemeral> for Hub {
    type Result = ();

    fn handle(&mut self, frame: Ephemeral, _: &mut Self::Context) {
        let _ = self.catch_panic(move |hub| {
            for stream in frame.streams {
                hub.send_to_room(stream, ToRoom::Ephemeral(frame.text.clone(), frame.except.clone()));
            }
        });
    }
}

impl Handler<Heads> for Hub {
    type Result = ();

    fn handle(&mut self, Heads(streams): Heads, _: &mut Self::Context) {
        let _ = self.catch_panic(|hub| {
            for (stream, rev) in std::mem::take(&mut hub.missed_heads).into_iter().chain(streams) {
                hub.send_to_room(stream, ToRoom::Head(rev));
            }
        });
    }
}

impl Handler<OpenRooms> for Hub {
    type Result = Result<Vec<Recipient<ToRoom>>>;

    fn handle(&mut self, OpenRooms(streams): OpenRooms, ctx: &mut Self::Context) -> Self::Result {
        let opened = self.catch_panic(|hub| streams.into_iter().map(|stream| hub.open(stream, ctx)).collect());
        opened.map_err(|_| Error::unavailable("The server restarts its conversations; try again."))
    }
}

impl Handler<EndRooms> for Hub {
    type Result = ();

    fn handle(&mut self, _: EndRooms, _: &mut Self::Context) {
        self.end_rooms();
    }
}

impl Handler<ListOpenStreams> for Hub {
    type Result = Vec<Stream>;

    fn handle(&mut self, _: ListOpenStreams, _: &mut Self::Context) -> Self::Result {
        self.rooms.keys().copied().collect()
    }
}

impl Handler<Retire> for Hub {
    type Result = bool;

    fn handle(&mut self, Retire(stream): Retire, _: &mut Self::Context) -> bool {
        let retired = self.catch_panic(|hub| {
            let agreed = hub.rooms.get(&stream).is_none_or(|entry| entry.opened_at.elapsed() >= OPEN_TIME);
            if agreed {
                hub.rooms.remove(&stream);
            }
            agreed
        });
        retired.unwrap_or(true)
    }
}
