//! The calls that create, list and delete blocks of the caller.

use super::body::{Json, NoBody};
use super::cursor::{self, Collection, PageParams};
use super::extract::{AuthCaller, StrictQuery, UserRefPath};
use super::problem::Problem;
use crate::app::App;
use crate::domain::names::UserRef;
use crate::error::{Error, Result};
use crate::protocol::blocks::{Block, BlockStatus, NewBlock};
use crate::protocol::page::Page;
use crate::usecases::blocks::{self, CreatedBlock};
use actix_web::{HttpResponse, web};

/// Block a user
///
/// The two users can send each other no direct messages, and neither sees the presence, the typing or the receipts of
/// the other.
#[utoipa::path(
    post, path = "/blocks", tag = "blocks", request_body = NewBlock,
    responses(
        (status = 201, description = "The new block", body = Block),
        (status = 200, description = "The block that existed before", body = Block),
    )
)]
pub async fn create(app: web::Data<App>, caller: AuthCaller, body: Json<NewBlock>) -> Result<HttpResponse, Problem> {
    let user = UserRef::parse(&body.0.user).ok_or_else(Error::user_not_found)?;
    let CreatedBlock { block, is_new } = blocks::create(&app, &caller.0, &user).await?;
    let mut answer = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(block))
}

/// Delete a block
#[utoipa::path(
    delete, path = "/blocks/{ref}", tag = "blocks",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the id of the host application")),
    responses((status = 204, description = "The caller does not block the user"))
)]
pub async fn delete(
    app: web::Data<App>,
    caller: AuthCaller,
    user: UserRefPath,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    blocks::delete(&app, &caller.0, &user.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the users whom the caller has blocked
///
/// The newest block comes first.
#[utoipa::path(
    get, path = "/blocks", tag = "blocks", params(PageParams),
    responses((status = 200, description = "A page of blocks", body = Page<Block>))
)]
pub async fn list(
    app: web::Data<App>,
    caller: AuthCaller,
    query: StrictQuery<PageParams>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = (query.0.limit()?, query.0.after(Collection::Blocks)?);
    let (items, next) = blocks::list(&app, &caller.0, after, limit).await?;
    Ok(HttpResponse::Ok()
        .json(Page { items, next_cursor: next.as_ref().map(|sort_key| cursor::encode(Collection::Blocks, sort_key)) }))
}

/// Get the blocks between the caller and a user
#[utoipa::path(
    get, path = "/blocks/{ref}/status", tag = "blocks",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the id of the host application")),
    responses((status = 200, description = "Blocks in both directions", body = BlockStatus))
)]
pub async fn status(app: web::Data<App>, caller: AuthCaller, user: UserRefPath) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(blocks::get_status(&app, &caller.0, user.0).await?))
}
