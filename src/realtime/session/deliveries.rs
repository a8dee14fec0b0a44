//! Messages from rooms: the session sends their events to the client, and acts itself on some events of the user
//! stream.

use super::{AuthState, Session};
use crate::domain::codes::Close;
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::mailboxes::{Batch, FromRoom, RoomEvent};
use crate::protocol::events::EventEffect;
use crate::protocol::logins::{RevokeReason, Revoked};
use crate::protocol::server::ServerFrame;
use crate::protocol::subscriptions::SyncReset;
use crate::realtime::following::Following;
use actix::prelude::*;
use std::sync::Arc;

impl Session {
    pub(super) fn handle_room_event(&mut self, message: FromRoom, ctx: &mut Context<Self>) {
        let FromRoom { stream, subscription_number, event } = message;
        if self.is_closing {
            return;
        }
        match event {
            RoomEvent::Events(batch) => self.handle_events(stream, subscription_number, &batch, ctx),
            RoomEvent::Page(batch) => {
                self.handle_events(stream, subscription_number, &batch, ctx);
                self.follow(ctx, |following| following.handle_page_sent(stream));
            }
            RoomEvent::Ephemeral(text) => self.send_text(text, ctx),
            RoomEvent::Live(rev) => {
                self.follow(ctx, |following| following.handle_live(stream, subscription_number, rev));
            }
            RoomEvent::Reset(rev) => {
                self.follow(ctx, |following| following.handle_reset(stream, subscription_number, rev));
            }
            RoomEvent::Left(checked_rev) => self.follow(ctx, |following| following.handle_left(stream, checked_rev)),
            RoomEvent::Gone => self.handle_room_gone(ctx),
        }
    }

    /// Makes the client reconnect, so that its rights are read again. If the epoch has changed, the client first gets a
    /// reset of everything, because all its revisions belong to another history.
    fn handle_room_gone(&mut self, ctx: &mut Context<Self>) {
        let AuthState::Authenticated(identity) = &self.auth_state else { return };
        if identity.epoch != self.services.app.epoch() {
            self.send(&ServerFrame::SyncReset(SyncReset { conversation_id: None, last_rev: None }), None, ctx);
        }
        self.close(Close::Restart, ctx);
    }

    /// Continues paused replays, and begins further ones of a sync, if the client has read enough.
    pub(super) fn continue_replays(&mut self, ctx: &mut Context<Self>) {
        if self.flow.has_room() {
            self.follow(ctx, Following::continue_replays);
        }
    }

    /// Sends events to the client, then acts on the revocations among those of the user stream.
    fn handle_events(&mut self, stream: Stream, subscription_number: u64, batch: &Arc<Batch>, ctx: &mut Context<Self>) {
        self.follow(ctx, |following| following.handle_events(stream, subscription_number, batch));
        for envelope in &batch.envelopes {
            if let EventEffect::Revoked(revoked) = &envelope.effect {
                self.handle_revocation(revoked, envelope.rev, ctx);
            }
        }
    }

    /// Closes the session if a revocation concerns it. Ignores a revocation at or before `identity.checked_rev`:
    /// authentication has already seen it.
    fn handle_revocation(&mut self, revoked: &Revoked, rev: Rev, ctx: &mut Context<Self>) {
        let AuthState::Authenticated(identity) = &self.auth_state else { return };
        if rev > identity.checked_rev && revoked.ends_session(self.id, identity.caller.via) {
            let close = match revoked.reason {
                RevokeReason::EndedByAdmin | RevokeReason::Suspended => Close::EndedByAdmin,
                RevokeReason::Logout | RevokeReason::Password | RevokeReason::TokenReused | RevokeReason::Deleted => {
                    Close::Unauthorized
                }
            };
            self.close(close, ctx);
        }
    }
}
