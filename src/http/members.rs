//! The calls that list, get, add and remove participants, and that change their roles.

use super::body::{Json, NoBody};
use super::conversations::parse_references;
use super::cursor::{self, Collection, PageParams};
use super::extract::{AuthCaller, PathId, StrictQuery, parse_id};
use super::problem::Problem;
use crate::admission::{ChargeKind, costs};
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::domain::names::UserRef;
use crate::domain::roles::Role;
use crate::error::Error;
use crate::protocol::members::{NewMembers, NewRole, Participant};
use crate::protocol::page::Page;
use crate::usecases::members;
use actix_web::{HttpResponse, web};

/// List participants
///
/// The participant who joined first comes first.
#[utoipa::path(
    get, path = "/conversations/{id}/members", tag = "members",
    params(("id" = ConversationId, Path, description = "The conversation"), PageParams),
    responses((status = 200, description = "A page of participants", body = Page<Participant>))
)]
pub async fn list(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    query: StrictQuery<PageParams>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = (query.0.limit()?, query.0.after(Collection::Members)?);
    let rows = members::list(&app, &caller.0, id.0, after, limit + 1).await?;
    Ok(HttpResponse::Ok().json(cursor::page(Collection::Members, rows, limit)))
}

/// Get a participant
#[utoipa::path(
    get, path = "/conversations/{id}/members/{ref}", tag = "members",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("ref" = String, Path, description = "An id, a username, or `ext:` and the id of the host application"),
    ),
    responses((status = 200, description = "The participant", body = Participant))
)]
pub async fn get(
    app: web::Data<App>,
    caller: AuthCaller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, user) = parse_member_path(path)?;
    let found = members::get(&app, &caller.0, id, &user).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// Add members to a group
///
/// Users who are already members do not change.
#[utoipa::path(
    post, path = "/conversations/{id}/members", tag = "members", request_body = NewMembers,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The named users as members", body = Page<Participant>))
)]
pub async fn add(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    body: Json<NewMembers>,
) -> Result<HttpResponse, Problem> {
    let users = parse_references("user_ids", &body.0.user_ids)?;
    // The call itself is already charged.
    app.admission().charge_rest(ChargeKind::Call, &caller.0, costs::of_members(users.len()) - 1);
    let role = body.0.role.unwrap_or(Role::Member);
    let items = members::add(&app, &caller.0, id.0, &users, role).await?;
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: None }))
}

/// Remove a participant, or leave the conversation
#[utoipa::path(
    delete, path = "/conversations/{id}/members/{ref}", tag = "members",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("ref" = String, Path, description = "An id, a username, or `ext:` and the id of the host application"),
    ),
    responses((status = 204, description = "The user is not a participant any more"))
)]
pub async fn remove(
    app: web::Data<App>,
    caller: AuthCaller,
    path: web::Path<(String, String)>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let (id, user) = parse_member_path(path)?;
    members::remove(&app, &caller.0, id, &user).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Change the role of a participant
///
/// The role `owner` transfers the group, and the former owner becomes an admin. All members except the owner may lower
/// their own role.
#[utoipa::path(
    put, path = "/conversations/{id}/members/{ref}/role", tag = "members", request_body = NewRole,
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("ref" = String, Path, description = "An id, a username, or `ext:` and the id of the host application"),
    ),
    responses((status = 200, description = "The changed participant", body = Participant))
)]
pub async fn set_role(
    app: web::Data<App>,
    caller: AuthCaller,
    path: web::Path<(String, String)>,
    body: Json<NewRole>,
) -> Result<HttpResponse, Problem> {
    let (id, user) = parse_member_path(path)?;
    let role = body.0.role;
    let changed = members::update_role(&app, &caller.0, id, &user, role).await?;
    Ok(HttpResponse::Ok().json(changed))
}

fn parse_member_path(path: web::Path<(String, String)>) -> Result<(ConversationId, UserRef), Error> {
    let (id, user) = path.into_inner();
    let id = parse_id(&id)?;
    let user = UserRef::parse(&user).ok_or_else(|| Error::not_found("participant"))?;
    Ok((id, user))
}
