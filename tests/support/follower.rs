//! A client that reconnects: it keeps the last revision of every stream, connects with `subscribe=none`, sends `sync`,
//! and records everything that it gets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::history::{Entry, Event, Recorder, SessionId};
use super::socket::{Closed, ConnectOptions, Refusal, TestSocket};
use super::{DEADLINE, Random, TestUser};

/// One client over many connections.
#[derive(Debug)]
pub struct Follower {
    pub user: TestUser,
    /// The number of resets.
    pub resets: usize,
    name: String,
    recorder: Recorder,
    /// The last revision of each conversation.
    revs: BTreeMap<String, i64>,
    user_rev: i64,
    epoch: Value,
    connections: u64,
    session: Option<SessionId>,
}

impl Follower {
    /// Creates a client that knows the current heads of the user's conversations, so that it lacks no event.
    pub async fn new(user: &TestUser, name: &str, recorder: &Recorder) -> Self {
        let mut socket = user.connect_unsubscribed().await;
        let auth_success = std::mem::take(&mut socket.auth_success);
        let heads = auth_success["conversations"].as_object().expect("conversations").iter();
        Self {
            user: user.clone(),
            resets: 0,
            name: name.to_owned(),
            recorder: recorder.clone(),
            revs: heads.map(|(id, rev)| (id.clone(), rev.as_i64().expect("a rev"))).collect(),
            user_rev: auth_success["user_rev"].as_i64().expect("a user_rev"),
            epoch: auth_success["epoch"].clone(),
            connections: 0,
            session: None,
        }
    }

    /// Returns the last revision that this client has of a conversation.
    pub fn rev(&self, conversation: &str) -> Option<i64> {
        self.revs.get(conversation).copied()
    }

    /// Connects and syncs. While the server is down it tries again after a pause, as real clients do.
    pub async fn connect(&mut self, random: &mut Random) -> TestSocket {
        let started = std::time::Instant::now();
        loop {
            match self.try_connect().await {
                Ok(socket) => return socket,
                // In a run longer than the life of an access token, the client signs in again.
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
        let session = self.recorder.add_session(format!("{}#{}", self.name, self.connections), &self.user.id);
        self.session = Some(session);
        for (id, rev) in &self.revs {
            self.recorder.add_entry(session, id, Entry::Start(*rev));
        }
        self.recorder.add_entry(session, "user", Entry::Start(self.user_rev));

        let payload = json!({ "conversations": self.revs, "user_rev": self.user_rev, "epoch": self.epoch });
        let id = socket.start("sync", payload);
        loop {
            let frame = socket.try_frame().await.map_err(|Closed(code)| Refusal::Closed(code))?;
            if frame["id"] == id.as_str() && matches!(frame["payload"]["code"].as_str(), Some("unavailable" | "busy")) {
                return Err(Refusal::Closed(None));
            }
            if frame["id"] == id.as_str() {
                self.check_sync_done(&frame);
                return Ok(socket);
            }
            self.record(&frame);
        }
    }

    /// Checks that `sync.done` comes after the events up to the heads that it names.
    fn check_sync_done(&self, frame: &Value) {
        assert_eq!(frame["type"], "sync.done", "{}: sync was answered by {frame}", self.name);
        for (id, rev) in frame["payload"]["conversations"].as_object().expect("conversations") {
            let rev = rev.as_i64().expect("a rev");
            assert!(self.rev(id) >= Some(rev), "{}: sync.done before the events up to {rev} of {id}", self.name);
        }
    }

    /// Records a frame if it is a durable event or a reset.
    pub fn record(&mut self, frame: &Value) {
        let session = self.session.expect("a frame comes from a session");
        if frame["type"] == "sync.reset" {
            self.resets += 1;
            let (id, rev) = (frame["payload"]["conversation_id"].as_str(), frame["payload"]["last_rev"].as_i64());
            if let (Some(id), Some(rev)) = (id, rev) {
                self.recorder.add_entry(session, id, Entry::Start(rev));
                self.revs.insert(id.to_owned(), rev);
            }
            return;
        }
        let Some(rev) = frame["rev"].as_i64() else { return };
        if frame["stream"] == "user" {
            self.recorder.add_entry(session, "user", Entry::Event(Event::from_frame(frame)));
            self.user_rev = rev;
            self.record_new_conversation(session, frame);
            return;
        }
        let id =
            frame["payload"]["conversation_id"].as_str().or(frame["payload"]["message"]["conversation_id"].as_str());
        let id = id.unwrap_or_else(|| panic!("{}: the frame names no conversation: {frame}", self.name));
        self.recorder.add_entry(session, id, Entry::Event(Event::from_frame(frame)));
        self.revs.insert(id.to_owned(), rev);
    }

    /// Records that the session is subscribed to a new conversation from the revision in the event, unless a reset
    /// named a later revision.
    fn record_new_conversation(&mut self, session: SessionId, frame: &Value) {
        let conversation = &frame["payload"]["conversation"];
        if let ("conversation.created", Some(id), Some(rev)) =
            (frame["type"].as_str().unwrap_or_default(), conversation["id"].as_str(), conversation["last_rev"].as_i64())
            && self.rev(id).is_none_or(|known| known < rev)
        {
            self.recorder.add_entry(session, id, Entry::Start(rev));
            self.revs.insert(id.to_owned(), rev);
        }
    }

    /// Receives, and reconnects if necessary, until the client has all events up to these revisions. Then it records
    /// that the session is complete.
    pub async fn finish(mut self, mut socket: TestSocket, last: &BTreeMap<String, i64>, random: &mut Random) -> Self {
        while last.iter().any(|(id, rev)| self.rev(id).is_some_and(|known| known < *rev)) {
            match socket.try_frame().await {
                Ok(frame) => self.record(&frame),
                Err(_) => socket = self.connect(random).await,
            }
        }
        // Record further frames too: a repetition, or an event beyond the last one, would be a failure. The server may
        // close the connection now, because the access token has expired.
        let mut marker = socket.start("ping", json!({}));
        loop {
            match socket.try_frame().await {
                Ok(frame) if frame["id"] == marker.as_str() => break,
                Ok(frame) => self.record(&frame),
                Err(_) => {
                    socket = self.connect(random).await;
                    marker = socket.start("ping", json!({}));
                }
            }
        }
        self.recorder.mark_complete(self.session.expect("the client was connected"));
        self
    }
}
