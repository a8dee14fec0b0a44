//! Sending to the client: all messages pass one function, which counts their bytes and closes a session that is too
//! slow.

use super::Session;
use crate::domain::codes::Close;
use crate::mailboxes::ToSocket;
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
        self.send_to_socket(text.len(), ToSocket::Text(text), ctx);
    }

    /// Sends a message of `bytes` bytes to the socket, or closes the session if its client reads too slowly.
    pub(super) fn send_to_socket(&mut self, bytes: usize, message: ToSocket, ctx: &mut Context<Self>) {
        if self.is_closing {
            return;
        }
        let now = Instant::now();
        let too_slow = self.flow.is_full() || self.flow.is_stalled(now);
        if too_slow || self.socket.try_send(message).is_err() {
            self.close(Close::TooSlow, ctx);
            return;
        }
        if let Some(count) = self.flow.note_sent(bytes, now) {
            self.ping(count);
        }
    }

    pub(super) fn ping(&mut self, count: u64) {
        self.pinged_at = Instant::now();
        let _ = self.socket.try_send(ToSocket::Ping(count));
    }

    pub(super) fn close(&mut self, close: Close, ctx: &mut Context<Self>) {
        if !self.is_closing {
            self.is_closing = true;
            tracing::debug!(session.id = %self.id, code = close.code(), "session closes");
            let _ = self.socket.try_send(ToSocket::Close(close));
            ctx.stop();
        }
    }
}
