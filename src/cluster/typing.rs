//! The table of users who type in a conversation.
//!
//! An entry ends after a time, and also when the last session of the user that types ends. Each start has a number, so
//! that the timer of an earlier start does not end a later one. Each entry keeps the users who were not notified of its
//! start, so that the same users are not notified of its end.

use crate::domain::ids::{ConversationId, SessionId, UserId};
use crate::protocol::typing::Typing;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The typing users of this node. A clone shares the same data.
#[derive(Clone, Default)]
pub struct TypingTable(Arc<Mutex<TypingState>>);

/// Users who are not notified: the user who types, and users with a block between them and that user.
pub type ExcludedUsers = Arc<[UserId]>;

/// A session that can type. After it has ended, a start that was still under way is ignored.
#[derive(Clone, Debug)]
pub struct TypingSession {
    session: SessionId,
    ended: Arc<AtomicBool>,
}

impl TypingSession {
    /// Creates the handle of a live session.
    pub fn new(session: SessionId) -> Self {
        Self { session, ended: Arc::default() }
    }
}

/// A user who types in a conversation, with the users who are not notified of it.
#[derive(Clone, Debug)]
pub struct TypingNotice {
    pub typing: Typing,
    pub excluded: ExcludedUsers,
}

#[derive(Default)]
struct TypingState {
    last_start: u64,
    conversations: HashMap<ConversationId, HashMap<UserId, TypingEntry>>,
}

struct TypingEntry {
    /// The sessions of the user that type, each with the number of its newest start.
    sessions: HashMap<SessionId, u64>,
    notice: TypingNotice,
}

impl TypingState {
    fn remove(&mut self, conversation: ConversationId, user: UserId) -> Option<TypingNotice> {
        let users = self.conversations.get_mut(&conversation)?;
        let entry = users.remove(&user)?;
        if users.is_empty() {
            self.conversations.remove(&conversation);
        }
        Some(entry.notice)
    }

    /// Ends the typing of one session if `ends` returns true for the number of its newest start. Returns the notice if
    /// no other session of the user types there.
    fn end(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        session: SessionId,
        ends: impl FnOnce(u64) -> bool,
    ) -> Option<TypingNotice> {
        let entry = self.conversations.get_mut(&conversation)?.get_mut(&user)?;
        if !ends(*entry.sessions.get(&session)?) {
            return None;
        }
        entry.sessions.remove(&session);
        if entry.sessions.is_empty() { self.remove(conversation, user) } else { None }
    }
}

impl TypingTable {
    fn with_state<R>(&self, action: impl FnOnce(&mut TypingState) -> R) -> R {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stores that a session types, and returns the number of this start. Returns `None` if the session has ended.
    pub fn start(&self, typing_session: &TypingSession, notice: TypingNotice) -> Option<u64> {
        self.with_state(|state| {
            if typing_session.ended.load(Ordering::Relaxed) {
                return None;
            }
            state.last_start += 1;
            let start = state.last_start;
            let users = state.conversations.entry(notice.typing.conversation_id).or_default();
            let new_entry = || TypingEntry { sessions: HashMap::new(), notice: notice.clone() };
            let entry = users.entry(notice.typing.user_id).or_insert_with(new_entry);
            entry.notice = notice;
            entry.sessions.insert(typing_session.session, start);
            Some(start)
        })
    }

    /// Ends the typing of a user in a conversation, on all sessions. Returns `None` if the user was not typing there.
    pub fn stop(&self, conversation: ConversationId, user: UserId) -> Option<TypingNotice> {
        self.with_state(|state| state.remove(conversation, user))
    }

    /// Ends the typing of one session in a conversation. Returns `None` if the session was not typing, or if another
    /// session of the user still types there.
    pub fn stop_session(
        &self,
        conversation: ConversationId,
        user: UserId,
        typing_session: &TypingSession,
    ) -> Option<TypingNotice> {
        self.with_state(|state| state.end(conversation, user, typing_session.session, |_| true))
    }

    /// Ends the start with this number after its time. Returns `None` if the session has started again or stopped
    /// since, or if another session of the user still types there.
    pub fn expire(
        &self,
        conversation: ConversationId,
        user: UserId,
        typing_session: &TypingSession,
        start: u64,
    ) -> Option<TypingNotice> {
        self.with_state(|state| state.end(conversation, user, typing_session.session, |current| current == start))
    }

    /// Marks a session as ended and ends its typing everywhere. Returns a notice for each conversation in which no
    /// other session of the user types.
    pub fn end_session(&self, user: UserId, typing_session: &TypingSession) -> Vec<TypingNotice> {
        self.with_state(|state| {
            typing_session.ended.store(true, Ordering::Relaxed);
            let types = |users: &HashMap<UserId, TypingEntry>| {
                users.get(&user).is_some_and(|entry| entry.sessions.contains_key(&typing_session.session))
            };
            let conversations: Vec<_> = state
                .conversations
                .iter()
                .filter(|(_, users)| types(users))
                .map(|(conversation, _)| *conversation)
                .collect();
            conversations
                .into_iter()
                .filter_map(|conversation| state.end(conversation, user, typing_session.session, |_| true))
                .collect()
        })
    }

    /// Excludes `viewer` from all typing of `author`. Returns what `viewer` could see until now.
    pub fn exclude_viewer(&self, author: UserId, viewer: UserId) -> Vec<Typing> {
        self.with_state(|state| {
            let mut hidden = Vec::new();
            for users in state.conversations.values_mut() {
                let Some(TypingEntry { notice, .. }) = users.get_mut(&author) else { continue };
                if !notice.excluded.contains(&viewer) {
                    notice.excluded = notice.excluded.iter().copied().chain([viewer]).collect();
                    hidden.push(notice.typing.clone());
                }
            }
            hidden
        })
    }

    /// Returns the users who type in the conversation and whose typing `viewer` may see, in no order.
    pub fn list_visible(&self, viewer: UserId, conversation: ConversationId) -> Vec<UserId> {
        self.with_state(|state| {
            let users = state.conversations.get(&conversation).into_iter().flatten();
            users.filter(|(_, entry)| !entry.notice.excluded.contains(&viewer)).map(|(user, _)| *user).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(conversation_id: ConversationId, user_id: UserId, excluded: &[UserId]) -> TypingNotice {
        let typing =
            Typing { conversation_id, user_id, username: "author".to_owned(), display_name: "Author".to_owned() };
        TypingNotice { typing, excluded: excluded.into() }
    }

    fn session() -> TypingSession {
        TypingSession::new(SessionId::new())
    }

    #[test]
    fn a_timer_ends_only_its_own_start() {
        let (table, conversation, user) = (TypingTable::default(), ConversationId::new(), UserId::new());
        let device = session();
        let first = table.start(&device, notice(conversation, user, &[user])).unwrap();
        let second = table.start(&device, notice(conversation, user, &[user])).unwrap();
        assert!(table.expire(conversation, user, &device, first).is_none());
        assert_eq!(table.expire(conversation, user, &device, second).unwrap().excluded.as_ref(), [user]);
        assert!(table.stop(conversation, user).is_none());
    }

    #[test]
    fn a_user_stops_with_the_last_session_that_types() {
        let (table, user) = (TypingTable::default(), UserId::new());
        let (here, there) = (ConversationId::new(), ConversationId::new());
        let (phone, laptop, idle) = (session(), session(), session());
        for device in [&phone, &laptop] {
            table.start(device, notice(here, user, &[user])).unwrap();
        }
        table.start(&laptop, notice(there, user, &[user])).unwrap();
        assert!(table.stop_session(here, user, &idle).is_none() && table.end_session(user, &idle).is_empty());
        assert!(table.stop_session(here, user, &phone).is_none(), "the laptop still types");
        let ended: Vec<_> =
            table.end_session(user, &laptop).into_iter().map(|stopped| stopped.typing.conversation_id).collect();
        assert!(ended.len() == 2 && ended.contains(&here) && ended.contains(&there));
        assert!(table.start(&laptop, notice(here, user, &[user])).is_none(), "the session has ended");
        assert_eq!(table.list_visible(UserId::new(), here), []);
    }

    #[test]
    fn a_user_stops_on_all_sessions_at_once() {
        let (table, conversation, user) = (TypingTable::default(), ConversationId::new(), UserId::new());
        for device in [session(), session()] {
            table.start(&device, notice(conversation, user, &[user])).unwrap();
        }
        assert!(table.stop(conversation, user).is_some() && table.stop(conversation, user).is_none());
    }

    #[test]
    fn an_excluded_user_does_not_see_who_types() {
        let (table, conversation) = (TypingTable::default(), ConversationId::new());
        let (author, blocked, other) = (UserId::new(), UserId::new(), UserId::new());
        table.start(&session(), notice(conversation, author, &[author, blocked])).unwrap();
        assert_eq!(table.list_visible(other, conversation), [author]);
        assert_eq!(table.list_visible(author, conversation), []);
        assert_eq!(table.list_visible(blocked, conversation), []);
        assert_eq!(table.list_visible(other, ConversationId::new()), []);
        assert!(table.exclude_viewer(author, blocked).is_empty());
        assert_eq!(table.exclude_viewer(author, other).len(), 1);
        assert_eq!(table.list_visible(other, conversation), []);
        assert_eq!(table.stop(conversation, author).unwrap().excluded.as_ref(), [author, blocked, other]);
    }
}
