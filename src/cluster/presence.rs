//! Who is there: the book of live sessions by user. The presence actor writes it, everybody reads it.

use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::protocol::resources::PresenceStatus;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The book, cheap to clone.
#[derive(Clone, Default)]
pub struct PresenceBook {
    users: Arc<RwLock<HashMap<UserId, Entry>>>,
    /// When users were last there, as far as it is not written down yet.
    seen: Arc<Mutex<HashMap<UserId, Timestamp>>>,
}

#[derive(Default)]
struct Entry {
    /// Live sessions, the oldest first, and whether each is away.
    sessions: Vec<(SessionId, bool)>,
    /// Which session ended last and what the user was then, while the grace after it runs.
    lingering: Option<(SessionId, PresenceStatus)>,
}

impl Entry {
    fn status(&self) -> PresenceStatus {
        match self.sessions.iter().all(|(_, away)| *away) {
            false => PresenceStatus::Online,
            true if !self.sessions.is_empty() => PresenceStatus::Away,
            true => self.lingering.map_or(PresenceStatus::Offline, |(_, status)| status),
        }
    }
}

impl PresenceBook {
    /// Whether the user is there.
    pub fn status(&self, user: UserId) -> PresenceStatus {
        let book = self.users.read().unwrap_or_else(PoisonError::into_inner);
        book.get(&user).map_or(PresenceStatus::Offline, Entry::status)
    }

    /// Those of `users` who are online or away.
    pub fn there(&self, users: impl IntoIterator<Item = UserId>) -> Vec<UserId> {
        let book = self.users.read().unwrap_or_else(PoisonError::into_inner);
        let is_there = |user: &UserId| book.get(user).is_some_and(|entry| entry.status() != PresenceStatus::Offline);
        users.into_iter().filter(is_there).collect()
    }

    /// How many sessions are live.
    pub fn sessions(&self) -> usize {
        let book = self.users.read().unwrap_or_else(PoisonError::into_inner);
        book.values().map(|entry| entry.sessions.len()).sum()
    }

    /// Notes a session and returns those beyond `most`, the oldest first.
    pub fn open(&self, user: UserId, session: SessionId, most: usize) -> Vec<SessionId> {
        self.change(user, |entry| {
            entry.lingering = None;
            entry.sessions.push((session, false));
            let surplus = entry.sessions.len().saturating_sub(most);
            entry.sessions.drain(..surplus).map(|(session, _)| session).collect()
        })
    }

    /// Forgets a session; true when it was the user's last, whose grace begins now.
    pub fn close(&self, user: UserId, session: SessionId) -> bool {
        self.change(user, |entry| {
            let (before, status) = (entry.sessions.len(), entry.status());
            entry.sessions.retain(|(id, _)| *id != session);
            let last = before > 0 && entry.sessions.is_empty();
            if last {
                entry.lingering = Some((session, status));
            }
            last
        })
    }

    /// Ends the grace that began with the end of a session; true when no session has come meanwhile. A session that came
    /// and went since has a grace of its own.
    pub fn end_grace(&self, user: UserId, session: SessionId) -> bool {
        self.change(user, |entry| {
            let ends = entry.lingering.is_some_and(|(last, _)| last == session);
            if ends {
                entry.lingering = None;
            }
            ends
        })
    }

    /// Forgets who is there, and who was a moment ago.
    pub fn forget_all(&self) {
        self.users.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Notes whether a session is away.
    pub fn set_away(&self, user: UserId, session: SessionId, away: bool) {
        self.change(user, |entry| {
            if let Some(noted) = entry.sessions.iter_mut().find(|(id, _)| *id == session) {
                noted.1 = away;
            }
        });
    }

    /// Notes when a user was last there, to be written down with others.
    pub fn note_seen(&self, user: UserId, at: Timestamp) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(user, at);
    }

    /// Takes what is to be written down.
    pub fn take_seen(&self) -> Vec<(UserId, Timestamp)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    fn change<T>(&self, user: UserId, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut book = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let entry = book.entry(user).or_default();
        let result = change(entry);
        if entry.sessions.is_empty() && entry.lingering.is_none() {
            book.remove(&user);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_online_away_and_after_the_grace_offline() {
        let book = PresenceBook::default();
        let (user, one, two) = (UserId::new(), SessionId::new(), SessionId::new());
        assert!(book.open(user, one, 20).is_empty());
        assert!(book.open(user, two, 20).is_empty());
        book.set_away(user, one, true);
        assert_eq!(book.status(user), PresenceStatus::Online);
        book.set_away(user, two, true);
        assert_eq!(book.status(user), PresenceStatus::Away);
        assert!(!book.close(user, one));
        assert!(book.close(user, two));
        assert_eq!(book.status(user), PresenceStatus::Away, "the grace runs, and changes nothing");
        assert!(book.end_grace(user, two));
        assert_eq!(book.status(user), PresenceStatus::Offline);
    }

    #[test]
    fn the_timer_of_one_grace_does_not_end_another() {
        let (book, user) = (PresenceBook::default(), UserId::new());
        let (first, second) = (SessionId::new(), SessionId::new());
        for session in [first, second] {
            book.open(user, session, 20);
            assert!(book.close(user, session));
        }
        assert!(!book.end_grace(user, first));
        assert_eq!(book.status(user), PresenceStatus::Online, "the second one runs");
        assert!(book.end_grace(user, second));
        assert_eq!(book.status(user), PresenceStatus::Offline);
    }

    #[test]
    fn a_session_that_comes_within_the_grace_keeps_the_user_there() {
        let book = PresenceBook::default();
        let user = UserId::new();
        let first = SessionId::new();
        book.open(user, first, 20);
        assert!(book.close(user, first));
        book.open(user, SessionId::new(), 20);
        assert!(!book.end_grace(user, first));
        assert_eq!(book.status(user), PresenceStatus::Online);
    }

    #[test]
    fn the_oldest_session_goes_when_there_are_too_many() {
        let book = PresenceBook::default();
        let user = UserId::new();
        let sessions: Vec<SessionId> = (0..3).map(|_| SessionId::new()).collect();
        assert!(book.open(user, sessions[0], 2).is_empty());
        assert!(book.open(user, sessions[1], 2).is_empty());
        assert_eq!(book.open(user, sessions[2], 2), [sessions[0]]);
        assert_eq!(book.sessions(), 2);
    }
}
