//! Messages to the hub, which starts rooms and finds them.

use super::{Batch, ToRoom};
use crate::domain::ids::{Rev, UserId};
use crate::domain::stream::Stream;
use crate::error::Result;
use actix::prelude::{Message, Recipient};
use bytestring::ByteString;
use std::sync::Arc;

/// The events that a transaction committed, one batch for each stream.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Committed(pub Vec<Arc<Batch>>);

/// An ephemeral frame for the sessions that follow one of these streams now.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Ephemeral {
    pub streams: Vec<Stream>,
    pub text: ByteString,
    /// Users whose sessions do not get it.
    pub except: Arc<[UserId]>,
}

/// Starts those rooms of these streams that do not run yet, and keeps all of them until the subscription that follows.
/// Answers with a room for each stream, in the same order. Fails when the hub stops.
#[derive(Message, Debug)]
#[rtype(result = "Result<Vec<Recipient<ToRoom>>>")]
pub struct OpenRooms(pub Vec<Stream>);

/// The heads of streams as the log has them. A room that is behind reads what it lacks.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Heads(pub Vec<(Stream, Rev)>);

/// Ends all rooms and makes their sessions reconnect, because the revisions that they know belong to another history.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct EndRooms;

/// Asks which streams have a room on this node. The answer is in no order.
#[derive(Message, Debug)]
#[rtype(result = "Vec<Stream>")]
pub struct ListOpenStreams;

/// A room without subscribers asks whether it may stop.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct Retire(pub Stream);
