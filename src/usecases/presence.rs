//! Presence: which users may see it, and which are notified of a change.

use super::Caller;
use super::conversations::require_participant;
use crate::app::App;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::{PresenceAnnounced, PresenceChanged};
use crate::protocol::resources::PresenceStatus;
use crate::protocol::server::ServerFrame;
use crate::store::pools::ReadPool;
use crate::store::write_queue::ServerWriter;
use crate::store::{blocks, participants, sessions, users};
use crate::telemetry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Returns the users that `references` name. References that name no user are ignored.
pub async fn resolve(app: &App, references: &[String]) -> Result<Vec<UserId>> {
    if references.len() > limits::IDS_IN_COMMAND {
        return Err(Error::invalid("user_ids", "must have at most 1000 items"));
    }
    let references: Vec<UserRef> = references.iter().filter_map(|text| UserRef::parse(text)).collect();
    let found = users::by_refs(app.db().read(ReadPool::Ordinary), &references).await?;
    Ok(found.into_iter().flatten().map(|user| user.id).collect())
}

/// Returns those of the named users whose presence the caller may watch: users who share a conversation with the
/// caller, without a block between them.
pub async fn list_visible(app: &App, caller: &Caller, references: &[String]) -> Result<Vec<UserId>> {
    let users = resolve(app, references).await?;
    let visible = users::visible_to(app.db().read(ReadPool::Ordinary), caller.user_id, &users).await?;
    Ok(users.into_iter().filter(|id| visible.contains(id)).collect())
}

/// Lists the participants of a conversation who are online or away, without users who are separated from the caller by
/// a block.
pub async fn list_online(app: &App, caller: &Caller, conversation: ConversationId) -> Result<Vec<UserId>> {
    require_participant(app, caller, conversation).await?;
    // A conversation has at most as many participants as a class, so this list is bounded.
    let participant_ids = participants::ids(app.db().read(ReadPool::Ordinary), conversation).await?;
    let mut present = app.presence().list_present(participant_ids);
    let blocked =
        blocks::list_blocked_participants(app.db().read(ReadPool::Ordinary), caller.user_id, conversation).await?;
    present.retain(|user| !blocked.contains(user));
    Ok(present)
}

/// Notifies the direct peers of each user of the new status, and keeps the time to store as last seen. Returns each
/// frame with those watchers who may see the user and were not notified as peers.
pub async fn announce(app: &App, changes: Vec<PresenceChanged>) -> Result<Vec<PresenceAnnounced>> {
    let now = Timestamp::now();
    let users: Vec<UserId> = changes.iter().map(|change| change.user_id).collect();
    let watching: Vec<(UserId, UserId)> =
        changes.iter().flat_map(|change| change.watchers.iter().map(|watcher| (change.user_id, *watcher))).collect();
    let mut peers: HashMap<UserId, HashSet<UserId>> = HashMap::new();
    for (user, peer) in participants::direct_peers(app.db().read(ReadPool::Ordinary), &users).await? {
        peers.entry(user).or_default().insert(peer);
    }
    // Visibility is mutual: the two users share a conversation, and no block separates them.
    let visible = users::visible_pairs(app.db().read(ReadPool::Ordinary), &watching).await?;
    let announced = changes.into_iter().map(|PresenceChanged { user_id, status, watchers }| {
        app.presence().set_last_seen(user_id, now);
        let frame = ServerFrame::PresenceUpdate { user_id, status, last_seen_at: Some(now) };
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
            let frame = ServerFrame::PresenceUpdate { user_id: seen, status: shown(status), last_seen_at: None };
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
    let seen = app.presence().take_last_seen();
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
