//! Users as others see them: one, those whose name is searched for, and who is there.

use super::Caller;
use super::read::{heavy, read};
use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::search::Query;
use crate::error::{Error, Result};
use crate::protocol::accounts::PresenceQuestion;
use crate::protocol::resources::{PresenceState, PresenceStates, User, UserOrMe};
use crate::store::pools::Share;
use crate::store::users::{self, SearchPlace, UserRow};
use std::collections::HashSet;

/// Characters in a search.
const QUERY_CHARS: usize = 200;

/// The user that `user` names, to oneself with what others do not see.
pub async fn get(app: &App, caller: Caller, user: UserRef) -> Result<UserOrMe> {
    let found = read(app, Share::Ordinary, move |conn| {
        Box::pin(async move {
            let Some(user) = users::by_ref(conn, &user).await? else { return Ok(None) };
            let visible = users::visible_to(conn, caller.user_id, &[user.id]).await?;
            Ok(Some((user, visible)))
        })
    })
    .await?;
    let (user, visible) = found.ok_or_else(|| Error::not_found("user"))?;
    if user.id == caller.user_id {
        return Ok(UserOrMe::Me(user.to_me(app.presence().status(user.id))));
    }
    Ok(UserOrMe::Other(shown(app, &user, &visible)))
}

/// A user as the caller may see it: presence is only for those one shares a conversation with and has no block with.
fn shown(app: &App, user: &UserRow, visible: &HashSet<UserId>) -> User {
    if visible.contains(&user.id) { user.to_user(app.presence().status(user.id)) } else { user.to_stranger() }
}

/// Active users whose username or display name matches `query` (see [`crate::domain::search`]): the best matches first, then
/// by username, after `after`; and where the next page begins.
pub async fn search(
    app: &App,
    caller: Caller,
    query: &str,
    after: Option<SearchPlace>,
    limit: u64,
) -> Result<(Vec<User>, Option<SearchPlace>)> {
    let query = looked_for(query)?;
    let (mut rows, visible) = heavy(app, &caller, move |conn| {
        Box::pin(async move {
            let rows = users::search(conn, &query, after.as_ref(), limit + 1).await?;
            let ids: Vec<UserId> = rows.iter().map(|(_, user)| user.id).collect();
            let visible = users::visible_to(conn, caller.user_id, &ids).await?;
            Ok((rows, visible))
        })
    })
    .await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|(place, _)| place.clone());
    Ok((rows.iter().map(|(_, user)| shown(app, user, &visible)).collect(), next))
}

/// What is looked for; a query that folds away, such as a lone accent, could be found everywhere and is refused.
fn looked_for(query: &str) -> Result<Query> {
    if query.contains('\0') {
        return Err(Error::invalid("q", "must not contain NUL"));
    }
    let short = query.trim().chars().count() <= QUERY_CHARS;
    short.then(|| Query::parse(query)).flatten().ok_or_else(|| Error::invalid("q", "must have 1 to 200 characters"))
}

/// Who of the users asked for is there; those whom the caller may not see, and those who do not exist, are left out.
pub async fn presence(app: &App, caller: Caller, input: PresenceQuestion) -> Result<PresenceStates> {
    if input.user_ids.len() > limits::PRESENCE_USERS {
        return Err(Error::invalid("user_ids", "must name at most 100 users"));
    }
    let references: Vec<UserRef> = input.user_ids.iter().filter_map(|text| UserRef::parse(text)).collect();
    let (rows, visible) = read(app, Share::Ordinary, move |conn| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_folded_and_one_that_folds_away_is_refused() {
        assert_eq!(looked_for(" Học ").unwrap().words(), ["hoc"]);
        assert_eq!(looked_for("%").unwrap().words(), ["%"]);
        for bad in ["", "  ", "\u{301}", "a\0b", &"x".repeat(201)] {
            assert!(looked_for(bad).is_err(), "{bad:?}");
        }
    }
}
