//! Which streams a session follows and how far. A pure type without actor, clock or database, so that a property test can
//! drive it through every interleaving.
//!
//! The session passes in what happens and carries out the [`Effect`]s that come of it, in their order. `subscribe`,
//! `unsubscribe`, `sync` and conversations that the user was added to run one at a time: the session calls the `begin_…`
//! functions when their lane is free, and frees it with [`Effect::LeaveLane`].
//!
//! A right is read only after the room runs. What commits between the two is held by the room and not lost.

mod first_sync;
mod stream;
mod sync;

use crate::domain::codes::Close;
use crate::domain::ids::{ConversationId, Rev, UserId};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::mailboxes::Batch;
use crate::protocol::client::{FrameId, SyncConversations};
use crate::protocol::events::EventEffect;
use crate::protocol::server::{DeniedConversation, ServerFrame, SyncDone};
use crate::store::participants::Membership;
use first_sync::FirstSync;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use stream::FollowedStream;
use sync::{Next, RunningSync};

/// What a session must do. `R` is how it reaches a room.
#[derive(Debug)]
pub enum Effect<R> {
    /// Send a frame, as the answer to a command if there is an id.
    Send(ServerFrame, Option<FrameId>),
    /// Send events of one stream.
    SendEvents(Arc<Batch>),
    /// Answer a command with an error.
    Refuse(Error, Option<FrameId>),
    /// Start the rooms of these conversations, then read whether the user may follow them. The answer goes to
    /// [`Following::rights_read`].
    CheckSubscribe(Vec<ConversationId>),
    /// The same for conversations that the user was added to. It needs no permit, since no command asks for it.
    CheckAdded(Vec<ConversationId>),
    /// The same for the conversations of a sync, and find out which of them the log cannot bring up to date. The answer
    /// goes to [`Following::sync_rights_read`].
    CheckSync(SyncConversations),
    /// Subscribe at a room. Whoever reads the answers of the room passes the number back.
    Attach { room: R, stream: Stream, number: u64, from: Rev, checked: Rev },
    /// Unsubscribe at a room.
    Detach { room: R },
    /// Ask a room for the next page of a replay.
    Continue { room: R },
    /// Wait [`limits::FIRST_SYNC_WAIT`] for a first sync, anew if the session waits already; then call
    /// [`Following::no_sync_first`].
    AwaitSync,
    /// Stop waiting.
    StopAwaitingSync,
    /// Call [`Following::begin_added`] when the lane of subscriptions is free.
    QueueAdded,
    /// The lane of subscriptions is free.
    LeaveLane,
    /// Close the connection.
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

/// See the module.
pub struct Following<R> {
    own: Option<Stream>,
    streams: HashMap<Stream, FollowedStream<R>>,
    /// How many subscriptions there were, which numbers them.
    subscriptions: u64,
    /// The parts of a sync that has not come to its end.
    parts: SyncConversations,
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
    effects: VecDeque<Effect<R>>,
}

impl<R: Clone> Following<R> {
    /// Of a session that is not authenticated yet. With `subscribe_none` it follows only its user's own stream at first.
    pub fn new(subscribe_none: bool) -> Self {
        Self {
            own: None,
            streams: HashMap::new(),
            subscriptions: 0,
            parts: SyncConversations::default(),
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
    pub fn next_effect(&mut self) -> Option<Effect<R>> {
        self.effects.pop_front()
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

    /// All rooms that the session is subscribed at.
    pub fn rooms(&self) -> impl Iterator<Item = &R> {
        self.streams.values().map(|followed| &followed.room)
    }

    /// The session is authenticated as `user`, whose stream has its head at `user_rev`, and follows these conversations
    /// from their heads.
    pub fn open(&mut self, user: UserId, room: R, user_rev: Rev, conversations: Vec<(ConversationId, R, Rev)>) {
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
        self.effects.push_back(Effect::Attach { room: room.clone(), stream, number, from, checked });
        let first = self.streams.get(&stream).map_or(number, |followed| followed.first);
        let followed = FollowedStream { room, checked, number, first, sent: from, after: from, asked: false };
        self.streams.insert(stream, followed);
    }

    // --- commands -------------------------------------------------------------------------------------------------

    /// `subscribe` has its turn.
    pub fn begin_subscribe(&mut self, conversations: Vec<ConversationId>, id: Option<FrameId>) {
        self.check = Some(Check::Subscribe(id));
        self.effects.push_back(Effect::CheckSubscribe(conversations));
    }

    /// `unsubscribe` has its turn, which ends at once.
    pub fn unsubscribe(&mut self, conversations: Vec<ConversationId>, id: Option<FrameId>) {
        for conversation in &conversations {
            if let Some(followed) = self.streams.remove(&Stream::Conversation(*conversation)) {
                self.effects.push_back(Effect::Detach { room: followed.room });
            }
        }
        self.effects.push_back(Effect::Send(ServerFrame::Unsubscribed { conversation_ids: conversations }, id));
    }

    /// One part of a sync. Returns the whole sync with its last part, which then waits for its turn.
    pub fn sync_part(&mut self, part: SyncConversations) -> Result<Option<SyncConversations>> {
        self.parts.conversations.extend(part.conversations);
        self.parts.user_rev = part.user_rev.or(self.parts.user_rev);
        self.parts.epoch = part.epoch.or(self.parts.epoch.take());
        if self.parts.conversations.len() > limits::CONVERSATIONS_IN_SYNC {
            self.parts = SyncConversations::default();
            return Err(too_many("conversations", limits::CONVERSATIONS_IN_SYNC));
        }
        if part.more {
            self.sync_goes_on();
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.parts)))
    }

    /// A whole sync has its turn.
    pub fn begin_sync(&mut self, whole: SyncConversations, id: Option<FrameId>) {
        self.sync_begins();
        let (asked, user_rev) = (whole.conversations.clone(), whole.user_rev);
        self.check = Some(Check::Sync { id, asked, user_rev });
        self.effects.push_back(Effect::CheckSync(whole));
    }

    /// Conversations that the user was added to have their turn.
    pub fn begin_added(&mut self) {
        let added = std::mem::take(&mut self.added);
        self.check_added(added);
    }

    fn check_added(&mut self, added: HashMap<ConversationId, Rev>) {
        self.effects.push_back(Effect::CheckAdded(added.keys().copied().collect()));
        self.check = Some(Check::Added(added));
    }

    // --- rights ---------------------------------------------------------------------------------------------------

    /// The answer to [`Effect::CheckSubscribe`] and [`Effect::CheckAdded`].
    pub fn rights_read(&mut self, outcome: Result<Rights<R>>) {
        match (self.check.take(), outcome) {
            (Some(Check::Subscribe(id)), Ok(rights)) => self.subscribed(rights, id),
            (Some(Check::Subscribe(id)), Err(error)) => {
                self.effects.push_back(Effect::Refuse(error, id));
                self.effects.push_back(Effect::LeaveLane);
            }
            (Some(Check::Added(added)), Ok(rights)) => self.added_read(&added, rights),
            // the client reconnects, reads its user's stream again, and is told of these conversations again
            (Some(Check::Added(_)), Err(_)) => self.effects.push_back(Effect::Close(Close::Restart)),
            (Some(Check::Sync { .. }) | None, _) => {}
        }
    }

    /// Answers before it subscribes, so that events come after the answer that names where they begin.
    fn subscribed(&mut self, rights: Rights<R>, id: Option<FrameId>) {
        let Rights { mut rooms, memberships, denied } = rights;
        let revs: BTreeMap<_, _> = memberships.iter().map(|of| (of.conversation_id, of.last_rev)).collect();
        let frame = ServerFrame::Subscribed { conversation_ids: revs.keys().copied().collect(), revs, denied };
        self.effects.push_back(Effect::Send(frame, id));
        for membership in &memberships {
            let stream = Stream::Conversation(membership.conversation_id);
            if !self.streams.contains_key(&stream)
                && let Some(room) = rooms.remove(&membership.conversation_id)
            {
                self.attach(stream, room, membership.last_rev, membership.last_rev);
                self.streams.entry(stream).and_modify(|followed| followed.asked = true);
            }
        }
        self.effects.push_back(Effect::LeaveLane);
    }

    /// Subscribes to those conversations that the user is in still. While a sync runs they belong to it.
    fn added_read(&mut self, added: &HashMap<ConversationId, Rev>, rights: Rights<R>) {
        let Rights { mut rooms, memberships, .. } = rights;
        let mut nexts = Vec::new();
        for membership in memberships {
            let conversation = membership.conversation_id;
            let stream = Stream::Conversation(conversation);
            let (Some(room), Some(from)) = (rooms.remove(&conversation), added.get(&conversation).copied()) else {
                continue;
            };
            let covered = self.streams.get(&stream).is_some_and(|followed| followed.covers(from));
            // a user who left and came back meanwhile has a later event that says so
            if covered || from < membership.joined_rev {
                continue;
            }
            let checked = membership.last_rev;
            nexts.push((Next { stream, room, from, checked, reset: false, asked: false }, membership));
        }
        if let Some(sync) = &mut self.sync {
            sync.checking_added = false;
            for (next, membership) in nexts {
                sync.add(next, &membership);
            }
            return self.go_on();
        }
        for (Next { stream, room, from, checked, .. }, _) in nexts {
            self.attach(stream, room, from, checked);
        }
        self.effects.push_back(Effect::LeaveLane);
    }

    /// The answer to [`Effect::CheckSync`].
    pub fn sync_rights_read(&mut self, outcome: Result<SyncRights<R>>) {
        let Some(Check::Sync { id, asked, user_rev }) = self.check.take() else { return };
        match outcome {
            Ok(rights) => self.replay(rights, &asked, user_rev, id),
            Err(error) => {
                self.effects.push_back(Effect::Refuse(error, id));
                self.sync_refused();
                self.effects.push_back(Effect::LeaveLane);
            }
        }
    }

    /// Says what the client must read again, and makes every room replay what the client lacks.
    fn replay(
        &mut self,
        sync: SyncRights<R>,
        asked: &BTreeMap<ConversationId, Rev>,
        user_rev: Option<Rev>,
        id: Option<FrameId>,
    ) {
        let SyncRights { rights: Rights { mut rooms, memberships, denied }, user_rev: head, reset_all, reset } = sync;
        let mut added = HashMap::new();
        if !std::mem::replace(&mut self.follows_added, true) {
            added = std::mem::take(&mut self.added);
            added.retain(|conversation, _| !asked.contains_key(conversation));
        }
        if reset_all {
            let frame = ServerFrame::SyncReset { conversation_id: None, last_rev: None };
            self.effects.push_back(Effect::Send(frame, None));
        }
        let mut done = SyncDone { user_rev: head, denied, ..SyncDone::default() };
        let mut nexts = Vec::new();
        for membership in memberships {
            let conversation = membership.conversation_id;
            let Some(room) = rooms.remove(&conversation) else { continue };
            let (checked, reset) = (membership.last_rev, reset.contains(&conversation));
            let held = asked.get(&conversation).copied().filter(|_| !reset && !reset_all);
            sync::name(&mut done, &membership);
            let (stream, from) = (Stream::Conversation(conversation), held.unwrap_or(checked));
            nexts.push(Next { stream, room, from, checked, reset: reset && !reset_all, asked: true });
        }
        if let Some((own, followed)) = self.own.and_then(|own| Some((own, self.streams.get(&own)?))) {
            // a client that names no revision has what was sent, and not what is still on its way from the room
            let sent = followed.sent.min(head);
            let from = user_rev.filter(|_| !reset_all).unwrap_or(sent);
            let room = followed.room.clone();
            nexts.push(Next { stream: own, room, from, checked: head, reset: false, asked: true });
        }
        self.sync = Some(RunningSync::new(id, nexts, added, done));
        self.go_on();
    }

    // --- the sync that runs -----------------------------------------------------------------------------------------

    /// Subscribes to as much of a sync as the client has read enough for, then to the conversations of which the replay of
    /// the user's own stream said that the user was added. Ends the sync when every room has replayed.
    fn go_on(&mut self) {
        while self.may_replay
            && let Some(next) = self.sync.as_mut().and_then(RunningSync::next)
        {
            self.attach_next(next);
        }
        let Some(sync) = self.sync.as_mut().filter(|sync| !sync.checking_added) else { return };
        if !sync.added.is_empty() && !sync.own_replays {
            sync.checking_added = true;
            let added = std::mem::take(&mut sync.added);
            return self.check_added(added);
        }
        let Some(sync) = self.sync.take_if(|sync| sync.is_over()) else { return };
        self.effects.push_back(Effect::Send(ServerFrame::SyncDone(Box::new(sync.done)), sync.id));
        self.effects.push_back(Effect::LeaveLane);
    }

    fn attach_next(&mut self, next: Next<R>) {
        let Next { stream, room, from, checked, reset, asked } = next;
        let mut after = from;
        if let Stream::Conversation(id) = stream {
            if reset {
                let frame = ServerFrame::SyncReset { conversation_id: Some(id), last_rev: Some(from) };
                self.effects.push_back(Effect::Send(frame, None));
            }
            // the client knows already that its user was added again: it must get nothing from before that
            let added = self.sync.as_ref().and_then(|sync| sync.added.get(&id)).or(self.added.get(&id));
            after = added.copied().filter(|added| *added > checked).map_or(from, |added| added.max(from));
        }
        self.attach(stream, room, from, checked);
        if let Some(followed) = self.streams.get_mut(&stream) {
            (followed.after, followed.asked) = (after, asked);
        }
    }

    // --- from rooms -------------------------------------------------------------------------------------------------

    /// Events of a room, from the subscription of that number.
    pub fn events(&mut self, stream: Stream, number: u64, batch: &Arc<Batch>) {
        let Some(followed) = self.streams.get_mut(&stream) else { return };
        let Some(batch) = batch.between(followed.after, batch.last_rev()) else { return };
        if number >= followed.first {
            followed.sent = followed.sent.max(batch.last_rev());
            if let Some(sync) = &mut self.sync {
                sync.sent(stream, batch.last_rev());
            }
            self.effects.push_back(Effect::SendEvents(batch.clone()));
        }
        for frame in &batch.frames {
            if let EventEffect::Subscribe(conversation, rev) = &frame.effect {
                self.add(*conversation, *rev);
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
            self.effects.push_back(Effect::Continue { room: followed.room.clone() });
        }
    }

    /// The replay of a subscription is over. That of an earlier subscription, such as the one that came with `auth`, ends no
    /// sync.
    pub fn attached(&mut self, stream: Stream, number: u64, rev: Rev) {
        let Some(followed) = self.streams.get_mut(&stream).filter(|followed| followed.number == number) else { return };
        followed.sent = followed.sent.max(rev);
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
        let frame = ServerFrame::SyncReset { conversation_id, last_rev: conversation_id.map(|_| rev) };
        self.effects.push_back(Effect::Send(frame, None));
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
        if self.sync.as_mut().is_some_and(|sync| sync.left(id, followed.asked)) {
            self.go_on();
        }
    }

    /// The user was added to a conversation, with the event of this revision in it. A sync that replays the user's own
    /// stream subscribes to it before its end. One that has done so waits for nothing more: the conversation then waits for
    /// the lane.
    ///
    /// On a node that hears of events through the log, the user's stream can be ahead of the conversation's: what an earlier
    /// subscription still brings, from before the user left, would be out of order.
    fn add(&mut self, conversation: ConversationId, rev: Rev) {
        if let Some(followed) = self.streams.get_mut(&Stream::Conversation(conversation))
            && !followed.covers(rev)
        {
            followed.after = followed.after.max(rev);
        }
        if let Some(sync) = self.sync.as_mut().filter(|sync| sync.own_replays) {
            sync.added.insert(conversation, rev);
            return;
        }
        if !self.follows_added {
            if self.added.len() < limits::IDS_IN_COMMAND {
                self.added.insert(conversation, rev);
            }
            return;
        }
        if self.added.is_empty() {
            self.effects.push_back(Effect::QueueAdded);
        }
        self.added.insert(conversation, rev);
    }
}

/// The error of a command that names too many items.
pub fn too_many(field: &str, most: usize) -> Error {
    Error::invalid(field, format!("must have at most {most} items"))
}
