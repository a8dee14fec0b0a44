//! Who is in a conversation: list, look at, add, remove, give a role.

use super::body::{Json, NoBody};
use super::conversations::references;
use super::cursor::{self, Collection, Paging};
use super::extract::{Auth, PathId, Query, path_id};
use super::problem::Problem;
use crate::admission::{Kind, costs};
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::domain::names::UserRef;
use crate::domain::roles::Role;
use crate::error::Error;
use crate::protocol::conversations::{NewMembers, NewRole};
use crate::protocol::resources::{Page, Participant};
use crate::usecases::members;
use actix_web::{HttpResponse, web};

/// List participants
///
/// In the order in which they joined.
#[utoipa::path(
    get, path = "/conversations/{id}/members", tag = "members",
    params(("id" = ConversationId, Path, description = "The conversation"), Paging),
    responses((status = 200, description = "Participants", body = Page<Participant>))
)]
pub async fn list(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    query: Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = (query.0.limit()?, query.0.after(Collection::Members)?);
    let owner = app.as_ref().clone();
    let rows = app.detached(async move { members::page(&owner, &caller.0, id.0, after, limit + 1).await }).await?;
    Ok(HttpResponse::Ok().json(cursor::page(Collection::Members, rows, limit)))
}

/// See a participant
#[utoipa::path(
    get, path = "/conversations/{id}/members/{ref}", tag = "members",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("ref" = String, Path, description = "An id, a username, or `ext:` and the host's id"),
    ),
    responses((status = 200, description = "The participant", body = Participant))
)]
pub async fn get(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, user) = parts(path)?;
    let owner = app.as_ref().clone();
    let found = app.detached(async move { members::get(&owner, &caller.0, id, &user).await }).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// Add members to a group
///
/// Whoever is in it already stays as they are.
#[utoipa::path(
    post, path = "/conversations/{id}/members", tag = "members", request_body = NewMembers,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "Those named", body = Page<Participant>))
)]
pub async fn add(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    body: Json<NewMembers>,
) -> Result<HttpResponse, Problem> {
    let users = references("user_ids", &body.0.user_ids)?;
    // the call itself is paid for
    app.admission().charge_rest(Kind::Call, caller.0.user_id, costs::of_members(users.len()) - 1);
    let role = body.0.role.unwrap_or(Role::Member);
    let owner = app.as_ref().clone();
    let items = app.detached(async move { members::add(&owner, &caller.0, id.0, &users, role).await }).await?;
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: None }))
}

/// Remove a participant, or leave
#[utoipa::path(
    delete, path = "/conversations/{id}/members/{ref}", tag = "members",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("ref" = String, Path, description = "An id, a username, or `ext:` and the host's id"),
    ),
    responses((status = 204, description = "Out"))
)]
pub async fn remove(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let (id, user) = parts(path)?;
    let owner = app.as_ref().clone();
    app.detached(async move { members::remove(&owner, &caller.0, id, &user).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Give a participant a role
///
/// `owner` transfers the group; whoever gives it is an admin then. Anybody but the owner may lower their own role.
#[utoipa::path(
    put, path = "/conversations/{id}/members/{ref}/role", tag = "members", request_body = NewRole,
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("ref" = String, Path, description = "An id, a username, or `ext:` and the host's id"),
    ),
    responses((status = 200, description = "The participant, changed", body = Participant))
)]
pub async fn set_role(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
    body: Json<NewRole>,
) -> Result<HttpResponse, Problem> {
    let (id, user) = parts(path)?;
    let role = body.0.role;
    let owner = app.as_ref().clone();
    let changed = app.detached(async move { members::set_role(&owner, &caller.0, id, &user, role).await }).await?;
    Ok(HttpResponse::Ok().json(changed))
}

fn parts(path: web::Path<(String, String)>) -> Result<(ConversationId, UserRef), Error> {
    let (id, user) = path.into_inner();
    let id = path_id(&id)?;
    let user = UserRef::parse(&user).ok_or_else(|| Error::not_found("participant"))?;
    Ok((id, user))
}
