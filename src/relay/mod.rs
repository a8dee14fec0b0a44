//! The relay: readers of the log. Whatever follows from events and need not be part of their transaction is done by a
//! reader: statistics now; notifications, search, webhooks and streams for other services in their time.
//!
//! - [`sequencer`] gives every committed row its place in the one order of all streams. Without it a reader that pages by
//!   id would skip rows that commit late. SQLite needs none: its ids appear in order.
//! - [`reader`] drives one [`reader::Reader`]: one node at a time by a lease, the cursor moved in the transaction of the
//!   effects, a row that fails parks its stream for that reader alone.
//! - [`statistics`] is a reader: what is counted in conversations.
//! - [`retention`] removes what is old and what every reader has passed.
//! - [`wakeup`] wakes them: on every commit of this node, and ten times a second when the log has grown by another's.
//!
//! A lease is taken and renewed by the transactions that do the work, so an idle server writes nothing; whoever sees work
//! first after it expired takes it over. It only keeps nodes from doing the same work: that no row counts twice rests on
//! the lock of the reader's row and on the cursor that is read under it.
//!
//! # Another reader
//!
//! *With effects in the database* (notifications, a search index, a queue of webhook deliveries): implement
//! [`reader::Reader`] and add it to [`start`]. Its row in `readers` is registered by itself.
//!
//! *With effects elsewhere* (the request of a webhook, a Redis stream): no transaction may stay open across a network
//! call, so it is not a [`reader::Reader`]. It is a loop of its own on the same functions of `store::readers`: `claim` in
//! a short transaction (which renews the lease), `page`, the call, then `claim` and `advance` in another, which does nothing
//! if the lease has gone to somebody else or the cursor has moved. Its effects happen at least once, so they carry
//! (stream, rev). One that must never park, because its order is everything, keeps its cursor and tries again; one that may,
//! uses `park`. Each webhook is a reader of its own, named after its id, whose row is deleted with it: a row that stays
//! holds back the retention.

pub mod reader;
pub mod retention;
pub mod sequencer;
pub mod statistics;
pub mod wakeup;

use crate::app::App;
use crate::store::gate::Class;
use crate::store::readers;
use reader::{Reader, Runner};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// How long the relay may take to stop.
const LAST_CALL: Duration = Duration::from_secs(1);

/// The tasks of the relay of one node.
pub struct Relay {
    app: App,
    stopping: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What a task of the relay waits for.
#[derive(Clone)]
pub struct Signals {
    /// Changes when the log has grown, or may have.
    grown: watch::Receiver<u64>,
    /// True from the moment on at which the server stops.
    stopping: watch::Receiver<bool>,
}

impl Signals {
    /// Waits until the server stops.
    pub async fn stopped(&mut self) {
        // an error says that the relay itself is gone
        let _ = self.stopping.wait_for(|stopping| *stopping).await;
    }

    /// Whether the server stops.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// From here on growth is noticed. Called before a look at the log, so that what is committed after it is not missed.
    pub fn look(&mut self) {
        self.grown.mark_unchanged();
    }

    /// Waits until the log grows, `at_most` so long if that is given, or until the server stops.
    pub async fn growth(&mut self, at_most: Option<Duration>) {
        tokio::select! {
            _ = self.stopping.wait_for(|stopping| *stopping) => {}
            // an error says that the relay itself is gone
            _ = self.grown.changed() => {}
            () = tokio::time::sleep(at_most.unwrap_or_default()), if at_most.is_some() => {}
        }
    }

    /// Waits so long, or until the server stops.
    pub async fn rest(&mut self, pause: Duration) {
        let _ = tokio::time::timeout(pause, self.stopped()).await;
    }
}

/// Starts the sequencer, every reader, and the retention on the runtime of the database.
pub fn start(app: &App) -> Relay {
    start_with(app, vec![Arc::new(statistics::Statistics)])
}

/// [`start`] with readers of one's own choice.
pub fn start_with(app: &App, readers: Vec<Arc<dyn Reader>>) -> Relay {
    let (stopping, stop) = watch::channel(false);
    let (grow, grown) = watch::channel(0);
    let signals = Signals { grown, stopping: stop };
    let node = &app.settings().node_id;
    let (woken, swept) = (app.clone(), app.clone());
    let (growing, heard, stopped) = (grow.clone(), signals.clone(), signals.clone());
    let mut tasks = vec![
        keep(app, "wakeup", move || wakeup::run(woken.clone(), growing.clone(), heard.clone())),
        keep(app, "retention", move || retention::run(swept.clone(), stopped.clone())),
    ];
    if sequencer::is_needed(app) {
        let sequencer = Arc::new(sequencer::Sequencer::new(app.clone(), node));
        let signals = signals.clone();
        tasks.push(keep(app, "sequencer", move || sequencer.clone().run(grow.clone(), signals.clone())));
    }
    for reader in readers {
        let name = format!("reader {}", reader.name());
        let (runner, signals) = (Arc::new(Runner::new(app.clone(), reader, node)), signals.clone());
        tasks.push(keep(app, name, move || runner.clone().run(signals.clone())));
    }
    Relay { app: app.clone(), stopping, tasks }
}

/// Starts a task on the runtime of the database, and again whenever it panics. What it had under way is rolled back, and
/// done again from the cursor.
fn keep<W>(app: &App, name: impl Into<Cow<'static, str>>, begin: impl Fn() -> W + Send + 'static) -> JoinHandle<()>
where
    W: Future<Output = ()> + Send + 'static,
{
    let part = app.supervision().part(name);
    app.runtime().spawn(async move { while part.run(begin()).await.is_err() {} })
}

impl Relay {
    /// Lets every task end what it is about, which is one page at most, and gives the leases back. A database that hangs
    /// is not waited for: what is cut off was not committed, and the next start reads it.
    pub async fn stop(self) {
        let _ = self.stopping.send(true);
        let last_call = Instant::now() + LAST_CALL;
        for task in self.tasks {
            match timeout_at(last_call, task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a task of the relay ended before its time"),
                Err(_) => tracing::warn!("a task of the relay waits for the database and is left behind"),
            }
        }
        let app = self.app.clone();
        let released = self.app.detached(async move {
            let _turn = app.db().turn(Class::System).await;
            Ok(readers::release(app.db().write()?, &app.settings().node_id).await?)
        });
        if !matches!(timeout_at(last_call, released).await, Ok(Ok(()))) {
            tracing::warn!("the leases of the relay were not given back; they expire");
        }
    }
}
