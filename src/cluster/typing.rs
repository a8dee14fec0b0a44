//! Who types where: entries that end by themselves. A number tells one start from a later one, so that the timer of the
//! first does not end the second. Each entry remembers whom it was not shown to, so that its end is shown to the same.

use crate::domain::ids::{ConversationId, UserId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The book, cheap to clone.
#[derive(Clone, Default)]
pub struct TypingBook(Arc<Mutex<Inner>>);

/// Those who see nothing of it: the author, and whoever is apart from the author by a block.
pub type Unseeing = Arc<[UserId]>;

#[derive(Default)]
struct Inner {
    starts: u64,
    typing: HashMap<ConversationId, HashMap<UserId, Entry>>,
}

struct Entry {
    start: u64,
    unseeing: Unseeing,
}

impl Inner {
    fn remove(&mut self, conversation: ConversationId, user: UserId) -> Option<Unseeing> {
        let typing = self.typing.get_mut(&conversation)?;
        let entry = typing.remove(&user)?;
        if typing.is_empty() {
            self.typing.remove(&conversation);
        }
        Some(entry.unseeing)
    }
}

impl TypingBook {
    /// Notes that the user types, and returns the number of this start.
    pub fn start(&self, conversation: ConversationId, user: UserId, unseeing: Unseeing) -> u64 {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.starts += 1;
        let start = book.starts;
        book.typing.entry(conversation).or_default().insert(user, Entry { start, unseeing });
        start
    }

    /// Notes that the user stopped; `None` when the user was not typing.
    pub fn stop(&self, conversation: ConversationId, user: UserId) -> Option<Unseeing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(conversation, user)
    }

    /// Ends the start of that number; `None` when a later one has come or it was stopped.
    pub fn expire(&self, conversation: ConversationId, user: UserId, start: u64) -> Option<Unseeing> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = book.typing.get(&conversation)?.get(&user)?.start == start;
        if current { book.remove(conversation, user) } else { None }
    }

    /// Has `viewer` see nothing more of what `author` types, and returns where it was seen.
    pub fn hide(&self, author: UserId, viewer: UserId) -> Vec<ConversationId> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hidden = Vec::new();
        for (conversation, typing) in &mut book.typing {
            let Some(entry) = typing.get_mut(&author) else { continue };
            if !entry.unseeing.contains(&viewer) {
                entry.unseeing = entry.unseeing.iter().copied().chain([viewer]).collect();
                hidden.push(*conversation);
            }
        }
        hidden
    }

    /// Who types in the conversation, as `viewer` may see it.
    pub fn seen_by(&self, viewer: UserId, conversation: ConversationId) -> Vec<UserId> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let typing = book.typing.get(&conversation).into_iter().flatten();
        typing.filter(|(_, entry)| !entry.unseeing.contains(&viewer)).map(|(user, _)| *user).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_ends_only_its_own_start() {
        let (book, conversation, user) = (TypingBook::default(), ConversationId::new(), UserId::new());
        let unseeing: Unseeing = Arc::new([user]);
        let first = book.start(conversation, user, unseeing.clone());
        let second = book.start(conversation, user, unseeing.clone());
        assert_eq!(book.expire(conversation, user, first), None);
        assert_eq!(book.expire(conversation, user, second), Some(unseeing));
        assert_eq!(book.stop(conversation, user), None);
    }

    #[test]
    fn whoever_may_not_see_the_start_does_not_see_who_types() {
        let (book, conversation) = (TypingBook::default(), ConversationId::new());
        let (author, apart, other) = (UserId::new(), UserId::new(), UserId::new());
        book.start(conversation, author, Arc::new([author, apart]));
        assert_eq!(book.seen_by(other, conversation), [author]);
        assert_eq!(book.seen_by(author, conversation), []);
        assert_eq!(book.seen_by(apart, conversation), []);
        assert_eq!(book.seen_by(other, ConversationId::new()), []);
        assert_eq!(book.hide(author, apart), []);
        assert_eq!(book.hide(author, other), [conversation]);
        assert_eq!(book.seen_by(other, conversation), []);
        assert_eq!(book.stop(conversation, author).as_deref(), Some(&[author, apart, other][..]));
    }
}
