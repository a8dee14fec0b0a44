//! Logins that this node has found to have ended. A call is charged to its user before the database is asked whether its
//! login stands; whoever holds an access token of one that was revoked could so use up what the user may ask. It is asked
//! once for each such login: as long as a token of it could be good, the others are refused by what is known here, and
//! cost the user nothing.

use crate::domain::ids::LoginId;
use crate::domain::limits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often those are forgotten whose tokens have all run out.
const SWEEP: Duration = Duration::from_mins(1);

/// The logins, each a real one, since only a token of ours names one.
#[derive(Default)]
pub struct EndedLogins(Mutex<Book>);

#[derive(Default)]
struct Book {
    /// The history in which they ended; in another one they may stand.
    epoch: Arc<str>,
    found: HashMap<LoginId, Instant>,
    swept: Option<Instant>,
}

impl EndedLogins {
    /// A login was found to have ended at `now`, in the history of that epoch.
    pub fn note(&self, login: LoginId, epoch: &Arc<str>, now: Instant) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if book.epoch != *epoch {
            *book = Book { epoch: epoch.clone(), ..Book::default() };
        }
        book.found.insert(login, now);
        if book.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            book.swept = Some(now);
            book.found.retain(|_, at| now.saturating_duration_since(*at) < limits::ACCESS_TOKEN);
            book.found.shrink_to_fit();
        }
    }

    /// Whether a login is known to have ended, in the history of that epoch.
    pub fn has(&self, login: LoginId, epoch: &str) -> bool {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *book.epoch == *epoch && book.found.contains_key(&login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_login_is_known_until_its_tokens_have_run_out_and_in_its_history_only() {
        let (book, now, epoch) = (EndedLogins::default(), Instant::now(), Arc::from("one"));
        let (first, second, third) = (LoginId::new(), LoginId::new(), LoginId::new());
        assert!(!book.has(first, "") && !book.has(first, "one"));
        book.note(first, &epoch, now);
        assert!(book.has(first, "one") && !book.has(second, "one") && !book.has(first, "two"));
        book.note(second, &epoch, now + limits::ACCESS_TOKEN);
        assert!(!book.has(first, "one") && book.has(second, "one"));
        book.note(third, &Arc::from("two"), now);
        assert!(book.has(third, "two") && !book.has(second, "one"));
    }
}
