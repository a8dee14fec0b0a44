//! How use cases find the users that messages mention. Names are looked up together, after the locks, among the
//! participants of that moment. A batch without `@` in its texts needs no statement.

use super::tx::Tx;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::domain::mentions::{ALL, candidates};
use crate::error::Result;
use crate::store::messages::MessageRow;
use crate::store::messages::mentions::{self, NameKey, NewMention};
use std::collections::{HashMap, HashSet};

/// A text that may mention users.
pub struct MentionText {
    conversation_id: ConversationId,
    author: UserId,
    /// For each `@` the possible names, the longest first; see [`candidates`].
    names: Vec<Vec<String>>,
}

impl MentionText {
    /// Reads a text.
    pub fn new(conversation_id: ConversationId, author: UserId, text: &str) -> Self {
        Self { conversation_id, author, names: candidates(text) }
    }

    /// Returns the names to look up, with the conversation of the text.
    pub fn name_keys(&self) -> impl Iterator<Item = NameKey> {
        let names = self.names.iter().flatten().filter(|name| *name != ALL);
        names.map(|name| (self.conversation_id, name.clone()))
    }

    /// Returns what the text mentions if `names` are the users of its names. An `@all` counts if `may_mention_all`.
    pub fn resolve(&self, names: &HashMap<NameKey, UserId>, may_mention_all: bool) -> Mentioned {
        let mut found = Mentioned::default();
        let mut seen = HashSet::from([self.author]);
        for candidates in &self.names {
            for name in candidates {
                if name == ALL {
                    found.all |= may_mention_all;
                    break;
                }
                if let Some(user) = names.get(&(self.conversation_id, name.clone())) {
                    if seen.insert(*user) {
                        found.users.push(*user);
                    }
                    break;
                }
            }
        }
        found
    }
}

/// What one text mentions.
#[derive(Default)]
pub struct Mentioned {
    /// The mentioned users, each once, in the order of appearance.
    pub users: Vec<UserId>,
    /// Whether it mentions all participants.
    pub all: bool,
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
    let text = MentionText::new(message.conversation_id, author, text);
    let mut keys: Vec<NameKey> = text.name_keys().collect();
    keys.sort_unstable();
    keys.dedup();
    let found = text.resolve(&mentions::find_by_names(tx.conn(), &keys).await?, message.mentions_all);
    mentions::remove(tx.conn(), message.conversation_id, message.id).await?;
    let rows: Vec<NewMention> = found.rows(message.conversation_id, message.seq, message.id).collect();
    if let Some(write) = mentions::insert(&rows) {
        write.run(tx.conn()).await?;
    }
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
            let text = MentionText::new(self.id, self.author, text);
            let found = text.resolve(&names, may_mention_all);
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
