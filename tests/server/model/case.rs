//! A real server and the users of one case, each with two devices: performs commands, and waits until every device has
//! what the server says there is.

use super::commands::{Command, Step, USERS};
use super::compare::{self, Compared};
use super::effects::{Effect, Grow, Stream};
use super::permissions::Verdict;
use super::replay;
use super::state::{Identity, Model};
use super::users::{Device, Person, Revs};
use crate::support::{DEADLINE, TestServer, eventually};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// One case.
pub struct World {
    pub model: Model,
    pub people: Vec<Person>,
    /// The ids of the model's conversations.
    pub ids: Vec<String>,
    /// The ids of messages, by conversation and place.
    pub messages: BTreeMap<(String, i64), String>,
    /// The revision of each stream as last heard.
    pub revs: BTreeMap<Stream, i64>,
    /// The newest revision that whoever left may see.
    pub out: BTreeMap<(usize, String), i64>,
    /// The revision with which somebody (last) came in.
    pub joined: BTreeMap<(usize, String), i64>,
    /// The revisions of `message.new`, by conversation and place, as a device was told of them.
    pub sent_revs: BTreeMap<(String, i64), i64>,
}

impl World {
    /// Fresh users, who know nobody; `case` makes their names.
    pub async fn new(server: &TestServer, case: u32) -> Self {
        let names = ["ann", "bob", "cyd", "dan"].map(|name| format!("{name}{case}"));
        let people = join_all(names.iter().map(|name| Person::new(server, name))).await;
        let identity =
            |person: &Person| Identity { id: person.user.id.clone(), username: person.user.username.clone() };
        let model = Model::new(people.iter().map(identity).collect());
        let revs = people.iter().enumerate();
        let revs = revs.map(|(index, person)| (Stream::User(index), person.devices[0].view.user_rev)).collect();
        Self {
            model,
            people,
            ids: Vec::new(),
            messages: BTreeMap::new(),
            revs,
            out: BTreeMap::new(),
            joined: BTreeMap::new(),
            sent_revs: BTreeMap::new(),
        }
    }

    pub async fn step(&mut self, step: &Step) -> Compared {
        match step {
            Step::Do { by, device, socket, command } => match command.resolve(*by, &self.model) {
                Some(command) => self.command(*by, *device, *socket, &command).await,
                None => Ok(()),
            },
            Step::Manage { by, device, command } => {
                let mut command = command.clone();
                let by = command.managed(&self.model).unwrap_or(*by);
                match command.resolve(by, &self.model) {
                    Some(command) => self.command(by, *device, false, &command).await,
                    None => Ok(()),
                }
            }
            Step::Away { by, device } => {
                self.people[*by].devices[*device].socket = None;
                Ok(())
            }
            Step::Back { by, device } => self.back(*by, *device).await,
            Step::Look => self.look().await,
        }
    }

    /// Performs a resolved command, compares its answer, and waits until all devices know.
    pub async fn command(&mut self, by: usize, device: usize, socket: bool, command: &Command) -> Compared {
        let verdict = self.model.judge(by, command);
        let heirs = self.model.heirs(by, command);
        let outcome = self.perform(by, device, socket, command).await;
        // where a block stands, that may be the reason given for whatever is refused
        let blocked = command.clone().place().is_some_and(|place| self.model.is_blocked(*place));
        let refusal = |refusals: &[(u16, &str)]| {
            let block = [(403, "blocked")];
            refusals.iter().chain(block.iter().filter(|_| blocked)).any(|(status, code)| {
                outcome.status.is_none_or(|said| said == *status) && outcome.code.as_deref() == Some(code)
            })
        };
        let fits = match verdict {
            Verdict::Granted => outcome.code.is_none(),
            Verdict::Refused(with) => refusal(with),
            Verdict::Open(with) => outcome.code.is_none() || refusal(with),
        };
        if !fits {
            return Err(format!("{by} {command:?}: expected {verdict:?}, answered {outcome:?}"));
        }
        if outcome.code.is_some() {
            return self.settle(&BTreeMap::new()).await.map_err(|error| format!("after {command:?}: {error}"));
        }
        let heir = self.choose_heir(by, command, &heirs).await?;
        if matches!(command, Command::CreateDirect { .. } | Command::CreateGroup { .. })
            && let Some(id) = outcome.body["id"].as_str()
            && !self.ids.iter().any(|known| known == id)
        {
            self.ids.push(id.to_owned());
        }
        let Effect { grows, status, answer } = self.model.act(by, command, heir);
        if outcome.status.is_some_and(|said| said != status) {
            return Err(format!("{command:?}: expected {status}, answered {outcome:?}"));
        }
        let settled = self.settle(&grows).await;
        settled.map_err(|error| format!("after {by} {command:?}: {error}"))?;
        if let Command::Delivered { place, which } = command {
            self.wait_for_status(by, *place, *which).await;
        }
        compare::answer(self, by, &answer, &outcome).map_err(|error| format!("{by} {command:?}: {error}"))
    }

    /// Where several joined at once, any of them may inherit: the server says who did.
    async fn choose_heir(&self, by: usize, command: &Command, heirs: &[usize]) -> Result<Option<usize>, String> {
        let (mut command, [first, _, ..]) = (command.clone(), heirs) else { return Ok(heirs.first().copied()) };
        let place = *command.place().expect("it is about a conversation");
        let members = self.people[*first].get(&format!("/conversations/{}/members?limit=100", self.ids[place])).await;
        let is_owner = |id: &str| {
            let of = |member: &&Value| member["user"]["id"] == id && member["role"] == "owner";
            members["items"].as_array().is_some_and(|items| items.iter().any(|item| of(&item)))
        };
        let heir = heirs.iter().copied().find(|heir| is_owner(&self.people[*heir].user.id));
        heir.map(Some).ok_or_else(|| format!("after {by} none of {heirs:?} is the owner: {members}"))
    }

    /// Waits until every connected device has all that there is, and no more; then compares which streams grew.
    pub async fn settle(&mut self, grows: &BTreeMap<Stream, Grow>) -> Compared {
        let revs: Vec<Revs> = join_all(self.people.iter_mut().map(Person::revs)).await;
        self.compare_growth(grows, &revs)?;
        for (index, revs) in revs.iter().enumerate() {
            for device in 0..2 {
                self.people[index].devices[device]
                    .settle(revs)
                    .await
                    .map_err(|error| format!("user {index}, device {device}: {error}"))?;
            }
            self.people[index].load().await;
            for device in 0..2 {
                self.wait_for_marks(index, device).await?;
            }
        }
        for device in self.people.iter().flat_map(|person| &person.devices) {
            for (id, held) in &device.view.conversations {
                for (seq, message) in &held.messages {
                    let id_of = message["id"].as_str().expect("an id").to_owned();
                    self.messages.insert((id.clone(), *seq), id_of);
                    if let Some(rev) = held.sent_revs.get(seq) {
                        self.sent_revs.insert((id.clone(), *seq), *rev);
                    }
                }
            }
        }
        Ok(())
    }

    /// What was delivered is answered at once, and shown within a second.
    async fn wait_for_status(&self, by: usize, place: usize, which: usize) {
        let messages = self.model.conversations[place].messages[..which].iter().rev();
        let mut waited_for = messages.filter_map(|message| Some((message, message.sender?)));
        let theirs = waited_for.find(|(message, sender)| {
            *sender != by && !message.hidden.contains(sender) && self.model.is_in(*sender, place)
        });
        let Some((message, sender)) = theirs else { return };
        let path = format!("/messages/{}", self.message_id(place, message.seq as usize));
        let expected = self.model.message(sender, place, message);
        eventually("what was delivered shows", async || {
            let found = self.people[sender].get(&path).await;
            compare::agree(&expected["status"], &found["status"]).is_ok()
        })
        .await;
    }

    /// One's own marks are told to one's other devices, though not by the log.
    async fn wait_for_marks(&mut self, index: usize, device: usize) -> Compared {
        let Device { view, socket: Some(socket) } = &mut self.people[index].devices[device] else { return Ok(()) };
        for (place, id) in self.ids.iter().enumerate() {
            let Some(seat) = self.model.seat(index, place) else { continue };
            let started = Instant::now();
            while view.conversations[id].conversation["my"]["last_read_seq"].as_i64() < Some(seat.read) {
                let left = DEADLINE.saturating_sub(started.elapsed());
                let frame = socket.poll_frame(left).await;
                let frame = frame.ok_or_else(|| format!("user {index}, device {device} never hears of its mark"))?;
                view.apply(&frame.map_err(|closed| format!("{closed:?}"))?)?;
            }
        }
        Ok(())
    }

    fn compare_growth(&mut self, grows: &BTreeMap<Stream, Grow>, revs: &[Revs]) -> Compared {
        let mut now: BTreeMap<Stream, i64> = BTreeMap::new();
        for (index, of) in revs.iter().enumerate() {
            now.insert(Stream::User(index), of.user);
            for (id, rev) in &of.conversations {
                let place = self.ids.iter().position(|known| known == id).ok_or(format!("{id} is unknown"))?;
                if now.insert(Stream::Conversation(place), *rev).is_some_and(|before| before != *rev) {
                    return Err(format!("two users are told different revisions of {id}"));
                }
            }
            let inside = (0..self.ids.len()).filter(|place| self.model.is_in(index, *place));
            let inside: Vec<&String> = inside.map(|place| &self.ids[place]).collect();
            let mut told: Vec<&String> = of.conversations.keys().collect();
            told.sort_by_key(|id| self.ids.iter().position(|known| known == *id));
            if told != inside {
                return Err(format!("user {index} is told of {told:?}, not of {inside:?}"));
            }
        }
        for (stream, rev) in now {
            let Some(before) = self.revs.insert(stream, rev) else { continue };
            let grew = rev - before;
            let fits = match grows.get(&stream) {
                None => grew == 0,
                Some(Grow::By(by)) => grew == *by,
                Some(Grow::Some) => grew > 0,
                Some(Grow::Maybe) => grew >= 0,
            };
            if !fits {
                return Err(format!("{stream:?} grew by {grew}, not {:?}", grows.get(&stream)));
            }
        }
        for (index, of) in revs.iter().enumerate() {
            for (place, id) in self.ids.iter().enumerate() {
                if let Some(rev) = of.conversations.get(id) {
                    self.out.remove(&(index, id.clone()));
                    self.joined.entry((index, id.clone())).or_insert(*rev);
                } else if let Some(rev) = self.revs.get(&Stream::Conversation(place)) {
                    self.out.entry((index, id.clone())).or_insert(*rev);
                    self.joined.remove(&(index, id.clone()));
                }
            }
        }
        Ok(())
    }

    async fn back(&mut self, by: usize, device: usize) -> Compared {
        if self.people[by].devices[device].socket.is_some() {
            return Ok(());
        }
        let view = self.people[by].devices[device].view.clone();
        let (view, socket) = replay::sync(self, by, view).await?;
        self.people[by].devices[device] = Device { view, socket: Some(socket) };
        self.settle(&BTreeMap::new()).await
    }

    /// Compares what everybody sees: REST with the model, every connected device with REST.
    pub async fn look(&mut self) -> Compared {
        let rest = join_all(self.people.iter().map(Person::rest)).await;
        for (index, rest) in rest.iter().enumerate() {
            compare::model(self, index, rest).map_err(|error| format!("user {index}, REST against model: {error}"))?;
            let person = &mut self.people[index];
            for (number, device) in person.devices.iter().enumerate().filter(|(_, device)| device.socket.is_some()) {
                compare::view(&device.view, rest)
                    .map_err(|error| format!("user {index}, device {number} against REST: {error}"))?;
            }
            if person.devices[0].socket.is_some() {
                person.past.push(person.devices[0].view.clone());
            }
        }
        Ok(())
    }

    /// Compares what is asked for by itself: former texts, who reacted, and what a block does.
    async fn look_closer(&self, user: usize) -> Compared {
        let person = &self.people[user];
        for (other, whom) in self.people.iter().enumerate().filter(|(other, _)| *other != user) {
            let found = person.get(&format!("/blocks/{}/status", whom.user.id)).await;
            let expected = json!({
                "is_blocked": self.model.blocks.contains(&(user, other)),
                "is_blocked_by": self.model.blocks.contains(&(other, user)),
                "can_send_message": !self.model.blocked_between(user, other),
            });
            compare::agree(&expected, &found)?;
        }
        for (place, id) in self.ids.iter().enumerate().filter(|(place, _)| self.model.is_in(user, *place)) {
            let messages = &self.model.conversations[place].messages;
            let open = messages.iter().filter(|message| !message.deleted && !message.hidden.contains(&user));
            for message in open.clone().filter(|message| message.edited) {
                let path = format!("/conversations/{id}/messages/{}", self.message_id(place, message.seq as usize));
                let history = person.get(&format!("{path}/history")).await;
                compare::history(&message.former, &history).map_err(|error| format!("{path}/history: {error}"))?;
            }
            for message in open.filter(|message| !message.reactions.is_empty()).take(1) {
                let path = format!("/conversations/{id}/messages/{}", self.message_id(place, message.seq as usize));
                let reactions = person.get(&format!("{path}/reactions")).await;
                compare::reactors(&self.model, message, &reactions)
                    .map_err(|error| format!("{path}/reactions: {error}"))?;
            }
        }
        Ok(())
    }

    /// Everybody comes back, and once more from the beginning and from some earlier point.
    pub async fn finish(&mut self, pick: usize) -> Compared {
        self.look().await?;
        for by in 0..USERS {
            self.back(by, 0).await?;
            self.back(by, 1).await?;
        }
        self.look().await?;
        for by in 0..USERS {
            self.look_closer(by).await.map_err(|error| format!("user {by}: {error}"))?;
            let rest = self.people[by].rest().await;
            let past = &self.people[by].past;
            let earlier = past[pick % past.len()].clone();
            for (what, view) in [("an earlier point", earlier), ("the beginning", replay::nothing(self, by))] {
                let (mut view, socket) =
                    replay::sync(self, by, view).await.map_err(|error| format!("{by} from {what}: {error}"))?;
                let revs = self.people[by].revs().await;
                let mut device = Device { view, socket: Some(socket) };
                device.settle(&revs).await.map_err(|error| format!("{by} from {what}: {error}"))?;
                view = device.view;
                self.people[by].fill(&mut view).await;
                compare::view(&view, &rest).map_err(|error| format!("user {by}, sync from {what}: {error}"))?;
            }
        }
        Ok(())
    }
}
