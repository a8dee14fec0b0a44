//! The users of a case with their devices, and the answers of the server to each of them.

use super::client_view::{ClientConversation, View};
use super::compare::CompareResult;
use crate::support::{DEADLINE, TestServer, TestSocket, TestUser};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// A user and the user's devices.
pub struct CaseUser {
    pub account: TestUser,
    pub devices: [Device; 2],
    /// A session without subscriptions that asks for revisions.
    pub probe: TestSocket,
    /// The view of the first device at each comparison, for a later `sync` from it.
    pub past_views: Vec<View>,
}

/// A client: its view, and its session while it is connected.
pub struct Device {
    pub view: View,
    pub socket: Option<TestSocket>,
}

/// The newest revisions of the streams that a user may read.
#[derive(Debug)]
pub struct Revs {
    pub conversations: BTreeMap<String, i64>,
    pub user: i64,
}

/// The answers of REST for one user.
pub struct RestState {
    /// The list of conversations that are not archived, and the list of archived ones.
    pub lists: [Vec<Value>; 2],
    /// Messages, members and pins, by conversation.
    pub details: BTreeMap<String, [Value; 3]>,
    pub unread: Value,
    pub blocks: Value,
}

impl CaseUser {
    pub async fn new(server: &TestServer, name: &str) -> Self {
        let account = server.user(name).await;
        let device = async || {
            let socket = account.connect().await;
            let view = View::new(&account.id, socket.auth_success["user_rev"].as_i64().expect("a rev"));
            Device { view, socket: Some(socket) }
        };
        let (probe, devices) = (account.connect_unsubscribed().await, [device().await, device().await]);
        Self { account, devices, probe, past_views: Vec::new() }
    }

    pub async fn get(&self, path: &str) -> Value {
        self.account.get(path).await.expect(200)
    }

    /// Returns the newest revisions of the user's streams.
    pub async fn get_revs(&mut self) -> Revs {
        // Frames that came without a request are not needed here.
        while self.probe.poll_frame(std::time::Duration::ZERO).await.is_some() {}
        let payload = json!({ "token": self.account.access_token, "subscribe": "none" });
        let answer = self.probe.accepted("auth", payload, "auth.success").await;
        let revs = answer["conversations"].as_object().expect("conversations").iter();
        Revs {
            conversations: revs.map(|(id, rev)| (id.clone(), rev.as_i64().expect("a rev"))).collect(),
            user: answer["user_rev"].as_i64().expect("a rev"),
        }
    }

    pub async fn fill_views(&mut self) {
        let mut devices = std::mem::replace(&mut self.devices, [Device::empty(), Device::empty()]);
        for device in devices.iter_mut().filter(|device| device.socket.is_some()) {
            self.fill_view(&mut device.view).await;
        }
        self.devices = devices;
    }

    /// Loads what events do not contain: messages, members and the read mark of conversations that are new in the view,
    /// and whether a conversation is archived, if that depends on the order of events in two streams.
    pub async fn fill_view(&self, view: &mut View) {
        for (id, conversation) in &mut view.conversations {
            let (settings, messages) = (&mut conversation.settings_came, &mut conversation.messages_came);
            let is_unclear = std::mem::take(settings) & std::mem::take(messages);
            if conversation.needs_load {
                let [messages, members, _] = self.get_details(id).await;
                conversation.load(&messages, &members);
            } else if !is_unclear {
                continue;
            }
            let answer = self.get(&format!("/conversations/{id}")).await;
            conversation.advance_read_mark(&answer["my"]["last_read_seq"]);
            if is_unclear {
                conversation.fields["my"]["archived"] = answer["my"]["archived"].clone();
            }
        }
    }

    /// Loads a conversation as a client does that has no events of it.
    pub async fn get_conversation(&self, id: &str) -> ClientConversation {
        let mut conversation = self.get(&format!("/conversations/{id}")).await;
        conversation.as_object_mut().expect("a conversation").remove("members");
        let [messages, members, _] = self.get_details(id).await;
        ClientConversation::loaded(&conversation, &messages, &members)
    }

    pub async fn get_details(&self, id: &str) -> [Value; 3] {
        let path = |list: &str| format!("/conversations/{id}/{list}?limit=100");
        let (messages, members, pins) = (path("messages"), path("members"), path("pins"));
        let (messages, members, pins) =
            futures_util::future::join3(self.get(&messages), self.get(&members), self.get(&pins)).await;
        [messages, members, pins]
    }

    /// Returns all answers of REST for the user.
    pub async fn get_rest_state(&self) -> RestState {
        let mut lists = [Vec::new(), Vec::new()];
        let mut details = BTreeMap::new();
        for (list, path) in lists.iter_mut().zip(["limit=100", "limit=100&archived=true"]) {
            let page = self.get(&format!("/conversations?{path}")).await;
            list.clone_from(page["items"].as_array().expect("items"));
            for conversation in list {
                let id = conversation["id"].as_str().expect("an id").to_owned();
                let of_conversation = self.get_details(&id).await;
                details.insert(id, of_conversation);
            }
        }
        let (unread, blocks) = (self.get("/conversations/unread-count").await, self.get("/blocks?limit=100").await);
        RestState { lists, details, unread, blocks }
    }
}

impl Device {
    pub fn empty() -> Self {
        Self { view: View::default(), socket: None }
    }

    /// Applies frames until the view has these revisions. A greater revision is an error.
    pub async fn wait_for_revs(&mut self, revs: &Revs) -> CompareResult {
        let Self { view, socket: Some(socket) } = self else { return Ok(()) };
        let started = Instant::now();
        loop {
            let found = view.get_revs();
            let is_behind =
                view.user_rev < revs.user || revs.conversations.iter().any(|(id, rev)| found.get(id) < Some(rev));
            if !is_behind && found.len() == revs.conversations.len() {
                return if found == revs.conversations && view.user_rev == revs.user {
                    Ok(())
                } else {
                    Err(format!("the view has {found:?} and {}, the server has {revs:?}", view.user_rev))
                };
            }
            let left = DEADLINE.saturating_sub(started.elapsed());
            let frame = socket.poll_frame(left).await;
            let frame = frame
                .ok_or_else(|| format!("the view stays at {found:?} and {}, the server has {revs:?}", view.user_rev))?;
            view.apply(&frame.map_err(|closed| format!("the session ended: {closed:?}"))?)?;
        }
    }
}
