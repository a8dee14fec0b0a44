//! The changes that an accepted command makes to the model, the streams that grow, and the expected answer.

use super::commands::{Command, Draft, Mute, Role, Text};
use super::state::{Conversation, CreatedGroup, Message, Model, Participant};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A stream of the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stream {
    Conversation(usize),
    User(usize),
}

/// The number of events that a command appends to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Growth {
    By(i64),
    /// At least one event.
    Positive,
    /// Any number of events, also none: the contract allows both.
    Any,
}

/// The expected content of an answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// A message that this command sent, or that an earlier send with the same `temp_id` sent.
    Sent {
        conversation: usize,
        seq: usize,
    },
    /// A message that the command changed.
    Message {
        conversation: usize,
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

/// The expected effect of an accepted command.
pub struct Effect {
    /// The growth of each stream; the other streams do not grow.
    pub growth: BTreeMap<Stream, Growth>,
    pub status: u16,
    pub answer: Answer,
}

impl Effect {
    pub fn new(status: u16, answer: Answer) -> Self {
        Self { growth: BTreeMap::new(), status, answer }
    }

    pub fn with_growth(mut self, stream: Stream, growth: Growth) -> Self {
        self.growth.insert(stream, growth);
        self
    }

    pub fn with_growth_if(self, grows: bool, stream: Stream, growth: Growth) -> Self {
        if grows { self.with_growth(stream, growth) } else { self }
    }
}

impl Model {
    /// Returns the users of whom one becomes the owner if the owner leaves. If several joined together, all of them are
    /// candidates.
    pub fn new_owner_candidates(&self, caller: usize, command: &Command) -> Vec<usize> {
        let conversation = match command {
            Command::Leave { conversation } => *conversation,
            Command::Remove { conversation, user } if *user == caller => *conversation,
            _ => return Vec::new(),
        };
        if self.participant(caller, conversation).is_none_or(|participant| participant.role != Role::Owner) {
            return Vec::new();
        }
        let others: Vec<(usize, &Participant)> =
            self.conversations[conversation].current_participants().filter(|(user, _)| *user != caller).collect();
        for role in [Role::Admin, Role::Member, Role::Observer] {
            let candidates = others.iter().filter(|(_, participant)| participant.role == role);
            if let Some(first) = candidates.clone().map(|(_, participant)| participant.joined_at).min() {
                return candidates
                    .filter(|(_, participant)| participant.joined_at == first)
                    .map(|(user, _)| *user)
                    .collect();
            }
        }
        Vec::new()
    }

    /// Applies an accepted command and returns the expected effect.
    pub fn apply(&mut self, caller: usize, command: &Command, new_owner: Option<usize>) -> Effect {
        match command {
            Command::Send { conversation, draft, reply, temp_number } => {
                self.send(caller, *conversation, draft, *reply, *temp_number)
            }
            Command::Repeat { .. } => unreachable!("resolved to the send that it repeats"),
            Command::Edit { conversation, seq, text } => self.edit(caller, *conversation, *seq, text),
            Command::Delete { conversation, seq } => self.delete(*conversation, *seq),
            Command::Hide { conversation, seq } => {
                let changed = self.conversations[*conversation].message_mut(*seq).hidden_for.insert(caller);
                Effect::new(204, Answer::Anything).with_growth_if(changed, Stream::User(caller), Growth::By(1))
            }
            Command::React { conversation, seq, emoji } => self.react(caller, *conversation, *seq, *emoji, true),
            Command::Unreact { conversation, seq, emoji } => self.react(caller, *conversation, *seq, *emoji, false),
            Command::PinMessage { conversation, seq } => self.pin(*conversation, *seq, true),
            Command::UnpinMessage { conversation, seq } => self.pin(*conversation, *seq, false),
            Command::Read { conversation, to } => self.read(caller, *conversation, *to),
            Command::Delivered { conversation, seq } => {
                if self.is_in(caller, *conversation) {
                    let participant = self.participant_mut(caller, *conversation);
                    participant.delivered_mark = participant.delivered_mark.max(*seq as i64);
                }
                Effect::new(200, Answer::Anything)
            }
            Command::CreateDirect { peer } => self.create_direct(caller, *peer),
            Command::CreateGroup { others, name, temp_number } => {
                self.create_group(caller, others, *name, *temp_number)
            }
            Command::RepeatGroup { .. } => unreachable!("resolved to the group that it repeats"),
            Command::Rename { conversation, name } => {
                let name = group_name(*name);
                let changed = self.conversations[*conversation].name.as_ref() != Some(&name);
                if changed {
                    self.conversations[*conversation].name = Some(name.clone());
                    let data = json!({ "event": "renamed", "actor_id": self.users[caller].id, "name": name });
                    self.add_system_message(*conversation, data);
                }
                let effect = Effect::new(200, Answer::Conversation(*conversation));
                effect.with_growth_if(changed, Stream::Conversation(*conversation), Growth::Positive)
            }
            Command::Describe { conversation, text } => {
                let text = Some(description(*text));
                let changed = self.conversations[*conversation].description != text;
                self.conversations[*conversation].description = text;
                let effect = Effect::new(200, Answer::Conversation(*conversation));
                effect.with_growth_if(changed, Stream::Conversation(*conversation), Growth::Positive)
            }
            Command::Add { conversation, users, role } => {
                self.add(caller, *conversation, users, role.unwrap_or(Role::Member))
            }
            Command::Remove { conversation, user } => self.remove(caller, *conversation, *user, new_owner),
            Command::Leave { conversation } => self.remove(caller, *conversation, caller, new_owner),
            Command::SetRole { conversation, user, role } => {
                let changed = self.participant_mut(*user, *conversation).role != *role;
                self.participant_mut(*user, *conversation).role = *role;
                if changed && *role == Role::Owner {
                    self.participant_mut(caller, *conversation).role = Role::Admin;
                }
                let effect = Effect::new(200, Answer::Members(*conversation, vec![*user]));
                effect.with_growth_if(changed, Stream::Conversation(*conversation), Growth::Positive)
            }
            Command::Archive { .. }
            | Command::Mute { .. }
            | Command::PinConversation { .. }
            | Command::Notify { .. } => self.change_settings(caller, command),
            Command::Block { user } => self.set_block(caller, *user, true),
            Command::Unblock { user } => self.set_block(caller, *user, false),
            Command::ShareReceipts { on } => {
                self.shares_receipts[caller] = *on;
                Effect::new(200, Answer::Anything).with_growth(Stream::User(caller), Growth::Any)
            }
        }
    }

    pub fn participant_mut(&mut self, user: usize, conversation: usize) -> &mut Participant {
        self.conversations[conversation]
            .participants
            .get_mut(&user)
            .expect("an accepted command is about a participant")
    }

    /// Adds a message of the server. It counts as unread for no participant.
    fn add_system_message(&mut self, conversation: usize, data: Value) -> i64 {
        self.conversations[conversation].active_at = self.advance_clock();
        let state = &mut self.conversations[conversation];
        let seq = state.last_seq() + 1;
        state.messages.push(Message { seq, kind: "system", data, ..Message::default() });
        seq
    }

    fn create_direct(&mut self, caller: usize, peer: usize) -> Effect {
        if let Some(conversation) = self.direct(caller, peer) {
            return Effect::new(200, Answer::Conversation(conversation));
        }
        let now = self.advance_clock();
        let participants = [caller, peer].map(|user| (user, Participant::new(Role::Member, now, 0)));
        self.conversations.push(Conversation {
            direct: true,
            name: None,
            description: None,
            created_by: caller,
            participants: participants.into(),
            messages: Vec::new(),
            active_at: now,
            mentioned_all: false,
        });
        let effect = Effect::new(201, Answer::Conversation(self.conversations.len() - 1));
        effect.with_growth(Stream::User(caller), Growth::By(1)).with_growth(Stream::User(peer), Growth::By(1))
    }

    fn create_group(&mut self, caller: usize, others: &[usize], name: u8, temp_number: Option<u8>) -> Effect {
        if let Some(temp_number) = temp_number {
            if let Some(group) = self.groups_by_temp_id.get(&(caller, temp_number)) {
                return Effect::new(200, Answer::Conversation(group.conversation));
            }
            let conversation = self.conversations.len();
            self.groups_by_temp_id
                .insert((caller, temp_number), CreatedGroup { others: others.to_vec(), name, conversation });
        }
        let now = self.advance_clock();
        let mut participants: BTreeMap<usize, Participant> =
            others.iter().map(|user| (*user, Participant::new(Role::Member, now, 1))).collect();
        participants.insert(caller, Participant::new(Role::Owner, now, 1));
        let others: Vec<&str> =
            participants.keys().filter(|user| **user != caller).map(|user| self.users[*user].id.as_str()).collect();
        let (actor, name) = (&self.users[caller].id, group_name(name));
        let data = json!({ "event": "group_created", "actor_id": actor, "user_ids": others, "name": name });
        let mut effect = Effect::new(201, Answer::Conversation(self.conversations.len()));
        for user in participants.keys() {
            effect = effect.with_growth(Stream::User(*user), Growth::By(1));
        }
        self.conversations.push(Conversation {
            direct: false,
            name: Some(name),
            description: None,
            created_by: caller,
            participants,
            messages: Vec::new(),
            active_at: now,
            mentioned_all: false,
        });
        self.add_system_message(self.conversations.len() - 1, data);
        effect
    }

    fn add(&mut self, caller: usize, conversation: usize, users: &[usize], role: Role) -> Effect {
        let new_users: BTreeSet<usize> =
            users.iter().copied().filter(|user| !self.is_in(*user, conversation)).collect();
        let distinct_users: BTreeSet<usize> = users.iter().copied().collect();
        let mut effect = Effect::new(200, Answer::Members(conversation, distinct_users.into_iter().collect()));
        if new_users.is_empty() {
            return effect;
        }
        let ids: Vec<&str> = new_users.iter().map(|user| self.users[*user].id.as_str()).collect();
        let data = json!({ "event": "members_added", "actor_id": self.users[caller].id, "user_ids": ids });
        let seq = self.add_system_message(conversation, data);
        let now = self.advance_clock();
        for user in new_users {
            let participants = &mut self.conversations[conversation].participants;
            let former_marks = participants.get(&user).map_or((0, 0), Participant::certain_marks);
            participants.insert(user, Participant { former_marks, ..Participant::new(role, now, seq) });
            effect = effect.with_growth(Stream::User(user), Growth::By(1));
        }
        effect.with_growth(Stream::Conversation(conversation), Growth::Positive)
    }

    fn remove(&mut self, caller: usize, conversation: usize, user: usize, new_owner: Option<usize>) -> Effect {
        let effect = Effect::new(204, Answer::Anything);
        if !self.is_in(user, conversation) {
            return effect;
        }
        self.participant_mut(user, conversation).current = false;
        if let Some(new_owner) = new_owner {
            self.participant_mut(new_owner, conversation).role = Role::Owner;
        }
        let (actor, removed) = (&self.users[caller].id, &self.users[user].id);
        let event = if caller == user { "member_left" } else { "member_removed" };
        self.add_system_message(conversation, json!({ "event": event, "actor_id": actor, "user_ids": [removed] }));
        effect
            .with_growth(Stream::User(user), Growth::By(1))
            .with_growth(Stream::Conversation(conversation), Growth::Positive)
    }

    /// Changes the caller's settings of a conversation.
    fn change_settings(&mut self, caller: usize, command: &Command) -> Effect {
        let (conversation, on) = match command {
            Command::Archive { conversation, on } | Command::PinConversation { conversation, on } => {
                (*conversation, *on)
            }
            Command::Mute { conversation, mute } => (*conversation, *mute != Mute::Off),
            Command::Notify { conversation, .. } => (*conversation, true),
            _ => unreachable!("not a setting"),
        };
        let last = self.conversations[conversation].last_seq();
        let archived =
            self.conversations[conversation].is_archived(&self.conversations[conversation].participants[&caller]);
        let participant = self.participant_mut(caller, conversation);
        let before = (participant.archived_at_seq, participant.mute, participant.pinned, participant.notify_level);
        match command {
            Command::Archive { .. } => participant.archived_at_seq = on.then_some(last),
            Command::PinConversation { .. } => participant.pinned = on,
            Command::Mute { mute, .. } => {
                participant.mute = *mute;
                // A muted conversation stays archived. One that a message has taken out of the archive before does not
                // return to the archive when it is muted.
                participant.archived_at_seq = participant.archived_at_seq.filter(|_| archived || *mute == Mute::Off);
            }
            Command::Notify { level, .. } => participant.notify_level = *level,
            _ => unreachable!("not a setting"),
        }
        let changed =
            before != (participant.archived_at_seq, participant.mute, participant.pinned, participant.notify_level);
        let is_invisible = matches!(command, Command::Archive { .. }) && archived == on;
        // The end of such a mute is computed from the current time, so a repeated command may change it.
        let renewed = !changed && matches!(command, Command::Mute { mute: Mute::ForYears(_), .. });
        let (changed, growth) = (changed || renewed, if is_invisible || renewed { Growth::Any } else { Growth::By(1) });
        let status = if on { 200 } else { 204 };
        Effect::new(status, Answer::Conversation(conversation)).with_growth_if(changed, Stream::User(caller), growth)
    }

    fn set_block(&mut self, caller: usize, user: usize, on: bool) -> Effect {
        let before = self.is_blocked_between(caller, user);
        let changed = if on { self.blocks.insert((caller, user)) } else { self.blocks.remove(&(caller, user)) };
        let status = match (on, changed) {
            (true, true) => 201,
            (true, false) => 200,
            (false, _) => 204,
        };
        let effect = Effect::new(status, if on { Answer::Block(user) } else { Answer::Anything });
        if !changed || self.direct(caller, user).is_none() {
            return effect;
        }
        let growth = if before == self.is_blocked_between(caller, user) { Growth::Any } else { Growth::By(1) };
        effect.with_growth(Stream::User(caller), growth).with_growth(Stream::User(user), growth)
    }
}

impl Draft {
    /// Returns the text, the type and the data of the message.
    pub fn parts(&self) -> (Option<&Text>, &'static str, Value) {
        match self {
            Self::Text(text) => (Some(text), "text", Value::Null),
            Self::Sticker(number) => (None, "sticker", json!({ "pack": "birds", "id": format!("bird-{number}") })),
            Self::Location(text) => (text.as_ref(), "location", json!({ "lat": 10.5, "lon": 106.25 })),
            Self::Contact => (None, "contact", json!({ "name": "Ada", "phone": "+44 20 7946 0000" })),
        }
    }

    /// Returns the body of the call that sends the message.
    pub fn body(&self, names: &[String]) -> Value {
        let (text, kind, data) = self.parts();
        let mut body = json!({});
        if let Some(text) = text {
            body["content"] = json!(text.render(names));
        }
        if !data.is_null() {
            (body["type"], body["data"]) = (json!(kind), data);
        }
        body
    }
}

/// Returns the name of a group by its number.
pub fn group_name(number: u8) -> String {
    format!("Room {number}")
}

/// Returns the description of a group by its number.
pub fn description(number: u8) -> String {
    format!("About {number}")
}
