//! The log reader: the task that reads the log for rooms, which do not use the database themselves.
//!
//! A *repair* reads what a room lacks. One query repairs all rooms that are behind: the reads that come while a query
//! runs wait for the next one. So a node whose rooms all missed events asks the database a few times, not once for each
//! room.
//!
//! All other reads run one by one, at most [`limits::LOG_READS_AT_ONCE`] at a time. They are served by user in turn, so
//! that a user with many reads does not delay others. A read that panics fails, and its rooms get the failure as the
//! answer.

mod waiting;

use crate::app::App;
use crate::domain::ids::Rev;
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::mailboxes::{ReadLog, ReadPurpose};
use crate::protocol::envelope::Envelope;
use crate::store::db::pools::ReadPool;
use crate::store::log;
use crate::supervision::Part;
use crate::telemetry;
use crate::work::history;
use crate::work::read::read_as_server;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, mpsc};
use waiting::{WaitingReads, WaitingRepairs};

/// Serves the reads of the queue until it is closed.
pub async fn run(app: App, mut queue: mpsc::Receiver<ReadLog>) {
    let part = app.supervision().part("log_reader");
    let reader = LogReader {
        app,
        part: part.clone(),
        read_permits: Arc::new(Semaphore::new(limits::LOG_READS_AT_ONCE)),
        repair_permit: Arc::new(Semaphore::new(1)),
        rooms_per_repair: Arc::new(AtomicUsize::new(limits::REPAIRED_ROOMS)),
    };
    while part.catch_panic_and_pause(reader.run(&mut queue)).await.is_err() {}
}

#[derive(Clone)]
struct LogReader {
    app: App,
    part: Part,
    read_permits: Arc<Semaphore>,
    repair_permit: Arc<Semaphore>,
    /// The most rooms that the next query repairs. It is halved after a failure, so that one room whose events cannot
    /// be read, or too many events for one query, do not prevent all repairs.
    rooms_per_repair: Arc<AtomicUsize>,
}

impl LogReader {
    async fn run(&self, queue: &mut mpsc::Receiver<ReadLog>) {
        let (mut waiting, mut behind) = (WaitingReads::default(), WaitingRepairs::default());
        loop {
            tokio::select! {
                request = queue.recv() => match request {
                    Some(request) if request.purpose == ReadPurpose::Gap => behind.push(request.stream, request),
                    Some(request) => waiting.push(request.user(), request),
                    None => return,
                },
                permit = self.read_permits.clone().acquire_owned(), if !waiting.is_empty() => {
                    let (Ok(permit), Some(request)) = (permit, waiting.pop()) else { return };
                    let reader = self.clone();
                    tokio::spawn(async move {
                        let _ = reader.part.catch_panic_in(read(&reader.app, request)).await;
                        drop(permit);
                    });
                }
                permit = self.repair_permit.clone().acquire_owned(), if !behind.is_empty() => {
                    let Ok(permit) = permit else { return };
                    let requests = behind.take(self.rooms_per_repair.load(Ordering::Relaxed));
                    let reader = self.clone();
                    tokio::spawn(async move {
                        reader.repair(requests).await;
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn repair(&self, requests: Vec<ReadLog>) {
        let count = requests.len();
        let repaired = self.part.catch_panic_in(repair(&self.app, requests)).await.unwrap_or(false);
        let rooms = if repaired { self.rooms_per_repair.load(Ordering::Relaxed) * 2 } else { count / 2 };
        self.rooms_per_repair.store(rooms.clamp(1, limits::REPAIRED_ROOMS), Ordering::Relaxed);
    }
}

/// Reads what these rooms lack with one query. A room that lacks more than its share of [`limits::REPAIRED_EVENTS`]
/// asks again. Returns false if the read failed.
async fn repair(app: &App, requests: Vec<ReadLog>) -> bool {
    let after: Vec<(Stream, Rev)> = requests.iter().map(|request| (request.stream, request.after)).collect();
    let share = (limits::REPAIRED_EVENTS / requests.len().max(1) as u64).clamp(1, limits::REPLAY_PAGE);
    let read = read_as_server(app, ReadPool::Log, async |conn| Ok(log::list_after_each(conn, &after, share).await?));
    match read.await {
        Ok(mut events) => {
            for request in requests {
                let envelopes = events.remove(&request.stream).unwrap_or_default();
                request.send_answer(truncate(envelopes, limits::REPLAY_PAGE_BYTES));
            }
            true
        }
        Err(error) => {
            telemetry::log_failure!(warn, error, rooms = requests.len(), "a repair of rooms failed");
            false
        }
    }
}

async fn read(app: &App, request: ReadLog) {
    if let ReadPurpose::Verify(since) = request.purpose {
        if let Err(error) = history::check_history(app, request.stream, request.after, since).await {
            telemetry::log_failure!(warn, error, "the head of a stream could not be read");
        }
        return;
    }
    let envelopes = read_as_server(app, ReadPool::Log, async |conn| {
        Ok(log::list_after(conn, request.stream, request.after, limits::REPLAY_PAGE).await?)
    });
    match envelopes.await {
        Ok(envelopes) => request.send_answer(truncate(envelopes, limits::REPLAY_PAGE_BYTES)),
        Err(error) => telemetry::log_failure!(warn, error, "a read of the log failed"),
    }
}

/// Returns the first envelope and as many more as fit into `max_bytes`. A client that reads must be able to receive one
/// page without being closed as too slow.
fn truncate(mut envelopes: Vec<Envelope>, max_bytes: usize) -> Vec<Envelope> {
    let mut total = 0;
    let fits = envelopes.iter().take_while(|envelope| {
        let is_first = total == 0;
        total += envelope.text.len();
        is_first || total <= max_bytes
    });
    let count = fits.count();
    envelopes.truncate(count);
    envelopes
}
