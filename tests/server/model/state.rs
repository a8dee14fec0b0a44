//! The state of the model: users, conversations and messages in memory, and what follows from them by the contract with
//! clients. A user, a conversation and an emoji is a number here, the index in its list. The model shares no code with
//! the server.

use super::commands::{Command, Draft, Mute, Role};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub struct Model {
    pub users: Vec<Identity>,
    /// Whether each user shares read receipts.
    pub shares_receipts: Vec<bool>,
    /// The pairs of a blocking user and a blocked user.
    pub blocks: BTreeSet<(usize, usize)>,
    pub conversations: Vec<Conversation>,
    /// The first send with each `temp_id`, by sender and conversation.
    pub sends_by_temp_id: BTreeMap<(usize, usize, String), FirstSend>,
    /// The groups that were created with a `temp_id`, by creator and by the number of the `temp_id`.
    pub groups_by_temp_id: BTreeMap<(usize, u8), CreatedGroup>,
    /// Orders the joins of participants and the activity of conversations.
    pub clock: i64,
}

pub struct Identity {
    pub id: String,
    pub username: String,
}

/// The first send with a `temp_id`, which later sends with this `temp_id` repeat.
#[derive(Clone)]
pub struct FirstSend {
    pub seq: i64,
    pub draft: Draft,
    pub reply: Option<usize>,
    pub temp_number: u8,
}

/// The request that created a group with a `temp_id`, and the group.
#[derive(Clone)]
pub struct CreatedGroup {
    pub others: Vec<usize>,
    pub name: u8,
    pub conversation: usize,
}

pub struct Conversation {
    pub direct: bool,
    pub name: Option<String>,
    pub description: Option<String>,
    pub created_by: usize,
    /// All users who are or were in the conversation.
    pub participants: BTreeMap<usize, Participant>,
    pub messages: Vec<Message>,
    /// The time of the newest message, or of the creation.
    pub active_at: i64,
    /// Whether a message mentioned `@all`. The server accepts one such mention a minute, and a case is shorter.
    pub mentioned_all: bool,
}

#[derive(Clone)]
pub struct Participant {
    /// Whether the user is in the conversation now.
    pub current: bool,
    pub role: Role,
    pub joined_at: i64,
    /// The value of both marks when the user joined.
    pub initial_mark: i64,
    pub read_mark: i64,
    pub delivered_mark: i64,
    /// The greatest read mark and delivered mark that the user reached before leaving and joining again.
    pub former_marks: (i64, i64),
    /// The newest `seq` at the time when the user archived the conversation.
    pub archived_at_seq: Option<i64>,
    pub mute: Mute,
    pub pinned: bool,
    pub notify_level: usize,
}

#[derive(Default)]
pub struct Message {
    pub seq: i64,
    /// `None` in a message that the server wrote.
    pub sender: Option<usize>,
    pub kind: &'static str,
    pub content: String,
    pub data: Value,
    pub reply: Option<i64>,
    pub mentions: BTreeSet<usize>,
    pub mentions_all: bool,
    /// The users who reacted, by emoji.
    pub reactions: BTreeMap<usize, BTreeSet<usize>>,
    pub pinned: bool,
    pub former_texts: Vec<String>,
    pub edited: bool,
    pub deleted: bool,
    pub hidden_for: BTreeSet<usize>,
    pub temp_id: Option<String>,
}

impl Model {
    pub fn new(users: Vec<Identity>) -> Self {
        let shares_receipts = vec![true; users.len()];
        let (sends_by_temp_id, groups_by_temp_id) = (BTreeMap::new(), BTreeMap::new());
        Self {
            users,
            shares_receipts,
            blocks: BTreeSet::new(),
            conversations: Vec::new(),
            sends_by_temp_id,
            groups_by_temp_id,
            clock: 0,
        }
    }

    pub fn advance_clock(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    /// Picks mostly one of the user's first two conversations, sometimes another one or a direct one, and sometimes a
    /// conversation that the user may not be in.
    pub fn pick_conversation(&self, caller: usize, pick: usize) -> Option<usize> {
        let all: Vec<usize> = (0..self.conversations.len()).collect();
        let own: Vec<usize> = all.iter().copied().filter(|conversation| self.is_in(caller, *conversation)).collect();
        let candidates = match pick % 10 {
            9 => all,
            0..5 => own.iter().copied().take(2).collect(),
            8 => own.iter().copied().filter(|conversation| self.conversations[*conversation].direct).collect(),
            _ => own.clone(),
        };
        let candidates = if candidates.is_empty() { own } else { candidates };
        (!candidates.is_empty()).then(|| candidates[(pick / 10) % candidates.len()])
    }

    /// Picks a conversation that the user has archived, even if a later message took it out of the archive.
    pub fn pick_archived(&self, caller: usize) -> Option<usize> {
        let is_archived = |participant: &Participant| participant.archived_at_seq.is_some();
        (0..self.conversations.len())
            .find(|conversation| self.participant(caller, *conversation).is_some_and(is_archived))
    }

    /// Picks a conversation that the user has muted.
    pub fn pick_muted(&self, caller: usize) -> Option<usize> {
        let is_muted = |participant: &Participant| participant.mute != Mute::Off;
        (0..self.conversations.len()).find(|conversation| self.participant(caller, *conversation).is_some_and(is_muted))
    }

    /// Picks a group, and an owner or admin of it.
    pub fn pick_manager(&self, pick: usize) -> Option<(usize, usize)> {
        let mut managers = Vec::new();
        for (conversation, state) in self.conversations.iter().enumerate().filter(|(_, state)| !state.direct) {
            let current = state.current_participants().filter(|(_, participant)| participant.role >= Role::Admin);
            managers.extend(current.map(|(user, _)| (conversation, user)));
        }
        (!managers.is_empty()).then(|| managers[pick % managers.len()])
    }

    /// Picks one of the newest messages, mostly one to which the command applies. Only `Hide` gets messages that the
    /// user has already hidden.
    pub fn pick_message(&self, conversation: usize, caller: usize, pick: usize, command: &Command) -> Option<usize> {
        let messages = &self.conversations[conversation].messages;
        let may_be_hidden = matches!(command, Command::Hide { .. });
        let all: Vec<&Message> =
            messages.iter().rev().filter(|message| may_be_hidden || !message.hidden_for.contains(&caller)).collect();
        let is_quoted = |seq: i64| messages.iter().any(|message| message.reply == Some(seq));
        let applies = |message: &&&Message| match command {
            Command::Edit { .. } => message.sender == Some(caller) && !message.deleted,
            Command::Delete { .. } if !pick.is_multiple_of(3) => {
                message.pinned || !message.reactions.is_empty() || is_quoted(message.seq)
            }
            Command::Delete { .. } => message.sender == Some(caller),
            Command::Unreact { .. } => message.reactions.values().any(|users| users.contains(&caller)),
            Command::UnpinMessage { .. } => message.pinned,
            _ => true,
        };
        let best: Vec<&Message> = all.iter().filter(applies).copied().collect();
        let candidates = if pick % 8 == 7 || best.is_empty() { all } else { best };
        (!candidates.is_empty()).then(|| candidates[(pick / 8) % candidates.len().min(6)].seq as usize)
    }

    /// Picks a send with a `temp_id` that the user made in this conversation.
    pub fn pick_send(&self, conversation: usize, caller: usize, pick: usize) -> Option<&FirstSend> {
        let is_own = |key: &(usize, usize, String)| key.0 == caller && key.1 == conversation;
        let sends: Vec<&FirstSend> =
            self.sends_by_temp_id.iter().filter(|(key, _)| is_own(key)).map(|(_, send)| send).collect();
        (!sends.is_empty()).then(|| sends[pick % sends.len()])
    }

    /// Picks a group that the user created with a `temp_id`, and returns it with the number of the `temp_id`.
    pub fn pick_group(&self, caller: usize, pick: usize) -> Option<(u8, &CreatedGroup)> {
        let groups: Vec<_> = self.groups_by_temp_id.iter().filter(|((creator, _), _)| *creator == caller).collect();
        (!groups.is_empty()).then(|| groups[pick % groups.len()]).map(|((_, temp_number), group)| (*temp_number, group))
    }

    pub fn is_in(&self, user: usize, conversation: usize) -> bool {
        self.participant(user, conversation).is_some()
    }

    /// Returns the user as a participant; `None` if the user is not in the conversation now.
    pub fn participant(&self, user: usize, conversation: usize) -> Option<&Participant> {
        self.conversations[conversation].participants.get(&user).filter(|participant| participant.current)
    }

    pub fn is_blocked_between(&self, one: usize, other: usize) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    /// Returns whether this is a direct conversation of two users of whom one blocks the other.
    pub fn is_blocked(&self, conversation: usize) -> bool {
        let state = &self.conversations[conversation];
        let users: Vec<usize> = state.participants.keys().copied().collect();
        state.direct && self.is_blocked_between(users[0], users[1])
    }

    /// Returns the direct conversation of two users.
    pub fn direct(&self, one: usize, other: usize) -> Option<usize> {
        self.conversations.iter().position(|state| {
            state.direct && state.participants.contains_key(&one) && state.participants.contains_key(&other)
        })
    }

    /// Returns whether two users see each other's read receipts.
    pub fn share_receipts_between(&self, one: usize, other: usize) -> bool {
        self.shares_receipts[one] && self.shares_receipts[other] && !self.is_blocked_between(one, other)
    }

    /// Returns the `temp_id` for a number, which is different for each user.
    pub fn temp_id(&self, caller: usize, number: u8) -> String {
        format!("{}-{number}", self.users[caller].username)
    }
}

impl Conversation {
    pub fn current_participants(&self) -> impl Iterator<Item = (usize, &Participant)> {
        let current = self.participants.iter().filter(|(_, participant)| participant.current);
        current.map(|(user, participant)| (*user, participant))
    }

    pub fn last_seq(&self) -> i64 {
        self.messages.len() as i64
    }

    pub fn message(&self, seq: usize) -> &Message {
        &self.messages[seq - 1]
    }

    pub fn message_mut(&mut self, seq: usize) -> &mut Message {
        &mut self.messages[seq - 1]
    }

    /// Counts the messages in `after..=to` that are unread for a user whose read mark is `after`.
    pub fn count_unread(&self, user: usize, after: i64, to: i64) -> i64 {
        let is_within = |message: &&Message| message.seq > after && message.seq <= to;
        let counts = |message: &&Message| message.sender.is_some() && !message.hidden_for.contains(&user);
        self.messages.iter().filter(is_within).filter(counts).count() as i64
    }

    /// Returns the newest message that the user has not hidden.
    pub fn last_message(&self, user: usize) -> Option<&Message> {
        self.messages.iter().rev().find(|message| !message.hidden_for.contains(&user))
    }

    /// Returns whether the conversation is in the participant's archive. A new message takes it out of the archive,
    /// unless it is muted.
    pub fn is_archived(&self, participant: &Participant) -> bool {
        participant.archived_at_seq.is_some_and(|seq| seq >= self.last_seq() || participant.mute != Mute::Off)
    }
}

impl Participant {
    /// Returns the read mark and the delivered mark that the user certainly reached. The initial marks are not counted:
    /// the server sets them when a user joins.
    pub fn certain_marks(&self) -> (i64, i64) {
        let moved = |mark: i64| if mark > self.initial_mark { mark } else { 0 };
        (self.former_marks.0.max(moved(self.read_mark)), self.former_marks.1.max(moved(self.delivered_mark)))
    }

    pub fn new(role: Role, joined_at: i64, mark: i64) -> Self {
        Self {
            current: true,
            role,
            joined_at,
            initial_mark: mark,
            read_mark: mark,
            delivered_mark: mark,
            former_marks: (0, 0),
            archived_at_seq: None,
            mute: Mute::Off,
            pinned: false,
            notify_level: 0,
        }
    }
}
