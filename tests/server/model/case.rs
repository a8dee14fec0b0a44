//! One case: users with two devices each on a real server, and the model. It runs the steps, and after each command it
//! waits until every device has all events.

use super::commands::{Command, Step, USERS};
use super::compare::{self, CompareResult};
use super::effects::{Effect, Growth, Stream};
use super::permissions::Expectation;
use super::replay;
use super::state::{Identity, Model};
use super::users::{CaseUser, Device, Revs};
use crate::support::{DEADLINE, TestServer, eventually};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

pub struct Case {
    pub model: Model,
    pub users: Vec<CaseUser>,
    /// The ids of the conversations, in the order of the model.
    pub conversation_ids: Vec<String>,
    /// The ids of messages, by conversation and `seq`.
    pub message_ids: BTreeMap<(String, i64), String>,
    /// The revision of each stream after the last command.
    pub stream_revs: BTreeMap<Stream, i64>,
    /// The newest revision that a user who left a conversation may see, by user and conversation.
    pub left_at_revs: BTreeMap<(usize, String), i64>,
    /// The revision at which a participant last joined, by user and conversation.
    pub joined_at_revs: BTreeMap<(usize, String), i64>,
    /// The revisions of `message.new` as a device received them, by conversation and `seq`.
    pub message_revs: BTreeMap<(String, i64), i64>,
}

impl Case {
    /// Registers new users. The number of the case makes their names unique.
    pub async fn new(server: &TestServer, number: u32) -> Self {
        let names = ["ann", "bob", "cyd", "dan"].map(|name| format!("{name}{number}"));
        let users = join_all(names.iter().map(|name| CaseUser::new(server, name))).await;
        let identity =
            |user: &CaseUser| Identity { id: user.account.id.clone(), username: user.account.username.clone() };
        let model = Model::new(users.iter().map(identity).collect());
        let stream_revs = users.iter().enumerate();
        let stream_revs =
            stream_revs.map(|(index, user)| (Stream::User(index), user.devices[0].view.user_rev)).collect();
        Self {
            model,
            users,
            conversation_ids: Vec::new(),
            message_ids: BTreeMap::new(),
            stream_revs,
            left_at_revs: BTreeMap::new(),
            joined_at_revs: BTreeMap::new(),
            message_revs: BTreeMap::new(),
        }
    }

    pub async fn run_step(&mut self, step: &Step) -> CompareResult {
        match step {
            Step::Run { user, device, socket, command } => match command.resolve(*user, &self.model) {
                Some(command) => self.run_command(*user, *device, *socket, &command).await,
                None => Ok(()),
            },
            Step::RunAsManager { user, device, command } => {
                let mut command = command.clone();
                let caller = command.choose_manager(&self.model).unwrap_or(*user);
                match command.resolve(caller, &self.model) {
                    Some(command) => self.run_command(caller, *device, false, &command).await,
                    None => Ok(()),
                }
            }
            Step::Disconnect { user, device } => {
                self.users[*user].devices[*device].socket = None;
                Ok(())
            }
            Step::Reconnect { user, device } => self.reconnect(*user, *device).await,
            Step::Compare => self.compare_all().await,
        }
    }

    /// Sends a resolved command, waits until all devices have its events, and compares the answer.
    pub async fn run_command(
        &mut self,
        caller: usize,
        device: usize,
        socket: bool,
        command: &Command,
    ) -> CompareResult {
        let expectation = self.model.expectation(caller, command);
        let candidates = self.model.new_owner_candidates(caller, command);
        let outcome = self.send_command(caller, device, socket, command).await;
        // In a direct conversation with a block, each refusal may be reported as `blocked`.
        let blocked =
            command.clone().conversation_mut().is_some_and(|conversation| self.model.is_blocked(*conversation));
        let is_refusal = |refusals: &[(u16, &str)]| {
            let block = [(403, "blocked")];
            refusals.iter().chain(block.iter().filter(|_| blocked)).any(|(status, code)| {
                outcome.status.is_none_or(|found| found == *status) && outcome.code.as_deref() == Some(code)
            })
        };
        let is_expected = match expectation {
            Expectation::Accepted => outcome.code.is_none(),
            Expectation::Refused(refusals) => is_refusal(refusals),
            Expectation::Either(refusals) => outcome.code.is_none() || is_refusal(refusals),
        };
        if !is_expected {
            return Err(format!("{caller} {command:?}: expected {expectation:?}, answered {outcome:?}"));
        }
        if outcome.code.is_some() {
            return self.wait_for_events(&BTreeMap::new()).await.map_err(|error| format!("after {command:?}: {error}"));
        }
        let new_owner = self.find_new_owner(caller, command, &candidates).await?;
        if matches!(command, Command::CreateDirect { .. } | Command::CreateGroup { .. })
            && let Some(id) = outcome.body["id"].as_str()
            && !self.conversation_ids.iter().any(|known| known == id)
        {
            self.conversation_ids.push(id.to_owned());
        }
        let Effect { growth, status, answer } = self.model.apply(caller, command, new_owner);
        if outcome.status.is_some_and(|found| found != status) {
            return Err(format!("{command:?}: expected {status}, answered {outcome:?}"));
        }
        let result = self.wait_for_events(&growth).await;
        result.map_err(|error| format!("after {caller} {command:?}: {error}"))?;
        if let Command::Delivered { conversation, seq } = command {
            self.wait_for_status(caller, *conversation, *seq).await;
        }
        compare::answer(self, caller, &answer, &outcome).map_err(|error| format!("{caller} {command:?}: {error}"))
    }

    /// Returns the user who became the owner. If several candidates joined together, the contract allows each of them,
    /// and the server has chosen.
    async fn find_new_owner(
        &self,
        caller: usize,
        command: &Command,
        candidates: &[usize],
    ) -> Result<Option<usize>, String> {
        let (mut command, [first, _, ..]) = (command.clone(), candidates) else {
            return Ok(candidates.first().copied());
        };
        let conversation = *command.conversation_mut().expect("the command is about a conversation");
        let members = self.users[*first]
            .get(&format!("/conversations/{}/members?limit=100", self.conversation_ids[conversation]))
            .await;
        let is_owner = |id: &str| {
            let is_found = |member: &Value| member["user"]["id"] == id && member["role"] == "owner";
            members["items"].as_array().is_some_and(|items| items.iter().any(is_found))
        };
        let new_owner = candidates.iter().copied().find(|new_owner| is_owner(&self.users[*new_owner].account.id));
        new_owner.map(Some).ok_or_else(|| format!("after {caller} none of {candidates:?} is the owner: {members}"))
    }

    /// Compares which streams grew, and waits until every connected device has all events and no others.
    pub async fn wait_for_events(&mut self, growth: &BTreeMap<Stream, Growth>) -> CompareResult {
        let revs: Vec<Revs> = join_all(self.users.iter_mut().map(CaseUser::get_revs)).await;
        self.compare_growth(growth, &revs)?;
        for (index, revs) in revs.iter().enumerate() {
            for device in 0..2 {
                self.users[index].devices[device]
                    .wait_for_revs(revs)
                    .await
                    .map_err(|error| format!("user {index}, device {device}: {error}"))?;
            }
            self.users[index].fill_views().await;
            for device in 0..2 {
                self.wait_for_marks(index, device).await?;
            }
        }
        for device in self.users.iter().flat_map(|user| &user.devices) {
            for (id, conversation) in &device.view.conversations {
                for (seq, message) in &conversation.messages {
                    let message_id = message["id"].as_str().expect("an id").to_owned();
                    self.message_ids.insert((id.clone(), *seq), message_id);
                    if let Some(rev) = conversation.message_revs.get(seq) {
                        self.message_revs.insert((id.clone(), *seq), *rev);
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until REST shows a delivered mark to the sender: the server acknowledges the mark before it stores it.
    async fn wait_for_status(&self, caller: usize, conversation: usize, seq: usize) {
        let messages = self.model.conversations[conversation].messages[..seq].iter().rev();
        let mut sent = messages.filter_map(|message| Some((message, message.sender?)));
        let newest = sent.find(|(message, sender)| {
            *sender != caller && !message.hidden_for.contains(sender) && self.model.is_in(*sender, conversation)
        });
        let Some((message, sender)) = newest else { return };
        let path = format!("/messages/{}", self.message_id(conversation, message.seq as usize));
        let expected = self.model.message_view(sender, conversation, message);
        eventually("the delivered mark is visible", async || {
            let found = self.users[sender].get(&path).await;
            compare::compare_values(&expected["status"], &found["status"]).is_ok()
        })
        .await;
    }

    /// Waits until the device has the read marks of its user, which come in ephemeral frames.
    async fn wait_for_marks(&mut self, index: usize, device: usize) -> CompareResult {
        let Device { view, socket: Some(socket) } = &mut self.users[index].devices[device] else { return Ok(()) };
        for (conversation, id) in self.conversation_ids.iter().enumerate() {
            let Some(participant) = self.model.participant(index, conversation) else { continue };
            let started = Instant::now();
            while view.conversations[id].fields["my"]["last_read_seq"].as_i64() < Some(participant.read_mark) {
                let left = DEADLINE.saturating_sub(started.elapsed());
                let frame = socket.poll_frame(left).await;
                let frame = frame.ok_or_else(|| format!("user {index}, device {device} does not get its read mark"))?;
                view.apply(&frame.map_err(|closed| format!("{closed:?}"))?)?;
            }
        }
        Ok(())
    }

    fn compare_growth(&mut self, growth: &BTreeMap<Stream, Growth>, revs: &[Revs]) -> CompareResult {
        let mut now: BTreeMap<Stream, i64> = BTreeMap::new();
        for (index, revs_of_user) in revs.iter().enumerate() {
            now.insert(Stream::User(index), revs_of_user.user);
            for (id, rev) in &revs_of_user.conversations {
                let conversation =
                    self.conversation_ids.iter().position(|known| known == id).ok_or(format!("{id} is unknown"))?;
                if now.insert(Stream::Conversation(conversation), *rev).is_some_and(|before| before != *rev) {
                    return Err(format!("two users get different revisions of {id}"));
                }
            }
            let expected =
                (0..self.conversation_ids.len()).filter(|conversation| self.model.is_in(index, *conversation));
            let expected: Vec<&String> = expected.map(|conversation| &self.conversation_ids[conversation]).collect();
            let mut found: Vec<&String> = revs_of_user.conversations.keys().collect();
            found.sort_by_key(|id| self.conversation_ids.iter().position(|known| known == *id));
            if found != expected {
                return Err(format!("user {index} gets revisions of {found:?}, not of {expected:?}"));
            }
        }
        for (stream, rev) in now {
            let Some(before) = self.stream_revs.insert(stream, rev) else { continue };
            let found = rev - before;
            let is_expected = match growth.get(&stream) {
                None => found == 0,
                Some(Growth::By(count)) => found == *count,
                Some(Growth::Positive) => found > 0,
                Some(Growth::Any) => found >= 0,
            };
            if !is_expected {
                return Err(format!("{stream:?} grew by {found}, not {:?}", growth.get(&stream)));
            }
        }
        for (index, revs_of_user) in revs.iter().enumerate() {
            for (conversation, id) in self.conversation_ids.iter().enumerate() {
                if let Some(rev) = revs_of_user.conversations.get(id) {
                    self.left_at_revs.remove(&(index, id.clone()));
                    self.joined_at_revs.entry((index, id.clone())).or_insert(*rev);
                } else if let Some(rev) = self.stream_revs.get(&Stream::Conversation(conversation)) {
                    self.left_at_revs.entry((index, id.clone())).or_insert(*rev);
                    self.joined_at_revs.remove(&(index, id.clone()));
                }
            }
        }
        Ok(())
    }

    async fn reconnect(&mut self, caller: usize, device: usize) -> CompareResult {
        if self.users[caller].devices[device].socket.is_some() {
            return Ok(());
        }
        let view = self.users[caller].devices[device].view.clone();
        let (view, socket) = replay::sync(self, caller, view).await?;
        self.users[caller].devices[device] = Device { view, socket: Some(socket) };
        self.wait_for_events(&BTreeMap::new()).await
    }

    /// Compares the answers of REST with the model, and the view of every connected device with REST.
    pub async fn compare_all(&mut self) -> CompareResult {
        let rest = join_all(self.users.iter().map(CaseUser::get_rest_state)).await;
        for (index, rest) in rest.iter().enumerate() {
            compare::model(self, index, rest).map_err(|error| format!("user {index}, REST against model: {error}"))?;
            let user = &mut self.users[index];
            for (number, device) in user.devices.iter().enumerate().filter(|(_, device)| device.socket.is_some()) {
                compare::view(&device.view, rest)
                    .map_err(|error| format!("user {index}, device {number} against REST: {error}"))?;
            }
            if user.devices[0].socket.is_some() {
                user.past_views.push(user.devices[0].view.clone());
            }
        }
        Ok(())
    }

    /// Compares what a client gets from routes of their own: former texts, the users who reacted, and blocks.
    async fn compare_details(&self, user: usize) -> CompareResult {
        let case_user = &self.users[user];
        for (other, other_user) in self.users.iter().enumerate().filter(|(other, _)| *other != user) {
            let found = case_user.get(&format!("/blocks/{}/status", other_user.account.id)).await;
            let expected = json!({
                "is_blocked": self.model.blocks.contains(&(user, other)),
                "is_blocked_by": self.model.blocks.contains(&(other, user)),
                "can_send_message": !self.model.is_blocked_between(user, other),
            });
            compare::compare_values(&expected, &found)?;
        }
        for (conversation, id) in
            self.conversation_ids.iter().enumerate().filter(|(conversation, _)| self.model.is_in(user, *conversation))
        {
            let messages = &self.model.conversations[conversation].messages;
            let readable = messages.iter().filter(|message| !message.deleted && !message.hidden_for.contains(&user));
            for message in readable.clone().filter(|message| message.edited) {
                let path =
                    format!("/conversations/{id}/messages/{}", self.message_id(conversation, message.seq as usize));
                let history = case_user.get(&format!("{path}/history")).await;
                compare::history(&message.former_texts, &history)
                    .map_err(|error| format!("{path}/history: {error}"))?;
            }
            for message in readable.filter(|message| !message.reactions.is_empty()).take(1) {
                let path =
                    format!("/conversations/{id}/messages/{}", self.message_id(conversation, message.seq as usize));
                let reactions = case_user.get(&format!("{path}/reactions")).await;
                compare::reactions_by_user(&self.model, message, &reactions)
                    .map_err(|error| format!("{path}/reactions: {error}"))?;
            }
        }
        Ok(())
    }

    /// Connects all devices and compares. Then each user syncs again, from an earlier view and from the first event.
    pub async fn finish(&mut self, pick: usize) -> CompareResult {
        self.compare_all().await?;
        for caller in 0..USERS {
            self.reconnect(caller, 0).await?;
            self.reconnect(caller, 1).await?;
        }
        self.compare_all().await?;
        for caller in 0..USERS {
            self.compare_details(caller).await.map_err(|error| format!("user {caller}: {error}"))?;
            let rest = self.users[caller].get_rest_state().await;
            let past_views = &self.users[caller].past_views;
            let earlier = past_views[pick % past_views.len()].clone();
            for (start, view) in [("an earlier view", earlier), ("the first event", replay::empty_view(self, caller))] {
                let (mut view, socket) = replay::sync(self, caller, view)
                    .await
                    .map_err(|error| format!("{caller} from {start}: {error}"))?;
                let revs = self.users[caller].get_revs().await;
                let mut device = Device { view, socket: Some(socket) };
                device.wait_for_revs(&revs).await.map_err(|error| format!("{caller} from {start}: {error}"))?;
                view = device.view;
                self.users[caller].fill_view(&mut view).await;
                compare::view(&view, &rest).map_err(|error| format!("user {caller}, sync from {start}: {error}"))?;
            }
        }
        Ok(())
    }
}
