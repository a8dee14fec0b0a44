//! What goes to the client: one way out, which counts what is handed over and closes a session that is too slow.

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
        self.hand(text.len(), ToSocket::Text(text), ctx);
    }

    pub(super) fn pass(&mut self, text: ByteString, ctx: &mut Context<Self>) {
        self.hand(text.len(), ToSocket::Text(text), ctx);
    }

    pub(super) fn hand(&mut self, bytes: usize, message: ToSocket, ctx: &mut Context<Self>) {
        if self.closing {
            return;
        }
        let now = Instant::now();
        let too_slow = self.flow.is_full() || self.flow.is_stalled(now);
        if too_slow || self.socket.try_send(message).is_err() {
            self.close(Close::TooSlow, ctx);
            return;
        }
        if let Some(count) = self.flow.handed(bytes, now) {
            self.ping(count);
        }
    }

    pub(super) fn ping(&mut self, count: u64) {
        self.pinged_at = Instant::now();
        let _ = self.socket.try_send(ToSocket::Ping(count));
    }

    pub(super) fn close(&mut self, why: Close, ctx: &mut Context<Self>) {
        if !self.closing {
            self.closing = true;
            tracing::debug!(session.id = %self.id, code = why.code(), "session closes");
            let _ = self.socket.try_send(ToSocket::Close(why));
            ctx.stop();
        }
    }
}
