//! The rules of conversations and messages in memory, as the contract with clients has them: what there is, and what is
//! derived from it. Users, conversations and emoji are numbers here. What may be done is decided in `judge.rs`, what it
//! changes stands in `act.rs`, and what a user is then shown in `shown.rs`. Nothing here knows the server's code.

use super::commands::{Command, Mute, Role, What};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything.
pub struct Model {
    /// Ids and usernames.
    pub users: Vec<Identity>,
    /// Whoever shares what they have read.
    pub sharing: Vec<bool>,
    /// Who blocked whom.
    pub blocks: BTreeSet<(usize, usize)>,
    pub conversations: Vec<Conversation>,
    /// What was first sent under which `temp_id`, by whom and where.
    pub sent: BTreeMap<(usize, usize, String), Sent>,
    /// What first made a group under which number of whose `temp_id`s.
    pub made: BTreeMap<(usize, u8), Made>,
    /// Counts what happens: who joined earlier, which conversation spoke last.
    pub clock: i64,
}

pub struct Identity {
    pub id: String,
    pub username: String,
}

/// A send as it was first made.
#[derive(Clone)]
pub struct Sent {
    pub seq: i64,
    pub what: What,
    pub reply: Option<usize>,
    pub temp: u8,
}

/// A group as it was first asked for, and where it is.
#[derive(Clone)]
pub struct Made {
    pub with: Vec<usize>,
    pub name: u8,
    pub place: usize,
}

pub struct Conversation {
    pub direct: bool,
    pub name: Option<String>,
    pub description: Option<String>,
    pub created_by: usize,
    pub seats: BTreeMap<usize, Seat>,
    pub messages: Vec<Message>,
    /// When it last spoke, or was made.
    pub active: i64,
    /// Whether somebody has said `@all`: a case is over within the minute.
    pub called: bool,
}

/// Somebody who is, or was, in a conversation.
#[derive(Clone)]
pub struct Seat {
    pub inside: bool,
    pub role: Role,
    pub joined: i64,
    /// The mark with which it began.
    pub from: i64,
    pub read: i64,
    pub delivered: i64,
    /// How far whoever came back had read and acknowledged before.
    pub former: (i64, i64),
    /// The newest message when it was archived.
    pub archived: Option<i64>,
    pub muted: Mute,
    pub pinned: bool,
    pub notify: usize,
}

#[derive(Default)]
pub struct Message {
    pub seq: i64,
    /// None: the server.
    pub sender: Option<usize>,
    pub kind: &'static str,
    pub content: String,
    pub data: Value,
    pub reply: Option<i64>,
    pub mentions: BTreeSet<usize>,
    pub mentions_all: bool,
    /// Who reacted, by emoji.
    pub reactions: BTreeMap<usize, BTreeSet<usize>>,
    pub pinned: bool,
    pub former: Vec<String>,
    pub edited: bool,
    pub deleted: bool,
    pub hidden: BTreeSet<usize>,
    pub temp: Option<String>,
}

impl Model {
    pub fn new(users: Vec<Identity>) -> Self {
        let sharing = vec![true; users.len()];
        let (sent, made) = (BTreeMap::new(), BTreeMap::new());
        Self { users, sharing, blocks: BTreeSet::new(), conversations: Vec::new(), sent, made, clock: 0 }
    }

    pub fn tick(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    /// One of the user's conversations, the first of them more often; now and then a direct one, or any.
    pub fn pick_conversation(&self, by: usize, pick: usize) -> Option<usize> {
        let all: Vec<usize> = (0..self.conversations.len()).collect();
        let own: Vec<usize> = all.iter().copied().filter(|place| self.is_in(by, *place)).collect();
        let among = match pick % 10 {
            9 => all,
            0..5 => own.iter().copied().take(2).collect(),
            8 => own.iter().copied().filter(|place| self.conversations[*place].direct).collect(),
            _ => own.clone(),
        };
        let among = if among.is_empty() { own } else { among };
        (!among.is_empty()).then(|| among[(pick / 10) % among.len()])
    }

    /// A conversation that the user has archived, at least once.
    pub fn pick_archived(&self, by: usize) -> Option<usize> {
        (0..self.conversations.len()).find(|place| self.seat(by, *place).is_some_and(|seat| seat.archived.is_some()))
    }

    /// A conversation that the user has muted.
    pub fn pick_muted(&self, by: usize) -> Option<usize> {
        (0..self.conversations.len()).find(|place| self.seat(by, *place).is_some_and(|seat| seat.muted != Mute::Off))
    }

    /// A group, and somebody who may manage it.
    pub fn pick_manager(&self, pick: usize) -> Option<(usize, usize)> {
        let mut managers = Vec::new();
        for (place, conversation) in self.conversations.iter().enumerate().filter(|(_, it)| !it.direct) {
            let inside = conversation.inside().filter(|(_, seat)| seat.role >= Role::Admin);
            managers.extend(inside.map(|(user, _)| (place, user)));
        }
        (!managers.is_empty()).then(|| managers[pick % managers.len()])
    }

    /// One of the newest messages that the user has not hidden (only `Hide` picks those too), mostly such a one as the
    /// command is for.
    pub fn pick_message(&self, place: usize, by: usize, pick: usize, command: &Command) -> Option<usize> {
        let messages = &self.conversations[place].messages;
        let again = matches!(command, Command::Hide { .. });
        let all: Vec<&Message> =
            messages.iter().rev().filter(|message| again || !message.hidden.contains(&by)).collect();
        let quoted = |seq: i64| messages.iter().any(|message| message.reply == Some(seq));
        let is_for = |message: &&&Message| match command {
            Command::Edit { .. } => message.sender == Some(by) && !message.deleted,
            Command::Delete { .. } if !pick.is_multiple_of(3) => {
                message.pinned || !message.reactions.is_empty() || quoted(message.seq)
            }
            Command::Delete { .. } => message.sender == Some(by),
            Command::Unreact { .. } => message.reactions.values().any(|who| who.contains(&by)),
            Command::UnpinMessage { .. } => message.pinned,
            _ => true,
        };
        let best: Vec<&Message> = all.iter().filter(is_for).copied().collect();
        let among = if pick % 8 == 7 || best.is_empty() { all } else { best };
        (!among.is_empty()).then(|| among[(pick / 8) % among.len().min(6)].seq as usize)
    }

    /// Something that the user sent with a `temp_id`.
    pub fn pick_sent(&self, place: usize, by: usize, pick: usize) -> Option<&Sent> {
        let mine = |key: &(usize, usize, String)| key.0 == by && key.1 == place;
        let sent: Vec<&Sent> = self.sent.iter().filter(|(key, _)| mine(key)).map(|(_, sent)| sent).collect();
        (!sent.is_empty()).then(|| sent[pick % sent.len()])
    }

    /// A group that the user made with a `temp_id`, and its number.
    pub fn pick_made(&self, by: usize, pick: usize) -> Option<(u8, &Made)> {
        let made: Vec<_> = self.made.iter().filter(|((maker, _), _)| *maker == by).collect();
        (!made.is_empty()).then(|| made[pick % made.len()]).map(|((_, temp), made)| (*temp, made))
    }

    pub fn is_in(&self, user: usize, place: usize) -> bool {
        self.seat(user, place).is_some()
    }

    /// The seat of a participant.
    pub fn seat(&self, user: usize, place: usize) -> Option<&Seat> {
        self.conversations[place].seats.get(&user).filter(|seat| seat.inside)
    }

    pub fn blocked_between(&self, one: usize, other: usize) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    /// Whether a block stands between the two of a direct conversation.
    pub fn is_blocked(&self, place: usize) -> bool {
        let conversation = &self.conversations[place];
        let users: Vec<usize> = conversation.seats.keys().copied().collect();
        conversation.direct && self.blocked_between(users[0], users[1])
    }

    /// The direct conversation of two.
    pub fn direct(&self, one: usize, other: usize) -> Option<usize> {
        self.conversations.iter().position(|conversation| {
            conversation.direct && conversation.seats.contains_key(&one) && conversation.seats.contains_key(&other)
        })
    }

    /// Whether receipts pass between two users.
    pub fn receipts(&self, one: usize, other: usize) -> bool {
        self.sharing[one] && self.sharing[other] && !self.blocked_between(one, other)
    }

    /// The `temp_id` that a user calls a number by.
    pub fn temp_id(&self, by: usize, number: u8) -> String {
        format!("{}-{number}", self.users[by].username)
    }
}

impl Conversation {
    pub fn inside(&self) -> impl Iterator<Item = (usize, &Seat)> {
        self.seats.iter().filter(|(_, seat)| seat.inside).map(|(user, seat)| (*user, seat))
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

    /// The messages in `after..=to` that count as unread for a user.
    pub fn count(&self, user: usize, after: i64, to: i64) -> i64 {
        let within = |message: &&Message| message.seq > after && message.seq <= to;
        let counts = |message: &&Message| message.sender.is_some() && !message.hidden.contains(&user);
        self.messages.iter().filter(within).filter(counts).count() as i64
    }

    /// The newest message that the user has not hidden.
    pub fn last_message(&self, user: usize) -> Option<&Message> {
        self.messages.iter().rev().find(|message| !message.hidden.contains(&user))
    }

    /// Whether it is archived for whoever has this seat: since then no message came, or it is muted.
    pub fn is_archived(&self, seat: &Seat) -> bool {
        seat.archived.is_some_and(|at| at >= self.last_seq() || seat.muted != Mute::Off)
    }
}

impl Seat {
    /// How far its user has read and acknowledged for certain: the marks with which it began tell nothing.
    pub fn reached(&self) -> (i64, i64) {
        let moved = |mark: i64| if mark > self.from { mark } else { 0 };
        (self.former.0.max(moved(self.read)), self.former.1.max(moved(self.delivered)))
    }

    pub fn new(role: Role, joined: i64, read: i64) -> Self {
        Self {
            inside: true,
            role,
            joined,
            from: read,
            read,
            delivered: read,
            former: (0, 0),
            archived: None,
            muted: Mute::Off,
            pinned: false,
            notify: 0,
        }
    }
}
