//! What clients did and what they saw, written down while it happens, to be judged when all is over.
//!
//! The records are plain data, so that a test can forge a history and prove that the judge (`check`) notices.

mod check;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub use check::{Violation, check};

/// A point in the run. All clients share one clock, so a smaller tick really came before.
pub type Tick = u64;

/// Everything that was written down.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Every send that was begun, in the order of beginning.
    pub sends: Vec<Send>,
    /// Every session of every client.
    pub sessions: Vec<Session>,
    /// Each conversation as the server told it when all was over.
    pub conversations: BTreeMap<String, Conversation>,
}

/// One message that somebody wanted to send, however often it was put on the wire.
#[derive(Clone, Debug)]
pub struct Send {
    /// The conversation it was for.
    pub conversation: String,
    /// The sender's user id.
    pub sender: String,
    /// What makes it one message.
    pub temp_id: String,
    /// When it was first put on the wire.
    pub invoked: Tick,
    /// What became of it; empty is unknown.
    pub outcomes: Vec<Outcome>,
}

/// An answer to a send. A message that was sent again may have several, which must agree.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Acknowledged.
    Stored {
        /// When the answer arrived.
        at: Tick,
        /// The message's id.
        message_id: String,
        /// Its number.
        seq: i64,
        /// The revision of its `message.new`; REST does not tell it.
        rev: Option<i64>,
    },
    /// Refused for good, with this code: it must never show up.
    Failed(String),
}

/// One session of one client, with all it got.
#[derive(Clone, Debug)]
pub struct Session {
    /// For messages of the checker: who, and which connection.
    pub name: String,
    /// The user's id.
    pub user: String,
    /// The client had everything when it ended: each stream must reach the conversation's last revision.
    pub complete: bool,
    /// What came, by stream: a conversation's id, or `user`.
    pub streams: BTreeMap<String, Vec<Entry>>,
}

/// One thing that happened to a session's view of a stream.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Subscribed: the next event has the revision after this.
    Start(i64),
    /// An event.
    Event(Event),
}

/// A durable event as a session got it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its place in the stream.
    pub rev: i64,
    /// Its type, `message.new` and so on.
    pub kind: String,
    /// The message it is about: id and number.
    pub message: Option<(String, i64)>,
    /// The author of a `message.new`.
    pub sender: Option<String>,
    /// The users it is about: who joined or left.
    pub users: Vec<String>,
}

/// A conversation when all was over, and where it stood when recording began.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The last number before the run.
    pub first_seq: i64,
    /// The last revision before the run.
    pub first_rev: i64,
    /// The last number after it.
    pub last_seq: i64,
    /// The last revision after it.
    pub last_rev: i64,
    /// The messages of the run, as REST tells them.
    pub rows: Vec<Row>,
}

/// A stored message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its number.
    pub seq: i64,
    /// Its author; none for a system message.
    pub sender: Option<String>,
    /// What its author called it.
    pub temp_id: Option<String>,
}

impl Event {
    /// From a durable frame.
    pub fn from_frame(frame: &Value) -> Self {
        let payload = &frame["payload"];
        let message = &payload["message"];
        let string = |value: &Value| value.as_str().map(str::to_owned);
        let mut users: Vec<String> = payload["participants"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|participant| string(&participant["user"]["id"]))
            .collect();
        users.extend(string(&payload["user_id"]));
        Self {
            rev: frame["rev"].as_i64().unwrap_or_else(|| panic!("a durable event has a rev: {frame}")),
            kind: frame["type"].as_str().expect("a type").to_owned(),
            message: string(&message["id"]).zip(message["seq"].as_i64()),
            sender: string(&message["sender_id"]),
            users,
        }
    }
}

impl Row {
    /// From a message as REST gives it.
    pub fn from_message(message: &Value) -> Self {
        let string = |name: &str| message[name].as_str().map(str::to_owned);
        Self {
            id: string("id").expect("an id"),
            seq: message["seq"].as_i64().expect("a seq"),
            sender: string("sender_id"),
            temp_id: string("temp_id"),
        }
    }
}

/// The shared notebook of all clients of a run.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    clock: Tick,
    history: History,
}

/// A send that was begun, to note its outcome by.
#[derive(Clone, Copy, Debug)]
pub struct SendId(usize);

/// A session that was begun, to note its events by.
#[derive(Clone, Copy, Debug)]
pub struct SessionId(usize);

impl Recorder {
    /// Notes that a message is about to be put on the wire for the first time.
    pub fn invoke(&self, conversation: &str, sender: &str, temp_id: &str) -> SendId {
        self.note(|clock, history| {
            history.sends.push(Send {
                conversation: conversation.to_owned(),
                sender: sender.to_owned(),
                temp_id: temp_id.to_owned(),
                invoked: clock,
                outcomes: Vec::new(),
            });
            SendId(history.sends.len() - 1)
        })
    }

    /// Notes an acknowledgement that just arrived.
    pub fn stored(&self, send: SendId, message: &Value, rev: Option<i64>) {
        let row = Row::from_message(message);
        self.note(|at, history| {
            let outcome = Outcome::Stored { at, message_id: row.id, seq: row.seq, rev };
            history.sends[send.0].outcomes.push(outcome);
        });
    }

    /// Notes a refusal that is final.
    pub fn failed(&self, send: SendId, code: &str) {
        self.note(|_, history| history.sends[send.0].outcomes.push(Outcome::Failed(code.to_owned())));
    }

    /// Notes that a client has a new session.
    pub fn session(&self, name: String, user: &str) -> SessionId {
        self.note(|_, history| {
            let session = Session { name, user: user.to_owned(), complete: false, streams: BTreeMap::new() };
            history.sessions.push(session);
            SessionId(history.sessions.len() - 1)
        })
    }

    /// Notes something that happened to a session's view of a stream.
    pub fn entry(&self, session: SessionId, stream: &str, entry: Entry) {
        self.note(|_, history| {
            history.sessions[session.0].streams.entry(stream.to_owned()).or_default().push(entry);
        });
    }

    /// Notes that the session had everything when it ended.
    pub fn complete(&self, session: SessionId) {
        self.note(|_, history| history.sessions[session.0].complete = true);
    }

    /// Notes a conversation as it stands at the end.
    pub fn conversation(&self, id: &str, conversation: Conversation) {
        self.note(|_, history| history.conversations.insert(id.to_owned(), conversation));
    }

    /// All that was written down so far.
    pub fn history(&self) -> History {
        self.note(|_, history| history.clone())
    }

    fn note<T>(&self, write: impl FnOnce(Tick, &mut History) -> T) -> T {
        let mut notes = self.0.lock().expect("no writer panics");
        notes.clock += 1;
        let clock = notes.clock;
        write(clock, &mut notes.history)
    }
}
