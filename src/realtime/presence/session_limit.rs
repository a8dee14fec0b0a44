//! The limit on the live sessions of one user.

use crate::domain::ids::SessionId;
use crate::domain::limits;

/// Returns those of the live sessions of a user, which are ordered with the oldest first, that must close: the oldest
/// ones above [`limits::SESSIONS_PER_USER`].
pub(super) fn surplus_sessions(oldest_first: &[SessionId]) -> &[SessionId] {
    &oldest_first[..oldest_first.len().saturating_sub(limits::SESSIONS_PER_USER)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_sessions_above_the_limit_close() {
        let sessions: Vec<SessionId> = (0..limits::SESSIONS_PER_USER + 2).map(|_| SessionId::new()).collect();
        assert_eq!(surplus_sessions(&sessions), &sessions[..2]);
        assert!(surplus_sessions(&sessions[2..]).is_empty() && surplus_sessions(&[]).is_empty());
    }
}
