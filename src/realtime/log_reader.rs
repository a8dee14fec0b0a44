//! The log reader: the task that reads the log for rooms, which do not use the database themselves.
//!
//! At most [`limits::LOG_READS_AT_ONCE`] reads run at a time. Waiting reads are served by user in turn, so that a user
//! with many reads does not delay others. Reads that serve all subscribers of a room come first. A read that panics
//! fails alone, and its room gets the failure as the answer.

use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::mailboxes::{ReadLog, ReadPurpose};
use crate::protocol::events::Frame;
use crate::store::db::pools::ReadPool;
use crate::store::log;
use crate::supervision::Part;
use crate::telemetry;
use crate::work::history;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Serves the reads of the queue until it is closed.
pub async fn run(app: App, mut queue: mpsc::Receiver<ReadLog>) {
    let part = app.supervision().part("log_reader");
    let permits = Arc::new(Semaphore::new(limits::LOG_READS_AT_ONCE));
    while part.run(serve(&app, &part, &permits, &mut queue)).await.is_err() {}
}

async fn serve(app: &App, part: &Part, permits: &Arc<Semaphore>, queue: &mut mpsc::Receiver<ReadLog>) {
    let mut waiting = WaitingReads::default();
    loop {
        tokio::select! {
            request = queue.recv() => match request {
                Some(request) => waiting.push(request.user(), request),
                None => return,
            },
            permit = permits.clone().acquire_owned(), if !waiting.is_empty() => {
                let (Ok(permit), Some(request)) = (permit, waiting.pop()) else { return };
                let (app, part) = (app.clone(), part.clone());
                tokio::spawn(async move {
                    let _ = part.attempt(read(&app, request)).await;
                    drop(permit);
                });
            }
        }
    }
}

/// Reads that wait. The reads of one user are served in their order.
struct WaitingReads<T> {
    /// Reads that serve all subscribers of a room.
    without_user: VecDeque<T>,
    by_user: HashMap<UserId, VecDeque<T>>,
    /// The users with waiting reads, each once, in the order in which they are served.
    next_users: VecDeque<UserId>,
}

impl<T> Default for WaitingReads<T> {
    fn default() -> Self {
        Self { without_user: VecDeque::new(), by_user: HashMap::new(), next_users: VecDeque::new() }
    }
}

impl<T> WaitingReads<T> {
    fn is_empty(&self) -> bool {
        self.without_user.is_empty() && self.next_users.is_empty()
    }

    /// Adds a read. If too many reads of its user wait already, it is dropped, so that it fails.
    fn push(&mut self, user: Option<UserId>, read: T) {
        let queue = match user {
            None => &mut self.without_user,
            Some(user) => self.by_user.entry(user).or_insert_with(|| {
                self.next_users.push_back(user);
                VecDeque::new()
            }),
        };
        if queue.len() < limits::WAITING_LOG_READS {
            queue.push_back(read);
        }
    }

    fn pop(&mut self) -> Option<T> {
        if let Some(read) = self.without_user.pop_front() {
            return Some(read);
        }
        let user = self.next_users.pop_front()?;
        let queue = self.by_user.get_mut(&user)?;
        let read = queue.pop_front();
        if queue.is_empty() {
            self.by_user.remove(&user);
        } else {
            self.next_users.push_back(user);
        }
        read
    }
}

async fn read(app: &App, request: ReadLog) {
    if let ReadPurpose::Verify(since) = request.purpose {
        if let Err(error) = app.db().run(history::check_history(app, request.stream, request.after, since)).await {
            telemetry::log_failure!(warn, error, "the head of a stream could not be read");
        }
        return;
    }
    let frames = app
        .db()
        .run(async {
            Ok(log::list_after(app.db().read(ReadPool::Log), request.stream, request.after, request.limit).await?)
        })
        .await;
    match frames {
        Ok(frames) => request.answer(truncate(frames, limits::REPLAY_PAGE_BYTES)),
        Err(error) => telemetry::log_failure!(warn, error, "a read of the log failed"),
    }
}

/// Returns the first frame and as many more as fit into `max_bytes`. A client that reads must be able to receive one
/// page without being closed as too slow.
fn truncate(mut frames: Vec<Frame>, max_bytes: usize) -> Vec<Frame> {
    let mut total = 0;
    let fits = frames.iter().take_while(|frame| {
        let is_first = total == 0;
        total += frame.text.len();
        is_first || total <= max_bytes
    });
    let count = fits.count();
    frames.truncate(count);
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_served_in_turn_and_reads_of_rooms_come_first() {
        let (busy, quiet) = (Some(UserId::new()), Some(UserId::new()));
        let mut waiting = WaitingReads::default();
        for number in 0..=limits::WAITING_LOG_READS {
            waiting.push(busy, number);
        }
        waiting.push(quiet, 1_000_000);
        waiting.push(quiet, 1_000_001);
        waiting.push(None, 2_000_000);
        let read: Vec<_> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(read[..6], [2_000_000, 0, 1_000_000, 1, 1_000_001, 2]);
        assert_eq!(read.len(), limits::WAITING_LOG_READS + 3, "the read above the limit has failed");
        assert!(waiting.is_empty() && waiting.by_user.is_empty());
        waiting.push(quiet, 7);
        assert_eq!(waiting.pop(), Some(7));
    }
}
