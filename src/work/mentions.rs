//! How use cases find the users that messages mention. Names are looked up together, after the locks, among the
//! participants of that moment. A batch without `@` in its texts needs no statement.

use super::tx::Tx;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::limits;
use crate::domain::mentions::{ALL, candidates};
use crate::error::Result;
use crate::store::messages::MessageRow;
use crate::store::messages::mentions::{self, NameKey, NewMention};
use std::collections::{HashMap, HashSet};

/// A text that may mention users.
pub struct MentionText {
    conversation_id: ConversationId,
    author: UserId,
    may_mention_all: bool,
    /// For each `@` the possible names, the longest first; see [`candidates`].
    names: Vec<Vec<String>>,
}

impl MentionText {
    /// Reads a text. `may_mention_all` says whether the role of its author allows `@all`.
    pub fn new(conversation_id: ConversationId, author: UserId, may_mention_all: bool, text: &str) -> Self {
        Self { conversation_id, author, may_mention_all, names: candidates(text) }
    }

    fn has_all(&self) -> bool {
        self.names.iter().flatten().any(|name| name == ALL)
    }
}

/// The users that the texts of one transaction can mention.
#[derive(Default)]
pub struct Mentionable {
    names: HashMap<NameKey, UserId>,
    /// Conversations in which an `@all` counts, because the last one is [`limits::MENTION_ALL_PAUSE`] ago.
    all_allowed: HashSet<ConversationId>,
    /// Conversations in which a text of this transaction mentions all.
    mentioned_all: HashSet<ConversationId>,
}

/// What one text mentions.
#[derive(Default)]
pub struct Mentioned {
    /// The mentioned users, each once, in the order of appearance.
    pub users: Vec<UserId>,
    /// Whether it mentions all participants.
    pub all: bool,
}

impl Mentionable {
    /// Looks up the users that `texts` may mention. Their conversations must be locked.
    pub async fn read<'t>(tx: &Tx, texts: impl Iterator<Item = &'t MentionText> + Clone) -> Result<Self> {
        let mut names = names_in(texts.clone());
        names.sort_unstable();
        names.dedup();
        let mut all: Vec<ConversationId> =
            texts.filter(|text| text.may_mention_all && text.has_all()).map(|text| text.conversation_id).collect();
        all.sort_unstable();
        all.dedup();
        Ok(Self {
            names: mentions::find_by_names(tx.conn(), &names).await?,
            all_allowed: mentions::without_mention_all_since(
                tx.conn(),
                &all,
                tx.now().minus(limits::MENTION_ALL_PAUSE),
            )
            .await?,
            mentioned_all: HashSet::new(),
        })
    }

    /// Returns what `text` mentions. Only the first `@all` of a transaction in a conversation counts.
    pub fn resolve(&mut self, text: &MentionText) -> Mentioned {
        let may_all = text.may_mention_all && self.all_allowed.contains(&text.conversation_id);
        let found = resolve(text, &self.names, may_all && !self.mentioned_all.contains(&text.conversation_id));
        if found.all {
            self.mentioned_all.insert(text.conversation_id);
        }
        found
    }

    /// Stores which conversations had an `@all`. It must be called after the last [`Self::resolve`].
    pub async fn save(&self, tx: &Tx) -> Result<()> {
        let mut conversations: Vec<ConversationId> = self.mentioned_all.iter().copied().collect();
        conversations.sort_unstable();
        Ok(mentions::set_mentioned_all(tx.conn(), &conversations, tx.now()).await?)
    }
}

fn names_in<'t>(texts: impl Iterator<Item = &'t MentionText>) -> Vec<NameKey> {
    let named = |text: &MentionText| {
        let names = text.names.iter().flatten().filter(|name| *name != ALL);
        names.map(|name| (text.conversation_id, name.clone())).collect::<Vec<_>>()
    };
    texts.flat_map(named).collect()
}

fn resolve(text: &MentionText, names: &HashMap<NameKey, UserId>, may_mention_all: bool) -> Mentioned {
    let mut found = Mentioned::default();
    let mut seen = HashSet::from([text.author]);
    for candidates in &text.names {
        for name in candidates {
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
    /// Returns the rows to store for the mentions of a message.
    pub fn rows(
        &self,
        conversation_id: ConversationId,
        seq: Seq,
        message_id: MessageId,
    ) -> impl Iterator<Item = NewMention> {
        self.users.iter().zip(0..).map(move |(user, index)| NewMention {
            user_id: *user,
            conversation_id,
            seq,
            message_id,
            index,
        })
    }
}

/// Replaces the mentions of a stored message by those of its new `text`. The conversation must be locked. An edit
/// cannot add an `@all`, but an earlier one stays while the text contains it.
pub async fn update(tx: &Tx, message: &MessageRow, text: &str) -> Result<Mentioned> {
    let Some(author) = message.sender_id() else { return Ok(Mentioned::default()) };
    let text = MentionText::new(message.conversation_id, author, false, text);
    let mentionable = Mentionable::read(tx, std::iter::once(&text)).await?;
    let found = resolve(&text, &mentionable.names, message.mentions_all);
    mentions::remove(tx.conn(), message.conversation_id, message.id).await?;
    let rows: Vec<NewMention> = found.rows(message.conversation_id, message.seq, message.id).collect();
    mentions::insert(tx.conn(), &rows).await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct TestConversation {
        id: ConversationId,
        author: UserId,
        users: HashMap<&'static str, UserId>,
    }

    impl TestConversation {
        fn new() -> Self {
            let users = ["ada", "bob", "bob.smith"].map(|name| (name, UserId::new()));
            Self { id: ConversationId::new(), author: UserId::new(), users: users.into_iter().collect() }
        }

        fn mentioned(&self, text: &str, may_mention_all: bool) -> (Vec<UserId>, bool) {
            let names = self.users.iter().map(|(name, user)| ((self.id, (*name).to_owned()), *user)).collect();
            let text = MentionText::new(self.id, self.author, may_mention_all, text);
            let found = resolve(&text, &names, may_mention_all);
            (found.users, found.all)
        }

        fn named(&self, text: &str) -> Vec<UserId> {
            self.mentioned(text, false).0
        }
    }

    #[test]
    fn each_user_is_mentioned_once_in_order_of_appearance() {
        let conversation = TestConversation::new();
        assert_eq!(
            conversation.named("@bob and @Ada and @BOB"),
            [conversation.users["bob"], conversation.users["ada"]]
        );
    }

    #[test]
    fn the_longest_existing_name_is_mentioned() {
        let conversation = TestConversation::new();
        assert_eq!(conversation.named("@bob.smith.jones"), [conversation.users["bob.smith"]]);
        assert_eq!(conversation.named("@bob.jones"), [conversation.users["bob"]]);
        assert_eq!(conversation.named("@bobby"), []);
    }

    #[test]
    fn all_and_named_users_are_mentioned_together() {
        let conversation = TestConversation::new();
        assert_eq!(
            conversation.mentioned("@all, and @bob.smith first", true),
            (vec![conversation.users["bob.smith"]], true)
        );
        assert_eq!(conversation.mentioned("@all and @ada", false), (vec![conversation.users["ada"]], false));
        assert_eq!(conversation.mentioned("@all.hands", true), (vec![], true));
    }
}
