//! The catch-up: a task that tails the log, so that nothing stays lost. It runs on every node, whether or not anything
//! else carries events between nodes, and tells the hub how far each stream reaches; a room that is behind reads what it
//! lacks.
//!
//! It reads above a [floor](crate::domain::floor), which rises only past ids below which no row can appear any more, and
//! only when the hub has taken what was found. Until its first floor is settled, rows below it may still appear: then the
//! streams of all rooms are looked at one by one.

use crate::app::App;
use crate::domain::floor::Floor;
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::mailboxes::{EndRooms, Heads, OpenStreams};
use crate::store::log;
use crate::store::pools::Share;
use crate::telemetry::Trouble;
use actix::prelude::Recipient;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// A wake-up waits this long, so that several make one tail.
const GATHER: Duration = Duration::from_millis(20);

/// How the catch-up reaches the hub.
pub struct Outlet {
    /// Is told how far streams reach.
    pub hear: Recipient<Heads>,
    /// Says which streams have a room here.
    pub rooms: Recipient<OpenStreams>,
}

/// Ends all rooms whenever the database turns out to hold another history than now. Runs for ever.
pub fn follow_history(app: App, hub: Recipient<EndRooms>) -> impl Future<Output = ()> {
    let (part, mut epoch) = (app.supervision().part("history"), app.db().history().changes());
    async move {
        while part.run(end_rooms(&app, &hub, &mut epoch)).await.is_err() {
            // what the one that failed did not do is done now
            epoch.mark_changed();
        }
    }
}

async fn end_rooms(app: &App, hub: &Recipient<EndRooms>, epoch: &mut watch::Receiver<Arc<str>>) {
    while epoch.changed().await.is_ok() {
        hub.do_send(EndRooms); // detach
        app.wake_catch_up();
    }
}

/// Runs for ever; `wake` asks for a tail at once.
pub async fn run(app: App, hub: Outlet, wake: Arc<Notify>) {
    let part = app.supervision().part("catch_up");
    // it begins with a floor of its own, so that what the one that failed did not tell is told
    while part.run(follow(&app, &hub, &wake)).await.is_err() {}
}

async fn follow(app: &App, hub: &Outlet, wake: &Notify) {
    let (mut floor, trouble) = (None, Trouble::default());
    let mut epoch = app.db().history().changes();
    loop {
        if epoch.has_changed().is_ok_and(|changed| changed) {
            // another history, whose ids and transactions say nothing about where this one stood
            epoch.mark_unchanged();
            floor = None;
        }
        match app.db().guard(tail(app, hub, &mut floor)).await {
            Ok(handed_over) => {
                if trouble.is_over() {
                    tracing::info!("the log is tailed again");
                }
                if !handed_over {
                    wake.notify_one();
                }
            }
            Err(error) if trouble.failed() => tracing::warn!(%error, "the log cannot be tailed; trying again"),
            Err(error) => tracing::debug!(%error, "the log cannot be tailed; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(limits::CATCH_UP) => {}
            () = wake.notified() => tokio::time::sleep(GATHER).await,
        }
    }
}

/// One look at the log; false when the hub had no place for what was found.
async fn tail(app: &App, hub: &Outlet, floor: &mut Option<Floor>) -> Result<bool> {
    let conn = app.db().read(Share::Log);
    let floor = if let Some(floor) = floor {
        floor
    } else {
        let (newest, xid) = log::tick(conn).await?;
        floor.insert(Floor::begin(newest, xid, Instant::now()))
    };
    // asked before the log is read: what they wrote is seen by the tail if they have ended
    let writers = if floor.asks_for_writers(Instant::now()) { Some(log::writers(conn).await?) } else { None };
    let tail = log::tail(conn, floor.id()).await?;
    let mut heard = tail.grown;
    if !floor.is_settled() {
        let rooms = hub.rooms.send(OpenStreams).await.map_err(Error::internal)?;
        heard.extend(log::heads(conn, &rooms).await?);
    }
    if hub.hear.try_send(Heads(heard)).is_err() {
        return Ok(false);
    }
    floor.looked(&tail.look, writers.as_ref());
    if floor.wants_tick(&tail.look)
        && let (newest, Some(xid)) = log::tick(conn).await?
    {
        floor.ticked(newest, xid, Instant::now());
    }
    Ok(true)
}
