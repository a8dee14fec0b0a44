//! Messages to a room, which sends the events of one stream to its subscribers.

use super::{Batch, ReadPurpose, RoomEvent, SessionHandle};
use crate::domain::ids::{Rev, SessionId, UserId};
use crate::domain::stream::Stream;
use crate::protocol::envelope::Envelope;
use actix::prelude::Message;
use bytestring::ByteString;
use std::sync::Arc;

/// The inputs of a room.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum ToRoom {
    /// Events, in any order and any number of times.
    Deliver(Arc<Batch>),
    /// The head of the stream. The room may not have broadcast all events up to it yet.
    Head(Rev),
    /// An ephemeral frame, and the users whose sessions do not get it.
    Ephemeral(ByteString, Arc<[UserId]>),
    /// The room knows another history than the database: all subscribers, also those yet to come, must reconnect.
    End,
    Subscribe(Subscription),
    Unsubscribe(SessionId),
    /// The client of a session has read enough for the next page of its replay.
    Continue(SessionId),
    /// The result of a read of the log.
    Read {
        purpose: ReadPurpose,
        /// The events after the revision asked for, without a gap. `None` if the read failed.
        envelopes: Option<Vec<Envelope>>,
    },
}

/// A subscription of a user whose right to read was checked in the database. If no room accepts it, because the room
/// ended, dropping it makes the session reconnect, so that no session waits forever.
#[derive(Debug)]
pub struct Subscription {
    pub stream: Stream,
    pub session: SessionHandle,
    /// The session gets every event after this revision.
    pub after: Rev,
    /// The head of the stream when the right was checked.
    pub checked_rev: Rev,
    pub accepted: bool,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.accepted {
            self.session.send(self.stream, RoomEvent::Gone);
        }
    }
}
