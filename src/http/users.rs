//! The calls that get and search users.

use super::cursor::{self, Collection};
use super::extract::{AuthCaller, StrictQuery, UserRefPath};
use super::problem::Problem;
use crate::app::App;
use crate::domain::limits;
use crate::protocol::accounts::UserOrMe;
use crate::protocol::page::Page;
use crate::protocol::users::User;
use crate::store::users::SearchCursor;
use crate::usecases::users;
use actix_web::{HttpResponse, web};
use serde::Deserialize;

/// Get a user
///
/// A caller sees the presence of a user only if they share a conversation and there is no block between them. For the
/// caller's own user the answer is the same as that of `/users/me`.
#[utoipa::path(
    get, path = "/users/{ref}", tag = "users",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the id of the host application")),
    responses((status = 200, description = "The user", body = UserOrMe))
)]
pub async fn get(app: web::Data<App>, caller: AuthCaller, user: UserRefPath) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(users::get(&app, caller.0, user.0).await?))
}

/// The parameters of a search for users.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UserSearchParams {
    /// The words to search for, 1–200 characters. No character has a special meaning.
    q: String,
    /// The number of items in a page, 1–100. It is 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// The `next_cursor` of the previous page. The first page has none.
    cursor: Option<String>,
}

/// Search users
///
/// The search compares usernames and display names without case and accents, and ignores a leading `@` in `q`. Each
/// word of `q` matches the beginning of a word, and with three or more characters also the middle. Equal names come
/// first, then names that begin with `q`. The search looks at no more than 1,000 users, so a frequent name needs more
/// words.
#[utoipa::path(
    get, path = "/users/search", tag = "users", params(UserSearchParams),
    responses((status = 200, description = "A page of users", body = Page<User>))
)]
pub async fn search(
    app: web::Data<App>,
    caller: AuthCaller,
    query: StrictQuery<UserSearchParams>,
) -> Result<HttpResponse, Problem> {
    let UserSearchParams { q, limit, cursor } = query.0;
    let limit = cursor::limit(limit, limits::PAGE_DEFAULT)?;
    let after: Option<SearchCursor> =
        cursor.as_deref().map(|cursor| cursor::decode(Collection::Users, cursor)).transpose()?;
    let (items, next) = users::search(&app, caller.0, &q, after, limit).await?;
    Ok(HttpResponse::Ok()
        .json(Page { items, next_cursor: next.as_ref().map(|sort_key| cursor::encode(Collection::Users, sort_key)) }))
}
