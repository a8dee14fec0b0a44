//! Answers that are given in any case.

use crate::error::{Error, Result};
use std::marker::PhantomData;

/// A way for the outcome of a job to `then`. Should it be dropped unused, as by a writer that panics, the outcome is
/// `unavailable`: whether the work was done is not known, and a send that is repeated is found by its `temp_id`.
pub fn answer<T: 'static>(
    then: impl FnOnce(Result<T>) + Send + Sync + 'static,
) -> Box<dyn FnOnce(Result<T>) + Send + Sync> {
    let mut waiting = Waiting { then: Some(then), of: PhantomData };
    Box::new(move |outcome| waiting.give(outcome))
}

struct Waiting<T, F: FnOnce(Result<T>)> {
    then: Option<F>,
    of: PhantomData<fn(T)>,
}

impl<T, F: FnOnce(Result<T>)> Waiting<T, F> {
    fn give(&mut self, outcome: Result<T>) {
        if let Some(then) = self.then.take() {
            then(outcome);
        }
    }
}

impl<T, F: FnOnce(Result<T>)> Drop for Waiting<T, F> {
    fn drop(&mut self) {
        self.give(Err(Error::unavailable("the server could not say what came of it; try again")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;
    use std::sync::mpsc;

    #[test]
    fn an_answer_is_given_once_and_in_any_case() {
        let (told, outcomes) = mpsc::channel();
        let tell =
            |told: mpsc::Sender<_>| move |outcome: Result<i32>| told.send(outcome.map_err(|e| e.code())).unwrap();
        answer(tell(told.clone()))(Ok(7));
        drop(answer(tell(told)));
        assert_eq!(outcomes.iter().collect::<Vec<_>>(), [Ok(7), Err(Code::Unavailable)]);
    }
}
