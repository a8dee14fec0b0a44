//! Presence that changes: which users are notified, and the time when users were last online.

use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::{PresenceAnnounced, PresenceChanged};
use crate::protocol::presence::{PresenceStatus, PresenceUpdate};
use crate::protocol::server::ServerFrame;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::ServerWriter;
use crate::store::{members, sessions, users};
use crate::telemetry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Notifies the direct peers of each user of the new status, and keeps the time to store as last seen. Returns each
/// frame with those watchers who may see the user and were not notified as peers.
pub async fn announce(app: &App, changes: Vec<PresenceChanged>) -> Result<Vec<PresenceAnnounced>> {
    let (owned_app, part) = (app.clone(), app.supervision().part("presence_announcements"));
    app.run_with_deadline(async move {
        let announced = part.attempt(announce_in(&owned_app, changes)).await;
        announced.unwrap_or_else(|panicked| Err(Error::internal(panicked)))
    })
    .await
}

async fn announce_in(app: &App, changes: Vec<PresenceChanged>) -> Result<Vec<PresenceAnnounced>> {
    let conn = app.db().read(ReadPool::Ordinary);
    let now = Timestamp::now();
    let users: Vec<UserId> = changes.iter().map(|change| change.user_id).collect();
    let watching: Vec<(UserId, UserId)> =
        changes.iter().flat_map(|change| change.watchers.iter().map(|watcher| (change.user_id, *watcher))).collect();
    let mut peers: HashMap<UserId, HashSet<UserId>> = HashMap::new();
    for (user, peer) in members::direct_peers(conn, &users).await? {
        peers.entry(user).or_default().insert(peer);
    }
    // Visibility is mutual: the two users share a conversation, and no block separates them.
    let visible = users::visible_pairs(conn, &watching).await?;
    let announced = changes.into_iter().map(|PresenceChanged { user_id, status, watchers }| {
        app.last_seen().set(user_id, now);
        let frame = ServerFrame::PresenceUpdate(PresenceUpdate { user_id, status, last_seen_at: Some(now) });
        let peers = peers.remove(&user_id).unwrap_or_default();
        app.notify(peers.iter().copied().map(Stream::User).collect(), &frame, None);
        let others =
            watchers.into_iter().filter(|watcher| visible.contains(&(user_id, *watcher)) && !peers.contains(watcher));
        PresenceAnnounced { user_id, status, text: frame.text(None), watchers: others.collect() }
    });
    Ok(announced.collect())
}

/// Notifies each of two users, who can see each other from now on, of the presence of the other.
pub fn notify_visible(app: &App, one: UserId, other: UserId) {
    notify_pair(app, one, other, |status| status);
}

/// Notifies each of two users that the other is offline, because they cannot see each other any more.
pub fn notify_hidden(app: &App, one: UserId, other: UserId) {
    notify_pair(app, one, other, |_| PresenceStatus::Offline);
}

/// Sends each of two users the status that `shown` returns for the other one, unless the other one is offline.
fn notify_pair(app: &App, one: UserId, other: UserId, shown: impl Fn(PresenceStatus) -> PresenceStatus) {
    for (viewer, seen) in [(one, other), (other, one)] {
        let status = app.presence().status(seen);
        if status != PresenceStatus::Offline {
            let frame = ServerFrame::PresenceUpdate(PresenceUpdate {
                user_id: seen,
                status: shown(status),
                last_seen_at: None,
            });
            app.notify(vec![Stream::User(viewer)], &frame, None);
        }
    }
}

/// Stores every second when users were last seen, for all of them together. This is no event and changes no stream.
/// Never returns.
pub async fn run(app: App) {
    let part = app.supervision().part("last_seen");
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = part.attempt(store_last_seen(&app)).await;
    }
}

/// Stores the times that are not stored yet.
pub async fn store_last_seen(app: &App) {
    let seen = app.last_seen().take();
    if seen.is_empty() {
        return;
    }
    let written = app
        .db()
        .run(async {
            let _turn = app.db().take_server_turn(ServerWriter::System).await;
            Ok(sessions::update_last_seen(app.db().write()?, &seen).await?)
        })
        .await;
    if let Err(error) = written {
        telemetry::log_failure!(warn, error, users = seen.len(), "storing when users were last seen failed");
    }
}
