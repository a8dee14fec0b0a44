//! Who types where: entries that end by themselves. A number tells one start from a later one, so that the timer of the
//! first does not end the second.

use crate::domain::ids::{ConversationId, UserId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The book, cheap to clone.
#[derive(Clone, Default)]
pub struct TypingBook(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    starts: u64,
    typing: HashMap<(ConversationId, UserId), u64>,
}

impl TypingBook {
    /// Notes that the user types, and returns the number of this start.
    pub fn start(&self, conversation: ConversationId, user: UserId) -> u64 {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.starts += 1;
        let start = book.starts;
        book.typing.insert((conversation, user), start);
        start
    }

    /// Notes that the user stopped; true when the user was typing.
    pub fn stop(&self, conversation: ConversationId, user: UserId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).typing.remove(&(conversation, user)).is_some()
    }

    /// Ends the start of that number; true when no later one has come and it was not stopped.
    pub fn expire(&self, conversation: ConversationId, user: UserId, start: u64) -> bool {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = book.typing.get(&(conversation, user)) == Some(&start);
        if current {
            book.typing.remove(&(conversation, user));
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_ends_only_its_own_start() {
        let (book, conversation, user) = (TypingBook::default(), ConversationId::new(), UserId::new());
        let first = book.start(conversation, user);
        let second = book.start(conversation, user);
        assert!(!book.expire(conversation, user, first));
        assert!(book.expire(conversation, user, second));
        assert!(!book.stop(conversation, user));
    }
}
