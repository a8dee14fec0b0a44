//! The hub: one per node, the map from a stream to its room. It starts rooms and lets them stop; a room proposes, the hub
//! decides, so that no subscription goes to a room that is on its way out. It holds nothing across an await. Its mailbox
//! holds `MAILBOX` messages; commits that do not fit are found again by the catch-up. After a panic it has no rooms: all of
//! them end, and their sessions come back.

use super::order::Budget;
use super::room::{Room, Shared};
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::mailboxes::{Committed, EndRooms, Ephemeral, Heads, OpenRooms, OpenStreams, ReadLog, Retire, ToRoom};
use crate::supervision::{Panicked, Part, Supervision};
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
    shared: Shared,
    catch_up: Arc<Notify>,
    /// Rooms that had no place for word of a revision; they are told when the catch-up comes by.
    owed: HashMap<Stream, Rev>,
    part: Part,
}

struct Entry {
    room: Addr<Room>,
    opened: Instant,
}

impl Hub {
    /// A hub whose rooms run on `pool`, which must not be empty.
    pub fn new(
        pool: Vec<ArbiterHandle>,
        log: mpsc::Sender<ReadLog>,
        catch_up: Arc<Notify>,
        supervision: &Supervision,
    ) -> Self {
        let shared = Shared { log, part: supervision.part("rooms"), recent: Budget::default() };
        let part = supervision.part("hub");
        Self { rooms: HashMap::new(), pool, shared, catch_up, owed: HashMap::new(), part }
    }

    /// Does something; after a panic nothing of what it holds is relied on.
    fn guarded<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> std::result::Result<R, Panicked> {
        let part = self.part.clone();
        part.catch(|| work(self)).inspect_err(|_| self.end_rooms())
    }

    /// Ends every room; what is on the way to one comes back as well.
    fn end_rooms(&mut self) {
        self.owed.clear();
        for entry in std::mem::take(&mut self.rooms).into_values() {
            entry.room.do_send(ToRoom::End); // detach
        }
    }

    fn open(&mut self, stream: Stream, ctx: &Context<Self>) -> Recipient<ToRoom> {
        if let Some(entry) = self.rooms.get_mut(&stream).filter(|entry| entry.room.connected()) {
            entry.opened = Instant::now();
            return entry.room.clone().recipient();
        }
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        let arbiter = &self.pool[(hasher.finish() % self.pool.len() as u64) as usize];
        let (hub, shared) = (ctx.address().recipient(), self.shared.clone());
        let room = Room::start_in_arbiter(arbiter, move |_| Room::new(stream, hub, shared));
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
                    ToRoom::Head(rev) => rev,
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
        let _ = self.guarded(|hub| {
            for (stream, batch) in streams {
                hub.pass(stream, ToRoom::Deliver(batch));
            }
        });
    }
}

impl Handler<Ephemeral> for Hub {
    type Result = ();

    fn handle(&mut self, frame: Ephemeral, _: &mut Self::Context) {
        let _ = self.guarded(move |hub| {
            for stream in frame.streams {
                hub.pass(stream, ToRoom::Ephemeral(frame.text.clone(), frame.except.clone()));
            }
        });
    }
}

impl Handler<Heads> for Hub {
    type Result = ();

    fn handle(&mut self, Heads(streams): Heads, _: &mut Self::Context) {
        let _ = self.guarded(|hub| {
            for (stream, rev) in std::mem::take(&mut hub.owed).into_iter().chain(streams) {
                hub.pass(stream, ToRoom::Head(rev));
            }
        });
    }
}

impl Handler<OpenRooms> for Hub {
    type Result = Result<Vec<Recipient<ToRoom>>>;

    fn handle(&mut self, OpenRooms(streams): OpenRooms, ctx: &mut Self::Context) -> Self::Result {
        let opened = self.guarded(|hub| streams.into_iter().map(|stream| hub.open(stream, ctx)).collect());
        opened.map_err(|_| Error::unavailable("the rooms begin anew; try again"))
    }
}

impl Handler<EndRooms> for Hub {
    type Result = ();

    fn handle(&mut self, _: EndRooms, _: &mut Self::Context) {
        self.end_rooms();
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
        let retired = self.guarded(|hub| {
            let agreed = hub.rooms.get(&stream).is_none_or(|entry| entry.opened.elapsed() >= OPENING);
            if agreed {
                hub.rooms.remove(&stream);
            }
            agreed
        });
        retired.unwrap_or(true)
    }
}
