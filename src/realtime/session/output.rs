//! Sending to the client: all messages pass one function, which counts their bytes and closes a session whose client is
//! too slow.

use super::Session;
use crate::domain::codes::Close;
use crate::mailboxes::ToTransport;
use crate::protocol::client::FrameId;
use crate::protocol::server::ServerFrame;
use actix::prelude::*;
use bytestring::ByteString;
use std::time::Instant;

impl Session {
    pub(super) fn send(&mut self, frame: &ServerFrame, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        let text = frame.text(id);
        self.send_text(text, ctx);
    }

    pub(super) fn send_text(&mut self, text: ByteString, ctx: &mut Context<Self>) {
        self.send_to_transport(ToTransport::Text(text), ctx);
    }

    /// Sends a message to the transport, or closes the session if its client reads too slowly.
    pub(super) fn send_to_transport(&mut self, message: ToTransport, ctx: &mut Context<Self>) {
        if self.is_closing {
            return;
        }
        let (bytes, now) = (message.bytes(), Instant::now());
        let too_slow = self.flow.is_full() || self.flow.is_stalled(now);
        if too_slow || self.transport.try_send(message).is_err() {
            self.close(Close::TooSlow, ctx);
            return;
        }
        self.flow.note_sent(bytes, now);
    }

    pub(super) fn close(&mut self, close: Close, ctx: &mut Context<Self>) {
        if !self.is_closing {
            self.is_closing = true;
            tracing::debug!(session.id = %self.id, code = close.code(), "session closes");
            let _ = self.transport.try_send(ToTransport::Close(close));
            ctx.stop();
        }
    }
}
