//! Whom one has blocked.

use super::body::{Json, NoBody};
use super::cursor::{self, Collection, Paging};
use super::extract::{Auth, Query, UserRefPath};
use super::problem::Problem;
use crate::app::App;
use crate::domain::names::UserRef;
use crate::error::{Error, Result};
use crate::protocol::conversations::NewBlock;
use crate::protocol::resources::{Block, BlockStatus, Page};
use crate::usecases::blocks::{self, Made};
use actix_web::{HttpResponse, web};

/// Block a user
///
/// No direct messages, and neither sees the other's presence, typing or receipts.
#[utoipa::path(
    post, path = "/blocks", tag = "blocks", request_body = NewBlock,
    responses(
        (status = 201, description = "Blocked", body = Block),
        (status = 200, description = "Blocked before", body = Block),
    )
)]
pub async fn create(app: web::Data<App>, caller: Auth, body: Json<NewBlock>) -> Result<HttpResponse, Problem> {
    let user = UserRef::parse(&body.0.user).ok_or_else(Error::user_not_found)?;
    let owner = app.as_ref().clone();
    let Made { block, new } = app.detached(async move { blocks::add(&owner, &caller.0, &user).await }).await?;
    let mut answer = if new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(block))
}

/// Take a block back
#[utoipa::path(
    delete, path = "/blocks/{ref}", tag = "blocks",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the host's id")),
    responses((status = 204, description = "Not blocked"))
)]
pub async fn delete(app: web::Data<App>, caller: Auth, user: UserRefPath, _: NoBody) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    app.detached(async move { blocks::remove(&owner, &caller.0, &user.0).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List whom one has blocked
///
/// The newest first.
#[utoipa::path(
    get, path = "/blocks", tag = "blocks", params(Paging),
    responses((status = 200, description = "Blocks", body = Page<Block>))
)]
pub async fn list(app: web::Data<App>, caller: Auth, query: Query<Paging>) -> Result<HttpResponse, Problem> {
    let (limit, after) = (query.0.limit()?, query.0.after(Collection::Blocks)?);
    let (items, next) = blocks::list(&app, &caller.0, after, limit).await?;
    Ok(HttpResponse::Ok()
        .json(Page { items, next_cursor: next.as_ref().map(|place| cursor::encode(Collection::Blocks, place)) }))
}

/// See what stands between oneself and a user
#[utoipa::path(
    get, path = "/blocks/{ref}/status", tag = "blocks",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the host's id")),
    responses((status = 200, description = "Blocks in both directions", body = BlockStatus))
)]
pub async fn status(app: web::Data<App>, caller: Auth, user: UserRefPath) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(blocks::status(&app, &caller.0, user.0).await?))
}
