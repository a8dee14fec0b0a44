//! Pinned messages: pin, unpin, list.

use super::cursor;
use super::extract::{Auth, PathId, Query, path_id};
use super::members::Paging;
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::protocol::resources::{Message, Page};
use crate::usecases::pins;
use actix_web::{HttpResponse, web};

/// Pin a message
///
/// For owners and admins, and for both in a direct conversation. Again, it changes nothing.
#[utoipa::path(
    put, path = "/conversations/{id}/messages/{mid}/pin", tag = "pins",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
    ),
    responses((status = 200, description = "The message, pinned", body = Message))
)]
pub async fn add(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (conversation, message) = (path_id(&path.0)?, path_id(&path.1)?);
    let owner = app.as_ref().clone();
    let pinned = app.detached(async move { pins::add(&owner, &caller.0, conversation, message).await }).await?;
    Ok(HttpResponse::Ok().json(pinned))
}

/// Unpin a message
#[utoipa::path(
    delete, path = "/conversations/{id}/messages/{mid}/pin", tag = "pins",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
    ),
    responses((status = 204, description = "It is not pinned any more"))
)]
pub async fn remove(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (conversation, message) = (path_id(&path.0)?, path_id(&path.1)?);
    let owner = app.as_ref().clone();
    app.detached(async move { pins::remove(&owner, &caller.0, conversation, message).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List pinned messages
///
/// The newest pin first.
#[utoipa::path(
    get, path = "/conversations/{id}/pins", tag = "pins",
    params(("id" = ConversationId, Path, description = "The conversation"), Paging),
    responses((status = 200, description = "Pinned messages", body = Page<Message>))
)]
pub async fn list(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    query: Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let limit = cursor::limit(query.0.limit, limits::PAGE)?;
    let before: i64 = query.0.cursor.as_deref().map_or(Ok(i64::MAX), cursor::decode)?;
    let owner = app.as_ref().clone();
    let read = async move { pins::page(&owner, &caller.0, id.0, Timestamp(before), limit + 1).await };
    let mut rows = app.detached(read).await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|(_, at)| cursor::encode(&at.0));
    let items = rows.into_iter().map(|(message, _)| message).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor }))
}
