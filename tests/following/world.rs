//! One user with one session at a time, three conversations, their rooms, and everything that is on its way between them.

use crate::client::{Checked, Client, Meaning};
use greenroom::domain::ids::{ConversationId, MessageId, Rev, Seq, SessionId, UserId};
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::{Batch, ReadPurpose, RoomEvent};
use greenroom::protocol::events::{EventEffect, Frame};
use greenroom::protocol::subscriptions::DeniedConversation;
use greenroom::protocol::subscriptions::SyncConversations;
use greenroom::realtime::following::{FollowEffect, Following, Rights, SyncRights};
use greenroom::realtime::order::{Order, Sink, SubscribeRequest};
use greenroom::store::participants::Membership;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use uuid::Uuid;

pub const CONVERSATIONS: usize = 3;

const USER: UserId = UserId(Uuid::from_u128(1));
const OWN: Stream = Stream::User(USER);

#[derive(Clone, Debug)]
pub enum Step {
    SendMessage(usize),
    /// The user leaves the conversation, or is added again.
    LeaveOrReturn(usize),
    /// A committed event reaches its room, in any order.
    Deliver(usize),
    LoseDelivery(usize),
    /// Rooms learn how far the log reaches, and ask for what they lack.
    CatchUp,
    /// A room takes the next message of the session.
    RoomMessage(usize),
    /// A read of the log is answered with at most so many rows.
    ReadLog(usize, usize),
    /// The session takes the next message of a room.
    SessionMessage,
    /// The rights that were asked for are read from the database.
    ReadRights,
    /// What was read reaches the session.
    AnswerRights,
    /// A new session, with `subscribe=none` or without.
    Reconnect(bool),
    /// Commands for a set of conversations, one bit each.
    Subscribe(usize),
    Unsubscribe(usize),
    /// A sync, in two parts or in one.
    Sync(bool),
    ClientStops,
    ClientReads,
    /// The wait for a first sync is over.
    TimeIsUp,
}

/// What a session asks of a room.
enum ToRoom {
    Subscribe { number: u64, from: Rev, checked: Rev },
    Unsubscribe,
    Continue,
}

#[derive(Default)]
struct TestRoom {
    order: Order<(u64, u64)>,
    inbox: VecDeque<(u64, ToRoom)>,
    reads: Vec<(Rev, ReadPurpose)>,
}

/// Rights that are to be read, or were read and are on their way.
enum Check {
    /// The rights with which a session begins.
    Open,
    Rights(Vec<ConversationId>),
    Sync(SyncConversations),
    Opened(Rev, Vec<Membership>),
    RightsRead(Rights<Stream>),
    SyncRead(SyncRights<Stream>),
}

enum Job {
    Subscribe(Vec<ConversationId>),
    Unsubscribe(Vec<ConversationId>),
    Sync(SyncConversations),
    Added,
}

pub struct World {
    log: BTreeMap<Stream, Vec<(Frame, Meaning)>>,
    /// The revision at which the user was added, where the user is in.
    joined: BTreeMap<ConversationId, Option<Rev>>,
    rooms: BTreeMap<Stream, TestRoom>,
    undelivered: Vec<(Stream, Arc<Batch>)>,
    client: Client,
    /// Numbers the sessions; 0 before the first.
    session: u64,
    following: Following<Stream>,
    subscribe_none: bool,
    open: bool,
    mailbox: VecDeque<(Stream, u64, RoomEvent)>,
    checks: VecDeque<Check>,
    lane: VecDeque<Job>,
    lane_taken: bool,
    client_reads: bool,
    waits_for_sync: bool,
}

pub fn conversation(index: usize) -> ConversationId {
    ConversationId(Uuid::from_u128(100 + index as u128))
}

fn chosen(bits: usize) -> Vec<ConversationId> {
    (0..CONVERSATIONS).filter(|index| bits >> index & 1 == 1).map(conversation).collect()
}

/// Takes what an order sends.
struct RoomSink<'w> {
    stream: Stream,
    session: u64,
    mailbox: &'w mut VecDeque<(Stream, u64, RoomEvent)>,
    reads: &'w mut Vec<(Rev, ReadPurpose)>,
}

impl Sink<(u64, u64)> for RoomSink<'_> {
    fn send(&mut self, (session, number): &(u64, u64), event: RoomEvent) -> bool {
        let lives = *session == self.session;
        if lives {
            self.mailbox.push_back((self.stream, *number, event));
        }
        lives
    }

    fn read_log(&mut self, after: Rev, purpose: ReadPurpose) {
        self.reads.push((after, purpose));
    }
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            log: BTreeMap::from([(OWN, Vec::new())]),
            joined: BTreeMap::new(),
            rooms: BTreeMap::new(),
            undelivered: Vec::new(),
            client: Client::default(),
            session: 0,
            following: Following::new(false),
            subscribe_none: false,
            open: false,
            mailbox: VecDeque::new(),
            checks: VecDeque::new(),
            lane: VecDeque::new(),
            lane_taken: false,
            client_reads: true,
            waits_for_sync: false,
        };
        for index in 0..CONVERSATIONS {
            world.log.insert(Stream::Conversation(conversation(index)), Vec::new());
            world.joined.insert(conversation(index), None);
            world.leave_or_return(index);
        }
        world.reconnect(false);
        world
    }

    pub fn step(&mut self, step: &Step) -> Checked {
        match step {
            Step::SendMessage(index) => self.commit(&[(Stream::Conversation(conversation(*index)), Meaning::Message)]),
            Step::LeaveOrReturn(index) => self.leave_or_return(*index),
            Step::Deliver(pick) => self.deliver(*pick),
            Step::LoseDelivery(pick) => drop(self.take_delivery(*pick)),
            Step::CatchUp => self.catch_up(),
            Step::RoomMessage(pick) => self.room_message(*pick),
            Step::ReadLog(pick, rows) => self.read_log(*pick, *rows),
            Step::SessionMessage => self.session_message(),
            Step::ReadRights => self.read_rights(),
            Step::AnswerRights => self.answer_rights(),
            Step::Reconnect(subscribe_none) => self.reconnect(*subscribe_none),
            Step::Subscribe(bits) => self.subscribe(*bits),
            Step::Unsubscribe(bits) => self.command(Job::Unsubscribe(chosen(*bits))),
            Step::Sync(in_parts) => self.send_sync(*in_parts),
            Step::ClientStops => self.client_reads = false,
            Step::ClientReads => self.client_reads(),
            Step::TimeIsUp => self.time_is_up(),
        }
        self.carry_out()
    }

    // --- the database -------------------------------------------------------------------------------------------------

    fn head(&self, stream: Stream) -> Rev {
        Rev(self.log[&stream].len() as i64)
    }

    /// One transaction with an event in each of these streams.
    fn commit(&mut self, events: &[(Stream, Meaning)]) {
        for (stream, meaning) in events {
            let rev = self.head(*stream).next();
            let effect = match meaning {
                Meaning::Left => EventEffect::Left(USER),
                Meaning::Added(id, rev) => EventEffect::Subscribe(*id, *rev),
                Meaning::Message | Meaning::Removed(_) => EventEffect::None,
            };
            let message_id = Some(MessageId(Uuid::from_u128(rev.0 as u128)));
            let frame = Frame { rev, text: stream.id().to_string().into(), effect, message_id, quoted_id: None };
            self.undelivered.push((*stream, Batch::new(vec![frame.clone()])));
            self.log.get_mut(stream).expect("a known stream").push((frame, *meaning));
        }
    }

    fn leave_or_return(&mut self, index: usize) {
        let id = conversation(index);
        let stream = Stream::Conversation(id);
        let rev = self.head(stream).next();
        if self.joined[&id].is_some() {
            self.joined.insert(id, None);
            self.commit(&[(stream, Meaning::Left), (OWN, Meaning::Removed(id))]);
        } else {
            self.joined.insert(id, Some(rev));
            self.commit(&[(stream, Meaning::Message), (OWN, Meaning::Added(id, rev))]);
        }
    }

    fn memberships(&self, of: &[ConversationId]) -> Vec<Membership> {
        let membership = |id: &ConversationId| {
            let joined_rev = self.joined[id]?;
            let last_rev = self.head(Stream::Conversation(*id));
            Some(Membership { conversation_id: *id, last_rev, joined_rev, last_read_seq: Seq(0) })
        };
        of.iter().filter_map(membership).collect()
    }

    fn rights(&self, of: &[ConversationId]) -> Rights<Stream> {
        let out = of.iter().filter(|id| self.joined[id].is_none());
        Rights {
            rooms: of.iter().map(|id| (*id, Stream::Conversation(*id))).collect::<HashMap<_, _>>(),
            memberships: self.memberships(of),
            denied: out.map(|id| DeniedConversation { id: *id, code: "not_a_participant" }).collect(),
        }
    }

    fn read_rights(&mut self) {
        let Some(check) = self.checks.pop_front() else { return };
        let read = match check {
            Check::Open => {
                let all: Vec<_> = self.joined.keys().copied().collect();
                Check::Opened(self.head(OWN), self.memberships(&all))
            }
            Check::Rights(of) => Check::RightsRead(self.rights(&of)),
            Check::Sync(sync) => {
                let rights = self.rights(&sync.conversations.keys().copied().collect::<Vec<_>>());
                let stale = |membership: &&Membership| {
                    let held = sync.conversations[&membership.conversation_id];
                    held > membership.last_rev || held < membership.joined_rev
                };
                let reset: HashSet<_> = rights.memberships.iter().filter(stale).map(|of| of.conversation_id).collect();
                Check::SyncRead(SyncRights { rights, user_rev: self.head(OWN), reset_all: false, reset })
            }
            read => read,
        };
        self.checks.push_front(read);
    }

    fn answer_rights(&mut self) {
        let read = self
            .checks
            .iter()
            .position(|check| matches!(check, Check::Opened(..) | Check::RightsRead(_) | Check::SyncRead(_)));
        match read.and_then(|index| self.checks.remove(index)) {
            Some(Check::Opened(user_rev, memberships)) => self.opened(user_rev, &memberships),
            Some(Check::RightsRead(rights)) => self.following.rights_read(Ok(rights)),
            Some(Check::SyncRead(rights)) => self.following.sync_rights_read(Ok(rights)),
            _ => {}
        }
    }

    // --- rooms ------------------------------------------------------------------------------------------------------

    fn drive(&mut self, stream: Stream, input: impl FnOnce(&mut Order<(u64, u64)>, &mut RoomSink)) {
        let TestRoom { order, reads, .. } = self.rooms.entry(stream).or_default();
        let mut sink = RoomSink { stream, session: self.session, mailbox: &mut self.mailbox, reads };
        input(order, &mut sink);
    }

    fn take_delivery(&mut self, pick: usize) -> Option<(Stream, Arc<Batch>)> {
        let index = pick.checked_rem(self.undelivered.len())?;
        Some(self.undelivered.remove(index))
    }

    fn deliver(&mut self, pick: usize) {
        if let Some((stream, batch)) = self.take_delivery(pick)
            && self.rooms.contains_key(&stream)
        {
            self.drive(stream, |order, sink| order.deliver(&batch, sink));
        }
    }

    fn catch_up(&mut self) {
        for stream in self.rooms.keys().copied().collect::<Vec<_>>() {
            let head = self.head(stream);
            self.drive(stream, |order, sink| {
                order.note_known(head);
                order.read_gap(sink);
            });
        }
    }

    fn room_message(&mut self, pick: usize) {
        let waiting: Vec<Stream> =
            self.rooms.iter().filter(|(_, room)| !room.inbox.is_empty()).map(|(stream, _)| *stream).collect();
        let Some(stream) = pick.checked_rem(waiting.len()).map(|index| waiting[index]) else { return };
        let room = self.rooms.get_mut(&stream).expect("a room that was just found");
        let Some((session, message)) = room.inbox.pop_front() else { return };
        let id = SessionId(Uuid::from_u128(u128::from(session)));
        self.drive(stream, |order, sink| match message {
            ToRoom::Subscribe { number, from, checked } => {
                let handle = (session, number);
                order.subscribe(SubscribeRequest { session: id, user: USER, handle, from, checked }, sink);
            }
            ToRoom::Unsubscribe => order.unsubscribe(id),
            ToRoom::Continue => order.resume(id, sink),
        });
    }

    fn read_log(&mut self, pick: usize, rows: usize) {
        let waiting: Vec<Stream> =
            self.rooms.iter().filter(|(_, room)| !room.reads.is_empty()).map(|(stream, _)| *stream).collect();
        let Some(stream) = pick.checked_rem(waiting.len()).map(|index| waiting[index]) else { return };
        let (after, purpose) = self.rooms.get_mut(&stream).expect("a room that was just found").reads.remove(0);
        let rows = self.log[&stream].iter().skip(after.0 as usize).take(rows);
        let frames: Vec<Frame> = rows.map(|(frame, _)| frame.clone()).collect();
        self.drive(stream, |order, sink| match purpose {
            ReadPurpose::Replay { session, number, .. } => {
                order.handle_replay_read(session, number, Some(frames), sink);
            }
            ReadPurpose::Gap => order.handle_gap_read(Some(frames), sink),
            ReadPurpose::Verify(_) => unreachable!("only the actor of a room verifies"),
        });
    }

    // --- the session --------------------------------------------------------------------------------------------------

    fn reconnect(&mut self, subscribe_none: bool) {
        for room in self.rooms.values_mut() {
            room.inbox.push_back((self.session, ToRoom::Unsubscribe));
        }
        self.session += 1;
        self.following = Following::new(subscribe_none);
        (self.subscribe_none, self.open) = (subscribe_none, false);
        (self.lane_taken, self.client_reads, self.waits_for_sync) = (false, true, false);
        self.mailbox.clear();
        self.lane.clear();
        // the rooms run before the rights are read
        for stream in self.log.keys() {
            self.rooms.entry(*stream).or_default();
        }
        self.checks = VecDeque::from([Check::Open]);
    }

    fn opened(&mut self, user_rev: Rev, memberships: &[Membership]) {
        self.open = true;
        let heads: Vec<_> = memberships.iter().map(|of| (of.conversation_id, of.last_rev)).collect();
        self.client.opens(OWN, user_rev, &heads, self.subscribe_none);
        let rooms = heads.iter().filter(|_| !self.subscribe_none);
        let rooms = rooms.map(|(id, head)| (*id, Stream::Conversation(*id), *head)).collect();
        self.following.open(USER, OWN, user_rev, rooms);
    }

    fn command(&mut self, job: Job) {
        if self.open {
            self.client.sends_no_sync_first();
            self.client.unanswered += 1;
            self.following.no_sync_first();
            self.enter_lane(job);
        }
    }

    /// The client subscribes only to what it does not follow, as far as it knows.
    fn subscribe(&mut self, bits: usize) {
        let missing = chosen(bits).into_iter().filter(|id| !self.client.follows.contains(id)).collect();
        self.command(Job::Subscribe(missing));
    }

    fn send_sync(&mut self, in_parts: bool) {
        if !self.open || self.client.unanswered > 0 || self.client.syncs > 0 {
            return;
        }
        let user_rev = Some(self.client.held[&OWN]);
        let mut conversations = self.client.sends_sync();
        if in_parts && let Some((id, rev)) = conversations.pop_first() {
            let part =
                SyncConversations { conversations: BTreeMap::from([(id, rev)]), more: true, ..Default::default() };
            assert!(self.following.sync_part(part).expect("a small sync").is_none());
        }
        let part = SyncConversations { conversations, user_rev, ..SyncConversations::default() };
        let whole = self.following.sync_part(part).expect("a small sync").expect("the last part");
        self.enter_lane(Job::Sync(whole));
    }

    fn time_is_up(&mut self) {
        if self.waits_for_sync {
            self.client.sends_no_sync_first();
            self.following.no_sync_first();
        }
    }

    fn client_reads(&mut self) {
        self.client_reads = true;
        self.following.set_may_replay(true);
        self.following.client_read();
    }

    fn session_message(&mut self) {
        let Some((stream, number, event)) = self.mailbox.pop_front() else { return };
        match event {
            RoomEvent::Frames(batch) => self.following.events(stream, number, &batch),
            RoomEvent::Page(batch) => {
                self.following.events(stream, number, &batch);
                self.following.page_sent(stream);
            }
            RoomEvent::Attached(rev) => self.following.attached(stream, number, rev),
            RoomEvent::Reset(rev) => self.following.reset(stream, number, rev),
            RoomEvent::Left(checked) => self.following.left(stream, checked),
            RoomEvent::Gone => self.reconnect(true),
            RoomEvent::Ephemeral(_) => {}
        }
    }

    fn enter_lane(&mut self, job: Job) {
        self.lane.push_back(job);
        self.work();
    }

    fn work(&mut self) {
        while !self.lane_taken
            && let Some(job) = self.lane.pop_front()
        {
            self.lane_taken = true;
            match job {
                Job::Subscribe(ids) => self.following.begin_subscribe(ids, None),
                Job::Sync(sync) => self.following.begin_sync(sync, None),
                Job::Added => self.following.begin_added(),
                Job::Unsubscribe(ids) => {
                    self.following.unsubscribe(ids, None);
                    self.lane_taken = false;
                }
            }
        }
    }

    fn carry_out(&mut self) -> Checked {
        while let Some(effect) = self.following.next_effect() {
            self.following.set_may_replay(self.client_reads);
            match effect {
                FollowEffect::Send(frame, _) => self.client.frame(OWN, &frame)?,
                FollowEffect::SendEvents(batch) => {
                    for frame in &batch.frames {
                        let stream = self.stream_of(frame);
                        let (_, meaning) = self.log[&stream][frame.rev.0 as usize - 1];
                        self.client.event(stream, frame, meaning)?;
                    }
                }
                FollowEffect::CheckSubscribe(of) | FollowEffect::CheckAdded(of) => {
                    self.checks.push_back(Check::Rights(of))
                }
                FollowEffect::CheckSync(sync) => self.checks.push_back(Check::Sync(sync)),
                FollowEffect::Attach { room, number, from, checked, .. } => {
                    self.to_room(room, ToRoom::Subscribe { number, from, checked });
                }
                FollowEffect::Detach { room } => self.to_room(room, ToRoom::Unsubscribe),
                FollowEffect::Continue { room } => self.to_room(room, ToRoom::Continue),
                FollowEffect::AwaitSync => self.waits_for_sync = true,
                FollowEffect::StopAwaitingSync => self.waits_for_sync = false,
                FollowEffect::QueueAdded => self.enter_lane(Job::Added),
                FollowEffect::LeaveLane => {
                    self.lane_taken = false;
                    self.work();
                }
                FollowEffect::Refuse(error, _) => return Err(format!("refused: {error:?}")),
                FollowEffect::Close(close) => return Err(format!("closed: {close:?}")),
            }
        }
        self.following.set_may_replay(self.client_reads);
        Ok(())
    }

    fn to_room(&mut self, room: Stream, message: ToRoom) {
        self.rooms.entry(room).or_default().inbox.push_back((self.session, message));
    }

    fn stream_of(&self, frame: &Frame) -> Stream {
        *self.log.keys().find(|stream| stream.id().to_string() == *frame.text).expect("the text names the stream")
    }

    /// Lets everything under way come to its end, with a last sync; then the client has everything.
    pub fn settle(&mut self) -> Checked {
        self.rest()?;
        self.step(&Step::Sync(false))?;
        self.rest()?;
        let (joined, log) = (&self.joined, &self.log);
        self.client.settled(OWN, |stream| Rev(log[&stream].len() as i64), |id| joined[&id].is_some())
    }

    fn rest(&mut self) -> Checked {
        for _ in 0..2000 {
            for step in [
                Step::ClientReads,
                Step::CatchUp,
                Step::Deliver(0),
                Step::RoomMessage(0),
                Step::ReadLog(0, 5),
                Step::SessionMessage,
                Step::ReadRights,
                Step::AnswerRights,
            ] {
                self.step(&step)?;
            }
            let rooms_rest = self.rooms.values().all(|room| room.inbox.is_empty() && room.reads.is_empty());
            let quiet = rooms_rest && self.undelivered.is_empty() && self.mailbox.is_empty() && self.checks.is_empty();
            if quiet && !self.rooms.values().any(|room| room.order.has_gap()) {
                let (joined, log) = (&self.joined, &self.log);
                return self.client.rested(|stream| Rev(log[&stream].len() as i64), |id| joined[&id].is_some());
            }
        }
        Err("it does not come to rest".to_owned())
    }
}
