//! A sync that runs: what it has yet to subscribe to, which replays it waits for, and the answer as far as it is known.

use crate::domain::ids::{ConversationId, Rev};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::Error;
use crate::protocol::client::FrameId;
use crate::protocol::subscriptions::{DeniedConversation, SyncDone};
use crate::store::members::Membership;
use std::collections::{HashMap, HashSet, VecDeque};

/// A stream that a sync will subscribe to.
pub(super) struct PlannedSubscription<R> {
    pub stream: Stream,
    pub room: R,
    /// The client has every event up to here.
    pub from: Rev,
    /// The head of the stream when the right to follow it was checked.
    pub checked: Rev,
    /// Whether the client must read the conversation again.
    pub reset: bool,
    /// Whether the client named it, and was not added to it meanwhile.
    pub asked: bool,
}

impl<R> PlannedSubscription<R> {
    fn replays(&self) -> bool {
        self.from < self.checked
    }
}

/// Subscribes to a few rooms at a time and waits until each has replayed, so that what they send is never more than the
/// client may leave unread. The user's own stream may name further conversations, which then belong to the sync too.
pub(super) struct RunningSync<R> {
    pub id: Option<FrameId>,
    /// Whether the user's own stream has still to be replayed to its end.
    pub own_replays: bool,
    queue: VecDeque<PlannedSubscription<R>>,
    /// Streams that are subscribed to and have not replayed to their end.
    waiting: HashSet<Stream>,
    /// Those of them that have something to replay.
    replaying: HashSet<Stream>,
    /// Conversations that the user was added to, as far as the user's own stream was replayed, each with the revision
    /// of the event that says so.
    pub added: HashMap<ConversationId, Rev>,
    /// Whether the rights to the conversations in `added` are being read.
    pub checking_added: bool,
    /// The answer, as far as it is known.
    pub done: SyncDone,
}

impl<R> RunningSync<R> {
    /// Returns a sync that subscribes to `planned`, then to the conversations of `added`, and answers with `done`.
    pub fn new(
        id: Option<FrameId>,
        mut planned: Vec<PlannedSubscription<R>>,
        added: HashMap<ConversationId, Rev>,
        done: SyncDone,
    ) -> Self {
        // Streams without a replay go first, because they delay nothing. The user's own goes last, so that
        // conversations that it names are subscribed to after those that the client asked for.
        planned.sort_by_key(|next| (matches!(next.stream, Stream::User(_)), next.replays()));
        Self {
            id,
            own_replays: planned.last().is_some_and(|next| matches!(next.stream, Stream::User(_))),
            queue: planned.into(),
            waiting: HashSet::new(),
            replaying: HashSet::new(),
            added,
            checking_added: false,
            done,
        }
    }

    /// The next stream to subscribe to, if there is one and few enough replays run.
    pub fn next(&mut self) -> Option<PlannedSubscription<R>> {
        let replays = self.queue.front()?.replays();
        if self.waiting.len() >= limits::SUBSCRIPTIONS_AT_ONCE
            || (replays && self.replaying.len() >= limits::REPLAYS_AT_ONCE)
        {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.waiting.insert(next.stream);
        if replays {
            self.replaying.insert(next.stream);
        }
        Some(next)
    }

    /// Returns whether every stream was replayed.
    pub fn is_over(&self) -> bool {
        self.queue.is_empty() && self.waiting.is_empty()
    }

    fn ended(&mut self, stream: Stream) -> bool {
        self.replaying.remove(&stream);
        self.waiting.remove(&stream)
    }

    /// A replay is over: everything up to `rev` was sent. Returns false if the sync did not wait for it.
    pub fn replayed(&mut self, stream: Stream, rev: Rev) -> bool {
        let waited = self.ended(stream);
        if waited {
            match stream {
                Stream::Conversation(id) => drop(self.done.conversations.insert(id, rev)),
                Stream::User(_) => (self.own_replays, self.done.user_rev) = (false, rev),
            }
        }
        waited
    }

    /// Events up to `rev` were sent. While a stream is replayed this says nothing: earlier ones may still come.
    pub fn sent(&mut self, stream: Stream, rev: Rev) {
        if self.waiting.contains(&stream) {
            return;
        }
        match stream {
            Stream::Conversation(id) => {
                self.done.conversations.entry(id).and_modify(|sent| *sent = rev.max(*sent));
            }
            Stream::User(_) => self.done.user_rev = rev.max(self.done.user_rev),
        }
    }

    /// The user left a conversation during its replay. If the client asked for it, the answer denies it; for others the
    /// user's own stream has an event. Returns false if the sync did not wait for it.
    pub fn left(&mut self, id: ConversationId, asked: bool) -> bool {
        let waited = self.ended(Stream::Conversation(id));
        if waited {
            self.done.conversations.remove(&id);
            self.done.reads.remove(&id);
        }
        if waited && asked {
            self.done.denied.push(DeniedConversation { id, code: Error::not_a_participant().code().as_str() });
        }
        waited
    }

    /// Adds a conversation that the user was added to.
    pub fn add(&mut self, next: PlannedSubscription<R>, membership: &Membership) {
        self.queue.push_back(next);
        self.done.denied.retain(|denied| denied.id != membership.conversation_id);
        add_to_answer(&mut self.done, membership);
    }
}

/// Adds the conversation to the answer.
pub(super) fn add_to_answer(done: &mut SyncDone, membership: &Membership) {
    done.conversations.insert(membership.conversation_id, membership.last_rev);
    done.reads.insert(membership.conversation_id, membership.last_read_seq);
}
