//! Presence: who may see whom, and who is told when it changes.

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
use crate::store::gate::Class;
use crate::store::pools::Share;
use crate::store::{blocks, participants, sessions, users};
use crate::telemetry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// The users that references name; one that names nobody is left out.
pub async fn named(app: &App, references: &[String]) -> Result<Vec<UserId>> {
    if references.len() > limits::IDS_IN_COMMAND {
        return Err(Error::invalid("user_ids", "must have at most 1000 items"));
    }
    let references: Vec<UserRef> = references.iter().filter_map(|text| UserRef::parse(text)).collect();
    let found = users::by_refs(app.db().read(Share::Ordinary), &references).await?;
    Ok(found.into_iter().flatten().map(|user| user.id).collect())
}

/// Those of the users named whose presence the caller may watch: who shares a conversation, with no block in between.
pub async fn visible(app: &App, caller: &Caller, references: &[String]) -> Result<Vec<UserId>> {
    let users = named(app, references).await?;
    let seen = users::visible_to(app.db().read(Share::Ordinary), caller.user_id, &users).await?;
    Ok(users.into_iter().filter(|id| seen.contains(id)).collect())
}

/// Who in a conversation is online or away, those apart from the caller by a block left out.
pub async fn online(app: &App, caller: &Caller, conversation: ConversationId) -> Result<Vec<UserId>> {
    require_participant(app, caller, conversation).await?;
    // a conversation has at most as many participants as a class
    let inside = participants::ids(app.db().read(Share::Ordinary), conversation).await?;
    let mut there = app.presence().there(inside);
    let apart = blocks::apart(app.db().read(Share::Ordinary), caller.user_id, conversation).await?;
    there.retain(|user| !apart.contains(user));
    Ok(there)
}

/// Tells the direct peers of each user that the user came, went away or left, and notes when the user was last there.
/// Answers with each frame, and with those of the user's watchers who may see it now and have not been told.
pub async fn announce(app: &App, changes: Vec<PresenceChanged>) -> Result<Vec<PresenceAnnounced>> {
    let now = Timestamp::now();
    let users: Vec<UserId> = changes.iter().map(|change| change.user_id).collect();
    let watching: Vec<(UserId, UserId)> =
        changes.iter().flat_map(|change| change.watchers.iter().map(|watcher| (change.user_id, *watcher))).collect();
    let mut peers: HashMap<UserId, HashSet<UserId>> = HashMap::new();
    for (user, peer) in participants::direct_peers(app.db().read(Share::Ordinary), &users).await? {
        peers.entry(user).or_default().insert(peer);
    }
    // who sees whom is mutual: a shared conversation, and no block
    let seen = users::visible_pairs(app.db().read(Share::Ordinary), &watching).await?;
    let told = changes.into_iter().map(|PresenceChanged { user_id, status, watchers }| {
        app.presence().note_seen(user_id, now);
        let frame = ServerFrame::PresenceUpdate { user_id, status, last_seen_at: Some(now) };
        let peers = peers.remove(&user_id).unwrap_or_default();
        app.tell(peers.iter().copied().map(Stream::User).collect(), &frame, None);
        let others =
            watchers.into_iter().filter(|watcher| seen.contains(&(user_id, *watcher)) && !peers.contains(watcher));
        PresenceAnnounced { user_id, status, text: frame.text(None), watchers: others.collect() }
    });
    Ok(told.collect())
}

/// Shows each of two who may see each other now, and could not before, that the other is there.
pub fn show(app: &App, one: UserId, other: UserId) {
    tell_each(app, one, other, |status| status);
}

/// Lets each of two go out of the other's sight.
pub fn hide(app: &App, one: UserId, other: UserId) {
    tell_each(app, one, other, |_| PresenceStatus::Offline);
}

/// Tells each of two what is to be `shown` of the other, if the other is there at all.
fn tell_each(app: &App, one: UserId, other: UserId, shown: impl Fn(PresenceStatus) -> PresenceStatus) {
    for (viewer, seen) in [(one, other), (other, one)] {
        let status = app.presence().status(seen);
        if status != PresenceStatus::Offline {
            let frame = ServerFrame::PresenceUpdate { user_id: seen, status: shown(status), last_seen_at: None };
            app.tell(vec![Stream::User(viewer)], &frame, None);
        }
    }
}

/// Writes down when users were last there, those of a second together. It is no event and touches no stream. Runs for
/// ever.
pub async fn keep(app: App) {
    let part = app.supervision().part("last_seen");
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = part.attempt(write_down(&app)).await;
    }
}

/// Writes down what is not written down yet.
pub async fn write_down(app: &App) {
    let seen = app.presence().take_seen();
    if seen.is_empty() {
        return;
    }
    let written = app
        .db()
        .guard(async {
            let _turn = app.db().turn(Class::System).await;
            Ok(sessions::touch(app.db().write()?, &seen).await?)
        })
        .await;
    if let Err(error) = written {
        telemetry::failed!(warn, error, users = seen.len(), "when users were last there could not be written down");
    }
}
