//! Who types where: entries that end by themselves, and with the last session of their author that typed. A number tells
//! one start from a later one, so that the timer of the first does not end the second. Each entry remembers whom it was not
//! shown to, so that its end is shown to the same.

use crate::domain::ids::{ConversationId, SessionId, UserId};
use crate::protocol::server::Typing;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The book, cheap to clone.
#[derive(Clone, Default)]
pub struct TypingBook(Arc<Mutex<Inner>>);

/// Those who see nothing of it: the author, and whoever is apart from the author by a block.
pub type Unseeing = Arc<[UserId]>;

/// A session that may type, until it ends: what it was about to type then is not begun any more.
#[derive(Clone, Debug)]
pub struct Typist {
    session: SessionId,
    ended: Arc<AtomicBool>,
}

impl Typist {
    /// Of a session that lives.
    pub fn new(session: SessionId) -> Self {
        Self { session, ended: Arc::default() }
    }
}

/// What is to be told when somebody stopped typing.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// Who, and where.
    pub typing: Typing,
    /// Who does not hear of it, as of its beginning.
    pub unseeing: Unseeing,
}

#[derive(Default)]
struct Inner {
    starts: u64,
    typing: HashMap<ConversationId, HashMap<UserId, Entry>>,
}

struct Entry {
    /// The author's sessions that type, and the number of the newest start of each.
    sessions: HashMap<SessionId, u64>,
    told: Stopped,
}

impl Inner {
    fn remove(&mut self, conversation: ConversationId, user: UserId) -> Option<Stopped> {
        let typing = self.typing.get_mut(&conversation)?;
        let entry = typing.remove(&user)?;
        if typing.is_empty() {
            self.typing.remove(&conversation);
        }
        Some(entry.told)
    }

    /// Ends what one session types, if `ends` says so of its start; the author stops with the last of them.
    fn end(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        session: SessionId,
        ends: impl FnOnce(u64) -> bool,
    ) -> Option<Stopped> {
        let entry = self.typing.get_mut(&conversation)?.get_mut(&user)?;
        if !ends(*entry.sessions.get(&session)?) {
            return None;
        }
        entry.sessions.remove(&session);
        if entry.sessions.is_empty() { self.remove(conversation, user) } else { None }
    }
}

impl TypingBook {
    fn inner<R>(&self, of: impl FnOnce(&mut Inner) -> R) -> R {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that a session types what `told` says, and returns the number of this start; `None` when the session has
    /// ended meanwhile.
    pub fn start(&self, typist: &Typist, told: Stopped) -> Option<u64> {
        self.inner(|book| {
            if typist.ended.load(Ordering::Relaxed) {
                return None;
            }
            book.starts += 1;
            let start = book.starts;
            let typing = book.typing.entry(told.typing.conversation_id).or_default();
            let fresh = || Entry { sessions: HashMap::new(), told: told.clone() };
            let entry = typing.entry(told.typing.user_id).or_insert_with(fresh);
            entry.told = told;
            entry.sessions.insert(typist.session, start);
            Some(start)
        })
    }

    /// Notes that the user stopped, whatever session typed; `None` when the user was not typing.
    pub fn stop(&self, conversation: ConversationId, user: UserId) -> Option<Stopped> {
        self.inner(|book| book.remove(conversation, user))
    }

    /// Notes that one session stopped; `None` when it was not typing, or another of the user's still is.
    pub fn pause(&self, conversation: ConversationId, user: UserId, typist: &Typist) -> Option<Stopped> {
        self.inner(|book| book.end(conversation, user, typist.session, |_| true))
    }

    /// Ends the start of that number; `None` when a later one of the session has come, it was stopped, or another session
    /// of the user's still types.
    pub fn expire(&self, conversation: ConversationId, user: UserId, typist: &Typist, start: u64) -> Option<Stopped> {
        self.inner(|book| book.end(conversation, user, typist.session, |current| current == start))
    }

    /// Notes that a session of the user ended; returns what ended with it.
    pub fn close(&self, user: UserId, typist: &Typist) -> Vec<Stopped> {
        self.inner(|book| {
            typist.ended.store(true, Ordering::Relaxed);
            let types = |typing: &HashMap<UserId, Entry>| {
                typing.get(&user).is_some_and(|entry| entry.sessions.contains_key(&typist.session))
            };
            let places: Vec<_> =
                book.typing.iter().filter(|(_, typing)| types(typing)).map(|(place, _)| *place).collect();
            places.into_iter().filter_map(|place| book.end(place, user, typist.session, |_| true)).collect()
        })
    }

    /// Has `viewer` see nothing more of what `author` types, and returns what was seen.
    pub fn hide(&self, author: UserId, viewer: UserId) -> Vec<Typing> {
        self.inner(|book| {
            let mut hidden = Vec::new();
            for typing in book.typing.values_mut() {
                let Some(Entry { told, .. }) = typing.get_mut(&author) else { continue };
                if !told.unseeing.contains(&viewer) {
                    told.unseeing = told.unseeing.iter().copied().chain([viewer]).collect();
                    hidden.push(told.typing.clone());
                }
            }
            hidden
        })
    }

    /// Who types in the conversation, as `viewer` may see it.
    pub fn seen_by(&self, viewer: UserId, conversation: ConversationId) -> Vec<UserId> {
        self.inner(|book| {
            let typing = book.typing.get(&conversation).into_iter().flatten();
            typing.filter(|(_, entry)| !entry.told.unseeing.contains(&viewer)).map(|(user, _)| *user).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(conversation_id: ConversationId, user_id: UserId, unseeing: &[UserId]) -> Stopped {
        let typing =
            Typing { conversation_id, user_id, username: "author".to_owned(), display_name: "Author".to_owned() };
        Stopped { typing, unseeing: unseeing.into() }
    }

    fn typist() -> Typist {
        Typist::new(SessionId::new())
    }

    #[test]
    fn a_timer_ends_only_its_own_start() {
        let (book, conversation, user) = (TypingBook::default(), ConversationId::new(), UserId::new());
        let device = typist();
        let first = book.start(&device, told(conversation, user, &[user])).unwrap();
        let second = book.start(&device, told(conversation, user, &[user])).unwrap();
        assert!(book.expire(conversation, user, &device, first).is_none());
        assert_eq!(book.expire(conversation, user, &device, second).unwrap().unseeing.as_ref(), [user]);
        assert!(book.stop(conversation, user).is_none());
    }

    #[test]
    fn the_author_stops_with_the_last_session_that_types() {
        let (book, user) = (TypingBook::default(), UserId::new());
        let (here, there) = (ConversationId::new(), ConversationId::new());
        let (phone, laptop, idle) = (typist(), typist(), typist());
        for device in [&phone, &laptop] {
            book.start(device, told(here, user, &[user])).unwrap();
        }
        book.start(&laptop, told(there, user, &[user])).unwrap();
        assert!(book.pause(here, user, &idle).is_none() && book.close(user, &idle).is_empty());
        assert!(book.pause(here, user, &phone).is_none(), "the laptop types");
        let ended: Vec<_> =
            book.close(user, &laptop).into_iter().map(|stopped| stopped.typing.conversation_id).collect();
        assert!(ended.len() == 2 && ended.contains(&here) && ended.contains(&there));
        assert!(book.start(&laptop, told(here, user, &[user])).is_none(), "what was on its way comes too late");
        assert_eq!(book.seen_by(UserId::new(), here), []);
    }

    #[test]
    fn whoever_sends_stops_on_every_session() {
        let (book, conversation, user) = (TypingBook::default(), ConversationId::new(), UserId::new());
        for device in [typist(), typist()] {
            book.start(&device, told(conversation, user, &[user])).unwrap();
        }
        assert!(book.stop(conversation, user).is_some() && book.stop(conversation, user).is_none());
    }

    #[test]
    fn whoever_may_not_see_the_start_does_not_see_who_types() {
        let (book, conversation) = (TypingBook::default(), ConversationId::new());
        let (author, apart, other) = (UserId::new(), UserId::new(), UserId::new());
        book.start(&typist(), told(conversation, author, &[author, apart])).unwrap();
        assert_eq!(book.seen_by(other, conversation), [author]);
        assert_eq!(book.seen_by(author, conversation), []);
        assert_eq!(book.seen_by(apart, conversation), []);
        assert_eq!(book.seen_by(other, ConversationId::new()), []);
        assert!(book.hide(author, apart).is_empty());
        assert_eq!(book.hide(author, other).len(), 1);
        assert_eq!(book.seen_by(other, conversation), []);
        assert_eq!(book.stop(conversation, author).unwrap().unseeing.as_ref(), [author, apart, other]);
    }
}
