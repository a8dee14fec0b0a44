//! The catch-up: the task that reads the new end of the log, so that rooms learn of events that were not delivered.
//!
//! It runs on every node, even if events travel between nodes in another way. It sends the heads of grown streams to
//! the hub, and a room that is behind reads the events that it lacks.
//!
//! It reads the rows above a [floor](crate::domain::floor), below which no row can appear any more. The floor rises
//! only after the hub has accepted the heads. Until the first floor is settled, rows may still appear below it; until
//! then the catch-up also reads the heads of the streams of all rooms.

use crate::app::App;
use crate::cluster::catch_up::CatchUpSchedule;
use crate::domain::floor::{Floor, TickCondition};
use crate::error::{Error, Result};
use crate::mailboxes::{EndRooms, Heads, ListOpenStreams, send_always};
use crate::store::db::pools::ReadPool;
use crate::store::db::reading::ReadConnection;
use crate::store::log;
use crate::store::log::floor::{list_open_transactions, read_floor};
use crate::telemetry::FailureFlag;
use crate::work::read::read_as_server;
use actix::prelude::Recipient;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// The addresses under which the catch-up reaches the hub.
pub struct CatchUpHub {
    pub heads: Recipient<Heads>,
    pub open_streams: Recipient<ListOpenStreams>,
}

/// Ends all rooms each time when the epoch changes, because the database then holds another history. Runs for ever.
pub fn end_rooms_on_new_epoch(app: App, hub: Recipient<EndRooms>) -> impl Future<Output = ()> {
    let (part, mut epoch) = (app.supervision().part("history"), app.db().history().epoch_changes());
    async move {
        while part.catch_panic_and_pause(end_rooms(&app, &hub, &mut epoch)).await.is_err() {
            // The failed run may not have ended the rooms: do it again.
            epoch.mark_changed();
        }
    }
}

async fn end_rooms(app: &App, hub: &Recipient<EndRooms>, epoch: &mut watch::Receiver<Arc<str>>) {
    while epoch.changed().await.is_ok() {
        send_always(hub, EndRooms);
        app.wake_catch_up();
    }
}

/// Runs the catch-up for ever, according to `schedule`.
pub async fn run(app: App, hub: CatchUpHub, schedule: CatchUpSchedule) {
    let part = app.supervision().part("catch_up");
    // Each run begins with a new floor, so that it also finds the heads that a failed run did not send.
    while part.catch_panic_and_pause(read_repeatedly(&app, &hub, &schedule)).await.is_err() {}
}

async fn read_repeatedly(app: &App, hub: &CatchUpHub, schedule: &CatchUpSchedule) {
    let (mut floor, failure_flag) = (None, FailureFlag::default());
    let mut epoch = app.db().history().epoch_changes();
    loop {
        if epoch.has_changed().is_ok_and(|changed| changed) {
            // The ids and transactions of another history say nothing about the floor of this one.
            epoch.mark_unchanged();
            floor = None;
        }
        match read_as_server(app, ReadPool::Log, |conn| read_new_rows(conn, hub, &mut floor)).await {
            Ok(accepted) => {
                if failure_flag.clear() {
                    tracing::info!("the catch-up can read the log again");
                }
                if !accepted {
                    schedule.wake();
                }
            }
            Err(error) if failure_flag.set() => {
                tracing::warn!(%error, "the catch-up cannot read the log; trying again");
            }
            Err(error) => tracing::debug!(%error, "the catch-up cannot read the log; trying again"),
        }
        schedule.wait().await;
    }
}

/// Reads the rows above the floor once and sends the heads to the hub. Returns false if the mailbox of the hub was
/// full.
async fn read_new_rows(conn: &ReadConnection, hub: &CatchUpHub, known: &mut Option<Floor>) -> Result<bool> {
    let floor = if let Some(floor) = known {
        floor
    } else {
        let read = read_floor(conn, TickCondition::ALWAYS).await?;
        known.insert(Floor::new(read.snapshot.newest, read.tick_xid, Instant::now()))
    };
    // Read the writers before the rows: if a writer has ended by then, its rows are among those that are read.
    let writers = if floor.needs_log_transactions() { Some(list_open_transactions(conn).await?) } else { None };
    let tail = log::read_tail(conn, floor.id()).await?;
    let mut heads = tail.heads;
    if !floor.is_settled() {
        let open_streams = hub.open_streams.send(ListOpenStreams).await.map_err(Error::internal)?;
        heads.extend(log::list_heads(conn, &open_streams).await?);
    }
    if hub.heads.try_send(Heads(heads)).is_err() {
        return Ok(false);
    }
    floor.update(&tail.snapshot, writers.as_ref(), Instant::now());
    if floor.needs_tick(&tail.snapshot) {
        let read = read_floor(conn, TickCondition::ALWAYS).await?;
        if let Some(xid) = read.tick_xid {
            floor.open_tick(read.snapshot.newest, xid, Instant::now());
        }
    }
    Ok(true)
}
