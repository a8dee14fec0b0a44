//! The inputs from rooms: events to send, replays to continue, and subscriptions that end.

use super::stream::FollowedStream;
use super::{FollowEffect, Following, note_added};
use crate::domain::ids::{ConversationId, Rev};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::mailboxes::Batch;
use crate::protocol::events::EventEffect;
use crate::protocol::server::ServerFrame;
use crate::protocol::subscriptions::SyncReset;
use std::sync::Arc;

impl<R: Clone> Following<R> {
    /// Takes events from a room. `number` is the subscription that they belong to.
    pub fn handle_events(&mut self, stream: Stream, number: u64, batch: &Arc<Batch>) {
        let Some(followed) = self.streams.get_mut(&stream) else { return };
        let Some(batch) = batch.between(followed.not_sent_up_to, batch.last_rev()) else { return };
        if number >= followed.first_number {
            followed.sent_to = followed.sent_to.max(batch.last_rev());
            if let Some(sync) = &mut self.sync {
                sync.note_sent(stream, batch.last_rev());
            }
            self.effects.push_back(FollowEffect::SendEvents(batch.clone()));
        }
        for envelope in &batch.envelopes {
            match &envelope.effect {
                EventEffect::Subscribe(conversation, rev) => self.add_conversation(*conversation, *rev),
                EventEffect::Left(user) if self.own_stream == Some(Stream::User(*user)) => {
                    let note_leave = |followed: &mut FollowedStream<R>| {
                        followed.leave_sent |= envelope.rev > followed.checked_rev;
                    };
                    self.streams.entry(stream).and_modify(note_leave);
                }
                EventEffect::None | EventEffect::Left(_) | EventEffect::Deleted(_) | EventEffect::Revoked(_) => {}
            }
        }
    }

    /// Notes that a page of a replay was sent. The next page follows when the client has read enough.
    pub fn handle_page_sent(&mut self, stream: Stream) {
        if self.may_replay {
            self.continue_replay(stream);
        } else {
            self.paused_replays.push(stream);
        }
    }

    /// Continues the paused replays and the sync, because the client has read enough.
    pub fn continue_replays(&mut self) {
        for stream in std::mem::take(&mut self.paused_replays) {
            self.continue_replay(stream);
        }
        self.continue_sync();
    }

    fn continue_replay(&mut self, stream: Stream) {
        if let Some(followed) = self.streams.get(&stream) {
            self.effects.push_back(FollowEffect::Continue { room: followed.room.clone() });
        }
    }

    /// Notes that the replay of a subscription has ended. If the subscription is not the newest one, such as the one
    /// that came with `auth`, this does not concern the sync.
    pub fn handle_live(&mut self, stream: Stream, number: u64, rev: Rev) {
        let is_newest = |followed: &&mut FollowedStream<R>| followed.subscription_number == number;
        let Some(followed) = self.streams.get_mut(&stream).filter(is_newest) else { return };
        // The session sent only the events of subscriptions from `first_number` on, although the room has replayed
        // those of earlier ones too.
        if number >= followed.first_number {
            followed.sent_to = followed.sent_to.max(rev);
        }
        if self.sync.as_mut().is_some_and(|sync| sync.note_replayed(stream, rev)) {
            self.continue_sync();
        }
    }

    /// Sends a reset, because the log does not reach back far enough for the replay of a subscription. Events after
    /// `rev` follow.
    pub fn handle_reset(&mut self, stream: Stream, number: u64, rev: Rev) {
        let conversation_id = match stream {
            Stream::Conversation(id) => Some(id),
            Stream::User(_) => None,
        };
        let frame = ServerFrame::SyncReset(SyncReset { conversation_id, last_rev: conversation_id.map(|_| rev) });
        self.effects.push_back(FollowEffect::Send(frame, None));
        self.handle_live(stream, number, rev);
    }

    /// Ends a subscription, because the user left. A subscription whose right was checked later than at `checked_rev`
    /// continues.
    pub fn handle_left(&mut self, stream: Stream, checked_rev: Rev) {
        let Some(followed) = self.streams.remove(&stream) else { return };
        if followed.checked_rev > checked_rev {
            self.streams.insert(stream, followed);
            return;
        }
        let Stream::Conversation(id) = stream else { return };
        if self.sync.as_mut().is_some_and(|sync| sync.note_left(id, followed.is_requested)) {
            self.continue_sync();
        }
    }

    /// Follows a conversation to which the user was added, after the event with this revision in it. While a sync still
    /// replays the own stream, that sync also subscribes to this conversation. After that replay, the conversation
    /// waits for the lane instead.
    ///
    /// On a node that reads events from the log, the own stream can be ahead of the stream of the conversation. An
    /// earlier subscription, from before the user left, can then still send events. These would be out of order, so
    /// events up to `rev` are not sent.
    fn add_conversation(&mut self, conversation: ConversationId, rev: Rev) {
        if let Some(followed) = self.streams.get_mut(&Stream::Conversation(conversation))
            && !followed.covers_addition(rev)
        {
            followed.not_sent_up_to = followed.not_sent_up_to.max(rev);
        }
        if let Some(sync) = self.sync.as_mut().filter(|sync| sync.awaits_own_stream) {
            note_added(&mut sync.added, conversation, rev);
            return;
        }
        if !self.follows_added {
            if self.added.len() < limits::IDS_IN_COMMAND {
                note_added(&mut self.added, conversation, rev);
            }
            return;
        }
        if self.added.is_empty() {
            self.effects.push_back(FollowEffect::QueueAdded);
        }
        note_added(&mut self.added, conversation, rev);
    }
}
