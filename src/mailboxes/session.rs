//! Messages to a session, from rooms and from its transport.

use super::Batch;
use crate::domain::codes::Close;
use crate::domain::ids::{Rev, SessionId, UserId};
use crate::domain::stream::Stream;
use crate::error::Error;
use actix::prelude::{Message, Recipient};
use bytes::Bytes;
use bytestring::ByteString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a room reaches a session. A full mailbox means that the client reads too slowly.
#[derive(Clone, Debug)]
pub struct SessionHandle {
    pub id: SessionId,
    pub user_id: UserId,
    pub mailbox: Recipient<FromRoom>,
    /// The number of the subscription that this handle belongs to.
    pub subscription_number: u64,
    /// Set when a message did not fit into the mailbox. The session closes as soon as it sees this.
    pub overrun: Arc<AtomicBool>,
}

impl SessionHandle {
    /// Sends without waiting. Returns false, and marks the session as overrun, if its mailbox is full or gone.
    pub fn send(&self, stream: Stream, event: RoomEvent) -> bool {
        let sent =
            self.mailbox.try_send(FromRoom { stream, subscription_number: self.subscription_number, event }).is_ok();
        if !sent {
            self.overrun.store(true, Ordering::Relaxed);
        }
        sent
    }
}

/// A message from a room.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct FromRoom {
    pub stream: Stream,
    /// The newest subscription of the session that the room knows.
    pub subscription_number: u64,
    pub event: RoomEvent,
}

/// The content of [`FromRoom`].
#[derive(Clone, Debug)]
pub enum RoomEvent {
    /// Live events.
    Events(Arc<Batch>),
    /// A page of a replay. The session asks for the next one when its client has read enough.
    Page(Arc<Batch>),
    /// An ephemeral frame.
    Ephemeral(ByteString),
    /// The replay is over. Live events follow after this revision.
    Live(Rev),
    /// The log does not reach back far enough. Live events follow after this revision.
    Reset(Rev),
    /// The user left. Ends the subscriptions whose right was checked at this revision or before.
    Left(Rev),
    /// The room ended, or the log lacks events that the room missed. Rights must be read again, so the client
    /// reconnects.
    Gone,
}

/// A message from the transport. Each one shows that the client is still there.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum FromTransport {
    Text(ByteString),
    /// A frame that cannot be accepted, with the close code if the connection cannot continue.
    Refused(Error, Option<Close>),
    /// A frame of the transport itself, such as a ping of the client. The session charges it to the user. If the charge
    /// is accepted, it sends the answer, if there is one, back to the transport.
    Control {
        answer: Option<Bytes>,
    },
    /// The number of bytes that the client has read since the connection was opened, out of those that
    /// [`super::ToTransport::bytes`] counts.
    Acknowledged(u64),
    /// The connection has ended.
    Closed,
}

/// Makes a session close its connection.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct CloseSession(pub Close);
