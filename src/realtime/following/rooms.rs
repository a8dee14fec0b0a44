//! What follows from the messages of rooms: events to send, replays to continue, and subscriptions that end.

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
    /// Events of a room, from the subscription of that number.
    pub fn events(&mut self, stream: Stream, number: u64, batch: &Arc<Batch>) {
        let Some(followed) = self.streams.get_mut(&stream) else { return };
        let Some(batch) = batch.between(followed.after, batch.last_rev()) else { return };
        if number >= followed.first {
            followed.sent = followed.sent.max(batch.last_rev());
            if let Some(sync) = &mut self.sync {
                sync.sent(stream, batch.last_rev());
            }
            self.effects.push_back(FollowEffect::SendEvents(batch.clone()));
        }
        for frame in &batch.frames {
            match &frame.effect {
                EventEffect::Subscribe(conversation, rev) => self.add(*conversation, *rev),
                EventEffect::Left(user) if self.own == Some(Stream::User(*user)) => {
                    self.streams.entry(stream).and_modify(|followed| followed.ended |= frame.rev > followed.checked);
                }
                _ => {}
            }
        }
    }

    /// A page of a replay was sent. The next one follows when the client has read enough.
    pub fn page_sent(&mut self, stream: Stream) {
        if self.may_replay {
            self.continue_replay(stream);
        } else {
            self.paused.push(stream);
        }
    }

    /// The client has read enough for more replays.
    pub fn client_read(&mut self) {
        for stream in std::mem::take(&mut self.paused) {
            self.continue_replay(stream);
        }
        self.go_on();
    }

    fn continue_replay(&mut self, stream: Stream) {
        if let Some(followed) = self.streams.get(&stream) {
            self.effects.push_back(FollowEffect::Continue { room: followed.room.clone() });
        }
    }

    /// The replay of a subscription is over. That of an earlier subscription, such as the one that came with `auth`,
    /// ends no sync.
    pub fn attached(&mut self, stream: Stream, number: u64, rev: Rev) {
        let Some(followed) = self.streams.get_mut(&stream).filter(|followed| followed.number == number) else { return };
        // Events that were held back were not sent, although the room has replayed them.
        if number >= followed.first {
            followed.sent = followed.sent.max(rev);
        }
        if self.sync.as_mut().is_some_and(|sync| sync.replayed(stream, rev)) {
            self.go_on();
        }
    }

    /// The log does not reach back far enough for the replay of a subscription, which goes on after `rev`.
    pub fn reset(&mut self, stream: Stream, number: u64, rev: Rev) {
        let conversation_id = match stream {
            Stream::Conversation(id) => Some(id),
            Stream::User(_) => None,
        };
        let frame = ServerFrame::SyncReset(SyncReset { conversation_id, last_rev: conversation_id.map(|_| rev) });
        self.effects.push_back(FollowEffect::Send(frame, None));
        self.attached(stream, number, rev);
    }

    /// The user left. Ends the subscription if its right was not checked later than at `checked`.
    pub fn left(&mut self, stream: Stream, checked: Rev) {
        let Some(followed) = self.streams.remove(&stream) else { return };
        if followed.checked > checked {
            self.streams.insert(stream, followed);
            return;
        }
        let Stream::Conversation(id) = stream else { return };
        if self.sync.as_mut().is_some_and(|sync| sync.left(id, followed.synced)) {
            self.go_on();
        }
    }

    /// The user was added to a conversation, with the event of this revision in it. While a sync still replays the
    /// user's own stream, that sync also subscribes to this conversation. After that replay, the conversation waits for
    /// the lane instead.
    ///
    /// On a node that reads events from the log, the user's own stream can be ahead of the stream of the conversation.
    /// An earlier subscription, from before the user left, can then still send events. These would be out of order, so
    /// events up to `rev` are not sent.
    fn add(&mut self, conversation: ConversationId, rev: Rev) {
        if let Some(followed) = self.streams.get_mut(&Stream::Conversation(conversation))
            && !followed.covers(rev)
        {
            followed.after = followed.after.max(rev);
        }
        if let Some(sync) = self.sync.as_mut().filter(|sync| sync.own_replays) {
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
