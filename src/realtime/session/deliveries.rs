//! Messages from rooms: the session sends their events to the client, and acts itself on some events of the user
//! stream.

use super::{AuthState, Session};
use crate::domain::codes::Close;
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::mailboxes::{Batch, FromRoom, RoomEvent, ToRoom, ToSocket};
use crate::protocol::events::{EventEffect, RevokeReason, Revoked};
use crate::protocol::server::ServerFrame;
use actix::prelude::*;
use std::sync::Arc;

impl Session {
    pub(super) fn handle_room_event(&mut self, message: FromRoom, ctx: &mut Context<Self>) {
        let FromRoom { stream, subscription, event } = message;
        if self.is_closing {
            return;
        }
        match event {
            RoomEvent::Frames(batch) => self.handle_events(stream, subscription, &batch, ctx),
            RoomEvent::Page(batch) => {
                self.handle_events(stream, subscription, &batch, ctx);
                if self.flow.has_room() {
                    self.request_next_page(stream);
                } else {
                    self.paused_replays.push(stream);
                }
            }
            RoomEvent::Ephemeral(text) => self.send_text(text, ctx),
            RoomEvent::Attached(rev) => self.end_replay(stream, subscription, rev, ctx),
            RoomEvent::Reset(rev) => {
                let conversation_id = match stream {
                    Stream::Conversation(id) => Some(id),
                    Stream::User(_) => None,
                };
                let frame = ServerFrame::SyncReset { conversation_id, last_rev: conversation_id.map(|_| rev) };
                self.send(&frame, None, ctx);
                self.end_replay(stream, subscription, rev, ctx);
            }
            RoomEvent::Left(checked) => self.end_subscription(stream, checked, ctx),
            RoomEvent::Gone => self.handle_room_gone(ctx),
        }
    }

    /// Makes the client reconnect, so that its rights are read again. If the epoch has changed, the client first gets a
    /// reset of everything, because all its revisions belong to another history.
    fn handle_room_gone(&mut self, ctx: &mut Context<Self>) {
        let AuthState::Authenticated(identity) = &self.auth_state else { return };
        if identity.epoch != self.services.app.epoch() {
            self.send(&ServerFrame::SyncReset { conversation_id: None, last_rev: None }, None, ctx);
        }
        self.close(Close::Restart, ctx);
    }

    /// Continues paused replays, and begins further ones of a sync, if the client has read enough.
    pub(super) fn continue_replays(&mut self, ctx: &mut Context<Self>) {
        if self.flow.has_room() {
            for stream in std::mem::take(&mut self.paused_replays) {
                self.request_next_page(stream);
            }
            self.continue_sync(ctx);
        }
    }

    fn request_next_page(&self, stream: Stream) {
        if let Some(subscription) = self.subscriptions.get(&stream) {
            subscription.room.do_send(ToRoom::Continue(self.id)); // attach
        }
    }

    /// Ends a replay. The answer to an earlier subscription, such as the one made by `auth`, is ignored and ends no
    /// sync.
    fn end_replay(&mut self, stream: Stream, subscription: u64, rev: Rev, ctx: &mut Context<Self>) {
        if self.subscriptions.get(&stream).is_none_or(|newest| newest.number != subscription) {
            return;
        }
        self.note_sent(stream, rev);
        if self.running_sync.as_mut().is_some_and(|sync| sync.note_replayed(stream, rev)) {
            self.continue_sync(ctx);
        }
    }

    fn note_sent(&mut self, stream: Stream, rev: Rev) {
        if let Some(subscription) = self.subscriptions.get_mut(&stream) {
            subscription.sent_to = subscription.sent_to.max(rev);
        }
    }

    /// Ends a subscription because the user left. A subscription whose right was checked later than `checked` stays.
    fn end_subscription(&mut self, stream: Stream, checked: Rev, ctx: &mut Context<Self>) {
        if self.subscriptions.get(&stream).is_none_or(|subscription| subscription.checked > checked) {
            return;
        }
        let subscription = self.subscriptions.remove(&stream);
        let Stream::Conversation(id) = stream else { return };
        let is_requested = subscription.is_some_and(|subscription| subscription.sync_from.is_some());
        if self.running_sync.as_mut().is_some_and(|sync| sync.note_left(id, is_requested)) {
            self.continue_sync(ctx);
        }
    }

    /// Sends events to the client, and acts on those of the user stream that concern the session.
    fn handle_events(&mut self, stream: Stream, number: u64, batch: &Arc<Batch>, ctx: &mut Context<Self>) {
        let Some(subscription) = self.subscriptions.get(&stream) else { return };
        let (is_sent, skip_to) = (number >= subscription.first_sent, subscription.skip_to);
        let Some(batch) = &batch.between(skip_to, batch.last_rev()) else { return };
        if is_sent {
            self.send_to_socket(batch.bytes, ToSocket::Batch(batch.clone()), ctx);
            self.note_sent(stream, batch.last_rev());
            if let Some(sync) = &mut self.running_sync {
                sync.note_sent(stream, batch.last_rev());
            }
        }
        if matches!(stream, Stream::Conversation(_)) {
            return;
        }
        for frame in &batch.frames {
            match &frame.effect {
                EventEffect::Subscribe(conversation, rev) => self.add_conversation(*conversation, *rev, ctx),
                EventEffect::Revoked(revoked) => self.handle_revocation(revoked, frame.rev, ctx),
                EventEffect::None | EventEffect::Left(_) | EventEffect::Deleted(_) => {}
            }
        }
    }

    /// Closes the session if a revocation concerns it. A revocation from before the status and the login were read is
    /// ignored, because that reading has taken it into account.
    fn handle_revocation(&mut self, revoked: &Revoked, rev: Rev, ctx: &mut Context<Self>) {
        let AuthState::Authenticated(identity) = &self.auth_state else { return };
        let concerns_all = revoked.login_id.is_none() && revoked.session_id.is_none();
        let concerns_session =
            concerns_all || revoked.login_id == Some(identity.caller.login_id) || revoked.session_id == Some(self.id);
        if rev > identity.checked && concerns_session {
            let close = match revoked.reason {
                RevokeReason::Kicked | RevokeReason::Suspended => Close::Kicked,
                RevokeReason::Logout | RevokeReason::Password | RevokeReason::TokenReused | RevokeReason::Deleted => {
                    Close::Unauthorized
                }
            };
            self.close(close, ctx);
        }
    }
}
