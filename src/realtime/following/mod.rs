//! The streams that a session follows, and how far their events were sent. A pure type without actor, clock or
//! database, so that a property test can drive it through every interleaving.
//!
//! The session passes its inputs to [`Following`] and carries out the [`FollowEffect`]s in their order. All commands
//! that change the subscriptions share one lane (`Lane::Subscriptions` in `session/lanes.rs`): the session calls a
//! `begin_…` function when that lane is free, and leaves it at [`FollowEffect::LeaveLane`].
//!
//! A right is read only after the room has started, because the room holds events back. So an event that is committed
//! between the two is not lost.
//!
//! This file handles commands. [`rights`] handles the rights that were read, [`rooms`] the messages of rooms.

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

/// The empty queue of effects keeps memory for so many effects at most.
const KEPT_EFFECTS: usize = 8;

/// Conversations to which the user was added and which the session does not follow yet. Each has the revision of the
/// event in it with which the user was added.
type AddedConversations = HashMap<ConversationId, Rev>;

/// An action that the session must carry out. `R` is the handle by which it reaches a room.
#[derive(Debug)]
pub enum FollowEffect<R> {
    /// Send a frame. With an id it is the answer to a command.
    Send(ServerFrame, Option<FrameId>),
    /// Send events of one stream.
    SendEvents(Arc<Batch>),
    /// Answer a command with an error.
    Refuse(Error, Option<FrameId>),
    /// Start the rooms of these conversations, then read whether the user may follow them. The outcome goes to
    /// [`Following::handle_rights`].
    CheckSubscribe(Vec<ConversationId>),
    /// Like `CheckSubscribe`, for conversations to which the user was added. Runs without a command permit, because no
    /// command caused it.
    CheckAdded(Vec<ConversationId>),
    /// Like `CheckSubscribe`, for the conversations of a sync. The check also finds the conversations whose missing
    /// events are not in the log any more. The outcome goes to [`Following::handle_sync_rights`].
    CheckSync(SyncConversations),
    /// Subscribe to a room. Its messages carry the number of the subscription.
    Subscribe {
        room: R,
        stream: Stream,
        number: u64,
        from: Rev,
        checked_rev: Rev,
    },
    Unsubscribe {
        room: R,
    },
    /// Ask a room for the next page of a replay.
    Continue {
        room: R,
    },
    /// Start a timer of [`limits::FIRST_SYNC_WAIT`], which replaces a running one. At its end call
    /// [`Following::skip_first_sync`].
    StartSyncTimer,
    StopSyncTimer,
    /// Call [`Following::begin_added`] when the lane of subscriptions is free.
    QueueAdded,
    /// Leave the lane of subscriptions, because the command or the subscription to added conversations is done.
    LeaveLane,
    Close(Close),
}

/// Conversations that the user may follow, and their rooms.
#[derive(Debug)]
pub struct Rights<R> {
    /// A room for each membership, and possibly for other conversations.
    pub rooms: HashMap<ConversationId, R>,
    pub memberships: Vec<Membership>,
    pub denied: Vec<DeniedConversation>,
}

/// The rights for a sync, and what the client must read again.
#[derive(Debug)]
pub struct SyncRights<R> {
    pub rights: Rights<R>,
    /// The head of the own stream.
    pub user_rev: Rev,
    /// Whether the client must read everything again over REST.
    pub reset_all: bool,
    /// The conversations that the client must read again over REST.
    pub reset: HashSet<ConversationId>,
}

/// A check of rights whose outcome the session will pass in. Only one runs at a time.
enum Check {
    Subscribe(Option<FrameId>),
    Sync {
        id: Option<FrameId>,
        /// The revision of each conversation that the client has.
        requested: BTreeMap<ConversationId, Rev>,
        user_rev: Option<Rev>,
    },
    Added(AddedConversations),
}

/// The streams that a session follows, and the checks and replays that it waits for.
pub struct Following<R> {
    /// The stream of the user. `None` until the user is known.
    own_stream: Option<Stream>,
    streams: HashMap<Stream, FollowedStream<R>>,
    /// The number of subscriptions so far. It is the number of the newest one.
    subscription_count: u64,
    /// The parts of a sync whose last part has not come yet.
    incomplete_sync: SyncConversations,
    check: Option<Check>,
    sync: Option<RunningSync<R>>,
    first_sync: FirstSync,
    /// Whether the session follows conversations as soon as the user is added to them.
    follows_added: bool,
    added: AddedConversations,
    /// Streams whose replay waits until the client has read more.
    paused_replays: Vec<Stream>,
    /// Whether the client has read enough for another page of a replay.
    may_replay: bool,
    effects: VecDeque<FollowEffect<R>>,
}

impl<R: Clone> Following<R> {
    /// Returns the state of a session that is not authenticated yet. With `subscribe_none` it first follows only its
    /// own stream.
    pub fn new(subscribe_none: bool) -> Self {
        Self {
            own_stream: None,
            streams: HashMap::new(),
            subscription_count: 0,
            incomplete_sync: SyncConversations::default(),
            check: None,
            sync: None,
            first_sync: FirstSync::Over,
            follows_added: !subscribe_none,
            added: HashMap::new(),
            paused_replays: Vec::new(),
            may_replay: true,
            effects: VecDeque::new(),
        }
    }

    /// Takes the next effect.
    pub fn next_effect(&mut self) -> Option<FollowEffect<R>> {
        let next = self.effects.pop_front();
        if next.is_none() && self.effects.capacity() > KEPT_EFFECTS {
            // A session that once began a thousand subscriptions together must not keep memory for them until it ends.
            self.effects = VecDeque::new();
        }
        next
    }

    /// Returns whether the session follows all conversations of its user from its authentication on.
    pub fn follows_all(&self) -> bool {
        self.follows_added
    }

    /// Follows only the own stream at first, as the client asked in the frame that authenticates the session.
    pub fn subscribe_none(&mut self) {
        self.follows_added = false;
    }

    /// Sets whether the client has read enough for another page of a replay. Call it before every other input.
    pub fn set_may_replay(&mut self, may_replay: bool) {
        self.may_replay = may_replay;
    }

    /// Returns all rooms that the session is subscribed to.
    pub fn rooms(&self) -> impl Iterator<Item = &R> {
        self.streams.values().map(|followed| &followed.room)
    }

    /// Begins an authenticated session: it follows the stream of `user` after its head `user_rev`, and these
    /// conversations after their heads.
    pub fn begin_session(
        &mut self,
        user: UserId,
        room: R,
        user_rev: Rev,
        conversations: Vec<(ConversationId, R, Rev)>,
    ) {
        let own_stream = Stream::User(user);
        self.own_stream = Some(own_stream);
        self.subscribe_to(own_stream, room, user_rev, user_rev);
        if !self.follows_added {
            self.await_first_sync();
        }
        for (conversation, room, head) in conversations {
            self.subscribe_to(Stream::Conversation(conversation), room, head, head);
        }
    }

    /// Subscribes to the events of a stream after `from`. `checked_rev` is the head at which the right was checked.
    fn subscribe_to(&mut self, stream: Stream, room: R, from: Rev, checked_rev: Rev) {
        self.end_first_sync(stream);
        self.subscription_count += 1;
        let number = self.subscription_count;
        self.effects.push_back(FollowEffect::Subscribe { room: room.clone(), stream, number, from, checked_rev });
        let first_number = self.streams.get(&stream).map_or(number, |followed| followed.first_number);
        let followed = FollowedStream {
            room,
            checked_rev,
            subscription_number: number,
            first_number,
            sent_to: from,
            not_sent_up_to: from,
            is_requested: false,
            leave_sent: false,
        };
        self.streams.insert(stream, followed);
    }

    /// Begins `subscribe` in its lane.
    pub fn begin_subscribe(&mut self, conversations: Vec<ConversationId>, id: Option<FrameId>) {
        self.check = Some(Check::Subscribe(id));
        self.effects.push_back(FollowEffect::CheckSubscribe(conversations));
    }

    /// Performs `unsubscribe` in its lane. The lane is free immediately after it.
    pub fn unsubscribe(&mut self, conversations: Vec<ConversationId>, id: Option<FrameId>) {
        for conversation in &conversations {
            // The user may have been added a moment ago, so that the conversation still waits for the lane. Before the
            // first sync no conversation waits for it.
            if self.follows_added {
                self.added.remove(conversation);
            }
            if let Some(followed) = self.streams.remove(&Stream::Conversation(*conversation)) {
                self.effects.push_back(FollowEffect::Unsubscribe { room: followed.room });
            }
        }
        self.effects.push_back(FollowEffect::Send(
            ServerFrame::Unsubscribed(Unsubscribed { conversation_ids: conversations }),
            id,
        ));
    }

    /// Adds one part of a sync. Returns the whole sync if this was the last part; the session then begins it in its
    /// lane.
    pub fn add_sync_part(&mut self, part: SyncConversations) -> Result<Option<SyncConversations>> {
        self.incomplete_sync.conversations.extend(part.conversations);
        self.incomplete_sync.user_rev = part.user_rev.or(self.incomplete_sync.user_rev);
        self.incomplete_sync.epoch = part.epoch.or(self.incomplete_sync.epoch.take());
        if self.incomplete_sync.conversations.len() > limits::CONVERSATIONS_IN_SYNC {
            self.incomplete_sync = SyncConversations::default();
            return Err(too_many("conversations", limits::CONVERSATIONS_IN_SYNC));
        }
        if part.more {
            self.extend_first_sync();
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.incomplete_sync)))
    }

    /// Begins a whole sync in its lane.
    pub fn begin_sync(&mut self, whole: SyncConversations, id: Option<FrameId>) {
        self.begin_first_sync();
        let (requested, user_rev) = (whole.conversations.clone(), whole.user_rev);
        self.check = Some(Check::Sync { id, requested, user_rev });
        self.effects.push_back(FollowEffect::CheckSync(whole));
    }

    /// Begins to follow, in the lane, the conversations to which the user was added.
    pub fn begin_added(&mut self) {
        let added = std::mem::take(&mut self.added);
        self.check_added(added);
    }

    fn check_added(&mut self, added: AddedConversations) {
        self.effects.push_back(FollowEffect::CheckAdded(added.keys().copied().collect()));
        self.check = Some(Check::Added(added));
    }
}

/// Notes that the user was added. Keeps the newest revision, because a replay may bring an older event than came live.
fn note_added(added: &mut AddedConversations, conversation: ConversationId, rev: Rev) {
    let newest = added.entry(conversation).or_insert(rev);
    *newest = rev.max(*newest);
}

/// Returns the error of a command that names more than `max` items.
pub fn too_many(field: &str, max: usize) -> Error {
    Error::invalid(field, limits::at_most(max, "items"))
}
