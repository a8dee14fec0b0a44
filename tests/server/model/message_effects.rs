//! What a granted command about messages changes.

use super::commands::{ReadTo, Role, Text, What};
use super::effects::{Answer, Effect, Grow, Stream, effect};
use super::state::{Message, Model, Sent};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Model {
    /// Whom a text names.
    fn named(&self, by: usize, place: usize, text: &Text) -> BTreeSet<usize> {
        match text {
            Text::Mention(user) | Text::Shout(user) if *user != by && self.is_in(*user, place) => [*user].into(),
            _ => BTreeSet::new(),
        }
    }

    /// Whether a text that is sent mentions everybody: of an owner's or an admin's, the first.
    fn calls(&mut self, by: usize, place: usize, text: &Text) -> bool {
        let may = *text == Text::All && self.seat_mut(by, place).role >= Role::Admin;
        may && !std::mem::replace(&mut self.conversations[place].called, true)
    }

    pub fn send(&mut self, by: usize, place: usize, what: &What, reply: Option<usize>, temp: Option<u8>) -> Effect {
        let temp_id = temp.map(|number| self.temp_id(by, number));
        let key = temp_id.clone().map(|temp_id| (by, place, temp_id));
        if let Some(sent) = key.as_ref().and_then(|key| self.sent.get(key)) {
            return effect(200, Answer::Sent { place, seq: sent.seq as usize });
        }
        let names: Vec<String> = self.users.iter().map(|user| user.username.clone()).collect();
        let (text, kind, data) = what.parts();
        let mentions = text.map(|text| self.named(by, place, text)).unwrap_or_default();
        let mentions_all = text.is_some_and(|text| self.calls(by, place, text));
        self.conversations[place].active = self.tick();
        let conversation = &mut self.conversations[place];
        let seq = conversation.last_seq() + 1;
        conversation.messages.push(Message {
            seq,
            sender: Some(by),
            kind,
            content: text.map(|text| text.written(&names).trim().to_owned()).unwrap_or_default(),
            data,
            reply: reply.map(|seq| seq as i64),
            mentions,
            mentions_all,
            temp: temp_id,
            ..Message::default()
        });
        if let (Some(key), Some(temp)) = (key, temp) {
            self.sent.insert(key, Sent { seq, what: what.clone(), reply, temp });
        }
        let seat = self.seat_mut(by, place);
        (seat.read, seat.delivered) = (seq, seq);
        let effect = effect(201, Answer::Sent { place, seq: seq as usize });
        effect.grows(Stream::Conversation(place), Grow::By(1))
    }

    pub fn edit(&mut self, by: usize, place: usize, which: usize, text: &Text) -> Effect {
        let names: Vec<String> = self.users.iter().map(|user| user.username.clone()).collect();
        let content = text.written(&names).trim().to_owned();
        let effect = effect(200, Answer::Message { place, seq: which });
        if self.conversations[place].message(which).content == content {
            return effect;
        }
        let mentions = self.named(by, place, text);
        let message = self.conversations[place].message_mut(which);
        // an edit takes a mention of everybody away, and never adds one
        message.mentions_all &= *text == Text::All;
        message.former.push(std::mem::replace(&mut message.content, content));
        (message.mentions, message.edited) = (mentions, true);
        effect.grows(Stream::Conversation(place), Grow::By(1))
    }

    pub fn delete(&mut self, place: usize, which: usize) -> Effect {
        let message = self.conversations[place].message_mut(which);
        let news = !std::mem::replace(&mut message.deleted, true);
        (message.content, message.data) = (String::new(), Value::Null);
        (message.mentions, message.reactions, message.pinned) = (BTreeSet::new(), BTreeMap::new(), false);
        message.mentions_all = false;
        message.former.clear();
        effect(204, Answer::Anything).grows_if(news, Stream::Conversation(place), Grow::By(1))
    }

    pub fn react(&mut self, by: usize, place: usize, which: usize, emoji: usize, adds: bool) -> Effect {
        let reactions = &mut self.conversations[place].message_mut(which).reactions;
        let who = reactions.entry(emoji).or_default();
        let news = if adds { who.insert(by) } else { who.remove(&by) };
        let count = who.len();
        reactions.retain(|_, who| !who.is_empty());
        let action = match (news, adds) {
            (false, _) => "unchanged",
            (true, true) => "added",
            (true, false) => "removed",
        };
        let answer = Answer::Reaction { emoji, count, me: adds, action };
        let effect = effect(if adds { 200 } else { 204 }, answer);
        effect.grows_if(news, Stream::Conversation(place), Grow::By(1))
    }

    pub fn pin(&mut self, place: usize, which: usize, on: bool) -> Effect {
        let news = std::mem::replace(&mut self.conversations[place].message_mut(which).pinned, on) != on;
        let answer = if on { Answer::Message { place, seq: which } } else { Answer::Anything };
        let effect = effect(if on { 200 } else { 204 }, answer);
        effect.grows_if(news, Stream::Conversation(place), Grow::By(1))
    }

    pub fn read(&mut self, by: usize, place: usize, to: ReadTo) -> Effect {
        let last = self.conversations[place].last_seq();
        let to = match to {
            ReadTo::Seq(seq) | ReadTo::Message(seq) => seq as i64,
            ReadTo::Beyond | ReadTo::All => last,
        };
        let seat = self.seat_mut(by, place);
        let before = seat.read;
        seat.read = before.max(to);
        seat.delivered = seat.delivered.max(seat.read);
        let read = seat.read;
        let conversation = &self.conversations[place];
        let (unread, marked) = (conversation.count(by, read, last), conversation.count(by, before, read));
        effect(200, Answer::Mark { read, unread, marked })
    }
}
