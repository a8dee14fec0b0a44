//! A model of the writer that is simple enough to be checked by reading: it decides one send after another with a few
//! maps. It has no batches, no locks and no database.

use crate::harness::TestSend;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::{ConversationId, MessageId, UserId};
use greenroom::domain::json_text::JsonText;
use greenroom::domain::roles::Role;
use greenroom::error::Result;
use greenroom::mailboxes::SentMessage;
use std::collections::{BTreeMap, BTreeSet};

/// The state of one conversation, as far as it decides the outcome of a send.
#[derive(Debug, Default)]
pub struct ConversationModel {
    /// The participants with their roles.
    pub roles: BTreeMap<UserId, Role>,
    /// True if one of the two users blocks the other.
    pub blocked: bool,
    /// True if the class is archived.
    pub archived: bool,
    /// The messages of users, in their order.
    pub messages: Vec<MessageId>,
    /// The message and the hash of its body, by sender and `temp_id`.
    named: BTreeMap<(UserId, String), (MessageId, String)>,
    last_seq: i64,
    /// The time of the last `@all`, in milliseconds.
    all_mentioned: Option<i64>,
}

impl ConversationModel {
    /// Creates a conversation with these participants and without messages.
    pub fn new(roles: BTreeMap<UserId, Role>) -> Self {
        Self { roles, ..Self::default() }
    }

    /// Permits `@all` again, although the last one is less than a minute ago.
    pub fn forget_all_mentioned(&mut self) {
        self.all_mentioned = None;
    }
}

/// Everything that the writer reads.
#[derive(Debug, Default)]
pub struct Model {
    /// The conversations that exist.
    pub conversations: BTreeMap<ConversationId, ConversationModel>,
    /// The suspended and deleted users.
    pub suspended: BTreeSet<UserId>,
    /// The usernames.
    pub names: BTreeMap<String, UserId>,
    /// The mentioned users of each stored message in order, and whether it mentions all.
    pub mentions: BTreeMap<MessageId, (Vec<UserId>, bool)>,
    /// The number of sends with each outcome, so that a run can check that no outcome is missing.
    pub outcome_counts: BTreeMap<String, usize>,
}

/// The expected outcome of a send.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Expected {
    Stored,
    Repeated(MessageId),
    Refused(Code),
}

impl Model {
    /// Checks the outcome of the next send in the order of the queue, and records it. Users who are `moving` were added
    /// to the conversation or removed during the sends, so both outcomes are possible. Afterwards the log shows which
    /// one was correct.
    pub fn check(
        &mut self,
        send: &TestSend,
        moving: &BTreeSet<UserId>,
        outcome: &Result<SentMessage>,
    ) -> std::result::Result<(), String> {
        let role = self
            .conversations
            .get(&send.conversation)
            .and_then(|conversation| conversation.roles.get(&send.sender))
            .copied();
        let mut possible = vec![self.expect(send, role)];
        if moving.contains(&send.sender) {
            possible = vec![self.expect(send, Some(Role::Member)), self.expect(send, None)];
        }
        let actual = match outcome {
            Ok(stored_message) if stored_message.repeated => Expected::Repeated(stored_message.message.id),
            Ok(_) => Expected::Stored,
            Err(error) => Expected::Refused(error.code()),
        };
        if !possible.contains(&actual) {
            return Err(format!("{send:?}\n  should be {possible:?}\n  and is {outcome:?}"));
        }
        let name = match &actual {
            Expected::Refused(code) => code.as_str().to_owned(),
            Expected::Stored => "stored".to_owned(),
            Expected::Repeated(_) => "repeated".to_owned(),
        };
        *self.outcome_counts.entry(name).or_default() += 1;
        match outcome {
            Ok(stored_message) if !stored_message.repeated => {
                self.store(send, stored_message)?;
                self.mention(send, stored_message, moving)
            }
            Ok(stored_message)
                if self.mentions[&stored_message.message.id]
                    != (stored_message.message.mentions.clone(), stored_message.message.mentions_all) =>
            {
                Err(format!("{send:?}\n  mentions others when it is repeated: {stored_message:?}"))
            }
            _ => Ok(()),
        }
    }

    fn expect(&self, send: &TestSend, role: Option<Role>) -> Expected {
        let Some(conversation) = self.conversations.get(&send.conversation) else {
            return Expected::Refused(Code::NotFound);
        };
        let before = send.temp_id.clone().and_then(|name| conversation.named.get(&(send.sender, name)));
        let refusal = match (before, role) {
            (Some((id, hash)), _) if *hash == send.hash() => return Expected::Repeated(*id),
            (Some(_), _) => Code::TempIdReused,
            _ if self.suspended.contains(&send.sender) => Code::Suspended,
            (None, None) => Code::NotAParticipant,
            _ if conversation.archived => Code::ClassArchived,
            _ if conversation.blocked => Code::Blocked,
            (None, Some(Role::Observer)) => Code::Forbidden,
            _ if send.reply_to.is_some_and(|target| !conversation.messages.contains(&target)) => Code::ValidationFailed,
            _ => return Expected::Stored,
        };
        Expected::Refused(refusal)
    }

    fn store(&mut self, send: &TestSend, stored_message: &SentMessage) -> std::result::Result<(), String> {
        let conversation = self.conversations.get_mut(&send.conversation).expect("a stored message has a conversation");
        let message = &stored_message.message;
        let as_sent = message.id == send.id
            && message.sender_id == Some(send.sender)
            && message.content == send.content
            && message.data == send.data.as_ref().map(JsonText::from)
            && message.reply_to.as_ref().map(|quote| quote.id) == send.reply_to
            && message.temp_id == send.temp_id;
        if !as_sent {
            return Err(format!("{send:?}\n  was stored as {message:?}"));
        }
        if message.seq.0 <= conversation.last_seq {
            return Err(format!("{send:?}\n  got the seq {1} after {0}", conversation.last_seq, message.seq));
        }
        conversation.last_seq = message.seq.0;
        conversation.messages.push(send.id);
        if let Some(name) = &send.temp_id {
            conversation.named.insert((send.sender, name.clone()), (send.id, send.hash()));
        }
        Ok(())
    }

    /// Returns the users that a text mentions: those with a name after an `@`, and all if an owner or an admin writes
    /// `@all`, once a minute.
    fn mention(
        &mut self,
        send: &TestSend,
        stored_message: &SentMessage,
        moving: &BTreeSet<UserId>,
    ) -> std::result::Result<(), String> {
        const MINUTE: i64 = 60_000;
        let conversation = self.conversations.get_mut(&send.conversation).expect("a stored message has a conversation");
        let words = send.content.split_whitespace().filter_map(|word| word.strip_prefix('@'));
        let words: Vec<String> = words.map(|word| word.trim_end_matches(['.', '-']).to_lowercase()).collect();
        let named = words.iter().filter_map(|word| self.names.get(word)).copied();
        let mut expected: Vec<UserId> = named.filter(|user| conversation.roles.contains_key(user)).collect();
        let now = stored_message.message.created_at.0;
        let role = conversation.roles.get(&send.sender).copied();
        let all = words.iter().any(|word| word == "all")
            && role.is_some_and(|role| role >= Role::Admin)
            && conversation.all_mentioned.is_none_or(|before| now - before >= MINUTE);
        if all {
            conversation.all_mentioned = Some(now);
        }
        let mut excluded = BTreeSet::from([send.sender]);
        excluded.extend(moving);
        expected.retain(|user| excluded.insert(*user));
        let actual = &stored_message.message.mentions;
        let stored: Vec<UserId> =
            actual.iter().filter(|user| !moving.contains(user) || **user == send.sender).copied().collect();
        self.mentions.insert(send.id, (actual.clone(), stored_message.message.mentions_all));
        let (stored, expected) = ((stored, stored_message.message.mentions_all), (expected, all));
        if stored == expected {
            Ok(())
        } else {
            Err(format!("{send:?}\n  mentions {stored:?}\n  and not {expected:?}"))
        }
    }
}
