//! The state of a running sync: the streams that it still subscribes to, those whose replay it waits for, and its
//! answer.
//!
//! This is no actor. The session passes it the answers of rooms, and asks whether the sync is over.

use crate::domain::ids::{ConversationId, Rev};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::Error;
use crate::mailboxes::ToRoom;
use crate::protocol::client::FrameId;
use crate::protocol::server::{DeniedConversation, SyncDone};
use crate::store::participants::Membership;
use actix::prelude::Recipient;
use std::collections::{HashMap, HashSet, VecDeque};

/// A subscription that a session is going to make.
#[derive(Debug)]
pub struct PlannedSubscription {
    pub stream: Stream,
    pub room: Recipient<ToRoom>,
    /// The session gets every event after this revision.
    pub from: Rev,
    /// The head of the stream when the right to read it was checked.
    pub checked: Rev,
    /// Whether the client gets a `sync.reset` for the conversation first.
    pub is_reset: bool,
    /// Whether the client named the stream in its sync. False for a conversation that was added in the meantime.
    pub is_requested: bool,
}

impl PlannedSubscription {
    fn needs_replay(&self) -> bool {
        self.from < self.checked
    }
}

/// A running sync. It subscribes to a few rooms at a time, and waits until each has ended its replay, so that the
/// replays together never send more than the client may leave unread. The replay of the user stream may add
/// conversations; the sync then waits for these too.
pub struct RunningSync {
    /// The `id` of the command.
    pub id: Option<FrameId>,
    /// Whether the replay of the user stream has not ended yet.
    pub awaits_user_stream: bool,
    /// The subscriptions that are not made yet.
    queue: VecDeque<PlannedSubscription>,
    /// The streams whose subscription is made and whose replay has not ended.
    unfinished: HashSet<Stream>,
    /// Those of `unfinished` that have events to replay.
    replaying: HashSet<Stream>,
    /// The conversations that the replay of the user stream added, each with the revision at which the user joined.
    pub added: HashMap<ConversationId, Rev>,
    /// Whether the right to read the added conversations is being checked.
    pub is_checking_added: bool,
    /// The answer, as far as it is known.
    pub answer: SyncDone,
}

impl RunningSync {
    /// Returns a sync that makes the `planned` subscriptions, then those to the `added` conversations, and then sends
    /// `answer`.
    pub fn new(
        id: Option<FrameId>,
        mut planned: Vec<PlannedSubscription>,
        added: HashMap<ConversationId, Rev>,
        answer: SyncDone,
    ) -> Self {
        // Streams without a replay come first, because they delay no other. The user stream comes last, so that the
        // conversations that it adds are subscribed to after the requested ones.
        planned.sort_by_key(|planned| (matches!(planned.stream, Stream::User(_)), planned.needs_replay()));
        Self {
            id,
            awaits_user_stream: planned.last().is_some_and(|planned| matches!(planned.stream, Stream::User(_))),
            queue: planned.into(),
            unfinished: HashSet::new(),
            replaying: HashSet::new(),
            added,
            is_checking_added: false,
            answer,
        }
    }

    /// Returns the next subscription to make. `None` if there is none, or if too many replays run.
    pub fn next(&mut self) -> Option<PlannedSubscription> {
        let needs_replay = self.queue.front()?.needs_replay();
        if self.unfinished.len() >= limits::SUBSCRIPTIONS_AT_ONCE
            || (needs_replay && self.replaying.len() >= limits::REPLAYS_AT_ONCE)
        {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.unfinished.insert(next.stream);
        if needs_replay {
            self.replaying.insert(next.stream);
        }
        Some(next)
    }

    /// Returns whether all replays have ended.
    pub fn is_over(&self) -> bool {
        self.queue.is_empty() && self.unfinished.is_empty()
    }

    /// Removes a stream from those that the sync waits for. Returns false if it did not wait for the stream.
    fn finish(&mut self, stream: Stream) -> bool {
        self.replaying.remove(&stream);
        self.unfinished.remove(&stream)
    }

    /// Notes the end of a replay, after which all events up to `rev` were sent. Returns false if the sync did not wait
    /// for it.
    pub fn note_replayed(&mut self, stream: Stream, rev: Rev) -> bool {
        let was_awaited = self.finish(stream);
        if was_awaited {
            match stream {
                Stream::Conversation(id) => drop(self.answer.conversations.insert(id, rev)),
                Stream::User(_) => (self.awaits_user_stream, self.answer.user_rev) = (false, rev),
            }
        }
        was_awaited
    }

    /// Notes that events up to `rev` were sent. During a replay this is ignored, because earlier events may still
    /// follow.
    pub fn note_sent(&mut self, stream: Stream, rev: Rev) {
        if self.unfinished.contains(&stream) {
            return;
        }
        match stream {
            Stream::Conversation(id) => {
                self.answer.conversations.entry(id).and_modify(|sent_to| *sent_to = rev.max(*sent_to));
            }
            Stream::User(_) => self.answer.user_rev = rev.max(self.answer.user_rev),
        }
    }

    /// Notes that the user left a conversation. The answer names the conversation as denied only if the client
    /// requested it; about others the user stream informs the client. Returns false if the sync did not wait for the
    /// conversation.
    pub fn note_left(&mut self, id: ConversationId, is_requested: bool) -> bool {
        let was_awaited = self.finish(Stream::Conversation(id));
        if was_awaited {
            self.answer.conversations.remove(&id);
            self.answer.reads.remove(&id);
        }
        if was_awaited && is_requested {
            self.answer.denied.push(DeniedConversation { id, code: Error::not_a_participant().code().as_str() });
        }
        was_awaited
    }

    /// Adds a conversation that the user joined. The sync ends after its replay, and the answer names it.
    pub fn add(&mut self, planned: PlannedSubscription, membership: &Membership) {
        self.queue.push_back(planned);
        self.answer.denied.retain(|denied| denied.id != membership.conversation_id);
        add_to_answer(&mut self.answer, membership);
    }
}

/// Adds the revision and the read mark of a conversation to the answer of a sync.
pub fn add_to_answer(answer: &mut SyncDone, membership: &Membership) {
    answer.conversations.insert(membership.conversation_id, membership.last_rev);
    answer.reads.insert(membership.conversation_id, membership.last_read_seq);
}
