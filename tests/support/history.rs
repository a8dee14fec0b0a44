//! A record of everything that clients sent and received during a run, for a check at the end.
//!
//! The record is plain data, so that a test can change a history and prove that `check` finds the fault.

mod check;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub use check::{Violation, check};

/// A time in the run. All clients share one clock, so an action with a smaller tick happened before.
pub type Tick = u64;

/// The record of one run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// All sends, in the order in which they began.
    pub sends: Vec<Send>,
    pub sessions: Vec<Session>,
    /// Each conversation at the end of the run, by id.
    pub conversations: BTreeMap<String, Conversation>,
}

/// One message that a client sent, once or several times.
#[derive(Clone, Debug)]
pub struct Send {
    pub conversation: String,
    /// The user id of the sender.
    pub sender: String,
    pub temp_id: String,
    /// The time of the first attempt.
    pub invoked: Tick,
    /// All answers; empty if the outcome is unknown.
    pub outcomes: Vec<Outcome>,
}

/// An answer to a send. A repeated send may have several, which must agree.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The message is acknowledged.
    Stored {
        at: Tick,
        message_id: String,
        seq: i64,
        /// The revision of its `message.new`; `None` in an answer of REST.
        rev: Option<i64>,
    },
    /// The final error code: this message must never be stored.
    Failed(String),
}

/// One session of one client, with all its events.
#[derive(Clone, Debug)]
pub struct Session {
    /// The client and the number of the connection, for messages of the checker.
    pub name: String,
    /// The user id.
    pub user: String,
    /// True if the client had all events at the end, so that each stream must reach the last revision of its
    /// conversation.
    pub complete: bool,
    /// The entries by stream: the id of a conversation, or `user`.
    pub streams: BTreeMap<String, Vec<Entry>>,
}

/// One entry in the record of a stream in a session.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A subscription or reset: the next event has the revision after this one.
    Start(i64),
    Event(Event),
}

/// A durable event as a session got it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    pub rev: i64,
    /// The type, for example `message.new`.
    pub kind: String,
    /// The id and the `seq` of its message.
    pub message: Option<(String, i64)>,
    /// The author of a `message.new`.
    pub sender: Option<String>,
    /// The users that joined or left.
    pub users: Vec<String>,
}

/// A conversation at the end of the run, with its counters before the run.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The last `seq` before the run.
    pub first_seq: i64,
    /// The last revision before the run.
    pub first_rev: i64,
    /// The last `seq` after the run.
    pub last_seq: i64,
    /// The last revision after the run.
    pub last_rev: i64,
    /// The messages of the run, from REST.
    pub rows: Vec<Row>,
}

/// A stored message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    pub id: String,
    pub seq: i64,
    /// The user id of the author; `None` for a system message.
    pub sender: Option<String>,
    pub temp_id: Option<String>,
}

impl Event {
    /// Reads a durable frame.
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
    /// Reads a message in an answer of REST.
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

/// Records the history of a run. All clients of the run share one recorder.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Recording>>);

#[derive(Debug, Default)]
struct Recording {
    clock: Tick,
    history: History,
}

/// The number of a send, with which its outcomes are recorded.
#[derive(Clone, Copy, Debug)]
pub struct SendId(usize);

/// The number of a session, with which its entries are recorded.
#[derive(Clone, Copy, Debug)]
pub struct SessionId(usize);

impl Recorder {
    /// Records that a client is about to send a message for the first time.
    pub fn add_send(&self, conversation: &str, sender: &str, temp_id: &str) -> SendId {
        self.record(|clock, history| {
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

    /// Records an acknowledgement.
    pub fn add_acknowledgement(&self, send: SendId, message: &Value, rev: Option<i64>) {
        let row = Row::from_message(message);
        self.record(|at, history| {
            let outcome = Outcome::Stored { at, message_id: row.id, seq: row.seq, rev };
            history.sends[send.0].outcomes.push(outcome);
        });
    }

    /// Records a final error.
    pub fn add_error(&self, send: SendId, code: &str) {
        self.record(|_, history| history.sends[send.0].outcomes.push(Outcome::Failed(code.to_owned())));
    }

    /// Records a new session.
    pub fn add_session(&self, name: String, user: &str) -> SessionId {
        self.record(|_, history| {
            let session = Session { name, user: user.to_owned(), complete: false, streams: BTreeMap::new() };
            history.sessions.push(session);
            SessionId(history.sessions.len() - 1)
        })
    }

    /// Records an entry of a stream in a session.
    pub fn add_entry(&self, session: SessionId, stream: &str, entry: Entry) {
        self.record(|_, history| {
            history.sessions[session.0].streams.entry(stream.to_owned()).or_default().push(entry);
        });
    }

    /// Records that the session had all events at its end.
    pub fn mark_complete(&self, session: SessionId) {
        self.record(|_, history| history.sessions[session.0].complete = true);
    }

    /// Records a conversation at the end of the run.
    pub fn add_conversation(&self, id: &str, conversation: Conversation) {
        self.record(|_, history| history.conversations.insert(id.to_owned(), conversation));
    }

    /// Returns everything that was recorded so far.
    pub fn history(&self) -> History {
        self.record(|_, history| history.clone())
    }

    fn record<T>(&self, write: impl FnOnce(Tick, &mut History) -> T) -> T {
        let mut recording = self.0.lock().expect("no writer panics");
        recording.clock += 1;
        let clock = recording.clock;
        write(clock, &mut recording.history)
    }
}
