//! The reader of the log for rooms: replays and holes. A task, because rooms hold no database; at most `AT_ONCE` reads
//! run together, and `WAITING` wait. A read that panics fails alone, and its room hears of it.

use crate::app::App;
use crate::messages::{ReadFor, ReadLog};
use crate::protocol::events::Frame;
use crate::store::log;
use crate::store::pools::Share;
use crate::supervision::Part;
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
    let part = app.supervision().part("log_reader");
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while part.run(serve(&app, &part, &places, &mut queue)).await.is_err() {}
}

async fn serve(app: &App, part: &Part, places: &Arc<Semaphore>, queue: &mut mpsc::Receiver<ReadLog>) {
    while let Some(asked) = queue.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (app, part) = (app.clone(), part.clone());
        tokio::spawn(async move {
            let _ = part.attempt(read(&app, asked)).await;
            drop(place);
        });
    }
}

async fn read(app: &App, asked: ReadLog) {
    if let ReadFor::Doubt(since) = asked.purpose {
        if let Err(error) = app.db().guard(history::doubt(app, asked.stream, asked.after, since)).await {
            tracing::warn!(%error, "it could not be found out how far a stream reaches");
        }
        return;
    }
    let frames = app
        .db()
        .guard(async { Ok(log::since(app.db().read(Share::Log), asked.stream, asked.after, asked.limit).await?) })
        .await;
    match frames {
        Ok(frames) => asked.answer(within(frames, PAGE_BYTES)),
        Err(error) => tracing::warn!(%error, "a read of the log failed"),
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
