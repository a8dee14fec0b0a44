//! Messages to the transport of a session, which writes frames to the connection.
//!
//! A session does not know which transport it has. The socket in `realtime/socket.rs` is one.

use super::Batch;
use crate::domain::codes::Close;
use actix::prelude::Message;
use bytes::Bytes;
use bytestring::ByteString;
use std::sync::Arc;

/// What a session makes its transport write.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum ToTransport {
    Text(ByteString),
    /// Several text frames in one write.
    Batch(Arc<Batch>),
    /// The answer in a [`super::FromTransport::Control`], which the session has accepted.
    ControlAnswer(Bytes),
    /// The close code of the connection, after which nothing is written.
    Close(Close),
}

impl ToTransport {
    /// Returns the number of bytes that the client must acknowledge. The session counts them when it sends the message,
    /// and the transport counts the same bytes when it writes them.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Batch(batch) => batch.bytes,
            Self::ControlAnswer(answer) => answer.len(),
            Self::Close(_) => 0,
        }
    }
}
