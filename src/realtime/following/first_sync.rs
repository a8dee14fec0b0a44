//! The first sync of a session that opened with `subscribe=none`. A client that reconnects sends it before any other
//! command. Until it runs, events of the user's own stream are not sent: they would come before those that the client
//! missed. A client that sends another command first, or nothing for a while, gets what happened since `auth.success`.

use super::{FollowEffect, Following};
use crate::domain::stream::Stream;

/// Whether the first sync is still to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FirstSync {
    Over,
    Awaited,
    /// It came, and its rights are being read.
    Running,
}

impl<R: Clone> Following<R> {
    /// Stops sending events of the user's own stream, and waits.
    pub(super) fn await_sync(&mut self) {
        let next = self.subscriptions + 1;
        if let Some(own) = self.own.and_then(|own| self.streams.get_mut(&own)) {
            own.first = next;
        }
        self.first_sync = FirstSync::Awaited;
        self.effects.push_back(FollowEffect::AwaitSync);
    }

    /// A part of a sync came, and more will follow.
    pub(super) fn sync_goes_on(&mut self) {
        if self.first_sync == FirstSync::Awaited {
            self.effects.push_back(FollowEffect::AwaitSync);
        }
    }

    pub(super) fn sync_begins(&mut self) {
        if self.first_sync == FirstSync::Awaited {
            self.first_sync = FirstSync::Running;
            self.effects.push_back(FollowEffect::StopAwaitingSync);
        }
    }

    /// The client may send the sync again.
    pub(super) fn sync_refused(&mut self) {
        if self.first_sync == FirstSync::Running {
            self.await_sync();
        }
    }

    /// Another command came first, or nothing came in time.
    pub fn no_sync_first(&mut self) {
        if self.first_sync != FirstSync::Awaited {
            return;
        }
        if let Some((own, followed)) = self.own.and_then(|own| Some((own, self.streams.get(&own)?))) {
            let (room, from, checked) = (followed.room.clone(), followed.sent, followed.checked);
            self.attach(own, room, from, checked);
        }
    }

    /// Call before subscribing to the own stream again. Events received so far were not sent to the client, so the room
    /// must send them again.
    pub(super) fn end_first_sync(&mut self, stream: Stream) {
        if !matches!(stream, Stream::User(_)) || self.first_sync == FirstSync::Over {
            return;
        }
        self.first_sync = FirstSync::Over;
        self.effects.push_back(FollowEffect::StopAwaitingSync);
        if let Some(followed) = self.streams.remove(&stream) {
            self.effects.push_back(FollowEffect::Detach { room: followed.room });
        }
    }
}
