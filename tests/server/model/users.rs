//! The users of a case and their devices, and what a real server says to each.

use super::client_view::{Held, View};
use super::compare::Compared;
use crate::support::{DEADLINE, TestServer, TestSocket, TestUser};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// A user and the user's devices.
pub struct Person {
    pub user: TestUser,
    pub devices: [Device; 2],
    /// A session that is subscribed to nothing and is asked for revisions.
    pub probe: TestSocket,
    /// The view at each comparison, to come back to.
    pub past: Vec<View>,
}

/// A client: what it shows, and its session while it has one.
pub struct Device {
    pub view: View,
    pub socket: Option<TestSocket>,
}

/// How far the streams that a user sees have come.
#[derive(Debug)]
pub struct Revs {
    pub conversations: BTreeMap<String, i64>,
    pub user: i64,
}

/// What one user is shown by REST.
pub struct Rest {
    /// The list without and with archived ones.
    pub lists: [Vec<Value>; 2],
    /// Messages, members and pins by conversation.
    pub within: BTreeMap<String, [Value; 3]>,
    pub unread: Value,
    pub blocks: Value,
}

impl Person {
    pub async fn new(server: &TestServer, name: &str) -> Self {
        let user = server.user(name).await;
        let device = async || {
            let socket = user.connect().await;
            let view = View::new(&user.id, socket.welcome["user_rev"].as_i64().expect("a rev"));
            Device { view, socket: Some(socket) }
        };
        let (probe, devices) = (user.connect_unsubscribed().await, [device().await, device().await]);
        Self { user, devices, probe, past: Vec::new() }
    }

    pub async fn get(&self, path: &str) -> Value {
        self.user.get(path).await.expect(200)
    }

    /// Asks how far the user's streams have come.
    pub async fn revs(&mut self) -> Revs {
        // what was told unasked is nobody's business here
        while self.probe.poll_frame(std::time::Duration::ZERO).await.is_some() {}
        let payload = json!({ "token": self.user.access_token, "subscribe": "none" });
        let told = self.probe.accepted("auth", payload, "auth.success").await;
        let revs = told["conversations"].as_object().expect("conversations").iter();
        Revs {
            conversations: revs.map(|(id, rev)| (id.clone(), rev.as_i64().expect("a rev"))).collect(),
            user: told["user_rev"].as_i64().expect("a rev"),
        }
    }

    pub async fn load(&mut self) {
        let mut devices = std::mem::replace(&mut self.devices, [Device::none(), Device::none()]);
        for device in devices.iter_mut().filter(|device| device.socket.is_some()) {
            self.fill(&mut device.view).await;
        }
        self.devices = devices;
    }

    /// Asks for what events do not tell: messages and members of conversations that are new to a view, and what became
    /// of the mark while they were; and whether it is archived, where two streams were replayed.
    pub async fn fill(&self, view: &mut View) {
        for (id, held) in &mut view.conversations {
            let doubt = std::mem::take(&mut held.ask_archived) == (true, true);
            if held.empty {
                let [messages, members, _] = self.within(id).await;
                held.load(&messages, &members);
            } else if !doubt {
                continue;
            }
            let shown = self.get(&format!("/conversations/{id}")).await;
            held.read_up_to(&shown["my"]["last_read_seq"]);
            if doubt {
                held.conversation["my"]["archived"] = shown["my"]["archived"].clone();
            }
        }
    }

    /// A conversation as a client that knows nothing of it gets it.
    pub async fn fetch(&self, id: &str) -> Held {
        let mut conversation = self.get(&format!("/conversations/{id}")).await;
        conversation.as_object_mut().expect("a conversation").remove("members");
        let [messages, members, _] = self.within(id).await;
        Held::loaded(&conversation, &messages, &members)
    }

    pub async fn within(&self, id: &str) -> [Value; 3] {
        let at = |what: &str| format!("/conversations/{id}/{what}?limit=100");
        let (messages, members, pins) = (at("messages"), at("members"), at("pins"));
        let (messages, members, pins) =
            futures_util::future::join3(self.get(&messages), self.get(&members), self.get(&pins)).await;
        [messages, members, pins]
    }

    /// Everything that REST shows.
    pub async fn rest(&self) -> Rest {
        let mut lists = [Vec::new(), Vec::new()];
        let mut within = BTreeMap::new();
        for (list, path) in lists.iter_mut().zip(["limit=100", "limit=100&archived=true"]) {
            let page = self.get(&format!("/conversations?{path}")).await;
            list.clone_from(page["items"].as_array().expect("items"));
            for conversation in list {
                let id = conversation["id"].as_str().expect("an id").to_owned();
                let inside = self.within(&id).await;
                within.insert(id, inside);
            }
        }
        let (unread, blocks) = (self.get("/conversations/unread-count").await, self.get("/blocks?limit=100").await);
        Rest { lists, within, unread, blocks }
    }
}

impl Device {
    pub fn none() -> Self {
        Self { view: View::default(), socket: None }
    }

    /// Takes frames until the view is where the server is; beyond is wrong.
    pub async fn settle(&mut self, revs: &Revs) -> Compared {
        let Self { view, socket: Some(socket) } = self else { return Ok(()) };
        let started = Instant::now();
        loop {
            let held = view.revs();
            let behind =
                view.user_rev < revs.user || revs.conversations.iter().any(|(id, rev)| held.get(id) < Some(rev));
            if !behind && held.len() == revs.conversations.len() {
                return if held == revs.conversations && view.user_rev == revs.user {
                    Ok(())
                } else {
                    Err(format!("it holds {held:?} and {}, there is {revs:?}", view.user_rev))
                };
            }
            let left = DEADLINE.saturating_sub(started.elapsed());
            let frame = socket.poll_frame(left).await;
            let frame =
                frame.ok_or_else(|| format!("it stays at {held:?} and {}, there is {revs:?}", view.user_rev))?;
            view.apply(&frame.map_err(|closed| format!("its session ended: {closed:?}"))?)?;
        }
    }
}
