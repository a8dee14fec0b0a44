//! The hub: one per node, the map from a stream to its room. It starts rooms and lets them stop; a room proposes, the hub
//! decides, so that no subscription goes to a room that is on its way out. It holds nothing across an await. Its mailbox
//! holds `MAILBOX` messages; commits that do not fit are found again by the catch-up.

use super::room::Room;
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::messages::{Committed, EndRooms, Ephemeral, Heard, OpenRooms, OpenStreams, ReadLog, Retire, ToRoom};
use actix::prelude::*;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// Messages that wait for the hub.
const MAILBOX: usize = 65_536;
/// How long after a room was asked for it may not stop: longer than any subscription takes to follow.
const OPENING: Duration = Duration::from_secs(30);

/// The actor.
pub struct Hub {
    rooms: HashMap<Stream, Entry>,
    pool: Vec<ArbiterHandle>,
    log: mpsc::Sender<ReadLog>,
    catch_up: Arc<Notify>,
    /// Rooms that had no place for word of a revision; they are told when the catch-up comes by.
    owed: HashMap<Stream, Rev>,
}

struct Entry {
    room: Addr<Room>,
    opened: Instant,
}

impl Hub {
    /// A hub whose rooms run on `pool`, which must not be empty.
    pub fn new(pool: Vec<ArbiterHandle>, log: mpsc::Sender<ReadLog>, catch_up: Arc<Notify>) -> Self {
        Self { rooms: HashMap::new(), pool, log, catch_up, owed: HashMap::new() }
    }

    fn open(&mut self, stream: Stream, ctx: &Context<Self>) -> Recipient<ToRoom> {
        if let Some(entry) = self.rooms.get_mut(&stream).filter(|entry| entry.room.connected()) {
            entry.opened = Instant::now();
            return entry.room.clone().recipient();
        }
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        let arbiter = &self.pool[(hasher.finish() % self.pool.len() as u64) as usize];
        let (hub, log) = (ctx.address().recipient(), self.log.clone());
        let room = Room::start_in_arbiter(arbiter, move |_| Room::new(stream, hub, log));
        self.rooms.insert(stream, Entry { room: room.clone(), opened: Instant::now() });
        room.recipient()
    }

    /// Hands `message` to the room of `stream`, if there is one here. A room that cannot take it catches up.
    fn pass(&mut self, stream: Stream, message: ToRoom) {
        let Some(entry) = self.rooms.get(&stream) else { return };
        match entry.room.try_send(message) {
            Ok(()) => {}
            Err(SendError::Full(message)) => {
                let missed = match message {
                    ToRoom::Deliver(batch) => batch.last_rev(),
                    ToRoom::Heard(rev) => rev,
                    _ => return,
                };
                let owed = self.owed.entry(stream).or_insert(missed);
                *owed = missed.max(*owed);
                self.catch_up.notify_one();
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
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Committed> for Hub {
    type Result = ();

    fn handle(&mut self, Committed(streams): Committed, _: &mut Self::Context) {
        for (stream, batch) in streams {
            self.pass(stream, ToRoom::Deliver(batch));
        }
    }
}

impl Handler<Ephemeral> for Hub {
    type Result = ();

    fn handle(&mut self, frame: Ephemeral, _: &mut Self::Context) {
        for stream in frame.streams {
            self.pass(stream, ToRoom::Ephemeral(frame.text.clone(), frame.except.clone()));
        }
    }
}

impl Handler<Heard> for Hub {
    type Result = ();

    fn handle(&mut self, Heard(streams): Heard, _: &mut Self::Context) {
        for (stream, rev) in std::mem::take(&mut self.owed).into_iter().chain(streams) {
            self.pass(stream, ToRoom::Heard(rev));
        }
    }
}

impl Handler<OpenRooms> for Hub {
    type Result = MessageResult<OpenRooms>;

    fn handle(&mut self, OpenRooms(streams): OpenRooms, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(streams.into_iter().map(|stream| self.open(stream, ctx)).collect())
    }
}

impl Handler<EndRooms> for Hub {
    type Result = ();

    fn handle(&mut self, _: EndRooms, _: &mut Self::Context) {
        self.owed.clear();
        for (_, entry) in self.rooms.drain() {
            entry.room.do_send(ToRoom::End); // detach
        }
    }
}

impl Handler<OpenStreams> for Hub {
    type Result = Vec<Stream>;

    fn handle(&mut self, _: OpenStreams, _: &mut Self::Context) -> Self::Result {
        self.rooms.keys().copied().collect()
    }
}

impl Handler<Retire> for Hub {
    type Result = bool;

    fn handle(&mut self, Retire(stream): Retire, _: &mut Self::Context) -> bool {
        let agreed = self.rooms.get(&stream).is_none_or(|entry| entry.opened.elapsed() >= OPENING);
        if agreed {
            self.rooms.remove(&stream);
        }
        agreed
    }
}
