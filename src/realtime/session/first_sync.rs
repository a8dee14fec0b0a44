//! The first sync of a session that began with `subscribe=none`.
//!
//! A client that reconnects sends `sync` as its first command. Until the sync subscribes to the user stream, the
//! session sends no events of that stream: they would arrive before the missed ones. The session itself acts on these
//! events at once all the same. If another command comes first, or no command for a while, the client does not need a
//! sync, and gets the events since `auth.success`.

use super::Session;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::mailboxes::ToRoom;
use actix::prelude::*;

/// Whether the session waits for its first sync.
#[derive(Debug)]
pub enum FirstSync {
    NotAwaited,
    /// The session waits for it until this timer ends.
    Awaited(SpawnHandle),
    /// The sync has come, and the user stream is still held back.
    Running,
}

impl Session {
    /// Holds the user stream back until the first sync, or until a timer ends.
    pub(super) fn await_first_sync(&mut self, ctx: &mut Context<Self>) {
        let Some(caller) = self.caller() else { return };
        if let Some(user_stream) = self.subscriptions.get_mut(&Stream::User(caller.user_id)) {
            user_stream.first_sent = self.last_subscription + 1;
        }
        let timer = ctx.run_later(limits::FIRST_SYNC_WAIT, Self::skip_first_sync);
        self.first_sync = FirstSync::Awaited(timer);
    }

    /// Restarts the timer: a part of the first sync has come, and another part will follow.
    pub(super) fn await_first_sync_longer(&mut self, ctx: &mut Context<Self>) {
        if let FirstSync::Awaited(timer) = self.first_sync {
            ctx.cancel_future(timer);
            self.await_first_sync(ctx);
        }
    }

    /// Stops the timer: the last part of the first sync has come.
    pub(super) fn begin_first_sync(&mut self, ctx: &mut Context<Self>) {
        if let FirstSync::Awaited(timer) = self.first_sync {
            ctx.cancel_future(timer);
            self.first_sync = FirstSync::Running;
        }
    }

    /// Waits for the first sync again, because it was refused and the client may send another one.
    pub(super) fn await_first_sync_again(&mut self, ctx: &mut Context<Self>) {
        if let FirstSync::Running = self.first_sync {
            self.await_first_sync(ctx);
        }
    }

    /// Sends the user stream from `auth.success` on, because another command came first or the timer has ended.
    pub(super) fn skip_first_sync(&mut self, ctx: &mut Context<Self>) {
        let (FirstSync::Awaited(_), Some(caller)) = (&self.first_sync, self.caller()) else { return };
        let user_stream = Stream::User(caller.user_id);
        if let Some(subscription) = self.subscriptions.get(&user_stream) {
            let (room, from, checked) = (subscription.room.clone(), subscription.sent_to, subscription.checked);
            self.subscribe_to(user_stream, room, from, checked, ctx);
        }
    }

    /// Removes the subscription to the user stream whose events were held back. Call it before each new subscription:
    /// the new one brings these events again, from the revision that the client has.
    pub(super) fn remove_held_subscription(&mut self, stream: Stream, ctx: &mut Context<Self>) {
        if !matches!(stream, Stream::User(_)) {
            return;
        }
        match std::mem::replace(&mut self.first_sync, FirstSync::NotAwaited) {
            FirstSync::NotAwaited => return,
            FirstSync::Awaited(timer) => drop(ctx.cancel_future(timer)),
            FirstSync::Running => {}
        }
        if let Some(subscription) = self.subscriptions.remove(&stream) {
            subscription.room.do_send(ToRoom::Unsubscribe(self.id)); // detach
        }
    }
}
