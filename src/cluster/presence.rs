//! The registry of live sessions by user, and of grace periods, from which the presence of a user follows. Only the
//! presence actor writes it; all other parts read it.

use crate::domain::ids::{SessionId, UserId};
use crate::protocol::presence::PresenceStatus;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The presence of all users on this node. A clone shares the same data.
#[derive(Clone, Default)]
pub struct PresenceTable {
    users: Arc<RwLock<HashMap<UserId, UserPresence>>>,
}

#[derive(Default)]
struct UserPresence {
    /// The live sessions, oldest first, each with `true` if it is away.
    sessions: Vec<(SessionId, bool)>,
    /// The grace period after the last session ended: that session, and the status that the user keeps meanwhile.
    grace: Option<(SessionId, PresenceStatus)>,
}

impl UserPresence {
    fn status(&self) -> PresenceStatus {
        match self.sessions.iter().all(|(_, away)| *away) {
            false => PresenceStatus::Online,
            true if !self.sessions.is_empty() => PresenceStatus::Away,
            true => self.grace.map_or(PresenceStatus::Offline, |(_, status)| status),
        }
    }
}

impl PresenceTable {
    /// Returns the presence of a user; `Offline` for a user without sessions.
    pub fn status(&self, user: UserId) -> PresenceStatus {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.get(&user).map_or(PresenceStatus::Offline, UserPresence::status)
    }

    /// Returns those of `users` who are online or away.
    pub fn list_present(&self, users: impl IntoIterator<Item = UserId>) -> Vec<UserId> {
        let table = self.users.read().unwrap_or_else(PoisonError::into_inner);
        let is_present =
            |user: &UserId| table.get(user).is_some_and(|presence| presence.status() != PresenceStatus::Offline);
        users.into_iter().filter(is_present).collect()
    }

    /// Returns the number of live sessions of all users.
    pub fn session_count(&self) -> usize {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.values().map(|presence| presence.sessions.len()).sum()
    }

    /// Adds a session and ends a grace period of its user. Returns all live sessions of the user, the oldest first.
    pub fn add_session(&self, user: UserId, session: SessionId) -> Vec<SessionId> {
        self.update(user, |presence| {
            presence.grace = None;
            presence.sessions.push((session, false));
            presence.sessions.iter().map(|(session, _)| *session).collect()
        })
    }

    /// Removes a session. Returns true if it was the last one of the user, whose grace period begins now.
    pub fn remove_session(&self, user: UserId, session: SessionId) -> bool {
        self.update(user, |presence| {
            let (count_before, status) = (presence.sessions.len(), presence.status());
            presence.sessions.retain(|(id, _)| *id != session);
            let is_last = count_before > 0 && presence.sessions.is_empty();
            if is_last {
                presence.grace = Some((session, status));
            }
            is_last
        })
    }

    /// Ends the grace period that began when `session` ended. Returns false if that period is over because a session
    /// was added since. If the added session has ended too, it began another grace period, which continues.
    pub fn end_grace(&self, user: UserId, session: SessionId) -> bool {
        self.update(user, |presence| {
            let ends = presence.grace.is_some_and(|(last, _)| last == session);
            if ends {
                presence.grace = None;
            }
            ends
        })
    }

    /// Removes all sessions and grace periods.
    pub fn clear(&self) {
        self.users.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Stores whether a session is away. Does nothing if the session is not live.
    pub fn set_away(&self, user: UserId, session: SessionId, away: bool) {
        self.update(user, |presence| {
            if let Some(entry) = presence.sessions.iter_mut().find(|(id, _)| *id == session) {
                entry.1 = away;
            }
        });
    }

    fn update<T>(&self, user: UserId, update: impl FnOnce(&mut UserPresence) -> T) -> T {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let presence = users.entry(user).or_default();
        let result = update(presence);
        if presence.sessions.is_empty() && presence.grace.is_none() {
            users.remove(&user);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_online_then_away_and_after_the_grace_period_offline() {
        let table = PresenceTable::default();
        let (user, one, two) = (UserId::new(), SessionId::new(), SessionId::new());
        assert_eq!(table.add_session(user, one), [one]);
        assert_eq!(table.add_session(user, two), [one, two]);
        assert_eq!(table.session_count(), 2);
        table.set_away(user, one, true);
        assert_eq!(table.status(user), PresenceStatus::Online);
        table.set_away(user, two, true);
        assert_eq!(table.status(user), PresenceStatus::Away);
        assert!(!table.remove_session(user, one));
        assert!(table.remove_session(user, two));
        assert_eq!(table.status(user), PresenceStatus::Away, "the status stays during the grace period");
        assert!(table.end_grace(user, two));
        assert_eq!(table.status(user), PresenceStatus::Offline);
    }

    #[test]
    fn the_timer_of_one_grace_does_not_end_another() {
        let (table, user) = (PresenceTable::default(), UserId::new());
        let (first, second) = (SessionId::new(), SessionId::new());
        for session in [first, second] {
            table.add_session(user, session);
            assert!(table.remove_session(user, session));
        }
        assert!(!table.end_grace(user, first));
        assert_eq!(table.status(user), PresenceStatus::Online, "the second grace period continues");
        assert!(table.end_grace(user, second));
        assert_eq!(table.status(user), PresenceStatus::Offline);
    }

    #[test]
    fn a_session_added_during_the_grace_period_keeps_the_user_online() {
        let table = PresenceTable::default();
        let user = UserId::new();
        let first = SessionId::new();
        table.add_session(user, first);
        assert!(table.remove_session(user, first));
        table.add_session(user, SessionId::new());
        assert!(!table.end_grace(user, first));
        assert_eq!(table.status(user), PresenceStatus::Online);
    }
}
