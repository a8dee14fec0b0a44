//! What users do with presence: finding those whose presence they may see.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::error::{Error, Result};
use crate::protocol::presence::{PresenceRequest, PresenceState, PresenceStates};
use crate::store::db::pools::ReadPool;
use crate::store::users::UserRow;
use crate::store::{blocks, members, users};
use crate::work::access;
use crate::work::read::read;
use sea_orm::ConnectionTrait;

/// Returns the presence of users. It leaves out users that do not exist or that the caller may not see.
pub async fn list(app: &App, caller: Caller, input: PresenceRequest) -> Result<PresenceStates> {
    if input.user_ids.len() > limits::PRESENCE_USERS {
        return Err(Error::invalid("user_ids", format!("must name at most {} users", limits::PRESENCE_USERS)));
    }
    let references: Vec<UserRef> = input.user_ids.iter().filter_map(|text| UserRef::parse(text)).collect();
    let (rows, visible) = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let rows: Vec<UserRow> = users::by_refs(conn, &references).await?.into_iter().flatten().collect();
            let ids: Vec<UserId> = rows.iter().map(|user| user.id).collect();
            let visible = users::visible_to(conn, caller.user_id, &ids).await?;
            Ok((rows, visible))
        })
    })
    .await?;
    let state =
        |user: &UserRow| PresenceState { status: app.presence().status(user.id), last_seen_at: user.last_seen_at };
    let seen = rows.iter().filter(|user| visible.contains(&user.id));
    Ok(PresenceStates { users: seen.map(|user| (user.id, state(user))).collect() })
}

/// Returns the users that `references` name. References that name no user are ignored.
pub async fn resolve(app: &App, references: &[String]) -> Result<Vec<UserId>> {
    let references = parse(references)?;
    read(app, ReadPool::Ordinary, move |conn| Box::pin(async move { find(conn, &references).await })).await
}

fn parse(references: &[String]) -> Result<Vec<UserRef>> {
    if references.len() > limits::IDS_IN_COMMAND {
        return Err(Error::invalid("user_ids", limits::at_most(limits::IDS_IN_COMMAND, "items")));
    }
    Ok(references.iter().filter_map(|text| UserRef::parse(text)).collect())
}

async fn find(conn: &impl ConnectionTrait, references: &[UserRef]) -> Result<Vec<UserId>> {
    let found = users::by_refs(conn, references).await?;
    Ok(found.into_iter().flatten().map(|user| user.id).collect())
}

/// Returns those of the named users whose presence the caller may watch: users who share a conversation with the
/// caller, without a block between them.
pub async fn list_visible(app: &App, caller: &Caller, references: &[String]) -> Result<Vec<UserId>> {
    let (user, references) = (caller.user_id, parse(references)?);
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let users = find(conn, &references).await?;
            let visible = users::visible_to(conn, user, &users).await?;
            Ok(users.into_iter().filter(|id| visible.contains(id)).collect())
        })
    })
    .await
}

/// Lists the participants of a conversation who are online or away, without users who are separated from the caller by
/// a block.
pub async fn list_online(app: &App, caller: &Caller, conversation_id: ConversationId) -> Result<Vec<UserId>> {
    let (user, owned_app) = (caller.user_id, app.clone());
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            access::require_participant(conn, conversation_id, user).await?;
            // A conversation has at most as many participants as a class, so this list is bounded.
            let mut present = owned_app.presence().list_present(members::ids(conn, conversation_id).await?);
            // Read the blocks last: a user who blocked the caller before coming online must not be shown.
            let blocked = blocks::list_blocked_participants(conn, user, conversation_id).await?;
            present.retain(|user| !blocked.contains(user));
            Ok(present)
        })
    })
    .await
}
