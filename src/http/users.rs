//! One's own profile and password, and other users.

use super::body::Json;
use super::cursor::{self, Collection};
use super::extract::{Auth, ClientAddr, Query, UserRefPath};
use super::problem::Problem;
use crate::app::App;
use crate::domain::limits;
use crate::protocol::accounts::{PasswordChange, PresenceQuestion, ProfileChange};
use crate::protocol::resources::{Me, Page, PresenceStates, User, UserOrMe};
use crate::store::users::SearchPlace;
use crate::usecases::{accounts, users};
use actix_web::{HttpResponse, web};
use serde::Deserialize;

/// See oneself
#[utoipa::path(get, path = "/users/me", tag = "users", responses((status = 200, description = "Oneself", body = Me)))]
pub async fn me(app: web::Data<App>, caller: Auth) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(accounts::me(&app, caller.0).await?))
}

/// Change one's profile
///
/// What is absent stays as it is; null clears `avatar_url`, `locale` and `email`.
#[utoipa::path(
    patch, path = "/users/me", tag = "users", request_body = ProfileChange,
    responses((status = 200, description = "Oneself, changed", body = Me))
)]
pub async fn update_me(app: web::Data<App>, caller: Auth, body: Json<ProfileChange>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(accounts::change_profile(&app, caller.0, body.0).await?))
}

/// Change one's password
///
/// Ends all other logins. The right current password counts as a sign-in, 10 a minute an account, and a wrong one as a wrong
/// one (`rate_limited`). `conflict`: another change was faster.
#[utoipa::path(
    put, path = "/users/me/password", tag = "users", request_body = PasswordChange,
    responses((status = 204, description = "Changed"))
)]
pub async fn set_password(
    app: web::Data<App>,
    addr: ClientAddr,
    caller: Auth,
    body: Json<PasswordChange>,
) -> Result<HttpResponse, Problem> {
    accounts::change_password(&app, caller.0, body.0, addr.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// See a user
///
/// Presence is shown to whoever shares a conversation with the user and has no block with them. To oneself as
/// `/users/me` is.
#[utoipa::path(
    get, path = "/users/{ref}", tag = "users",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the host's id")),
    responses((status = 200, description = "The user", body = UserOrMe))
)]
pub async fn get(app: web::Data<App>, caller: Auth, user: UserRefPath) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(users::get(&app, caller.0, user.0).await?))
}

/// A search for users.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// 1–200 characters, of which none is an operator.
    q: String,
    /// Items in a page, 1–100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Search users
///
/// In usernames and display names, case and accents folded, a leading `@` left out. Each word of `q` is found where a word
/// begins with it, from three characters on also inside; whole names first, then beginnings. At most 1,000 users are
/// looked at, so ask for more of a name that very many have.
#[utoipa::path(
    get, path = "/users/search", tag = "users", params(Search),
    responses((status = 200, description = "Users", body = Page<User>))
)]
pub async fn search(app: web::Data<App>, caller: Auth, query: Query<Search>) -> Result<HttpResponse, Problem> {
    let Search { q, limit, cursor } = query.0;
    let limit = cursor::limit(limit, limits::PAGE)?;
    let after: Option<SearchPlace> =
        cursor.as_deref().map(|cursor| cursor::decode(Collection::Users, cursor)).transpose()?;
    let (items, next) = users::search(&app, caller.0, &q, after, limit).await?;
    Ok(HttpResponse::Ok()
        .json(Page { items, next_cursor: next.as_ref().map(|place| cursor::encode(Collection::Users, place)) }))
}

/// Ask who is there
///
/// Users whose presence one may not see are left out.
#[utoipa::path(
    post, path = "/users/presence", tag = "users", request_body = PresenceQuestion,
    responses((status = 200, description = "By user id", body = PresenceStates))
)]
pub async fn presence(
    app: web::Data<App>,
    caller: Auth,
    body: Json<PresenceQuestion>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(users::presence(&app, caller.0, body.0).await?))
}
