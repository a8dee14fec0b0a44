//! The changes that an accepted command about messages makes to the model.

use super::commands::{Draft, ReadTo, Role, Text};
use super::effects::{Answer, Effect, Growth, Stream};
use super::state::{FirstSend, Message, Model};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Model {
    /// Returns the participants that a text mentions.
    fn mentioned_users(&self, caller: usize, conversation: usize, text: &Text) -> BTreeSet<usize> {
        match text {
            Text::Mention(user) | Text::UppercaseMention(user)
                if *user != caller && self.is_in(*user, conversation) =>
            {
                [*user].into()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Returns whether a new text mentions all participants. Only owners and admins may do so, and only their first
    /// such text counts: the server accepts one a minute.
    fn is_mention_of_all(&mut self, caller: usize, conversation: usize, text: &Text) -> bool {
        let is_allowed = *text == Text::MentionAll && self.participant_mut(caller, conversation).role >= Role::Admin;
        is_allowed && !std::mem::replace(&mut self.conversations[conversation].mentioned_all, true)
    }

    pub fn send(
        &mut self,
        caller: usize,
        conversation: usize,
        draft: &Draft,
        reply: Option<usize>,
        temp_number: Option<u8>,
    ) -> Effect {
        let temp_id = temp_number.map(|number| self.temp_id(caller, number));
        let key = temp_id.clone().map(|temp_id| (caller, conversation, temp_id));
        if let Some(sent) = key.as_ref().and_then(|key| self.sends_by_temp_id.get(key)) {
            return Effect::new(200, Answer::Sent { conversation, seq: sent.seq as usize });
        }
        let names: Vec<String> = self.users.iter().map(|user| user.username.clone()).collect();
        let (text, kind, data) = draft.parts();
        let mentions = text.map(|text| self.mentioned_users(caller, conversation, text)).unwrap_or_default();
        let mentions_all = text.is_some_and(|text| self.is_mention_of_all(caller, conversation, text));
        self.conversations[conversation].active_at = self.advance_clock();
        let state = &mut self.conversations[conversation];
        let seq = state.last_seq() + 1;
        state.messages.push(Message {
            seq,
            sender: Some(caller),
            kind,
            content: text.map(|text| text.render(&names).trim().to_owned()).unwrap_or_default(),
            data,
            reply: reply.map(|seq| seq as i64),
            mentions,
            mentions_all,
            temp_id,
            ..Message::default()
        });
        if let (Some(key), Some(temp_number)) = (key, temp_number) {
            self.sends_by_temp_id.insert(key, FirstSend { seq, draft: draft.clone(), reply, temp_number });
        }
        let participant = self.participant_mut(caller, conversation);
        (participant.read_mark, participant.delivered_mark) = (seq, seq);
        let effect = Effect::new(201, Answer::Sent { conversation, seq: seq as usize });
        effect.with_growth(Stream::Conversation(conversation), Growth::By(1))
    }

    pub fn edit(&mut self, caller: usize, conversation: usize, seq: usize, text: &Text) -> Effect {
        let names: Vec<String> = self.users.iter().map(|user| user.username.clone()).collect();
        let content = text.render(&names).trim().to_owned();
        let effect = Effect::new(200, Answer::Message { conversation, seq });
        if self.conversations[conversation].message(seq).content == content {
            return effect;
        }
        let mentions = self.mentioned_users(caller, conversation, text);
        let message = self.conversations[conversation].message_mut(seq);
        // An edit can remove a mention of all participants, but it cannot add one.
        message.mentions_all &= *text == Text::MentionAll;
        message.former_texts.push(std::mem::replace(&mut message.content, content));
        (message.mentions, message.edited) = (mentions, true);
        effect.with_growth(Stream::Conversation(conversation), Growth::By(1))
    }

    pub fn delete(&mut self, conversation: usize, seq: usize) -> Effect {
        let message = self.conversations[conversation].message_mut(seq);
        let changed = !std::mem::replace(&mut message.deleted, true);
        (message.content, message.data) = (String::new(), Value::Null);
        (message.mentions, message.reactions, message.pinned) = (BTreeSet::new(), BTreeMap::new(), false);
        message.mentions_all = false;
        message.former_texts.clear();
        Effect::new(204, Answer::Anything).with_growth_if(changed, Stream::Conversation(conversation), Growth::By(1))
    }

    pub fn react(&mut self, caller: usize, conversation: usize, seq: usize, emoji: usize, adds: bool) -> Effect {
        let reactions = &mut self.conversations[conversation].message_mut(seq).reactions;
        let users = reactions.entry(emoji).or_default();
        let changed = if adds { users.insert(caller) } else { users.remove(&caller) };
        let count = users.len();
        reactions.retain(|_, users| !users.is_empty());
        let action = match (changed, adds) {
            (false, _) => "unchanged",
            (true, true) => "added",
            (true, false) => "removed",
        };
        let answer = Answer::Reaction { emoji, count, me: adds, action };
        let effect = Effect::new(if adds { 200 } else { 204 }, answer);
        effect.with_growth_if(changed, Stream::Conversation(conversation), Growth::By(1))
    }

    pub fn pin(&mut self, conversation: usize, seq: usize, on: bool) -> Effect {
        let changed = std::mem::replace(&mut self.conversations[conversation].message_mut(seq).pinned, on) != on;
        let answer = if on { Answer::Message { conversation, seq } } else { Answer::Anything };
        let effect = Effect::new(if on { 200 } else { 204 }, answer);
        effect.with_growth_if(changed, Stream::Conversation(conversation), Growth::By(1))
    }

    pub fn read(&mut self, caller: usize, conversation: usize, to: ReadTo) -> Effect {
        let last = self.conversations[conversation].last_seq();
        let to = match to {
            ReadTo::Seq(seq) | ReadTo::Message(seq) => seq as i64,
            ReadTo::BeyondEnd | ReadTo::All => last,
        };
        let participant = self.participant_mut(caller, conversation);
        let before = participant.read_mark;
        participant.read_mark = before.max(to);
        participant.delivered_mark = participant.delivered_mark.max(participant.read_mark);
        let read = participant.read_mark;
        let state = &self.conversations[conversation];
        let (unread, marked) = (state.count_unread(caller, read, last), state.count_unread(caller, before, read));
        Effect::new(200, Answer::Mark { read, unread, marked })
    }
}
