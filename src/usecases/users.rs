//! What users do with other users: getting one of them, and searching by name.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::search::UserQuery;
use crate::error::{Error, Result};
use crate::protocol::accounts::UserOrMe;
use crate::protocol::users::User;
use crate::store::db::pools::ReadPool;
use crate::store::users::{self, SearchCursor, UserRow};
use crate::work::assemble::users::{UsersView, to_me};
use crate::work::read::{read, read_heavy};

/// A user that was found: the caller, or another one.
enum FoundUser {
    Own(UserRow),
    Other(UsersView),
}

/// Returns a user. The caller's own account has private fields too.
pub async fn get(app: &App, caller: Caller, user: UserRef) -> Result<UserOrMe> {
    let found = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let user = users::by_ref(conn, &user).await?.ok_or_else(|| Error::not_found("user"))?;
            if user.id == caller.user_id {
                return Ok(FoundUser::Own(user));
            }
            Ok(FoundUser::Other(UsersView::read(conn, caller.user_id, vec![user]).await?))
        })
    })
    .await?;
    match found {
        FoundUser::Own(own) => Ok(UserOrMe::Me(to_me(app, &own))),
        FoundUser::Other(other) => {
            other.into_users(app).pop().map(UserOrMe::Other).ok_or_else(|| Error::not_found("user"))
        }
    }
}

/// Searches active users by username and display name (see [`crate::domain::search`]). The best matches come first,
/// then the order is by username. Also returns the cursor of the next page, if there is one.
pub async fn search(
    app: &App,
    caller: Caller,
    query: &str,
    after: Option<SearchCursor>,
    limit: u64,
) -> Result<(Vec<User>, Option<SearchCursor>)> {
    let query = parse_query(query)?;
    let (found, next) = read_heavy(app, &caller, move |conn| {
        Box::pin(async move {
            let mut rows = users::search(conn, &query, after.as_ref(), limit + 1).await?;
            let more = rows.len() as u64 > limit;
            rows.truncate(limit as usize);
            let next = rows.last().filter(|_| more).map(|(cursor, _)| cursor.clone());
            let rows = rows.into_iter().map(|(_, user)| user).collect();
            Ok((UsersView::read(conn, caller.user_id, rows).await?, next))
        })
    })
    .await?;
    Ok((found.into_users(app), next))
}

/// Parses a search query. A query without searchable characters, such as a single accent, is refused, because it
/// matches everything.
fn parse_query(query: &str) -> Result<UserQuery> {
    if query.contains('\0') {
        return Err(Error::invalid("q", "must not contain NUL"));
    }
    let is_short = query.trim().chars().count() <= limits::USER_QUERY_CHARS;
    is_short
        .then(|| UserQuery::parse(query))
        .flatten()
        .ok_or_else(|| Error::invalid("q", limits::out_of_range(&(1..=limits::USER_QUERY_CHARS))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_folded_and_one_that_folds_away_is_refused() {
        assert_eq!(parse_query(" Học ").unwrap().words(), ["hoc"]);
        assert_eq!(parse_query("%").unwrap().words(), ["%"]);
        for bad in ["", "  ", "\u{301}", "a\0b", &"x".repeat(201)] {
            assert!(parse_query(bad).is_err(), "{bad:?}");
        }
    }
}
