//! What the writer of sends should do, in a model simple enough to be right by reading it: one send after another, each
//! decided by what stands in a few maps. It knows no batches, no locks and no database.

use crate::harness::Post;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::{ConversationId, MessageId, UserId};
use greenroom::domain::roles::Role;
use greenroom::error::Result;
use greenroom::mailboxes::SentMessage;
use std::collections::{BTreeMap, BTreeSet};

/// A conversation.
#[derive(Debug, Default)]
pub struct Place {
    /// Who is in it, and as what.
    pub roles: BTreeMap<UserId, Role>,
    /// A block stands between its two.
    pub blocked: bool,
    /// Its class is archived.
    pub archived: bool,
    /// Its messages from users, in their order.
    pub said: Vec<MessageId>,
    /// What was sent under a `temp_id`: as which message, and the hash of its body.
    named: BTreeMap<(UserId, String), (MessageId, String)>,
    last_seq: i64,
    /// When everybody in it was last mentioned at once, in milliseconds.
    all_mentioned: Option<i64>,
}

impl Place {
    /// With these in it, and nothing said.
    pub fn new(roles: BTreeMap<UserId, Role>) -> Self {
        Self { roles, ..Self::default() }
    }

    /// Everybody may be mentioned at once again.
    pub fn forget_all_mentioned(&mut self) {
        self.all_mentioned = None;
    }
}

/// Everything the writer may look at.
#[derive(Debug, Default)]
pub struct Model {
    /// Conversations that exist.
    pub places: BTreeMap<ConversationId, Place>,
    /// Users who may not send.
    pub suspended: BTreeSet<UserId>,
    /// Usernames.
    pub names: BTreeMap<String, UserId>,
    /// Whom each message that is stored names, in order, and whether it mentions everybody, as it said itself.
    pub mentions: BTreeMap<MessageId, (Vec<UserId>, bool)>,
    /// How often each outcome was expected, to see that none is missing in a run.
    pub seen: BTreeMap<String, usize>,
}

/// What should become of a send.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Expected {
    Stored,
    Repeated(MessageId),
    Refused(Code),
}

impl Model {
    /// Judges the outcome of the next send in the order of the queue, and remembers it. Those who are `moving` were added
    /// to its conversation or removed meanwhile, so that both are possible; the log tells afterwards which it was.
    pub fn judge(
        &mut self,
        post: &Post,
        moving: &BTreeSet<UserId>,
        outcome: &Result<SentMessage>,
    ) -> std::result::Result<(), String> {
        let role = self.places.get(&post.conversation).and_then(|place| place.roles.get(&post.sender)).copied();
        let mut possible = vec![self.expect(post, role)];
        if moving.contains(&post.sender) {
            possible = vec![self.expect(post, Some(Role::Member)), self.expect(post, None)];
        }
        let actual = match outcome {
            Ok(sent) if sent.repeated => Expected::Repeated(sent.message.id),
            Ok(_) => Expected::Stored,
            Err(error) => Expected::Refused(error.code()),
        };
        if !possible.contains(&actual) {
            return Err(format!("{post:?}\n  should be {possible:?}\n  and is {outcome:?}"));
        }
        let name = match &actual {
            Expected::Refused(code) => code.as_str().to_owned(),
            Expected::Stored => "stored".to_owned(),
            Expected::Repeated(_) => "repeated".to_owned(),
        };
        *self.seen.entry(name).or_default() += 1;
        match outcome {
            Ok(sent) if !sent.repeated => {
                self.store(post, sent)?;
                self.mention(post, sent, moving)
            }
            Ok(sent)
                if self.mentions[&sent.message.id] != (sent.message.mentions.clone(), sent.message.mentions_all) =>
            {
                Err(format!("{post:?}\n  mentions others when it is repeated: {sent:?}"))
            }
            _ => Ok(()),
        }
    }

    fn expect(&self, post: &Post, role: Option<Role>) -> Expected {
        let Some(place) = self.places.get(&post.conversation) else { return Expected::Refused(Code::NotFound) };
        let before = post.temp_id.clone().and_then(|name| place.named.get(&(post.sender, name)));
        let refusal = match (before, role) {
            (Some((id, hash)), _) if *hash == post.hash() => return Expected::Repeated(*id),
            (Some(_), _) => Code::TempIdReused,
            _ if self.suspended.contains(&post.sender) => Code::Suspended,
            (None, None) => Code::NotAParticipant,
            _ if place.archived => Code::ClassArchived,
            _ if place.blocked => Code::Blocked,
            (None, Some(Role::Observer)) => Code::Forbidden,
            _ if post.reply_to.is_some_and(|target| !place.said.contains(&target)) => Code::ValidationFailed,
            _ => return Expected::Stored,
        };
        Expected::Refused(refusal)
    }

    fn store(&mut self, post: &Post, sent: &SentMessage) -> std::result::Result<(), String> {
        let place = self.places.get_mut(&post.conversation).expect("a stored message has a place");
        let message = &sent.message;
        let as_sent = message.id == post.id
            && message.sender_id == Some(post.sender)
            && message.content == post.content
            && message.data == post.data
            && message.reply_to.as_ref().map(|quote| quote.id) == post.reply_to
            && message.temp_id == post.temp_id;
        if !as_sent {
            return Err(format!("{post:?}\n  was stored as {message:?}"));
        }
        if message.seq.0 <= place.last_seq {
            return Err(format!("{post:?}\n  came after place {} and is at {}", place.last_seq, message.seq));
        }
        place.last_seq = message.seq.0;
        place.said.push(post.id);
        if let Some(name) = &post.temp_id {
            place.named.insert((post.sender, name.clone()), (post.id, post.hash()));
        }
        Ok(())
    }

    /// Whom a text mentions: each word that is a participant's name after an `@`, and everybody where the owner or an admin
    /// says `@all`, once a minute.
    fn mention(
        &mut self,
        post: &Post,
        sent: &SentMessage,
        moving: &BTreeSet<UserId>,
    ) -> std::result::Result<(), String> {
        const MINUTE: i64 = 60_000;
        let place = self.places.get_mut(&post.conversation).expect("a stored message has a place");
        let words = post.content.split_whitespace().filter_map(|word| word.strip_prefix('@'));
        let words: Vec<String> = words.map(|word| word.trim_end_matches(['.', '-']).to_lowercase()).collect();
        let named = words.iter().filter_map(|word| self.names.get(word)).copied();
        let mut expected: Vec<UserId> = named.filter(|user| place.roles.contains_key(user)).collect();
        let now = sent.message.created_at.0;
        let role = place.roles.get(&post.sender).copied();
        let all = words.iter().any(|word| word == "all")
            && role.is_some_and(|role| role >= Role::Admin)
            && place.all_mentioned.is_none_or(|before| now - before >= MINUTE);
        if all {
            place.all_mentioned = Some(now);
        }
        let mut seen = BTreeSet::from([post.sender]);
        seen.extend(moving);
        expected.retain(|user| seen.insert(*user));
        let actual = &sent.message.mentions;
        let told: Vec<UserId> =
            actual.iter().filter(|user| !moving.contains(user) || **user == post.sender).copied().collect();
        self.mentions.insert(post.id, (actual.clone(), sent.message.mentions_all));
        let (told, expected) = ((told, sent.message.mentions_all), (expected, all));
        if told == expected { Ok(()) } else { Err(format!("{post:?}\n  mentions {told:?}\n  and not {expected:?}")) }
    }
}
