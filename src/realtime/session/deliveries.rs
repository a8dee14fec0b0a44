//! What rooms hand to a session: events and pages of a replay go to the client, and those of the user's own stream are
//! obeyed too.

use super::{Followed, Session, State};
use crate::domain::codes::Close;
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::mailboxes::{Batch, FromRoom, RoomEvent, ToRoom, ToSocket};
use crate::protocol::events::{Effect, RevokeReason, Revoked};
use crate::protocol::server::ServerFrame;
use actix::prelude::*;
use std::sync::Arc;

impl Session {
    pub(super) fn room_says(&mut self, message: FromRoom, ctx: &mut Context<Self>) {
        let FromRoom { stream, subscription, event } = message;
        if self.closing {
            return;
        }
        match event {
            RoomEvent::Frames(batch) => self.events(stream, subscription, &batch, ctx),
            RoomEvent::Page(batch) => {
                self.events(stream, subscription, &batch, ctx);
                if self.flow.has_room() {
                    self.go_on(stream);
                } else {
                    self.paused.push(stream);
                }
            }
            RoomEvent::Ephemeral(text) => self.pass(text, ctx),
            RoomEvent::Attached(rev) => self.attached(stream, subscription, rev, ctx),
            RoomEvent::Reset(rev) => {
                let conversation_id = match stream {
                    Stream::Conversation(id) => Some(id),
                    Stream::User(_) => None,
                };
                let frame = ServerFrame::SyncReset { conversation_id, last_rev: conversation_id.map(|_| rev) };
                self.send(&frame, None, ctx);
                self.attached(stream, subscription, rev, ctx);
            }
            RoomEvent::Left(checked) => self.left(stream, checked, ctx),
            RoomEvent::Gone => self.room_gone(ctx),
        }
    }

    /// The client comes back and its rights are read again. When the room went with the history that it knew, the client is
    /// told first that everything it holds is of another.
    fn room_gone(&mut self, ctx: &mut Context<Self>) {
        let State::Known(identity) = &self.state else { return };
        if identity.epoch != self.around.app.epoch() {
            self.send(&ServerFrame::SyncReset { conversation_id: None, last_rev: None }, None, ctx);
        }
        self.close(Close::Restart, ctx);
    }

    /// The client has read on: replays that waited for it continue, and others of a sync begin.
    pub(super) fn read_on(&mut self, ctx: &mut Context<Self>) {
        if self.flow.has_room() {
            for stream in std::mem::take(&mut self.paused) {
                self.go_on(stream);
            }
            self.synced(ctx);
        }
    }

    /// The client has room for the next page of a replay.
    pub(super) fn go_on(&self, stream: Stream) {
        if let Some(Followed { room, .. }) = self.rooms.get(&stream) {
            room.do_send(ToRoom::Continue(self.id)); // attach
        }
    }

    /// A replay is over. What answers an earlier subscription, as the one that came with `auth`, ends no sync.
    fn attached(&mut self, stream: Stream, subscription: u64, rev: Rev, ctx: &mut Context<Self>) {
        if self.rooms.get(&stream).is_none_or(|followed| followed.subscription != subscription) {
            return;
        }
        self.reached(stream, rev);
        if self.syncing.as_mut().is_some_and(|syncing| syncing.replayed(stream, rev)) {
            self.synced(ctx);
        }
    }

    fn reached(&mut self, stream: Stream, rev: Rev) {
        if let Some(followed) = self.rooms.get_mut(&stream) {
            followed.reached = followed.reached.max(rev);
        }
    }

    /// The user is out. What ended is the subscription whose right was checked then: one made after it stands.
    fn left(&mut self, stream: Stream, checked: Rev, ctx: &mut Context<Self>) {
        if self.rooms.get(&stream).is_none_or(|followed| followed.checked > checked) {
            return;
        }
        let followed = self.rooms.remove(&stream);
        let Stream::Conversation(id) = stream else { return };
        let asked = followed.is_some_and(|followed| followed.synced.is_some());
        if self.syncing.as_mut().is_some_and(|syncing| syncing.left(id, asked)) {
            self.synced(ctx);
        }
    }

    /// Hands events to the client and does what those of its own stream ask of the session.
    fn events(&mut self, stream: Stream, subscription: u64, batch: &Arc<Batch>, ctx: &mut Context<Self>) {
        let Some(followed) = self.rooms.get(&stream) else { return };
        let (goes_out, after) = (subscription >= followed.since, followed.after);
        let Some(batch) = &batch.between(after, batch.last_rev()) else { return };
        if goes_out {
            self.hand(batch.bytes, ToSocket::Batch(batch.clone()), ctx);
            self.reached(stream, batch.last_rev());
            if let Some(syncing) = &mut self.syncing {
                syncing.reached(stream, batch.last_rev());
            }
        }
        if matches!(stream, Stream::Conversation(_)) {
            return;
        }
        for frame in &batch.frames {
            match &frame.effect {
                Effect::Subscribe(conversation, rev) => self.gain(*conversation, *rev, ctx),
                Effect::Revoked(revoked) => self.revoked(revoked, frame.rev, ctx),
                Effect::None | Effect::Left(_) | Effect::Deleted(_) => {}
            }
        }
    }

    /// A revocation concerns this session only if it came after status and login were read; a replayed one is history.
    fn revoked(&mut self, revoked: &Revoked, rev: Rev, ctx: &mut Context<Self>) {
        let State::Known(identity) = &self.state else { return };
        let everything = revoked.login_id.is_none() && revoked.session_id.is_none();
        let concerned =
            everything || revoked.login_id == Some(identity.caller.login_id) || revoked.session_id == Some(self.id);
        if rev > identity.checked && concerned {
            let why = match revoked.reason {
                RevokeReason::Kicked | RevokeReason::Suspended => Close::Kicked,
                RevokeReason::Logout | RevokeReason::Password | RevokeReason::TokenReused | RevokeReason::Deleted => {
                    Close::Unauthorized
                }
            };
            self.close(why, ctx);
        }
    }
}
