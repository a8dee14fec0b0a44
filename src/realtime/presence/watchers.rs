//! Which session of this node watches the presence of which users. Whether it may see them is checked elsewhere.

use crate::domain::ids::{SessionId, UserId};
use crate::domain::limits;
use std::collections::{HashMap, HashSet};

/// The watches, by user and by session. Both maps have the same pairs.
#[derive(Default)]
pub(super) struct Watchers {
    by_user: HashMap<UserId, HashSet<SessionId>>,
    by_session: HashMap<SessionId, HashSet<UserId>>,
}

impl Watchers {
    /// Lets a session watch users. Those above [`limits::PRESENCE_WATCHED`] are left out.
    pub fn watch(&mut self, session: SessionId, users: Vec<UserId>) {
        let watched = self.by_session.entry(session).or_default();
        for user in users {
            if watched.len() >= limits::PRESENCE_WATCHED {
                break;
            }
            watched.insert(user);
            self.by_user.entry(user).or_default().insert(session);
        }
    }

    /// Ends the watches of a session over these users.
    pub fn unwatch(&mut self, session: SessionId, users: &[UserId]) {
        let Some(watched) = self.by_session.get_mut(&session) else { return };
        for user in users {
            watched.remove(user);
        }
        if watched.is_empty() {
            self.by_session.remove(&session);
        }
        self.remove_from_users(session, users);
    }

    /// Ends all watches of a session.
    pub fn remove_session(&mut self, session: SessionId) {
        let users: Vec<UserId> = self.by_session.remove(&session).into_iter().flatten().collect();
        self.remove_from_users(session, &users);
    }

    /// Returns the sessions that watch a user.
    pub fn list_sessions(&self, user: UserId) -> impl Iterator<Item = SessionId> {
        self.by_user.get(&user).into_iter().flatten().copied()
    }

    fn remove_from_users(&mut self, session: SessionId, users: &[UserId]) {
        for user in users {
            if let Some(sessions) = self.by_user.get_mut(user) {
                sessions.remove(&session);
                if sessions.is_empty() {
                    self.by_user.remove(user);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_watches_until_it_unwatches_or_ends_and_nothing_stays() {
        let mut watchers = Watchers::default();
        let (one, other) = (SessionId::new(), SessionId::new());
        let users: Vec<UserId> = (0..3).map(|_| UserId::new()).collect();
        watchers.watch(one, users.clone());
        watchers.watch(other, vec![users[0], users[0]]);
        assert_eq!(watchers.list_sessions(users[0]).collect::<HashSet<_>>(), HashSet::from([one, other]));
        watchers.unwatch(one, &users[..2]);
        assert_eq!(watchers.list_sessions(users[0]).collect::<Vec<_>>(), [other]);
        assert_eq!(watchers.list_sessions(users[1]).count(), 0);
        watchers.remove_session(one);
        watchers.unwatch(other, &[users[0], users[2]]);
        assert!(watchers.by_user.is_empty() && watchers.by_session.is_empty());
    }

    #[test]
    fn a_session_watches_a_bounded_number_of_users() {
        let (mut watchers, session) = (Watchers::default(), SessionId::new());
        watchers.watch(session, (0..=limits::PRESENCE_WATCHED).map(|_| UserId::new()).collect());
        assert_eq!(watchers.by_user.len(), limits::PRESENCE_WATCHED);
        let last = UserId::new();
        watchers.watch(session, vec![last]);
        assert_eq!(watchers.list_sessions(last).count(), 0);
    }
}
