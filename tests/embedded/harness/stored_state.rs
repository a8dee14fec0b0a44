//! The whole database, and a check that it is consistent: streams have no gap, every message has one event and
//! every such event has a message, counters are correct, and participants agree with the log. So the check finds every
//! transaction of which only a part was stored.

use super::{Delivered, TestApp};
use greenroom::domain::stream::Stream;
use sea_orm::{QueryResult, TryGetable};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The rows of all tables that the checks use.
#[derive(Debug, Default)]
pub struct StoredState {
    pub conversations: BTreeMap<Uuid, Conversation>,
    /// The last revision of each user stream.
    pub users: BTreeMap<Uuid, i64>,
    /// By conversation, in the order of `seq`.
    pub messages: BTreeMap<Uuid, Vec<Message>>,
    /// By stream, in the order of the log ids.
    pub log: BTreeMap<Stream, Vec<Event>>,
    /// By conversation and user.
    pub participants: BTreeMap<(Uuid, Uuid), Participant>,
}

/// A row of `conversations`.
#[derive(Debug)]
pub struct Conversation {
    /// `direct`, `group` or `class`.
    pub kind: String,
    pub last_seq: i64,
    pub last_count: i64,
    pub last_rev: i64,
    pub member_count: i64,
}

/// A row of `messages`.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: Uuid,
    pub seq: i64,
    pub count: i64,
    pub rev: i64,
    pub sender: Option<Uuid>,
    pub kind: String,
    pub content: String,
    pub data: Option<String>,
    pub reply_to: Option<Uuid>,
    pub temp_id: Option<String>,
}

/// A row of `outbox`.
#[derive(Clone, Debug)]
pub struct Event {
    pub rev: i64,
    pub kind: String,
    pub message_id: Option<Uuid>,
    pub text: String,
    /// The payload of the frame.
    pub payload: Value,
}

/// A row of `participants`.
#[derive(Debug)]
pub struct Participant {
    pub joined_rev: i64,
    pub left_rev: Option<i64>,
    pub last_read_seq: i64,
    pub last_read_count: i64,
}

fn get<T: TryGetable>(row: &QueryResult, name: &str) -> T {
    row.try_get("", name).unwrap()
}

impl StoredState {
    /// Reads all rows. No transaction may be writing.
    pub async fn read(test: &TestApp) -> Self {
        let mut stored = Self::default();
        for row in test.rows("SELECT id, kind, last_seq, last_count, last_rev, member_count FROM conversations").await {
            let conversation = Conversation {
                kind: get(&row, "kind"),
                last_seq: get(&row, "last_seq"),
                last_count: get(&row, "last_count"),
                last_rev: get(&row, "last_rev"),
                member_count: get(&row, "member_count"),
            };
            stored.conversations.insert(get(&row, "id"), conversation);
        }
        for row in test.rows("SELECT id, last_rev FROM users").await {
            stored.users.insert(get(&row, "id"), get(&row, "last_rev"));
        }
        for row in test.rows("SELECT * FROM messages ORDER BY conversation_id, seq").await {
            stored.messages.entry(get(&row, "conversation_id")).or_default().push(Message {
                id: get(&row, "id"),
                seq: get(&row, "seq"),
                count: get(&row, "count"),
                rev: get(&row, "rev"),
                sender: get(&row, "sender_id"),
                kind: get(&row, "kind"),
                content: get(&row, "content"),
                data: get(&row, "data"),
                reply_to: get(&row, "reply_to_id"),
                temp_id: get(&row, "temp_id"),
            });
        }
        for row in test.rows("SELECT * FROM outbox ORDER BY id").await {
            let stream = Stream::from_columns(get(&row, "stream_kind"), get(&row, "stream_id"));
            let json: String = get(&row, "payload");
            let frame: Value = serde_json::from_str(&json).unwrap();
            stored.log.entry(stream).or_default().push(Event {
                rev: get(&row, "rev"),
                kind: get(&row, "event_type"),
                message_id: get(&row, "message_id"),
                payload: frame["payload"].clone(),
                text: json,
            });
        }
        for row in test.rows("SELECT * FROM participants").await {
            let participant = Participant {
                joined_rev: get(&row, "joined_rev"),
                left_rev: get(&row, "left_rev"),
                last_read_seq: get(&row, "last_read_seq"),
                last_read_count: get(&row, "last_read_count"),
            };
            stored.participants.insert((get(&row, "conversation_id"), get(&row, "user_id")), participant);
        }
        stored
    }

    /// Returns the messages of a conversation.
    pub fn messages_of(&self, conversation: impl Into<Uuid>) -> &[Message] {
        self.messages.get(&conversation.into()).map_or(&[], Vec::as_slice)
    }

    /// Returns the events of a stream.
    pub fn events_of(&self, stream: Stream) -> &[Event] {
        self.log.get(&stream).map_or(&[], Vec::as_slice)
    }

    /// Returns one sentence for each inconsistency.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (stream, last_rev) in self.streams() {
            let revs: Vec<i64> = self.events_of(stream).iter().map(|event| event.rev).collect();
            if revs != (1..=last_rev).collect::<Vec<_>>() {
                faults.push(format!("{stream:?} has the last revision {last_rev}, and its log contains {revs:?}"));
            }
        }
        for (id, conversation) in &self.conversations {
            self.check_messages(*id, conversation, &mut faults);
            let is_member = |key: &(Uuid, Uuid), row: &Participant| key.0 == *id && row.left_rev.is_none();
            let members = self.participants.iter().filter(|(key, row)| is_member(key, row)).count();
            if conversation.member_count != members as i64 {
                faults.push(format!("{id} counts {} members, not {members}", conversation.member_count));
            }
        }
        for (&(conversation, user), participant) in &self.participants {
            self.check_participant(conversation, user, participant, &mut faults);
        }
        faults
    }

    fn streams(&self) -> Vec<(Stream, i64)> {
        let conversations = self.conversations.iter().map(|(id, row)| (Stream::from_columns(0, *id), row.last_rev));
        let mut streams: BTreeMap<Stream, i64> = conversations.collect();
        streams.extend(self.users.iter().map(|(id, rev)| (Stream::from_columns(1, *id), *rev)));
        for stream in self.log.keys() {
            streams.entry(*stream).or_insert(0);
        }
        streams.into_iter().collect()
    }

    fn check_messages(&self, id: Uuid, conversation: &Conversation, faults: &mut Vec<String>) {
        let messages = self.messages_of(id);
        let seqs: Vec<i64> = messages.iter().map(|message| message.seq).collect();
        if seqs != (1..=conversation.last_seq).collect::<Vec<_>>() {
            faults.push(format!("{id} has the last seq {}, and contains {seqs:?}", conversation.last_seq));
        }
        let mut count = 0;
        let mut events = self.events_of(Stream::from_columns(0, id)).iter().filter(|event| event.kind == "message.new");
        let mut named = BTreeSet::new();
        self.check_senders(id, faults);
        for message in messages {
            count += i64::from(message.kind != "system");
            if message.count != count {
                faults.push(format!("{id}/{}: its count is {}, not {count}", message.seq, message.count));
            }
            if let Some(temp_id) = &message.temp_id
                && !named.insert((message.sender, temp_id))
            {
                faults.push(format!("{id}/{}: {temp_id} is stored twice", message.seq));
            }
            match events.next() {
                Some(event) if contains_message(event, message) => {}
                event => faults.push(format!("{id}/{}: {message:?} has the event {event:?}", message.seq)),
            }
        }
        if let Some(event) = events.next() {
            faults.push(format!("{id}: an event without a message: {}", event.text));
        }
        if conversation.last_count != count {
            faults.push(format!("{id} counts {} messages, not {count}", conversation.last_count));
        }
    }

    /// Checks that no user sent a message between leaving and joining again.
    fn check_senders(&self, id: Uuid, faults: &mut Vec<String>) {
        let mut absent = BTreeSet::new();
        for event in self.events_of(Stream::from_columns(0, id)) {
            match event.kind.as_str() {
                "participant.left" => drop(absent.insert(event.payload["user_id"].to_string())),
                "participant.joined" => {
                    for user in joined_users(event) {
                        absent.remove(&Value::from(user.to_string()).to_string());
                    }
                }
                "message.new" if absent.contains(&event.payload["message"]["sender_id"].to_string()) => {
                    faults.push(format!("{id}: sent by a user who had left: {}", event.text));
                }
                _ => {}
            }
        }
    }

    fn check_participant(&self, conversation: Uuid, user: Uuid, row: &Participant, faults: &mut Vec<String>) {
        let name = format!("{user} in {conversation}");
        let marked = self.messages_of(conversation).iter().find(|message| message.seq == row.last_read_seq);
        if row.last_read_count != marked.map_or(0, |message| message.count) {
            faults.push(format!("{name}: {} messages are counted up to the mark {marked:?}", row.last_read_count));
        }
        if self.conversations[&conversation].kind == "class" {
            // The test creates classes without events.
            return;
        }
        let (mut joins, mut last_join, mut last_left) = (0, 0, None);
        for event in self.events_of(Stream::from_columns(0, conversation)) {
            if event.kind == "participant.joined" && joined_users(event).contains(&user) {
                (joins, last_join) = (joins + 1, event.rev);
                last_left = None;
            } else if event.kind == "participant.left" && event.payload["user_id"] == user.to_string() {
                last_left = Some(event.rev);
            }
        }
        // The view of an added user starts at the system message, which is the event after `participant.joined`.
        let start = if last_join == 0 { 0 } else { last_join + 1 };
        if row.joined_rev != start || row.left_rev != last_left {
            faults.push(format!("{name}: the log says {start} to {last_left:?}, the row {row:?}"));
        }
        let created = self.events_of(Stream::from_columns(1, user)).iter().filter(|event| {
            event.kind == "conversation.created" && event.payload["conversation"]["id"] == conversation.to_string()
        });
        let created = created.count();
        if created != joins && created != joins + 1 || created == 0 {
            faults.push(format!("{name}: joined {joins} times after the beginning and got {created} events"));
        }
    }

    /// Returns one sentence for each event of the log that was not delivered exactly once with the same text, and for
    /// each delivered event that is not in the log.
    pub fn delivery_faults(&self, delivered: &[Delivered]) -> Vec<String> {
        let mut counted: BTreeMap<(Stream, i64, &str), usize> = BTreeMap::new();
        for event in delivered {
            *counted.entry((event.stream, event.rev, &event.text)).or_default() += 1;
        }
        let mut faults = Vec::new();
        for (stream, events) in &self.log {
            for event in events {
                let times = counted.remove(&(*stream, event.rev, &event.text)).unwrap_or(0);
                if times != 1 {
                    faults.push(format!("delivered {times} times: {}", event.text));
                }
            }
        }
        faults.extend(counted.into_keys().map(|(_, _, text)| format!("delivered and not in the log: {text}")));
        faults
    }
}

/// Returns true if the event contains the message with all its fields.
fn contains_message(event: &Event, message: &Message) -> bool {
    let payload = &event.payload["message"];
    let id = |id: Option<Uuid>| id.map_or(Value::Null, |id| Value::String(id.to_string()));
    let data = message.data.as_ref().map_or(Value::Null, |data| serde_json::from_str(data).unwrap());
    event.rev == message.rev
        && event.message_id == Some(message.id)
        && payload["id"] == id(Some(message.id))
        && payload["seq"] == message.seq
        && payload["sender_id"] == id(message.sender)
        && payload["type"] == message.kind
        && payload["content"] == message.content
        && payload["data"] == data
        && payload["reply_to"]["id"] == id(message.reply_to)
        && payload["temp_id"] == message.temp_id.as_ref().map_or(Value::Null, |name| Value::String(name.clone()))
}

/// Returns the users that a `participant.joined` names.
fn joined_users(event: &Event) -> Vec<Uuid> {
    let participants = event.payload["participants"].as_array().unwrap();
    participants.iter().map(|joined| joined["user"]["id"].as_str().unwrap().parse().unwrap()).collect()
}
