//! Messages to a socket, which writes frames to the connection.

use super::Batch;
use crate::domain::codes::Close;
use actix::prelude::Message;
use bytes::Bytes;
use bytestring::ByteString;
use std::sync::Arc;

/// What a session makes its socket write.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum ToSocket {
    Text(ByteString),
    /// Several text frames in one write.
    Batch(Arc<Batch>),
    /// A ping that carries the count of bytes sent so far.
    Ping(u64),
    /// The answer to a ping of the client.
    Pong(Bytes),
    /// The close frame, after which nothing is written.
    Close(Close),
}
