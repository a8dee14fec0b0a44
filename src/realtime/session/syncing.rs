//! What a sync under way waits for, and the answer that it gathers meanwhile. No actor: what the rooms say comes here as
//! it is, and whether the sync is over is asked from outside.

use crate::domain::ids::{ConversationId, Rev};
use crate::domain::stream::Stream;
use crate::error::Error;
use crate::protocol::client::FrameId;
use crate::protocol::server::{Denied, SyncDone};
use crate::store::participants::Membership;
use std::collections::{HashMap, HashSet};

/// A sync under way: its rooms tell one by one that they have replayed what was missed. The user's own may tell of
/// conversations gained meanwhile, and then theirs are waited for too.
pub struct Syncing {
    /// The id of the command.
    pub id: Option<FrameId>,
    /// The user's own stream.
    pub own: Stream,
    /// What is being replayed.
    pub waiting: HashSet<Stream>,
    /// Conversations gained, as far as the user's own stream was replayed, and from which revision.
    pub gained: HashMap<ConversationId, Rev>,
    /// Whether the right to follow those is being read.
    pub admitting: bool,
    /// The answer, as far as it is known.
    pub done: SyncDone,
}

impl Syncing {
    /// A replay is over: everything up to `rev` was handed out. False if none was waited for.
    pub fn replayed(&mut self, stream: Stream, rev: Rev) -> bool {
        let waited = self.waiting.remove(&stream);
        if waited {
            match stream {
                Stream::Conversation(id) => drop(self.done.conversations.insert(id, rev)),
                Stream::User(_) => self.done.user_rev = rev,
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
        let waited = self.waiting.remove(&Stream::Conversation(id));
        if waited {
            self.done.conversations.remove(&id);
            self.done.reads.remove(&id);
        }
        if waited && asked {
            self.done.denied.push(Denied { id, code: Error::not_a_participant().code().as_str() });
        }
        waited
    }

    /// The conversation is to be replayed before the end, which names it.
    pub fn waits_for(&mut self, membership: &Membership) {
        let id = membership.conversation_id;
        self.waiting.insert(Stream::Conversation(id));
        self.done.conversations.insert(id, membership.last_rev);
        self.done.reads.insert(id, membership.last_read_seq);
        self.done.denied.retain(|denied| denied.id != id);
    }
}
