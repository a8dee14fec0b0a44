//! The reader of the log for rooms: replays and holes. A task, because rooms hold no database; at most `AT_ONCE` reads
//! run together, and `WAITING` wait.

use crate::app::App;
use crate::messages::{ReadFor, ReadLog, ToRoom};
use crate::protocol::events::Frame;
use crate::store::log;
use crate::store::pools::Share;
use crate::usecases::history;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Reads that run together.
const AT_ONCE: usize = 4;
/// Bytes of a page, one event aside.
const PAGE_BYTES: usize = 128 * 1024;
/// Reads that wait.
pub const WAITING: usize = 16_384;

/// Runs until the queue is closed.
pub async fn run(app: App, mut queue: mpsc::Receiver<ReadLog>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(read) = queue.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let app = app.clone();
        if let ReadFor::Doubt(since) = read.purpose {
            tokio::spawn(async move {
                let found = app.db().guard(history::doubt(&app, read.stream, read.after, since)).await;
                if let Err(error) = found {
                    tracing::warn!(%error, "it could not be found out how far a stream reaches");
                }
                drop(place);
            });
            continue;
        }
        tokio::spawn(async move {
            let frames = app
                .db()
                .guard(async { Ok(log::since(app.db().read(Share::Log), read.stream, read.after, read.limit).await?) })
                .await;
            if let Err(error) = &frames {
                tracing::warn!(%error, "a read of the log failed");
            }
            drop(place);
            let frames = frames.map(|frames| within(frames, PAGE_BYTES));
            // attach: a replay waits for this answer, and a room that is gone needs none
            read.room.do_send(ToRoom::Read { purpose: read.purpose, frames: frames.ok() });
        });
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
