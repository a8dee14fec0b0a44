//! The reader of the log for rooms: replays and holes. A task, because rooms hold no database; at most `AT_ONCE` reads
//! run together. Those that wait take turns by user, and what a room needs for all who follow it comes first: who asks for
//! much holds up nobody else. A read that panics fails alone, and its room hears of it.

use crate::app::App;
use crate::domain::ids::UserId;
use crate::mailboxes::{ReadLog, ReadPurpose};
use crate::protocol::events::Frame;
use crate::store::log;
use crate::store::pools::Share;
use crate::supervision::Part;
use crate::telemetry;
use crate::usecases::history;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Reads that run together.
const AT_ONCE: usize = 4;
/// Bytes of a page, one event aside.
const PAGE_BYTES: usize = 128 * 1024;
/// Reads of one user that wait, and such as have just been asked for; one more fails.
pub const WAITING: usize = 16_384;

/// Runs until the queue is closed.
pub async fn run(app: App, mut queue: mpsc::Receiver<ReadLog>) {
    let part = app.supervision().part("log_reader");
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while part.run(serve(&app, &part, &places, &mut queue)).await.is_err() {}
}

async fn serve(app: &App, part: &Part, places: &Arc<Semaphore>, queue: &mut mpsc::Receiver<ReadLog>) {
    let mut waiting = Waiting::default();
    loop {
        tokio::select! {
            asked = queue.recv() => match asked {
                Some(asked) => waiting.push(asked.user(), asked),
                None => return,
            },
            place = places.clone().acquire_owned(), if !waiting.is_empty() => {
                let (Ok(place), Some(asked)) = (place, waiting.pop()) else { return };
                let (app, part) = (app.clone(), part.clone());
                tokio::spawn(async move {
                    let _ = part.attempt(read(&app, asked)).await;
                    drop(place);
                });
            }
        }
    }
}

/// Reads that wait, each user's in their order.
struct Waiting<T> {
    /// What is for nobody in particular.
    first: VecDeque<T>,
    of: HashMap<UserId, VecDeque<T>>,
    /// Whose turn it is; each once.
    turns: VecDeque<UserId>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { first: VecDeque::new(), of: HashMap::new(), turns: VecDeque::new() }
    }
}

impl<T> Waiting<T> {
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.turns.is_empty()
    }

    /// One that finds too many of its user before it is dropped, and has failed.
    fn push(&mut self, user: Option<UserId>, read: T) {
        let queue = match user {
            None => &mut self.first,
            Some(user) => self.of.entry(user).or_insert_with(|| {
                self.turns.push_back(user);
                VecDeque::new()
            }),
        };
        if queue.len() < WAITING {
            queue.push_back(read);
        }
    }

    fn pop(&mut self) -> Option<T> {
        if let Some(read) = self.first.pop_front() {
            return Some(read);
        }
        let user = self.turns.pop_front()?;
        let queue = self.of.get_mut(&user)?;
        let read = queue.pop_front();
        if queue.is_empty() {
            self.of.remove(&user);
        } else {
            self.turns.push_back(user);
        }
        read
    }
}

async fn read(app: &App, asked: ReadLog) {
    if let ReadPurpose::Verify(since) = asked.purpose {
        if let Err(error) = app.db().guard(history::doubt(app, asked.stream, asked.after, since)).await {
            telemetry::failed!(warn, error, "it could not be found out how far a stream reaches");
        }
        return;
    }
    let frames = app
        .db()
        .guard(async { Ok(log::since(app.db().read(Share::Log), asked.stream, asked.after, asked.limit).await?) })
        .await;
    match frames {
        Ok(frames) => asked.answer(within(frames, PAGE_BYTES)),
        Err(error) => telemetry::failed!(warn, error, "a read of the log failed"),
    }
}

/// The first of `frames`, and as many more as fit into `bytes`: a page must not by itself be more than a client that reads
/// may have outstanding.
fn within(mut frames: Vec<Frame>, bytes: usize) -> Vec<Frame> {
    let mut total = 0;
    let fits = frames.iter().take_while(|frame| {
        let first = total == 0;
        total += frame.text.len();
        first || total <= bytes
    });
    let count = fits.count();
    frames.truncate(count);
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_take_turns_however_much_one_asks_for_and_rooms_come_first() {
        let (much, little) = (Some(UserId::new()), Some(UserId::new()));
        let mut waiting = Waiting::default();
        for number in 0..=WAITING {
            waiting.push(much, number);
        }
        waiting.push(little, 1_000_000);
        waiting.push(little, 1_000_001);
        waiting.push(None, 2_000_000);
        let read: Vec<_> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(read[..6], [2_000_000, 0, 1_000_000, 1, 1_000_001, 2]);
        assert_eq!(read.len(), WAITING + 3, "one too many of one user has failed");
        assert!(waiting.is_empty() && waiting.of.is_empty());
        waiting.push(little, 7);
        assert_eq!(waiting.pop(), Some(7));
    }
}
