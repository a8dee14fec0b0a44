//! A simulation of one user with one session at a time, three conversations, their rooms, and all messages that are on
//! their way between them.

use super::client::{Checked, Client, Meaning};
use greenroom::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::{Batch, ReadPurpose, RoomEvent};
use greenroom::protocol::envelope::Envelope;
use greenroom::protocol::event_type::{EventType, StoredEventType};
use greenroom::protocol::events::EventEffect;
use greenroom::protocol::subscriptions::{DeniedConversation, SyncConversations};
use greenroom::realtime::following::{Following, Rights, SyncRights};
use greenroom::realtime::order::{Order, Sink};
use greenroom::store::members::Membership;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use uuid::Uuid;

pub const CONVERSATIONS: usize = 3;

pub const USER: UserId = UserId(Uuid::from_u128(1));
pub const OWN: Stream = Stream::User(USER);

#[derive(Clone, Debug)]
pub enum Step {
    SendMessage(usize),
    /// The user leaves the conversation, or is added again.
    LeaveOrJoin(usize),
    /// A committed event reaches its room, in any order.
    Deliver(usize),
    LoseDelivery(usize),
    /// Rooms learn the heads of their streams, and read the events that they lack.
    CatchUp,
    /// A room gets the next message of the session.
    RoomMessage(usize),
    /// A read of the log returns at most this number of rows.
    ReadLog(usize, usize),
    /// The session gets the next message of a room.
    SessionMessage,
    /// The requested rights are read from the database.
    ReadRights,
    /// The session gets the rights that were read.
    AnswerRights,
    /// A new session, with `subscribe=none` or without.
    Reconnect(bool),
    /// A command for a set of conversations. Each conversation has one bit of the number.
    Subscribe(usize),
    Unsubscribe(usize),
    /// A sync, in two parts or in one.
    Sync {
        in_parts: bool,
        names_user_rev: bool,
    },
    ClientStopsReading,
    ClientReads,
    /// The session stops waiting for a first sync.
    SyncTimeout,
}

/// A message of a session to a room.
pub enum ToRoom {
    Subscribe { number: u64, from: Rev, checked_rev: Rev },
    Unsubscribe,
    Continue,
}

#[derive(Default)]
pub struct TestRoom {
    pub order: Order<(u64, u64)>,
    pub inbox: VecDeque<(u64, ToRoom)>,
    pub reads: Vec<(Rev, ReadPurpose)>,
}

/// Rights that are requested, or that were read and are on their way.
pub enum Check {
    /// The rights with which a session begins.
    Open,
    Rights(Vec<ConversationId>),
    Sync(SyncConversations),
    Opened(Rev, Vec<Membership>),
    RightsRead(Rights<Stream>),
    SyncRead(SyncRights<Stream>),
}

pub enum Job {
    Subscribe(Vec<ConversationId>),
    Unsubscribe(Vec<ConversationId>),
    Sync(SyncConversations),
    Added,
}

// The four `bool` fields are independent facts about the session.
#[allow(clippy::struct_excessive_bools)]
pub struct Simulation {
    pub log: BTreeMap<Stream, Vec<(Envelope, Meaning)>>,
    /// The revision at which the user was added; `None` if the user is no participant.
    pub joined: BTreeMap<ConversationId, Option<Rev>>,
    pub rooms: BTreeMap<Stream, TestRoom>,
    pub undelivered: Vec<(Stream, Arc<Batch>)>,
    pub client: Client,
    /// The number of the current session; 0 before the first one.
    pub session: u64,
    pub following: Following<Stream>,
    pub subscribe_none: bool,
    pub open: bool,
    pub mailbox: VecDeque<(Stream, u64, RoomEvent)>,
    pub checks: VecDeque<Check>,
    pub lane: VecDeque<Job>,
    pub is_lane_busy: bool,
    pub client_reads: bool,
    pub waits_for_sync: bool,
}

pub fn conversation(index: usize) -> ConversationId {
    ConversationId(Uuid::from_u128(100 + index as u128))
}

pub fn conversations_of(bits: usize) -> Vec<ConversationId> {
    (0..CONVERSATIONS).filter(|index| bits >> index & 1 == 1).map(conversation).collect()
}

/// Returns a batch with one event.
pub fn batch_of(stream: Stream, rev: i64) -> Arc<Batch> {
    Batch::new(vec![event(stream, Rev(rev), EventEffect::None, None)])
}

fn event(stream: Stream, rev: Rev, effect: EventEffect, message_id: Option<MessageId>) -> Envelope {
    let event_type = StoredEventType::Known(EventType::MessageNew);
    Envelope { stream, rev, event_type, message_id, quoted_id: None, text: stream.id().to_string().into(), effect }
}

/// The sink of an order, which puts events into the mailbox of the session.
pub struct RoomSink<'w> {
    pub stream: Stream,
    pub session: u64,
    pub mailbox: &'w mut VecDeque<(Stream, u64, RoomEvent)>,
    pub reads: &'w mut Vec<(Rev, ReadPurpose)>,
}

impl Sink<(u64, u64)> for RoomSink<'_> {
    fn send(&mut self, (session, number): &(u64, u64), event: RoomEvent) -> bool {
        let is_current = *session == self.session;
        if is_current {
            self.mailbox.push_back((self.stream, *number, event));
        }
        is_current
    }

    fn read_log(&mut self, after: Rev, purpose: ReadPurpose) {
        self.reads.push((after, purpose));
    }
}

impl Simulation {
    pub fn new() -> Self {
        let mut simulation = Self {
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
            is_lane_busy: false,
            client_reads: true,
            waits_for_sync: false,
        };
        for index in 0..CONVERSATIONS {
            simulation.log.insert(Stream::Conversation(conversation(index)), Vec::new());
            simulation.joined.insert(conversation(index), None);
            simulation.leave_or_join(index);
        }
        simulation.reconnect(false);
        simulation
    }

    pub fn step(&mut self, step: &Step) -> Checked {
        match step {
            Step::SendMessage(index) => self.commit(&[(Stream::Conversation(conversation(*index)), Meaning::Message)]),
            Step::LeaveOrJoin(index) => self.leave_or_join(*index),
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
            Step::Unsubscribe(bits) => self.command(Job::Unsubscribe(conversations_of(*bits))),
            Step::Sync { in_parts, names_user_rev } => self.send_sync(*in_parts, *names_user_rev),
            Step::ClientStopsReading => self.client_reads = false,
            Step::ClientReads => self.client_reads(),
            Step::SyncTimeout => self.time_out_sync(),
        }
        self.apply_effects()
    }

    // --- the database -------------------------------------------------------------------------------------------------

    pub fn head(&self, stream: Stream) -> Rev {
        Rev(self.log[&stream].len() as i64)
    }

    /// Commits one transaction with an event in each of these streams.
    fn commit(&mut self, events: &[(Stream, Meaning)]) {
        for (stream, meaning) in events {
            let rev = self.head(*stream).next();
            let effect = match meaning {
                Meaning::Left => EventEffect::Left(USER),
                Meaning::Added(id, rev) => EventEffect::Subscribe(*id, *rev),
                Meaning::Message | Meaning::Removed(_) => EventEffect::None,
            };
            let message_id = Some(MessageId(Uuid::from_u128(rev.0 as u128)));
            let frame = event(*stream, rev, effect, message_id);
            self.undelivered.push((*stream, Batch::new(vec![frame.clone()])));
            self.log.get_mut(stream).expect("a known stream").push((frame, *meaning));
        }
    }

    fn leave_or_join(&mut self, index: usize) {
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

    fn memberships(&self, ids: &[ConversationId]) -> Vec<Membership> {
        let membership = |id: &ConversationId| {
            let joined_rev = self.joined[id]?;
            let last_rev = self.head(Stream::Conversation(*id));
            Some(Membership { conversation_id: *id, last_rev, joined_rev, last_read_seq: Seq(0) })
        };
        ids.iter().filter_map(membership).collect()
    }

    fn rights(&self, ids: &[ConversationId]) -> Rights<Stream> {
        let denied_ids = ids.iter().filter(|id| self.joined[id].is_none());
        Rights {
            rooms: ids.iter().map(|id| (*id, Stream::Conversation(*id))).collect::<HashMap<_, _>>(),
            memberships: self.memberships(ids),
            denied: denied_ids.map(|id| DeniedConversation { id: *id, code: "not_a_participant" }).collect(),
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
                    let known = sync.conversations[&membership.conversation_id];
                    known > membership.last_rev || known < membership.joined_rev
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
            Some(Check::Opened(user_rev, memberships)) => self.begin_session(user_rev, &memberships),
            Some(Check::RightsRead(rights)) => self.following.handle_rights(Ok(rights)),
            Some(Check::SyncRead(rights)) => self.following.handle_sync_rights(Ok(rights)),
            _ => {}
        }
    }

    /// Delivers all messages that are on their way, and makes a last sync. Then the client must have all events.
    pub fn finish(&mut self) -> Checked {
        self.run_until_idle()?;
        self.step(&Step::Sync { in_parts: false, names_user_rev: true })?;
        self.run_until_idle()?;
        let (joined, log) = (&self.joined, &self.log);
        self.client.check_complete(OWN, |stream| Rev(log[&stream].len() as i64), |id| joined[&id].is_some())
    }

    fn run_until_idle(&mut self) -> Checked {
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
            let are_rooms_idle = self.rooms.values().all(|room| room.inbox.is_empty() && room.reads.is_empty());
            let is_idle =
                are_rooms_idle && self.undelivered.is_empty() && self.mailbox.is_empty() && self.checks.is_empty();
            if is_idle && !self.rooms.values().any(|room| room.order.has_gap()) {
                let (joined, log) = (&self.joined, &self.log);
                return self.client.check_idle(
                    OWN,
                    |stream| Rev(log[&stream].len() as i64),
                    |id| joined[&id].is_some(),
                );
            }
        }
        Err("the simulation does not become idle".to_owned())
    }
}
