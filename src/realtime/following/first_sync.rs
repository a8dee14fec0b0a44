//! The first sync of a session that was opened with `subscribe=none`.
//!
//! A client that reconnects sends it before any other command. Until it runs, the session sends no events of its own
//! stream: they would come before those that the client missed. If another command comes first, or no sync comes for a
//! while, the session sends the events since `auth.success`.

use super::{FollowEffect, Following};
use crate::domain::stream::Stream;

/// The state of the first sync.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FirstSync {
    /// The session does not wait for a first sync, or it has subscribed to its own stream again.
    Over,
    Awaited,
    /// The sync has come. The session will subscribe to its own stream again.
    Running,
}

impl<R: Clone> Following<R> {
    /// Holds the events of the own stream back until the first sync.
    pub(super) fn await_first_sync(&mut self) {
        let next = self.subscription_count + 1;
        if let Some(own_stream) = self.own_stream.and_then(|own_stream| self.streams.get_mut(&own_stream)) {
            own_stream.first_number = next;
        }
        self.first_sync = FirstSync::Awaited;
        self.effects.push_back(FollowEffect::StartSyncTimer);
    }

    /// Waits longer, because a part of the sync has come and more will follow.
    pub(super) fn extend_first_sync(&mut self) {
        if self.first_sync == FirstSync::Awaited {
            self.effects.push_back(FollowEffect::StartSyncTimer);
        }
    }

    pub(super) fn begin_first_sync(&mut self) {
        if self.first_sync == FirstSync::Awaited {
            self.first_sync = FirstSync::Running;
            self.effects.push_back(FollowEffect::StopSyncTimer);
        }
    }

    /// Waits again after a refused sync, because the client may repeat it.
    pub(super) fn await_first_sync_again(&mut self) {
        if self.first_sync == FirstSync::Running {
            self.await_first_sync();
        }
    }

    /// Ends the wait for the first sync, because another command came before it or its time has passed.
    pub fn skip_first_sync(&mut self) {
        if self.first_sync != FirstSync::Awaited {
            return;
        }
        if let Some((own_stream, followed)) = self.own_stream.and_then(|own| Some((own, self.streams.get(&own)?))) {
            let (room, from, checked_rev) = (followed.room.clone(), followed.sent_to, followed.checked_rev);
            self.subscribe_to(own_stream, room, from, checked_rev);
        }
    }

    /// Ends the first sync and the subscription of the session to its own stream, before the session subscribes to it
    /// again. The events that were held back were not sent to the client, so the room sends them again.
    pub(super) fn end_first_sync(&mut self, stream: Stream) {
        if !matches!(stream, Stream::User(_)) || self.first_sync == FirstSync::Over {
            return;
        }
        self.first_sync = FirstSync::Over;
        self.effects.push_back(FollowEffect::StopSyncTimer);
        if let Some(followed) = self.streams.remove(&stream) {
            self.effects.push_back(FollowEffect::Unsubscribe { room: followed.room });
        }
    }
}
