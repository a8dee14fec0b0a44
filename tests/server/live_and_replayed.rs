//! A device that watches: what it saw live must be what another one of the same user gets by `sync` afterwards.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{TestSocket, TestUser};

type Durable = BTreeMap<(String, String, i64), Value>;

/// A live session, and where it began.
pub struct Witness {
    user: TestUser,
    socket: TestSocket,
    began: Value,
    seen: Durable,
}

impl Witness {
    /// A session of a login of its own, subscribed to all the user is in.
    pub async fn of(user: &TestUser) -> Self {
        let user = user.login().await;
        let socket = user.connect().await;
        let began = socket.welcome.clone();
        Self { user, socket, began, seen: BTreeMap::new() }
    }

    /// The next event of this type, live; its payload.
    pub async fn sees(&mut self, kind: &str) -> Value {
        let frame = self.socket.expect(kind).await;
        note(&mut self.seen, &frame);
        frame["payload"].clone()
    }

    /// The frames that have come and were not asked for.
    pub async fn rest(&mut self) -> Vec<Value> {
        let frames = self.socket.frames_until_pong().await;
        for frame in &frames {
            note(&mut self.seen, frame);
        }
        frames
    }

    /// A device that was away since the start gets by `sync` what this one saw live, and nothing else; how many events
    /// that were.
    pub async fn agrees_with_sync(mut self) -> usize {
        let mut back = self.user.connect_unsubscribed().await;
        let payload = json!({
            "conversations": self.began["conversations"],
            "user_rev": self.began["user_rev"],
            "epoch": self.began["epoch"],
        });
        let id = back.start("sync", payload);
        let frames = back.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
        assert_eq!(frames.last().expect("the marker")["type"], "sync.done");
        let mut replayed = Durable::new();
        for frame in &frames {
            note(&mut replayed, frame);
        }
        self.rest().await;
        while let Some(missing) = replayed.keys().find(|key| !self.seen.contains_key(*key)) {
            let what = format!("{missing:?} live, which sync brought");
            let frame = self.socket.frame(&what).await;
            note(&mut self.seen, &frame);
        }
        assert_eq!(self.seen, replayed);
        replayed.len()
    }
}

fn note(durable: &mut Durable, frame: &Value) {
    let Some(rev) = frame["rev"].as_i64() else { return };
    let stream = frame["stream"].as_str().expect("a stream").to_owned();
    let id = if stream == "user" { "" } else { frame["payload"]["conversation_id"].as_str().expect("an id") };
    assert_eq!(durable.insert((stream, id.to_owned(), rev), frame.clone()), None, "{frame} came twice");
}
