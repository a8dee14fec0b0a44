//! Which streams a session follows and how far. A pure type without actor, clock or database, so that a property test
//! can drive it through every interleaving.
//!
//! The session passes in what happens and carries out the [`FollowEffect`]s that come of it, in their order. Everything
//! that changes the subscriptions shares one lane (`Lane::Subscriptions` in `session/lanes.rs`): the session calls the
//! `begin_…` functions when that lane is free, and frees it at [`FollowEffect::LeaveLane`].
//!
//! A right is read only after the room runs. What commits between the two is held by the room and not lost.

mod first_sync;
mod rights;
mod rooms;
mod stream;
mod sync;

use crate::domain::codes::Close;
use crate::domain::ids::{ConversationId, Rev, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::mailboxes::Batch;
use crate::protocol::client::FrameId;
use crate::protocol::server::ServerFrame;
use crate::protocol::subscriptions::{DeniedConversation, SyncConversations, Unsubscribed};
use crate::store::members::Membership;
use first_sync::FirstSync;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use stream::FollowedStream;
use sync::RunningSync;

/// The queue of effects keeps the memory for so many.
const FEW_EFFECTS: usize = 8;

/// An action of the session. `R` is how it reaches a room.
#[derive(Debug)]
pub enum FollowEffect<R> {
    /// Send a frame, as the answer to a command if there is an id.
    Send(ServerFrame, Option<FrameId>),
    /// Send events of one stream.
    SendEvents(Arc<Batch>),
    /// Answer a command with an error.
    Refuse(Error, Option<FrameId>),
    /// Start the rooms of these conversations, then read whether the user may follow them. The answer goes to
    /// [`Following::rights_read`].
    CheckSubscribe(Vec<ConversationId>),
    /// Like `CheckSubscribe`, for conversations to which the user was added. Runs without a command permit, because no
    /// command caused it.
    CheckAdded(Vec<ConversationId>),
    /// Like `CheckSubscribe`, for the conversations of a sync. It also finds the conversations that the log cannot
    /// bring up to date. The answer goes to [`Following::sync_rights_read`].
    CheckSync(SyncConversations),
    /// Subscribe to a room. Its answers carry the number.
    Attach {
        room: R,
        stream: Stream,
        number: u64,
        from: Rev,
        checked: Rev,
    },
    /// Unsubscribe from a room.
    Detach {
        room: R,
    },
    /// Ask a room for the next page of a replay.
    Continue {
        room: R,
    },
    /// Wait [`limits::FIRST_SYNC_WAIT`] for a first sync, anew if the session waits already; then call
    /// [`Following::no_sync_first`].
    AwaitSync,
    /// The first sync runs, or is not awaited any more: end the timer of [`Self::AwaitSync`].
    StopAwaitingSync,
    /// Call [`Following::begin_added`] when the lane of subscriptions is free.
    QueueAdded,
    /// The lane of subscriptions is free.
    LeaveLane,
    Close(Close),
}

/// Rooms that run, and what the user may do with their conversations.
#[derive(Debug)]
pub struct Rights<R> {
    /// A room for each membership, and maybe for others.
    pub rooms: HashMap<ConversationId, R>,
    pub memberships: Vec<Membership>,
    pub denied: Vec<DeniedConversation>,
}

/// What a sync has to know before anything is replayed.
#[derive(Debug)]
pub struct SyncRights<R> {
    pub rights: Rights<R>,
    /// The head of the user's own stream.
    pub user_rev: Rev,
    /// Whether the client must read everything again over REST.
    pub reset_all: bool,
    /// The conversations that the client must read again.
    pub reset: HashSet<ConversationId>,
}

/// A check of rights that was asked for. There is one at a time.
enum Check {
    Subscribe(Option<FrameId>),
    Sync {
        id: Option<FrameId>,
        asked: BTreeMap<ConversationId, Rev>,
        user_rev: Option<Rev>,
    },
    /// Conversations that the user was added to, each with the revision of the event that says so.
    Added(HashMap<ConversationId, Rev>),
}

/// The streams that a session follows, and what it still waits for.
pub struct Following<R> {
    own: Option<Stream>,
    streams: HashMap<Stream, FollowedStream<R>>,
    /// How many subscriptions there were, which numbers them.
    subscriptions: u64,
    /// The parts of a sync that has not come to its end.
    incomplete_sync: SyncConversations,
    check: Option<Check>,
    sync: Option<RunningSync<R>>,
    first_sync: FirstSync,
    /// Whether conversations that the user is added to are followed at once.
    follows_added: bool,
    /// Conversations that the user was added to and that are not followed yet, each with the revision of the event that
    /// says so.
    added: HashMap<ConversationId, Rev>,
    /// Streams whose replay waits until the client has read more.
    paused: Vec<Stream>,
    /// Whether the client has read enough for another page of a replay.
    may_replay: bool,
    effects: VecDeque<FollowEffect<R>>,
}

impl<R: Clone> Following<R> {
    /// Of a session that is not authenticated yet. With `subscribe_none` it follows only its user's own stream at
    /// first.
    pub fn new(subscribe_none: bool) -> Self {
        Self {
            own: None,
            streams: HashMap::new(),
            subscriptions: 0,
            incomplete_sync: SyncConversations::default(),
            check: None,
            sync: None,
            first_sync: FirstSync::Over,
            follows_added: !subscribe_none,
            added: HashMap::new(),
            paused: Vec::new(),
            may_replay: true,
            effects: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub fn next_effect(&mut self) -> Option<FollowEffect<R>> {
        let next = self.effects.pop_front();
        if next.is_none() && self.effects.capacity() > FEW_EFFECTS {
            // A thousand subscriptions at once must not cost memory for as long as the session lives.
            self.effects = VecDeque::new();
        }
        next
    }

    /// Whether the session wants to be subscribed to all conversations of its user when it is authenticated.
    pub fn follows_all(&self) -> bool {
        self.follows_added
    }

    /// The client asks for nothing but its user's own stream, in the frame that authenticates it.
    pub fn subscribe_none(&mut self) {
        self.follows_added = false;
    }

    /// Says whether the client has read enough for another page of a replay. To be said before every other input.
    pub fn set_may_replay(&mut self, may_replay: bool) {
        self.may_replay = may_replay;
    }

    /// Returns all rooms that the session is subscribed to.
    pub fn rooms(&self) -> impl Iterator<Item = &R> {
        self.streams.values().map(|followed| &followed.room)
    }

    /// The session is authenticated as `user`, whose stream has its head at `user_rev`, and follows these conversations
    /// from their heads.
    pub fn begin_session(
        &mut self,
        user: UserId,
        room: R,
        user_rev: Rev,
        conversations: Vec<(ConversationId, R, Rev)>,
    ) {
        let own = Stream::User(user);
        self.own = Some(own);
        self.attach(own, room, user_rev, user_rev);
        if !self.follows_added {
            self.await_sync();
        }
        for (conversation, room, head) in conversations {
            self.attach(Stream::Conversation(conversation), room, head, head);
        }
    }

    /// Subscribes to a stream whose right was checked when its head was `checked`.
    fn attach(&mut self, stream: Stream, room: R, from: Rev, checked: Rev) {
        self.end_first_sync(stream);
        self.subscriptions += 1;
        let number = self.subscriptions;
        self.effects.push_back(FollowEffect::Attach { room: room.clone(), stream, number, from, checked });
        let first = self.streams.get(&stream).map_or(number, |followed| followed.first);
        let followed =
            FollowedStream { room, checked, number, first, sent: from, after: from, synced: false, ended: false };
        self.streams.insert(stream, followed);
    }

    // --- commands -------------------------------------------------------------------------------------------------

    /// `subscribe` has its turn.
    pub fn begin_subscribe(&mut self, conversations: Vec<ConversationId>, id: Option<FrameId>) {
        self.check = Some(Check::Subscribe(id));
        self.effects.push_back(FollowEffect::CheckSubscribe(conversations));
    }

    /// `unsubscribe` has its turn, which ends at once.
    pub fn unsubscribe(&mut self, conversations: Vec<ConversationId>, id: Option<FrameId>) {
        for conversation in &conversations {
            // One that the user was just added to and that waits for its turn; before the first sync none does.
            if self.follows_added {
                self.added.remove(conversation);
            }
            if let Some(followed) = self.streams.remove(&Stream::Conversation(*conversation)) {
                self.effects.push_back(FollowEffect::Detach { room: followed.room });
            }
        }
        self.effects.push_back(FollowEffect::Send(
            ServerFrame::Unsubscribed(Unsubscribed { conversation_ids: conversations }),
            id,
        ));
    }

    /// One part of a sync. Returns the whole sync with its last part, which then waits for its turn.
    pub fn sync_part(&mut self, part: SyncConversations) -> Result<Option<SyncConversations>> {
        self.incomplete_sync.conversations.extend(part.conversations);
        self.incomplete_sync.user_rev = part.user_rev.or(self.incomplete_sync.user_rev);
        self.incomplete_sync.epoch = part.epoch.or(self.incomplete_sync.epoch.take());
        if self.incomplete_sync.conversations.len() > limits::CONVERSATIONS_IN_SYNC {
            self.incomplete_sync = SyncConversations::default();
            return Err(too_many("conversations", limits::CONVERSATIONS_IN_SYNC));
        }
        if part.more {
            self.sync_goes_on();
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.incomplete_sync)))
    }

    /// A whole sync has its turn.
    pub fn begin_sync(&mut self, whole: SyncConversations, id: Option<FrameId>) {
        self.sync_begins();
        let (asked, user_rev) = (whole.conversations.clone(), whole.user_rev);
        self.check = Some(Check::Sync { id, asked, user_rev });
        self.effects.push_back(FollowEffect::CheckSync(whole));
    }

    /// Conversations that the user was added to have their turn.
    pub fn begin_added(&mut self) {
        let added = std::mem::take(&mut self.added);
        self.check_added(added);
    }

    fn check_added(&mut self, added: HashMap<ConversationId, Rev>) {
        self.effects.push_back(FollowEffect::CheckAdded(added.keys().copied().collect()));
        self.check = Some(Check::Added(added));
    }
}

/// Notes that the user was added. An event that a sync replays may be older than one that came live.
fn note_added(added: &mut HashMap<ConversationId, Rev>, conversation: ConversationId, rev: Rev) {
    let newest = added.entry(conversation).or_insert(rev);
    *newest = rev.max(*newest);
}

/// Returns the error of a command that names more than `max` items.
pub fn too_many(field: &str, max: usize) -> Error {
    Error::invalid(field, limits::at_most(max, "items"))
}
