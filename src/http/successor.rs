//! What the task of a connection does when the framework does not serve the connection any more.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

/// What the task of a connection does after the framework has handed the connection over. Empty until then.
#[derive(Clone, Default)]
pub struct Successor(Rc<Cell<Option<Next>>>);

type Next = Pin<Box<dyn Future<Output = ()>>>;

impl Successor {
    /// Sets what follows.
    pub fn set(&self, next: impl Future<Output = ()> + 'static) {
        self.0.set(Some(Box::pin(next)));
    }

    /// Runs what was set. The state of the framework must be dropped before.
    pub async fn run(self) {
        if let Some(next) = self.0.take() {
            next.await;
        }
    }
}
