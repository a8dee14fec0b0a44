//! What a sync under way has yet to follow, what it waits for, and the answer that it gathers meanwhile. No actor: what the
//! rooms say comes here as it is, and whether the sync is over is asked from outside.

use crate::domain::ids::{ConversationId, Rev};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::Error;
use crate::mailboxes::ToRoom;
use crate::protocol::client::FrameId;
use crate::protocol::server::{Denied, SyncDone};
use crate::store::participants::Membership;
use actix::prelude::Recipient;
use std::collections::{HashMap, HashSet, VecDeque};

/// A stream that a sync is to follow.
#[derive(Debug)]
pub struct Next {
    /// Which.
    pub stream: Stream,
    /// Its room.
    pub room: Recipient<ToRoom>,
    /// All after this.
    pub from: Rev,
    /// The stream's revision when the right to follow it was checked.
    pub checked: Rev,
    /// Whether the client is told to read it anew.
    pub reset: bool,
    /// Whether the client asked for it, and did not gain it meanwhile.
    pub asked: bool,
}

impl Next {
    /// Whether anything is to be replayed.
    fn replays(&self) -> bool {
        self.from < self.checked
    }
}

/// A sync under way: it follows a few rooms at a time, which tell one by one that they have replayed what was missed, so
/// that what comes of them is never more than the client may leave unread. The user's own may tell of conversations gained
/// meanwhile, and then theirs are waited for too.
pub struct Syncing {
    /// The id of the command.
    pub id: Option<FrameId>,
    /// Whether the user's own stream has yet to be replayed to its end.
    pub own: bool,
    /// What is followed later.
    queue: VecDeque<Next>,
    /// What is followed and has not replayed to its end.
    waiting: HashSet<Stream>,
    /// Those of them that have something to replay.
    replaying: HashSet<Stream>,
    /// Conversations gained, as far as the user's own stream was replayed, and from which revision.
    pub gained: HashMap<ConversationId, Rev>,
    /// Whether the right to follow those is being read.
    pub admitting: bool,
    /// The answer, as far as it is known.
    pub done: SyncDone,
}

impl Syncing {
    /// One that follows `next`, then what was `gained`, and answers with `done`.
    pub fn new(id: Option<FrameId>, mut next: Vec<Next>, gained: HashMap<ConversationId, Rev>, done: SyncDone) -> Self {
        // what missed nothing, and must be read anew, holds nobody up; the user's own comes last, so that whatever it says
        // was gained is followed after what was asked for
        next.sort_by_key(|next| (matches!(next.stream, Stream::User(_)), next.replays()));
        Self {
            id,
            own: next.last().is_some_and(|next| matches!(next.stream, Stream::User(_))),
            queue: next.into(),
            waiting: HashSet::new(),
            replaying: HashSet::new(),
            gained,
            admitting: false,
            done,
        }
    }

    /// The next stream to follow, if there is any and few enough are being replayed.
    pub fn next(&mut self) -> Option<Next> {
        let replays = self.queue.front()?.replays();
        if self.waiting.len() >= limits::FOLLOWED_AT_ONCE
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

    /// Whether all has been replayed.
    pub fn is_over(&self) -> bool {
        self.queue.is_empty() && self.waiting.is_empty()
    }

    fn ended(&mut self, stream: Stream) -> bool {
        self.replaying.remove(&stream);
        self.waiting.remove(&stream)
    }

    /// A replay is over: everything up to `rev` was handed out. False if none was waited for.
    pub fn replayed(&mut self, stream: Stream, rev: Rev) -> bool {
        let waited = self.ended(stream);
        if waited {
            match stream {
                Stream::Conversation(id) => drop(self.done.conversations.insert(id, rev)),
                Stream::User(_) => (self.own, self.done.user_rev) = (false, rev),
            }
        }
        waited
    }

    /// Events up to `rev` were handed out. While a stream is replayed they may be ahead of others yet to come.
    pub fn reached(&mut self, stream: Stream, rev: Rev) {
        if self.waiting.contains(&stream) {
            return;
        }
        match stream {
            Stream::Conversation(id) => {
                self.done.conversations.entry(id).and_modify(|reached| *reached = rev.max(*reached));
            }
            Stream::User(_) => self.done.user_rev = rev.max(self.done.user_rev),
        }
    }

    /// The user is out of a conversation that was to be replayed, and `asked` says whether the client wanted that by
    /// name: of what it gained and lost its own stream tells. False if it was not waited for.
    pub fn left(&mut self, id: ConversationId, asked: bool) -> bool {
        let waited = self.ended(Stream::Conversation(id));
        if waited {
            self.done.conversations.remove(&id);
            self.done.reads.remove(&id);
        }
        if waited && asked {
            self.done.denied.push(Denied { id, code: Error::not_a_participant().code().as_str() });
        }
        waited
    }

    /// A conversation that was gained is to be replayed before the end, which names it.
    pub fn gains(&mut self, next: Next, membership: &Membership) {
        self.queue.push_back(next);
        self.done.denied.retain(|denied| denied.id != membership.conversation_id);
        names(&mut self.done, membership);
    }
}

/// The end of a sync names the conversation.
pub fn names(done: &mut SyncDone, membership: &Membership) {
    done.conversations.insert(membership.conversation_id, membership.last_rev);
    done.reads.insert(membership.conversation_id, membership.last_read_seq);
}
