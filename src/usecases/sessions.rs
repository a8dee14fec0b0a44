//! The reads of a live session: its login, its memberships, and whether it may subscribe.

use crate::app::App;
use crate::domain::caller::{Caller, Via};
use crate::domain::ids::{ConversationId, Rev};
use crate::domain::stream::Stream;
use crate::error::Result;
use crate::protocol::subscriptions::DeniedConversation;
use crate::store::db::pools::ReadPool;
use crate::store::members::{self, Membership};
use crate::store::{log, sessions};
use crate::work::access;
use crate::work::read::read;
use std::collections::HashSet;

/// The state of a user when a session begins.
#[derive(Debug)]
pub struct SessionStart {
    /// The revision of the user's own stream. A revocation above it concerns this session.
    pub user_rev: Rev,
    pub memberships: Vec<Membership>,
}

/// Returns the conversations that the user is probably in. Their rooms are started before membership is read for
/// certain.
pub async fn list_likely_conversations(app: &App, caller: &Caller) -> Result<Vec<ConversationId>> {
    let user = caller.user_id;
    read(app, ReadPool::Log, move |conn| Box::pin(async move { Ok(members::conversations_of(conn, user).await?) }))
        .await
}

/// Returns those of `conversations` that the caller is probably in; see [`list_likely_conversations`].
pub async fn filter_likely_conversations(
    app: &App,
    caller: &Caller,
    conversations: &[ConversationId],
) -> Result<Vec<ConversationId>> {
    let found = memberships(app, caller, conversations).await?;
    Ok(found.into_iter().map(|membership| membership.conversation_id).collect())
}

/// Reads the state for a session, after its rooms are started. It reads the user's revision first, in one statement
/// with status and login: every later change is then an event above this revision.
pub async fn read_start(app: &App, caller: &Caller, conversations: &[ConversationId]) -> Result<SessionStart> {
    let user_rev = read_user_rev_of_valid_caller(app, caller).await?;
    let memberships = memberships(app, caller, conversations).await?;
    Ok(SessionStart { user_rev, memberships })
}

/// Returns the caller's memberships among `conversations`.
async fn memberships(app: &App, caller: &Caller, conversations: &[ConversationId]) -> Result<Vec<Membership>> {
    let (user, conversations) = (caller.user_id, conversations.to_vec());
    let (memberships, epoch) = read(app, ReadPool::Log, move |conn| {
        Box::pin(async move { Ok(members::memberships(conn, user, &conversations).await?) })
    })
    .await?;
    set_epoch_of_read(app, epoch.as_deref());
    Ok(memberships)
}

/// Sets the epoch of this node to that of the database at the read. `None` changes nothing.
fn set_epoch_of_read(app: &App, epoch: Option<&str>) {
    if let Some(epoch) = epoch {
        app.set_epoch(epoch);
    }
}

/// Returns the revision of the caller's own stream. Fails if the account is not active or the login, if the caller acts
/// by one, has ended.
pub async fn read_user_rev_of_valid_caller(app: &App, caller: &Caller) -> Result<Rev> {
    let Caller { user_id, via, .. } = *caller;
    let login_id = match via {
        Via::Login { login_id } => Some(login_id),
        Via::Host { .. } | Via::Service(_) => None,
    };
    let snapshot = read(app, ReadPool::Authentication, move |conn| {
        Box::pin(async move { Ok(sessions::caller_snapshot(conn, user_id, login_id).await?) })
    })
    .await?
    .ok_or_else(access::login_ended)?;
    set_epoch_of_read(app, Some(&snapshot.epoch));
    access::require_valid(via, snapshot.status, snapshot.revoked)?;
    Ok(snapshot.last_rev)
}

/// Returns the caller's memberships among `conversations`, and why the caller cannot subscribe to the others.
pub async fn check_subscriptions(
    app: &App,
    caller: &Caller,
    conversations: &[ConversationId],
) -> Result<(Vec<Membership>, Vec<DeniedConversation>)> {
    let (user, conversations) = (caller.user_id, conversations.to_vec());
    let (memberships, denied, epoch) = read(app, ReadPool::Log, move |conn| {
        Box::pin(async move {
            let (memberships, epoch) = members::memberships(conn, user, &conversations).await?;
            let found: HashSet<_> = memberships.iter().map(|membership| membership.conversation_id).collect();
            let missing: Vec<_> = conversations.iter().filter(|id| !found.contains(id)).copied().collect();
            let denied = access::list_denied(conn, &missing).await?;
            Ok((memberships, denied, epoch))
        })
    })
    .await?;
    set_epoch_of_read(app, epoch.as_deref());
    let denied = denied.into_iter().map(|(id, error)| DeniedConversation { id, code: error.code().as_str() });
    Ok((memberships, denied.collect()))
}

/// Returns those streams of which the log no longer has the next event after the client's revision.
pub async fn list_truncated(app: &App, client_revs: &[(Stream, Rev)]) -> Result<Vec<Stream>> {
    let client_revs = client_revs.to_vec();
    read(app, ReadPool::Log, move |conn| Box::pin(async move { Ok(log::list_truncated(conn, &client_revs).await?) }))
        .await
}
