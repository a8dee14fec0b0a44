//! What a granted command changes, whose streams grow by it, and what it is answered with.

use super::commands::{Command, Mute, Role, Text, What};
use super::state::{Conversation, Made, Message, Model, Seat};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A stream of the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stream {
    Conversation(usize),
    User(usize),
}

/// By how much a stream grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grow {
    By(i64),
    Some,
    /// The contract decides neither way.
    Maybe,
}

/// What the answer holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// What was sent, now or before.
    Sent {
        place: usize,
        seq: usize,
    },
    /// A message that was changed.
    Message {
        place: usize,
        seq: usize,
    },
    Conversation(usize),
    Mark {
        read: i64,
        unread: i64,
        marked: i64,
    },
    Reaction {
        emoji: usize,
        count: usize,
        me: bool,
        action: &'static str,
    },
    Members(usize, Vec<usize>),
    Block(usize),
    Anything,
}

/// What came of a command.
pub struct Effect {
    /// Streams that are not named do not grow.
    pub grows: BTreeMap<Stream, Grow>,
    pub status: u16,
    pub answer: Answer,
}

pub fn effect(status: u16, answer: Answer) -> Effect {
    Effect { grows: BTreeMap::new(), status, answer }
}

impl Effect {
    pub fn grows(mut self, stream: Stream, grow: Grow) -> Self {
        self.grows.insert(stream, grow);
        self
    }

    pub fn grows_if(self, grows: bool, stream: Stream, grow: Grow) -> Self {
        if grows { self.grows(stream, grow) } else { self }
    }
}

impl Model {
    /// Who may inherit, if an owner leaves: several where they joined at once.
    pub fn heirs(&self, by: usize, command: &Command) -> Vec<usize> {
        let place = match command {
            Command::Leave { place } => *place,
            Command::Remove { place, whom } if *whom == by => *place,
            _ => return Vec::new(),
        };
        if self.seat(by, place).is_none_or(|seat| seat.role != Role::Owner) {
            return Vec::new();
        }
        let others: Vec<(usize, &Seat)> = self.conversations[place].inside().filter(|(user, _)| *user != by).collect();
        for role in [Role::Admin, Role::Member, Role::Observer] {
            let able = others.iter().filter(|(_, seat)| seat.role == role);
            if let Some(first) = able.clone().map(|(_, seat)| seat.joined).min() {
                return able.filter(|(_, seat)| seat.joined == first).map(|(user, _)| *user).collect();
            }
        }
        Vec::new()
    }

    /// Does what was granted.
    pub fn act(&mut self, by: usize, command: &Command, heir: Option<usize>) -> Effect {
        match command {
            Command::Send { place, what, reply, temp } => self.send(by, *place, what, *reply, *temp),
            Command::Repeat { .. } => unreachable!("resolved into the send that it repeats"),
            Command::Edit { place, which, text } => self.edit(by, *place, *which, text),
            Command::Delete { place, which } => self.delete(*place, *which),
            Command::Hide { place, which } => {
                let news = self.conversations[*place].message_mut(*which).hidden.insert(by);
                effect(204, Answer::Anything).grows_if(news, Stream::User(by), Grow::By(1))
            }
            Command::React { place, which, emoji } => self.react(by, *place, *which, *emoji, true),
            Command::Unreact { place, which, emoji } => self.react(by, *place, *which, *emoji, false),
            Command::PinMessage { place, which } => self.pin(*place, *which, true),
            Command::UnpinMessage { place, which } => self.pin(*place, *which, false),
            Command::Read { place, to } => self.read(by, *place, *to),
            Command::Delivered { place, which } => {
                if self.is_in(by, *place) {
                    let seat = self.seat_mut(by, *place);
                    seat.delivered = seat.delivered.max(*which as i64);
                }
                effect(200, Answer::Anything)
            }
            Command::CreateDirect { with } => self.create_direct(by, *with),
            Command::CreateGroup { with, name, temp } => self.create_group(by, with, *name, *temp),
            Command::RepeatGroup { .. } => unreachable!("resolved into the group that it repeats"),
            Command::Rename { place, name } => {
                let name = room(*name);
                let news = self.conversations[*place].name.as_ref() != Some(&name);
                if news {
                    self.conversations[*place].name = Some(name.clone());
                    let data = json!({ "event": "renamed", "actor_id": self.users[by].id, "name": name });
                    self.tell(*place, data);
                }
                let effect = effect(200, Answer::Conversation(*place));
                effect.grows_if(news, Stream::Conversation(*place), Grow::Some)
            }
            Command::Describe { place, text } => {
                let text = Some(about(*text));
                let news = self.conversations[*place].description != text;
                self.conversations[*place].description = text;
                let effect = effect(200, Answer::Conversation(*place));
                effect.grows_if(news, Stream::Conversation(*place), Grow::Some)
            }
            Command::Add { place, whom, role } => self.add(by, *place, whom, role.unwrap_or(Role::Member)),
            Command::Remove { place, whom } => self.remove(by, *place, *whom, heir),
            Command::Leave { place } => self.remove(by, *place, by, heir),
            Command::SetRole { place, whom, role } => {
                let news = self.seat_mut(*whom, *place).role != *role;
                self.seat_mut(*whom, *place).role = *role;
                if news && *role == Role::Owner {
                    self.seat_mut(by, *place).role = Role::Admin;
                }
                let effect = effect(200, Answer::Members(*place, vec![*whom]));
                effect.grows_if(news, Stream::Conversation(*place), Grow::Some)
            }
            Command::Archive { .. }
            | Command::Mute { .. }
            | Command::PinConversation { .. }
            | Command::Notify { .. } => self.set(by, command),
            Command::Block { whom } => self.block(by, *whom, true),
            Command::Unblock { whom } => self.block(by, *whom, false),
            Command::ShareReceipts { on } => {
                self.sharing[by] = *on;
                effect(200, Answer::Anything).grows(Stream::User(by), Grow::Maybe)
            }
        }
    }

    pub fn seat_mut(&mut self, user: usize, place: usize) -> &mut Seat {
        self.conversations[place].seats.get_mut(&user).expect("judged to be in")
    }

    /// The server says something. Whoever is in may read it; nobody has it unread.
    fn tell(&mut self, place: usize, data: Value) -> i64 {
        self.conversations[place].active = self.tick();
        let conversation = &mut self.conversations[place];
        let seq = conversation.last_seq() + 1;
        conversation.messages.push(Message { seq, kind: "system", data, ..Message::default() });
        seq
    }

    fn create_direct(&mut self, by: usize, with: usize) -> Effect {
        if let Some(place) = self.direct(by, with) {
            return effect(200, Answer::Conversation(place));
        }
        let now = self.tick();
        let seats = [by, with].map(|user| (user, Seat::new(Role::Member, now, 0)));
        self.conversations.push(Conversation {
            direct: true,
            name: None,
            description: None,
            created_by: by,
            seats: seats.into(),
            messages: Vec::new(),
            active: now,
            called: false,
        });
        let effect = effect(201, Answer::Conversation(self.conversations.len() - 1));
        effect.grows(Stream::User(by), Grow::By(1)).grows(Stream::User(with), Grow::By(1))
    }

    fn create_group(&mut self, by: usize, with: &[usize], name: u8, temp: Option<u8>) -> Effect {
        if let Some(temp) = temp {
            if let Some(made) = self.made.get(&(by, temp)) {
                return effect(200, Answer::Conversation(made.place));
            }
            let place = self.conversations.len();
            self.made.insert((by, temp), Made { with: with.to_vec(), name, place });
        }
        let now = self.tick();
        let mut seats: BTreeMap<usize, Seat> =
            with.iter().map(|user| (*user, Seat::new(Role::Member, now, 1))).collect();
        seats.insert(by, Seat::new(Role::Owner, now, 1));
        let others: Vec<&str> =
            seats.keys().filter(|user| **user != by).map(|user| self.users[*user].id.as_str()).collect();
        let (actor, name) = (&self.users[by].id, room(name));
        let data = json!({ "event": "group_created", "actor_id": actor, "user_ids": others, "name": name });
        let mut effect = effect(201, Answer::Conversation(self.conversations.len()));
        for user in seats.keys() {
            effect = effect.grows(Stream::User(*user), Grow::By(1));
        }
        self.conversations.push(Conversation {
            direct: false,
            name: Some(name),
            description: None,
            created_by: by,
            seats,
            messages: Vec::new(),
            active: now,
            called: false,
        });
        self.tell(self.conversations.len() - 1, data);
        effect
    }

    fn add(&mut self, by: usize, place: usize, whom: &[usize], role: Role) -> Effect {
        let news: BTreeSet<usize> = whom.iter().copied().filter(|user| !self.is_in(*user, place)).collect();
        let named: BTreeSet<usize> = whom.iter().copied().collect();
        let mut effect = effect(200, Answer::Members(place, named.into_iter().collect()));
        if news.is_empty() {
            return effect;
        }
        let ids: Vec<&str> = news.iter().map(|user| self.users[*user].id.as_str()).collect();
        let data = json!({ "event": "members_added", "actor_id": self.users[by].id, "user_ids": ids });
        let seq = self.tell(place, data);
        let now = self.tick();
        for user in news {
            let seats = &mut self.conversations[place].seats;
            let former = seats.get(&user).map_or((0, 0), Seat::reached);
            seats.insert(user, Seat { former, ..Seat::new(role, now, seq) });
            effect = effect.grows(Stream::User(user), Grow::By(1));
        }
        effect.grows(Stream::Conversation(place), Grow::Some)
    }

    fn remove(&mut self, by: usize, place: usize, whom: usize, heir: Option<usize>) -> Effect {
        let effect = effect(204, Answer::Anything);
        if !self.is_in(whom, place) {
            return effect;
        }
        self.seat_mut(whom, place).inside = false;
        if let Some(heir) = heir {
            self.seat_mut(heir, place).role = Role::Owner;
        }
        let (actor, gone) = (&self.users[by].id, &self.users[whom].id);
        let event = if by == whom { "member_left" } else { "member_removed" };
        self.tell(place, json!({ "event": event, "actor_id": actor, "user_ids": [gone] }));
        effect.grows(Stream::User(whom), Grow::By(1)).grows(Stream::Conversation(place), Grow::Some)
    }

    /// One's own view of a conversation.
    fn set(&mut self, by: usize, command: &Command) -> Effect {
        let (place, on) = match command {
            Command::Archive { place, on } | Command::PinConversation { place, on } => (*place, *on),
            Command::Mute { place, how } => (*place, *how != Mute::Off),
            Command::Notify { place, .. } => (*place, true),
            _ => unreachable!("not a setting"),
        };
        let last = self.conversations[place].last_seq();
        let archived = self.conversations[place].is_archived(&self.conversations[place].seats[&by]);
        let seat = self.seat_mut(by, place);
        let before = (seat.archived, seat.muted, seat.pinned, seat.notify);
        match command {
            Command::Archive { .. } => seat.archived = on.then_some(last),
            Command::PinConversation { .. } => seat.pinned = on,
            Command::Mute { how, .. } => {
                seat.muted = *how;
                // what a message took out of the archive does not go back with the mute
                seat.archived = seat.archived.filter(|_| archived || *how == Mute::Off);
            }
            Command::Notify { level, .. } => seat.notify = *level,
            _ => unreachable!("not a setting"),
        }
        let news = before != (seat.archived, seat.muted, seat.pinned, seat.notify);
        let hidden = matches!(command, Command::Archive { .. }) && archived == on;
        // from now is another end each time, unless no time passed
        let anew = !news && matches!(command, Command::Mute { how: Mute::For(_), .. });
        let (news, grow) = (news || anew, if hidden || anew { Grow::Maybe } else { Grow::By(1) });
        let status = if on { 200 } else { 204 };
        effect(status, Answer::Conversation(place)).grows_if(news, Stream::User(by), grow)
    }

    fn block(&mut self, by: usize, whom: usize, on: bool) -> Effect {
        let before = self.blocked_between(by, whom);
        let news = if on { self.blocks.insert((by, whom)) } else { self.blocks.remove(&(by, whom)) };
        let status = match (on, news) {
            (true, true) => 201,
            (true, false) => 200,
            (false, _) => 204,
        };
        let effect = effect(status, if on { Answer::Block(whom) } else { Answer::Anything });
        if !news || self.direct(by, whom).is_none() {
            return effect;
        }
        let grow = if before == self.blocked_between(by, whom) { Grow::Maybe } else { Grow::By(1) };
        effect.grows(Stream::User(by), grow).grows(Stream::User(whom), grow)
    }
}

impl What {
    /// Its text, its type and its data.
    pub fn parts(&self) -> (Option<&Text>, &'static str, Value) {
        match self {
            Self::Text(text) => (Some(text), "text", Value::Null),
            Self::Sticker(number) => (None, "sticker", json!({ "pack": "birds", "id": format!("bird-{number}") })),
            Self::Location(text) => (text.as_ref(), "location", json!({ "lat": 10.5, "lon": 106.25 })),
            Self::Contact => (None, "contact", json!({ "name": "Ada", "phone": "+44 20 7946 0000" })),
        }
    }

    /// The body of the call that sends it.
    pub fn body(&self, names: &[String]) -> Value {
        let (text, kind, data) = self.parts();
        let mut body = json!({});
        if let Some(text) = text {
            body["content"] = json!(text.written(names));
        }
        if !data.is_null() {
            (body["type"], body["data"]) = (json!(kind), data);
        }
        body
    }
}

/// The name of a group.
pub fn room(number: u8) -> String {
    format!("Room {number}")
}

/// A description.
pub fn about(number: u8) -> String {
    format!("About {number}")
}
