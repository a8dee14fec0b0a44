//! Generations of which an access token was just accepted, until they are written down. Whoever accepts one waits until it
//! is written; all that came while the last write ran are written together, each once.

use crate::domain::ids::LoginId;
use crate::domain::limits;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedMutexGuard, oneshot};

/// What waits to be written, and the turn to write it.
#[derive(Default)]
pub struct AcceptedBook {
    waiting: Mutex<Vec<Waiting>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Waiting {
    login: LoginId,
    generation: i64,
    written: oneshot::Sender<()>,
}

/// What is written together. Dropped, it tells those who wait that it was not written.
pub struct Accepted {
    waiting: Vec<Waiting>,
    _turn: OwnedMutexGuard<()>,
}

impl AcceptedBook {
    /// Notes a generation of a login; the answer comes when it is written, and fails when it could not be.
    pub fn note(&self, login: LoginId, generation: i64) -> oneshot::Receiver<()> {
        let (written, outcome) = oneshot::channel();
        self.waiting().push(Waiting { login, generation, written });
        outcome
    }

    /// Waits until nobody else writes, and takes what has come until then, the oldest of it if it is much; `None` if others
    /// have written it all. Whoever notes something takes as well, so that nothing of much is left behind.
    pub async fn take(&self) -> Option<Accepted> {
        let turn = self.turn.clone().lock_owned().await;
        let mut all = self.waiting();
        all.retain(|of| !of.written.is_closed());
        let some = all.len().min(limits::BATCH);
        let waiting: Vec<Waiting> = all.drain(..some).collect();
        drop(all);
        (!waiting.is_empty()).then_some(Accepted { waiting, _turn: turn })
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accepted {
    /// The newest generation of each login, in the order of their ids.
    pub fn newest(&self) -> Vec<(LoginId, i64)> {
        let mut newest = BTreeMap::new();
        for waiting in &self.waiting {
            let generation = newest.entry(waiting.login).or_insert(waiting.generation);
            *generation = (*generation).max(waiting.generation);
        }
        newest.into_iter().collect()
    }

    /// Tells those who wait that it is written, also those who came for the same while it was.
    pub fn written(self, book: &AcceptedBook) {
        let newest: BTreeMap<_, _> = self.newest().into_iter().collect();
        let is_written = |of: &Waiting| newest.get(&of.login).is_some_and(|written| of.generation <= *written);
        let came: Vec<Waiting> = book.waiting().extract_if(.., |of| is_written(of)).collect();
        for waiting in self.waiting.into_iter().chain(came) {
            // whoever does not wait any more need not know
            let _ = waiting.written.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_while_another_writes_is_written_together_once() {
        let book = AcceptedBook::default();
        let (one, other) = (LoginId::new(), LoginId::new());
        let first = book.note(one, 1);
        let writing = book.take().await.expect("something waits");
        let same = book.note(one, 1);
        let more = [book.note(other, 7), book.note(one, 2), book.note(other, 6)];
        assert_eq!(writing.newest(), [(one, 1)]);
        writing.written(&book);
        assert!(first.await.is_ok() && same.await.is_ok());
        let writing = book.take().await.expect("more came");
        let mut expected = vec![(one, 2), (other, 7)];
        expected.sort();
        assert_eq!(writing.newest(), expected);
        writing.written(&book);
        for outcome in more {
            assert!(outcome.await.is_ok());
        }
        assert!(book.take().await.is_none());
    }

    #[tokio::test]
    async fn much_is_written_in_parts() {
        let book = AcceptedBook::default();
        let outcomes: Vec<_> = (0..=limits::BATCH).map(|_| book.note(LoginId::new(), 1)).collect();
        let mut parts = Vec::new();
        while let Some(writing) = book.take().await {
            parts.push(writing.newest().len());
            writing.written(&book);
        }
        assert_eq!(parts, [limits::BATCH, 1]);
        for outcome in outcomes {
            assert!(outcome.await.is_ok());
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_write_that_was_given_up_hears_of_it() {
        let book = AcceptedBook::default();
        let outcome = book.note(LoginId::new(), 1);
        drop(book.take().await);
        assert!(outcome.await.is_err());
        assert!(book.take().await.is_none(), "the turn was given back");
    }
}
