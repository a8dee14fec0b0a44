//! A client that comes back: it remembers the last revision it holds of every stream, reconnects with
//! `subscribe=none` and `sync`, and writes down everything it gets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::history::{Entry, Event, Recorder, SessionId};
use super::socket::{Closed, ConnectOptions, Refusal, TestSocket};
use super::{DEADLINE, Random, TestUser};

/// One client over many connections.
#[derive(Debug)]
pub struct Follower {
    /// Whose it is.
    pub user: TestUser,
    /// How often it was told that the log does not reach back.
    pub resets: usize,
    name: String,
    recorder: Recorder,
    held: BTreeMap<String, i64>,
    user_rev: i64,
    epoch: Value,
    connections: u64,
    session: Option<SessionId>,
}

impl Follower {
    /// A client that knows the user's conversations as they are now and has not missed anything.
    pub async fn new(user: &TestUser, name: &str, recorder: &Recorder) -> Self {
        let mut socket = user.connect_unsubscribed().await;
        let welcome = std::mem::take(&mut socket.welcome);
        let held = welcome["conversations"].as_object().expect("conversations").iter();
        Self {
            user: user.clone(),
            resets: 0,
            name: name.to_owned(),
            recorder: recorder.clone(),
            held: held.map(|(id, rev)| (id.clone(), rev.as_i64().expect("a rev"))).collect(),
            user_rev: welcome["user_rev"].as_i64().expect("a user_rev"),
            epoch: welcome["epoch"].clone(),
            connections: 0,
            session: None,
        }
    }

    /// The last revision held of a conversation.
    pub fn held(&self, conversation: &str) -> Option<i64> {
        self.held.get(conversation).copied()
    }

    /// Connects and fetches what was missed. Tries again while the server is down, with a backoff as clients have.
    pub async fn connect(&mut self, random: &mut Random) -> TestSocket {
        let started = std::time::Instant::now();
        loop {
            match self.try_connect().await {
                Ok(socket) => return socket,
                // A run that is longer than an access token lives signs in again.
                Err(Refusal::Closed(Some(4401))) => self.sign_in_again().await,
                Err(refusal) => assert!(started.elapsed() < DEADLINE * 3, "{}: no session: {refusal:?}", self.name),
            }
            tokio::time::sleep(Duration::from_millis(random.between(10, 60))).await;
        }
    }

    async fn sign_in_again(&mut self) {
        if let Some(user) = self.user.try_login().await {
            self.user = user;
        }
    }

    async fn try_connect(&mut self) -> Result<TestSocket, Refusal> {
        let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
        let mut socket = self.user.try_connect(options).await?;
        self.connections += 1;
        let session = self.recorder.session(format!("{}#{}", self.name, self.connections), &self.user.id);
        self.session = Some(session);
        for (id, rev) in &self.held {
            self.recorder.entry(session, id, Entry::Start(*rev));
        }
        self.recorder.entry(session, "user", Entry::Start(self.user_rev));

        let payload = json!({ "conversations": self.held, "user_rev": self.user_rev, "epoch": self.epoch });
        let id = socket.start("sync", payload);
        loop {
            let frame = socket.try_frame().await.map_err(|Closed(code)| Refusal::Closed(code))?;
            if frame["id"] == id.as_str() && matches!(frame["payload"]["code"].as_str(), Some("unavailable" | "busy")) {
                return Err(Refusal::Closed(None));
            }
            if frame["id"] == id.as_str() {
                self.check_answer(&frame);
                return Ok(socket);
            }
            self.note(&frame);
        }
    }

    /// `sync.done` comes after the events that it speaks of.
    fn check_answer(&self, frame: &Value) {
        assert_eq!(frame["type"], "sync.done", "{}: sync was answered by {frame}", self.name);
        for (id, rev) in frame["payload"]["conversations"].as_object().expect("conversations") {
            let rev = rev.as_i64().expect("a rev");
            assert!(self.held(id) >= Some(rev), "{}: sync.done before the events up to {rev} of {id}", self.name);
        }
    }

    /// Takes notice of a frame. Those that are not durable events are left to the caller.
    pub fn note(&mut self, frame: &Value) {
        let session = self.session.expect("a frame comes from a session");
        if frame["type"] == "sync.reset" {
            self.resets += 1;
            let (id, rev) = (frame["payload"]["conversation_id"].as_str(), frame["payload"]["last_rev"].as_i64());
            if let (Some(id), Some(rev)) = (id, rev) {
                self.recorder.entry(session, id, Entry::Start(rev));
                self.held.insert(id.to_owned(), rev);
            }
            return;
        }
        let Some(rev) = frame["rev"].as_i64() else { return };
        if frame["stream"] == "user" {
            self.recorder.entry(session, "user", Entry::Event(Event::from_frame(frame)));
            self.user_rev = rev;
            self.note_gained(session, frame);
            return;
        }
        let id =
            frame["payload"]["conversation_id"].as_str().or(frame["payload"]["message"]["conversation_id"].as_str());
        let id = id.unwrap_or_else(|| panic!("{}: which conversation? {frame}", self.name));
        self.recorder.entry(session, id, Entry::Event(Event::from_frame(frame)));
        self.held.insert(id.to_owned(), rev);
    }

    /// A conversation gained is subscribed from the revision that the event names, unless a reset named a later one.
    fn note_gained(&mut self, session: SessionId, frame: &Value) {
        let conversation = &frame["payload"]["conversation"];
        if let ("conversation.created", Some(id), Some(rev)) =
            (frame["type"].as_str().unwrap_or_default(), conversation["id"].as_str(), conversation["last_rev"].as_i64())
            && self.held(id).is_none_or(|held| held < rev)
        {
            self.recorder.entry(session, id, Entry::Start(rev));
            self.held.insert(id.to_owned(), rev);
        }
    }

    /// Reads until everything up to these revisions is held, reconnecting if need be, and notes that the session is
    /// complete.
    pub async fn finish(mut self, mut socket: TestSocket, last: &BTreeMap<String, i64>, random: &mut Random) -> Self {
        while last.iter().any(|(id, rev)| self.held(id).is_some_and(|held| held < *rev)) {
            match socket.try_frame().await {
                Ok(frame) => self.note(&frame),
                Err(_) => socket = self.connect(random).await,
            }
        }
        // Whatever else is under way: a repetition, or an event beyond the last one, would be wrong.
        for frame in socket.frames_until_pong().await {
            self.note(&frame);
        }
        self.recorder.complete(self.session.expect("it was connected"));
        self
    }
}
