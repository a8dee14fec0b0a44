//! A running sync: the streams that it will subscribe to, the replays that it waits for, and its answer so far.

use super::AddedConversations;
use crate::domain::ids::{ConversationId, Rev};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::Error;
use crate::protocol::client::FrameId;
use crate::protocol::subscriptions::{DeniedConversation, SyncDone};
use crate::store::members::Membership;
use std::collections::{HashSet, VecDeque};

/// A stream that a sync will subscribe to.
pub(super) struct PlannedSubscription<R> {
    pub stream: Stream,
    pub room: R,
    /// The client has every event up to this revision.
    pub from: Rev,
    /// The head of the stream when the right to follow it was checked.
    pub checked_rev: Rev,
    /// Whether the client must read the conversation again.
    pub needs_reset: bool,
    /// Whether the sync named the stream. False for a conversation to which the user was added in the meantime.
    pub is_requested: bool,
}

impl<R> PlannedSubscription<R> {
    fn needs_replay(&self) -> bool {
        self.from < self.checked_rev
    }
}

/// Subscribes to a few rooms at a time and waits until each has replayed, so that what they send is never more than the
/// client may leave unread. The replay of the own stream may add conversations, which then belong to the sync too.
pub(super) struct RunningSync<R> {
    pub id: Option<FrameId>,
    /// Whether the own stream is still to be replayed, or its replay runs.
    pub awaits_own_stream: bool,
    queue: VecDeque<PlannedSubscription<R>>,
    /// The streams whose room has not answered yet that its replay has ended.
    waiting: HashSet<Stream>,
    /// The streams in `waiting` that have events to replay.
    replaying: HashSet<Stream>,
    /// The conversations that were added by the replay of the own stream so far.
    pub added: AddedConversations,
    /// Whether the rights to the conversations in `added` are being read.
    pub is_checking_added: bool,
    pub answer: SyncDone,
}

impl<R> RunningSync<R> {
    /// Returns a sync that subscribes to `planned`, then to the conversations in `added`. `answer` is its answer before
    /// any replay.
    pub fn new(
        id: Option<FrameId>,
        mut planned: Vec<PlannedSubscription<R>>,
        added: AddedConversations,
        answer: SyncDone,
    ) -> Self {
        // Streams without a replay go first, because they delay nothing. The own stream goes last, so that the
        // conversations that it adds are subscribed to after those that the client named.
        planned.sort_by_key(|next| (matches!(next.stream, Stream::User(_)), next.needs_replay()));
        Self {
            id,
            awaits_own_stream: planned.last().is_some_and(|next| matches!(next.stream, Stream::User(_))),
            queue: planned.into(),
            waiting: HashSet::new(),
            replaying: HashSet::new(),
            added,
            is_checking_added: false,
            answer,
        }
    }

    /// Takes the next stream to subscribe to. `None` if there is none, or if as many subscriptions or replays as are
    /// allowed run.
    pub fn take_next(&mut self) -> Option<PlannedSubscription<R>> {
        let needs_replay = self.queue.front()?.needs_replay();
        if self.waiting.len() >= limits::SUBSCRIPTIONS_AT_ONCE
            || (needs_replay && self.replaying.len() >= limits::REPLAYS_AT_ONCE)
        {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.waiting.insert(next.stream);
        if needs_replay {
            self.replaying.insert(next.stream);
        }
        Some(next)
    }

    /// Returns whether every stream was replayed.
    pub fn is_over(&self) -> bool {
        self.queue.is_empty() && self.waiting.is_empty()
    }

    /// Stops waiting for a stream. Returns false if the sync did not wait for it.
    fn stop_waiting(&mut self, stream: Stream) -> bool {
        self.replaying.remove(&stream);
        self.waiting.remove(&stream)
    }

    /// Notes that a replay has ended: all events up to `rev` were sent. Returns false if the sync did not wait for it.
    pub fn note_replayed(&mut self, stream: Stream, rev: Rev) -> bool {
        let was_waiting = self.stop_waiting(stream);
        if was_waiting {
            match stream {
                Stream::Conversation(id) => drop(self.answer.conversations.insert(id, rev)),
                Stream::User(_) => (self.awaits_own_stream, self.answer.user_rev) = (false, rev),
            }
        }
        was_waiting
    }

    /// Notes that events up to `rev` were sent. During the replay of a stream this does not change the answer, because
    /// earlier events may still come.
    pub fn note_sent(&mut self, stream: Stream, rev: Rev) {
        if self.waiting.contains(&stream) {
            return;
        }
        match stream {
            Stream::Conversation(id) => {
                self.answer.conversations.entry(id).and_modify(|sent_to| *sent_to = rev.max(*sent_to));
            }
            Stream::User(_) => self.answer.user_rev = rev.max(self.answer.user_rev),
        }
    }

    /// Notes that the user left a conversation during its replay. If the client named the conversation, the answer
    /// denies it; for the others the own stream has an event. Returns false if the sync did not wait for it.
    pub fn note_left(&mut self, id: ConversationId, is_requested: bool) -> bool {
        let was_waiting = self.stop_waiting(Stream::Conversation(id));
        if was_waiting {
            self.answer.conversations.remove(&id);
            self.answer.reads.remove(&id);
        }
        if was_waiting && is_requested {
            self.answer.denied.push(DeniedConversation { id, code: Error::not_a_participant().code().as_str() });
        }
        was_waiting
    }

    /// Adds a conversation to which the user was added.
    pub fn add(&mut self, next: PlannedSubscription<R>, membership: &Membership) {
        self.queue.push_back(next);
        self.answer.denied.retain(|denied| denied.id != membership.conversation_id);
        add_to_answer(&mut self.answer, membership);
    }
}

/// Adds a conversation to the answer of a sync.
pub(super) fn add_to_answer(answer: &mut SyncDone, membership: &Membership) {
    answer.conversations.insert(membership.conversation_id, membership.last_rev);
    answer.reads.insert(membership.conversation_id, membership.last_read_seq);
}
