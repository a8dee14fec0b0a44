//! Changes of presence: which users are notified of them.

use super::read::read;
use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::{PresenceAnnounced, PresenceChanged};
use crate::protocol::presence::{PresenceStatus, PresenceUpdate};
use crate::protocol::server::ServerFrame;
use crate::store::db::pools::ReadPool;
use crate::store::{members, users};
use sea_orm::ConnectionTrait;
use std::collections::{HashMap, HashSet};

/// Notifies the direct peers of each user of the new status, and keeps the time to store as last seen. Returns each
/// frame with those watchers who may see the user and were not notified as peers.
pub async fn announce(app: &App, changes: Vec<PresenceChanged>) -> Result<Vec<PresenceAnnounced>> {
    let (owned_app, part) = (app.clone(), app.supervision().part("presence_announcements"));
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let announced = part.catch_panic_in(announce_in(&owned_app, conn, changes)).await;
            announced.unwrap_or_else(|panicked| Err(Error::internal(panicked)))
        })
    })
    .await
}

async fn announce_in(
    app: &App,
    conn: &impl ConnectionTrait,
    changes: Vec<PresenceChanged>,
) -> Result<Vec<PresenceAnnounced>> {
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
