//! The reads of a live session: its login, its memberships, and whether it may subscribe.

use super::Caller;
use crate::app::App;
use crate::domain::ids::{ConversationId, Rev};
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::server::DeniedConversation;
use crate::store::participants::{self, Membership};
use crate::store::pools::ReadPool;
use crate::store::{log, sessions, writes};
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
    Ok(participants::conversations_of(app.db().read(ReadPool::Log), caller.user_id).await?)
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
    let user_rev = check_login(app, caller).await?;
    let memberships = memberships(app, caller, conversations).await?;
    Ok(SessionStart { user_rev, memberships })
}

/// Returns the caller's memberships among `conversations`. The node also adopts the epoch that they were read in.
async fn memberships(app: &App, caller: &Caller, conversations: &[ConversationId]) -> Result<Vec<Membership>> {
    let (memberships, epoch) =
        participants::memberships(app.db().read(ReadPool::Log), caller.user_id, conversations).await?;
    if let Some(epoch) = epoch {
        app.db().history().set_epoch(&epoch);
    }
    Ok(memberships)
}

/// Returns the revision of the caller's own stream. Fails if the account is not active or the login has ended.
pub async fn check_login(app: &App, caller: &Caller) -> Result<Rev> {
    let snapshot =
        sessions::login_snapshot(app.db().read(ReadPool::Authentication), caller.user_id, caller.login_id).await?;
    if let Some(snapshot) = &snapshot {
        app.db().history().set_epoch(&snapshot.epoch);
    }
    match snapshot {
        Some(snapshot) if snapshot.status == "suspended" => Err(Error::suspended()),
        Some(snapshot) if snapshot.status == "active" && !snapshot.revoked => Ok(snapshot.last_rev),
        _ => Err(Error::unauthorized("This login has ended; sign in again.")),
    }
}

/// Returns the caller's memberships among `conversations`, and why the caller cannot subscribe to the others.
pub async fn check_subscriptions(
    app: &App,
    caller: &Caller,
    conversations: &[ConversationId],
) -> Result<(Vec<Membership>, Vec<DeniedConversation>)> {
    let conn = app.db().read(ReadPool::Log);
    let memberships = memberships(app, caller, conversations).await?;
    let found: HashSet<_> = memberships.iter().map(|membership| membership.conversation_id).collect();
    let missing: Vec<_> = conversations.iter().filter(|id| !found.contains(id)).copied().collect();
    if missing.is_empty() {
        return Ok((memberships, Vec::new()));
    }
    let existing = writes::list_existing(conn, &missing).await?;
    let denied = missing
        .into_iter()
        .map(|id| {
            let error =
                if existing.contains(&id) { Error::not_a_participant() } else { Error::not_found("conversation") };
            DeniedConversation { id, code: error.code().as_str() }
        })
        .collect();
    Ok((memberships, denied))
}

/// Returns those streams for which the log does not have all events after the client's revision any more.
pub async fn list_unreachable(app: &App, client_revs: &[(Stream, Rev)]) -> Result<Vec<Stream>> {
    Ok(log::list_without_next_rev(app.db().read(ReadPool::Log), client_revs).await?)
}
