//! Logins that this node knows to have ended.
//!
//! A call is charged to its user before the database is asked whether the login is still valid. So a client with an
//! access token of a revoked login could use up the limits of the user. To prevent this, the database is asked once for
//! each such login. Later calls with the login are refused from memory, and cost the user nothing, as long as a token
//! of it can be valid.

use crate::domain::ids::LoginId;
use crate::domain::limits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two sweeps, which remove logins whose tokens have all expired.
const SWEEP: Duration = Duration::from_mins(1);

/// The ended logins. All of them are real logins, because only a token signed by this server names one.
#[derive(Default)]
pub struct EndedLogins(Mutex<EndedInEpoch>);

#[derive(Default)]
struct EndedInEpoch {
    /// The epoch in which the logins ended. In another epoch they may be valid.
    epoch: Arc<str>,
    found_at: HashMap<LoginId, Instant>,
    swept_at: Option<Instant>,
}

impl EndedLogins {
    /// Adds a login that the database showed as ended at `now`, in this epoch.
    pub fn add(&self, login: LoginId, epoch: &Arc<str>, now: Instant) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.epoch != *epoch {
            *ended = EndedInEpoch { epoch: epoch.clone(), ..EndedInEpoch::default() };
        }
        ended.found_at.insert(login, now);
        if ended.swept_at.is_none_or(|swept_at| now.saturating_duration_since(swept_at) >= SWEEP) {
            ended.swept_at = Some(now);
            ended.found_at.retain(|_, at| now.saturating_duration_since(*at) < limits::ACCESS_TOKEN_LIFETIME);
            ended.found_at.shrink_to_fit();
        }
    }

    /// Returns whether a login is known to have ended in this epoch.
    pub fn contains(&self, login: LoginId, epoch: &str) -> bool {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *ended.epoch == *epoch && ended.found_at.contains_key(&login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_login_is_known_until_its_tokens_expire_and_only_in_its_epoch() {
        let (ended, now, epoch) = (EndedLogins::default(), Instant::now(), Arc::from("one"));
        let (first, second, third) = (LoginId::new(), LoginId::new(), LoginId::new());
        assert!(!ended.contains(first, "") && !ended.contains(first, "one"));
        ended.add(first, &epoch, now);
        assert!(ended.contains(first, "one") && !ended.contains(second, "one") && !ended.contains(first, "two"));
        ended.add(second, &epoch, now + limits::ACCESS_TOKEN_LIFETIME);
        assert!(!ended.contains(first, "one") && ended.contains(second, "one"));
        ended.add(third, &Arc::from("two"), now);
        assert!(ended.contains(third, "two") && !ended.contains(second, "one"));
    }
}
