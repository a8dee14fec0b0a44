//! Whom the texts of messages mention. Names are looked up in sets, after the locks, among those who are in the
//! conversation at that moment; a batch whose texts hold no `@` asks the database nothing.

use super::transact::Tx;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::mentions::{ALL, candidates};
use crate::error::Result;
use crate::protocol::resources::Message;
use crate::store::mentions::{self, NameIn, NewMention};
use std::collections::{HashMap, HashSet};

/// A text that may mention somebody.
pub(super) struct Text {
    conversation_id: ConversationId,
    author: UserId,
    may_mention_all: bool,
    /// See [`candidates`].
    names: Vec<Vec<String>>,
}

impl Text {
    /// Reads a text; `may_mention_all` says whether its author may mention everybody there at once.
    pub(super) fn new(conversation_id: ConversationId, author: UserId, may_mention_all: bool, text: &str) -> Self {
        Self { conversation_id, author, may_mention_all, names: candidates(text) }
    }

    fn asks_for_all(&self) -> bool {
        self.names.iter().flatten().any(|name| name == ALL)
    }
}

/// Who can be mentioned by the texts of one transaction.
#[derive(Default)]
pub(super) struct Mentionable {
    names: HashMap<NameIn, UserId>,
    /// Everybody, where a text of this transaction may mention them at once.
    everybody: HashMap<ConversationId, Vec<UserId>>,
    /// Where a text has done it.
    mentioned: HashSet<ConversationId>,
}

/// Whom one text mentions.
#[derive(Default)]
pub(super) struct Mentioned {
    /// Each once: those named in order of appearance, then the others of an `@all`.
    users: Vec<UserId>,
    by_all: bool,
}

impl Mentionable {
    /// Looks up whom `texts` may mention; their conversations are locked.
    pub(super) async fn read<'t>(tx: &Tx, texts: impl Iterator<Item = &'t Text> + Clone) -> Result<Self> {
        let mut names = names_in(texts.clone());
        names.sort_unstable();
        names.dedup();
        let mut all: Vec<ConversationId> =
            texts.filter(|text| text.may_mention_all && text.asks_for_all()).map(|text| text.conversation_id).collect();
        all.sort_unstable();
        all.dedup();
        if !all.is_empty() {
            all = mentions::rested(tx.conn(), &all, tx.now().minus(limits::MENTION_ALL_PAUSE)).await?;
        }
        Ok(Self {
            names: mentions::named(tx.conn(), &names).await?,
            everybody: mentions::everybody(tx.conn(), &all).await?,
            mentioned: HashSet::new(),
        })
    }

    /// Whom `text` mentions. Of the texts that mention everybody the first alone does so.
    pub(super) fn resolve(&mut self, text: &Text) -> Mentioned {
        let everybody = if text.may_mention_all && !self.mentioned.contains(&text.conversation_id) {
            self.everybody.get(&text.conversation_id).map(Vec::as_slice)
        } else {
            None
        };
        let found = resolve(text, &self.names, everybody);
        if found.by_all {
            self.mentioned.insert(text.conversation_id);
        }
        found
    }

    /// Keeps in mind which conversations were mentioned as a whole; the last thing to be done with the texts.
    pub(super) async fn note(&self, tx: &Tx) -> Result<()> {
        let mut conversations: Vec<ConversationId> = self.mentioned.iter().copied().collect();
        conversations.sort_unstable();
        Ok(mentions::note_all(tx.conn(), &conversations, tx.now()).await?)
    }
}

fn names_in<'t>(texts: impl Iterator<Item = &'t Text>) -> Vec<NameIn> {
    let named = |text: &Text| {
        let names = text.names.iter().flatten().filter(|name| *name != ALL);
        names.map(|name| (text.conversation_id, name.clone())).collect::<Vec<_>>()
    };
    texts.flat_map(named).collect()
}

fn resolve(text: &Text, names: &HashMap<NameIn, UserId>, everybody: Option<&[UserId]>) -> Mentioned {
    let mut found = Mentioned::default();
    let mut seen = HashSet::from([text.author]);
    for meant in &text.names {
        for name in meant {
            if name == ALL {
                found.by_all |= everybody.is_some();
            } else if let Some(user) = names.get(&(text.conversation_id, name.clone())) {
                if seen.insert(*user) {
                    found.users.push(*user);
                }
                break;
            }
        }
    }
    if let Some(everybody) = everybody.filter(|_| found.by_all) {
        found.users.extend(everybody.iter().filter(|user| seen.insert(**user)));
    }
    found
}

impl Mentioned {
    /// As a message shows them.
    pub(super) fn shown(&self) -> Vec<UserId> {
        self.users.iter().take(limits::MENTIONS_SHOWN).copied().collect()
    }

    /// As they are stored.
    pub(super) fn rows(&self, message: &Message) -> impl Iterator<Item = NewMention> {
        let (conversation_id, seq, message_id, by_all) =
            (message.conversation_id, message.seq, message.id, self.by_all);
        self.users.iter().zip(0..).map(move |(user, position)| NewMention {
            user_id: *user,
            conversation_id,
            seq,
            message_id,
            position,
            by_all,
        })
    }
}

/// Has `message`, which is stored, mention whom its new `text` names, and returns them as it shows them. Its conversation
/// is locked. An edit mentions nobody by a new `@all`; one that was there stays, with those it mentioned, while the text
/// has it.
pub(super) async fn replace(tx: &Tx, message: &Message, text: &str) -> Result<Vec<UserId>> {
    let Some(author) = message.sender_id else { return Ok(Vec::new()) };
    let text = Text::new(message.conversation_id, author, false, text);
    let before = if text.asks_for_all() { mentions::by_all(tx.conn(), message.id).await? } else { Vec::new() };
    let mentionable = Mentionable::read(tx, std::iter::once(&text)).await?;
    let found = resolve(&text, &mentionable.names, Some(before.as_slice()).filter(|before| !before.is_empty()));
    mentions::clear(tx.conn(), message.id).await?;
    let rows: Vec<NewMention> = found.rows(message).collect();
    mentions::insert(tx.conn(), &rows).await?;
    Ok(found.shown())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Room {
        id: ConversationId,
        author: UserId,
        users: HashMap<&'static str, UserId>,
    }

    impl Room {
        fn new() -> Self {
            let users = ["ada", "bob", "bob.smith"].map(|name| (name, UserId::new()));
            Self { id: ConversationId::new(), author: UserId::new(), users: users.into_iter().collect() }
        }

        fn mentioned(&self, text: &str, everybody: bool) -> (Vec<UserId>, bool) {
            let names = self.users.iter().map(|(name, user)| ((self.id, (*name).to_owned()), *user)).collect();
            let mut all: Vec<UserId> = self.users.values().copied().chain([self.author]).collect();
            all.sort_unstable();
            let text = Text::new(self.id, self.author, everybody, text);
            let found = resolve(&text, &names, Some(all.as_slice()).filter(|_| everybody));
            (found.users, found.by_all)
        }

        fn named(&self, text: &str) -> Vec<UserId> {
            self.mentioned(text, false).0
        }
    }

    #[test]
    fn each_is_mentioned_once_in_order_of_appearance() {
        let room = Room::new();
        assert_eq!(room.named("@bob and @Ada and @BOB"), [room.users["bob"], room.users["ada"]]);
    }

    #[test]
    fn the_longest_name_that_somebody_has_is_meant() {
        let room = Room::new();
        assert_eq!(room.named("@bob.smith.jones"), [room.users["bob.smith"]]);
        assert_eq!(room.named("@bob.jones"), [room.users["bob"]]);
        assert_eq!(room.named("@bobby"), []);
    }

    #[test]
    fn everybody_comes_after_those_who_are_named_and_without_the_author() {
        let room = Room::new();
        let (users, by_all) = room.mentioned("@all, and @bob.smith first", true);
        assert!(by_all);
        assert_eq!((users.len(), users[0]), (3, room.users["bob.smith"]));
        assert!(!users.contains(&room.author));
        assert_eq!(room.mentioned("@all and @ada", false), (vec![room.users["ada"]], false));
    }
}
