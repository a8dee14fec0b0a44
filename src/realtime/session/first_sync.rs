//! The first sync of a session that opened with `subscribe=none`. Whoever comes back sends it before anything else, and
//! until it is followed nothing of the user's own stream goes out: what happens meanwhile would come before what was
//! missed. What that stream asks of the session itself is done at once all the same. Who sends another command first, or
//! nothing for a while, has missed nothing, and gets what happened since `auth.success`.

use super::Session;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::mailboxes::ToRoom;
use actix::prelude::*;

/// Whether the first sync is yet to come.
#[derive(Debug)]
pub enum FirstSync {
    /// Nobody waits for it.
    Over,
    /// It may come, until this timer runs out.
    Awaited(SpawnHandle),
    /// It came, and its outcome will tell.
    UnderWay,
}

impl Session {
    /// Holds the user's own stream back for the sync that may come.
    pub(super) fn await_sync(&mut self, ctx: &mut Context<Self>) {
        let Some(caller) = self.caller() else { return };
        if let Some(own) = self.rooms.get_mut(&Stream::User(caller.user_id)) {
            own.since = self.subscriptions + 1;
        }
        let timer = ctx.run_later(limits::FIRST_SYNC, Self::no_sync_first);
        self.first_sync = FirstSync::Awaited(timer);
    }

    /// A part of a sync came; more follow.
    pub(super) fn sync_goes_on(&mut self, ctx: &mut Context<Self>) {
        if let FirstSync::Awaited(timer) = self.first_sync {
            ctx.cancel_future(timer);
            self.await_sync(ctx);
        }
    }

    /// A sync is whole and begins.
    pub(super) fn sync_begins(&mut self, ctx: &mut Context<Self>) {
        if let FirstSync::Awaited(timer) = self.first_sync {
            ctx.cancel_future(timer);
            self.first_sync = FirstSync::UnderWay;
        }
    }

    /// It was refused; the client may send it again.
    pub(super) fn sync_refused(&mut self, ctx: &mut Context<Self>) {
        if let FirstSync::UnderWay = self.first_sync {
            self.await_sync(ctx);
        }
    }

    /// Another command came first, or nothing for a while.
    pub(super) fn no_sync_first(&mut self, ctx: &mut Context<Self>) {
        let (FirstSync::Awaited(_), Some(caller)) = (&self.first_sync, self.caller()) else { return };
        let own = Stream::User(caller.user_id);
        if let Some(followed) = self.rooms.get(&own) {
            let (room, from, checked) = (followed.room.clone(), followed.reached, followed.checked);
            self.follow(own, room, from, checked, ctx);
        }
    }

    /// The user's own stream is followed anew, from where the client says or from where it was told: what came of it so
    /// far went nowhere, and comes again.
    pub(super) fn forget_what_was_held(&mut self, stream: Stream, ctx: &mut Context<Self>) {
        if !matches!(stream, Stream::User(_)) {
            return;
        }
        match std::mem::replace(&mut self.first_sync, FirstSync::Over) {
            FirstSync::Over => return,
            FirstSync::Awaited(timer) => drop(ctx.cancel_future(timer)),
            FirstSync::UnderWay => {}
        }
        if let Some(followed) = self.rooms.remove(&stream) {
            followed.room.do_send(ToRoom::Unsubscribe(self.id)); // detach
        }
    }
}
