//! What a live session asks the database: who it is, what it is in, and whether it may subscribe.

use super::Caller;
use crate::app::App;
use crate::domain::ids::{ConversationId, Rev};
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::server::Denied;
use crate::store::participants::{self, Membership};
use crate::store::pools::Share;
use crate::store::{log, sessions, writes};
use std::collections::HashSet;

/// What a session begins with.
#[derive(Debug)]
pub struct Opened {
    /// The revision of the user's own stream; a revocation above it concerns this session.
    pub user_rev: Rev,
    /// The conversations the user is in.
    pub memberships: Vec<Membership>,
}

/// The conversations the user is probably in, so that their rooms can be started before membership is read.
pub async fn likely(app: &App, caller: &Caller) -> Result<Vec<ConversationId>> {
    Ok(participants::conversations_of(app.db().read(Share::Log), caller.user_id).await?)
}

/// Those of `conversations` that the caller is probably in; see [`likely`].
pub async fn likely_among(app: &App, caller: &Caller, conversations: &[ConversationId]) -> Result<Vec<ConversationId>> {
    let found = memberships(app, caller, conversations).await?;
    Ok(found.into_iter().map(|membership| membership.conversation_id).collect())
}

/// Reads, after the rooms run, what a session begins with. The user's revision is read first, in the statement that also
/// reads status and login: whatever changes later is an event above it.
pub async fn open(app: &App, caller: &Caller, conversations: &[ConversationId]) -> Result<Opened> {
    let user_rev = standing(app, caller).await?;
    let memberships = memberships(app, caller, conversations).await?;
    Ok(Opened { user_rev, memberships })
}

/// The caller's memberships among `conversations`; the node takes over the epoch that they were read in.
async fn memberships(app: &App, caller: &Caller, conversations: &[ConversationId]) -> Result<Vec<Membership>> {
    let (memberships, epoch) =
        participants::memberships(app.db().read(Share::Log), caller.user_id, conversations).await?;
    if let Some(epoch) = epoch {
        app.db().history().adopt(&epoch);
    }
    Ok(memberships)
}

/// The revision of the caller's own stream, if the account and the login still stand.
pub async fn standing(app: &App, caller: &Caller) -> Result<Rev> {
    let standing = sessions::standing(app.db().read(Share::Authentication), caller.user_id, caller.login_id).await?;
    if let Some(standing) = &standing {
        app.db().history().adopt(&standing.epoch);
    }
    match standing {
        Some(standing) if standing.status == "suspended" => Err(Error::suspended()),
        Some(standing) if standing.status == "active" && !standing.revoked => Ok(standing.last_rev),
        _ => Err(Error::unauthorized("this login has ended; sign in again")),
    }
}

/// Which of `conversations` the caller may subscribe to, and why not the others.
pub async fn admit(
    app: &App,
    caller: &Caller,
    conversations: &[ConversationId],
) -> Result<(Vec<Membership>, Vec<Denied>)> {
    let conn = app.db().read(Share::Log);
    let memberships = memberships(app, caller, conversations).await?;
    let found: HashSet<_> = memberships.iter().map(|membership| membership.conversation_id).collect();
    let missing: Vec<_> = conversations.iter().filter(|id| !found.contains(id)).copied().collect();
    if missing.is_empty() {
        return Ok((memberships, Vec::new()));
    }
    let existing = writes::existing(conn, &missing).await?;
    let denied = missing
        .into_iter()
        .map(|id| {
            let error =
                if existing.contains(&id) { Error::not_a_participant() } else { Error::not_found("conversation") };
            Denied { id, code: error.code().as_str() }
        })
        .collect();
    Ok((memberships, denied))
}

/// Of streams and the revisions a client holds of them, those that the log cannot bring up to date any more.
pub async fn out_of_reach(app: &App, wanted: &[(Stream, Rev)]) -> Result<Vec<Stream>> {
    Ok(log::out_of_reach(app.db().read(Share::Log), wanted).await?)
}
