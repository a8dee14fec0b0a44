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
    /// Where a text of this transaction may mention everybody.
    rested: HashSet<ConversationId>,
    /// Where a text has done it.
    mentioned: HashSet<ConversationId>,
}

/// Whom one text mentions.
#[derive(Default)]
pub(super) struct Mentioned {
    /// Those named, each once, in order of appearance.
    pub(super) users: Vec<UserId>,
    /// Whether it mentions everybody.
    pub(super) all: bool,
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
        Ok(Self {
            names: mentions::named(tx.conn(), &names).await?,
            rested: mentions::rested(tx.conn(), &all, tx.now().minus(limits::MENTION_ALL_PAUSE)).await?,
            mentioned: HashSet::new(),
        })
    }

    /// Whom `text` mentions. Of the texts that mention everybody the first alone does so.
    pub(super) fn resolve(&mut self, text: &Text) -> Mentioned {
        let may_all = text.may_mention_all && self.rested.contains(&text.conversation_id);
        let found = resolve(text, &self.names, may_all && !self.mentioned.contains(&text.conversation_id));
        if found.all {
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

fn resolve(text: &Text, names: &HashMap<NameIn, UserId>, may_mention_all: bool) -> Mentioned {
    let mut found = Mentioned::default();
    let mut seen = HashSet::from([text.author]);
    for meant in &text.names {
        for name in meant {
            if name == ALL {
                found.all |= may_mention_all;
                break;
            }
            if let Some(user) = names.get(&(text.conversation_id, name.clone())) {
                if seen.insert(*user) {
                    found.users.push(*user);
                }
                break;
            }
        }
    }
    found
}

impl Mentioned {
    /// As those named are stored.
    pub(super) fn rows(&self, message: &Message) -> impl Iterator<Item = NewMention> {
        let (conversation_id, seq, message_id) = (message.conversation_id, message.seq, message.id);
        self.users.iter().zip(0..).map(move |(user, position)| NewMention {
            user_id: *user,
            conversation_id,
            seq,
            message_id,
            position,
        })
    }
}

/// Has `message`, which is stored, mention whom its new `text` names. Its conversation is locked. An edit mentions nobody by
/// a new `@all`; one that was there stays while the text has it.
pub(super) async fn replace(tx: &Tx, message: &Message, text: &str) -> Result<Mentioned> {
    let Some(author) = message.sender_id else { return Ok(Mentioned::default()) };
    let text = Text::new(message.conversation_id, author, false, text);
    let mentionable = Mentionable::read(tx, std::iter::once(&text)).await?;
    let found = resolve(&text, &mentionable.names, message.mentions_all);
    mentions::clear(tx.conn(), message.id).await?;
    let rows: Vec<NewMention> = found.rows(message).collect();
    mentions::insert(tx.conn(), &rows).await?;
    Ok(found)
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

        fn mentioned(&self, text: &str, may_mention_all: bool) -> (Vec<UserId>, bool) {
            let names = self.users.iter().map(|(name, user)| ((self.id, (*name).to_owned()), *user)).collect();
            let text = Text::new(self.id, self.author, may_mention_all, text);
            let found = resolve(&text, &names, may_mention_all);
            (found.users, found.all)
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
    fn everybody_is_mentioned_beside_those_who_are_named() {
        let room = Room::new();
        assert_eq!(room.mentioned("@all, and @bob.smith first", true), (vec![room.users["bob.smith"]], true));
        assert_eq!(room.mentioned("@all and @ada", false), (vec![room.users["ada"]], false));
        assert_eq!(room.mentioned("@all.hands", true), (vec![], true));
    }
}
