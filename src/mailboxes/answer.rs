//! A function that answers a job exactly once, also if it is dropped.

use crate::error::{Error, Result};
use std::marker::PhantomData;

/// Returns a function that passes the outcome of a job to `then`. If it is dropped without being called, for example
/// because a writer panics, `then` gets `unavailable`: it is not known whether the work was done, and a repeated send
/// is found by its `temp_id`.
pub fn answer<T: 'static>(
    then: impl FnOnce(Result<T>) + Send + Sync + 'static,
) -> Box<dyn FnOnce(Result<T>) + Send + Sync> {
    let mut once = Once { then: Some(then), of: PhantomData };
    Box::new(move |outcome| once.call(outcome))
}

struct Once<T, F: FnOnce(Result<T>)> {
    then: Option<F>,
    of: PhantomData<fn(T)>,
}

impl<T, F: FnOnce(Result<T>)> Once<T, F> {
    fn call(&mut self, outcome: Result<T>) {
        if let Some(then) = self.then.take() {
            then(outcome);
        }
    }
}

impl<T, F: FnOnce(Result<T>)> Drop for Once<T, F> {
    fn drop(&mut self) {
        self.call(Err(Error::unavailable("The server does not know whether it has done this; try again.")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;
    use std::sync::mpsc;

    #[test]
    fn an_answer_comes_once_and_in_any_case() {
        let (sender, outcomes) = mpsc::channel();
        let pass = |to: mpsc::Sender<_>| move |outcome: Result<i32>| to.send(outcome.map_err(|e| e.code())).unwrap();
        answer(pass(sender.clone()))(Ok(7));
        drop(answer(pass(sender)));
        assert_eq!(outcomes.iter().collect::<Vec<_>>(), [Ok(7), Err(Code::Unavailable)]);
    }
}
