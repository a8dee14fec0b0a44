//! Compares the events that one session gets live with those that a later session of the same user gets by `sync`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{TestSocket, TestUser};

/// Durable frames by stream (`user` or `conversation`), conversation id and revision.
type DurableFrames = BTreeMap<(String, String, i64), Value>;

/// A session that records the durable events it gets, and the frame `auth.success` that it got first.
pub struct LiveSession {
    user: TestUser,
    socket: TestSocket,
    auth_success: Value,
    recorded: DurableFrames,
}

impl LiveSession {
    /// Opens a session with a login of its own, which is subscribed to all streams of the user.
    pub async fn new(user: &TestUser) -> Self {
        let user = user.login().await;
        let socket = user.connect().await;
        let auth_success = socket.auth_success.clone();
        Self { user, socket, auth_success, recorded: BTreeMap::new() }
    }

    /// Waits for the next event of this type and returns its payload.
    pub async fn expect_payload(&mut self, kind: &str) -> Value {
        let frame = self.socket.expect(kind).await;
        record(&mut self.recorded, &frame);
        frame["payload"].clone()
    }

    /// Returns the frames that have arrived and that no call has returned yet.
    pub async fn frames_until_pong(&mut self) -> Vec<Value> {
        let frames = self.socket.frames_until_pong().await;
        for frame in &frames {
            record(&mut self.recorded, frame);
        }
        frames
    }

    /// Asserts that a session with the same first revisions gets exactly the recorded events by `sync`, and returns
    /// their number.
    pub async fn compare_with_sync(mut self) -> usize {
        let mut later = self.user.connect_unsubscribed().await;
        let payload = json!({
            "conversations": self.auth_success["conversations"],
            "user_rev": self.auth_success["user_rev"],
            "epoch": self.auth_success["epoch"],
        });
        let id = later.start("sync", payload);
        let frames = later.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
        assert_eq!(frames.last().expect("the marker")["type"], "sync.done");
        let mut replayed = DurableFrames::new();
        for frame in &frames {
            record(&mut replayed, frame);
        }
        self.frames_until_pong().await;
        while let Some(missing) = replayed.keys().find(|key| !self.recorded.contains_key(*key)) {
            let what = format!("{missing:?} live, which sync replayed");
            let frame = self.socket.frame(&what).await;
            record(&mut self.recorded, &frame);
        }
        assert_eq!(self.recorded, replayed);
        replayed.len()
    }
}

fn record(durable: &mut DurableFrames, frame: &Value) {
    let Some(rev) = frame["rev"].as_i64() else { return };
    let stream = frame["stream"].as_str().expect("a stream").to_owned();
    let id = if stream == "user" { "" } else { frame["payload"]["conversation_id"].as_str().expect("an id") };
    assert_eq!(durable.insert((stream, id.to_owned(), rev), frame.clone()), None, "{frame} arrived twice");
}
