//! The relay: does the work that follows from events and need not be in their transaction, and the work on the log
//! itself: readers, bulk changes and retention.
//!
//! The statistics are the only reader.
//!
//! - [`floor`] is how far the readers of this node may read. Without it, a reader that continues after the last id
//!   would skip rows that are committed late.
//! - [`reader`] is what a reader states, and [`runner`] runs it: on one node at a time, by a lease. The cursor moves in
//!   the transaction of the effects. A row that fails parks its stream for this reader only (`parked.rs`).
//! - [`statistics`] is the reader that counts messages and links.
//! - [`retention`] removes old rows that every reader has processed, and [`lag`] marks readers that are too far behind
//!   as failed.
//! - [`bulk`] makes changes that are too large for one transaction, step by step.
//! - [`wakeup`] wakes the others: after every commit of this node, and when another node has added rows, which it
//!   checks ten times a second.
//!
//! The transactions that do the work take and renew the lease, so an idle server writes nothing. After a lease has
//! expired, the first node that finds work takes it. A lease only prevents that several nodes do the same work. That no
//! row counts twice is ensured by the lock of the reader's row and by the cursor, which is read under that lock.
//!
//! # How to add a reader
//!
//! *With effects in the database*: implement [`reader::Reader`] and add it to [`start`]. Its row in `readers` is
//! registered automatically. When a reader is removed from the program, its row may stay: nothing reads for it any
//! more, so it is failed like one that is too far behind.
//!
//! *With effects outside the database*, such as calls over the network: no transaction may stay open during a network
//! call, so implement a separate loop with the functions of `store::log::readers` and `store::log::pages`. Call `claim`
//! in a short transaction, which renews the lease, then [`LogFloor::advance`] and `page`, then do the network call,
//! then `claim` and `set_cursor` in another transaction. That one must change nothing if another node has the lease or
//! the cursor has moved. The effects happen at least once, so they must carry the stream and the rev. If the order must
//! never change, keep the cursor and try again; otherwise use `store::log::parked`. Each destination is a separate
//! reader. When the destination is removed, remove the row of its reader too: until the reader is failed, a remaining
//! row prevents the removal of old rows.

pub mod bulk;
pub mod failures;
pub mod floor;
pub mod lag;
mod page_size;
mod parked;
pub mod reader;
pub mod retention;
pub mod runner;
pub mod statistics;
pub mod wakeup;

use crate::app::App;
use crate::store::db::write_queue::ServerWriter;
use crate::store::log::readers;
use crate::work::transact::write_as_server;
use bulk::{BulkChange, BulkRunner};
use floor::LogFloor;
use lag::LagWatch;
use reader::Reader;
use runner::ReaderRunner;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// The relay must stop within this time.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// The running tasks of the relay of one node.
pub struct Relay {
    app: App,
    stopping: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// The signals that a task of the relay waits for.
#[derive(Clone)]
pub struct RelaySignals {
    /// Changes when the log has grown, or may have grown.
    growth: watch::Receiver<u64>,
    /// Becomes true when the server stops.
    stopping: watch::Receiver<bool>,
}

impl RelaySignals {
    /// Waits until the server stops.
    pub async fn wait_for_stop(&mut self) {
        // An error means that the relay was dropped.
        let _ = self.stopping.wait_for(|stopping| *stopping).await;
    }

    /// Returns whether the server stops.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Marks the growth so far as seen. Call it before reading the log, so that [`Self::wait_for_growth`] notices the
    /// rows that are committed after the read.
    pub fn mark_growth_seen(&mut self) {
        self.growth.mark_unchanged();
    }

    /// Waits until the log grows, the server stops, or `timeout` has passed. Without a timeout it waits for ever.
    pub async fn wait_for_growth(&mut self, timeout: Option<Duration>) {
        tokio::select! {
            _ = self.stopping.wait_for(|stopping| *stopping) => {}
            // An error means that the relay was dropped.
            _ = self.growth.changed() => {}
            () = tokio::time::sleep(timeout.unwrap_or_default()), if timeout.is_some() => {}
        }
    }

    /// Waits for the given time, or until the server stops.
    pub async fn sleep(&mut self, duration: Duration) {
        let _ = tokio::time::timeout(duration, self.wait_for_stop()).await;
    }
}

/// Starts the wakeup, the retention and every reader on the runtime of the database.
pub fn start(app: &App) -> Relay {
    start_with(app, vec![Arc::new(statistics::Statistics)], Vec::new())
}

/// Starts the relay like [`start`], but with the given readers and bulk changes.
pub fn start_with(app: &App, readers: Vec<Arc<dyn Reader>>, bulk_changes: Vec<Arc<dyn BulkChange>>) -> Relay {
    let (stopping, stopping_receiver) = watch::channel(false);
    let (growth, growth_receiver) = watch::channel(0);
    let signals = RelaySignals { growth: growth_receiver, stopping: stopping_receiver };
    let node = &app.settings().node_id;
    let (wakeup_app, wakeup_signals) = (app.clone(), signals.clone());
    let (retention_app, retention_signals, lag_readers) = (app.clone(), signals.clone(), readers.clone());
    let mut tasks = vec![
        spawn_supervised(app, "wakeup", move || {
            wakeup::run(wakeup_app.clone(), growth.clone(), wakeup_signals.clone())
        }),
        spawn_supervised(app, "retention", move || {
            retention::run(retention_app.clone(), LagWatch::new(&lag_readers), retention_signals.clone())
        }),
    ];
    let floor = LogFloor::new(app);
    for reader in readers {
        let name = format!("reader {}", reader.name());
        let (runner, signals) = (ReaderRunner::new(app.clone(), reader, floor.clone(), node), signals.clone());
        tasks.push(spawn_supervised(app, name, move || runner.clone().run(signals.clone())));
    }
    // Without kinds it reports the bulk changes that another version has started.
    let runner = BulkRunner::new(app.clone(), bulk_changes);
    tasks.push(spawn_supervised(app, "bulk_changes", move || runner.clone().run(signals.clone())));
    Relay { app: app.clone(), stopping, tasks }
}

/// Starts a task on the runtime of the database, and starts it again after a panic. Its transaction is rolled back
/// then, so the new task repeats the work from the cursor.
fn spawn_supervised<F>(
    app: &App,
    name: impl Into<Cow<'static, str>>,
    task: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let part = app.supervision().part(name);
    app.runtime().spawn(async move { while part.catch_panic_and_pause(task()).await.is_err() {} })
}

impl Relay {
    /// Stops the tasks after their current page, and ends the leases of this node. Does not wait for a database that
    /// does not answer: an interrupted transaction is not committed, and the next start repeats it.
    pub async fn stop(self) {
        let _ = self.stopping.send(true);
        let deadline = Instant::now() + STOP_TIMEOUT;
        for task in self.tasks {
            match timeout_at(deadline, task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a task of the relay ended too early"),
                Err(_) => {
                    tracing::warn!("a task of the relay still waits for the database; the stop does not wait for it");
                }
            }
        }
        let app = self.app.clone();
        let released = self.app.run_without_deadline(async move {
            let node = &app.settings().node_id;
            write_as_server(&app, ServerWriter::System, async |conn| Ok(readers::release(conn, node).await?)).await
        });
        if !matches!(timeout_at(deadline, released).await, Ok(Ok(()))) {
            tracing::warn!("the leases of the relay could not be ended; they will expire");
        }
    }
}
