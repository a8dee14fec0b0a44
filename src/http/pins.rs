//! Pinned messages: pin, unpin, list.

use super::body::NoBody;
use super::cursor::{self, Collection, Paging};
use super::extract::{Auth, PathId, Query, message_path};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
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
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let (conversation, message) = message_path(&path)?;
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
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let (conversation, message) = message_path(&path)?;
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
    let (limit, before) = (query.0.limit()?, Timestamp(query.0.after(Collection::Pins)?.unwrap_or(i64::MAX)));
    let owner = app.as_ref().clone();
    let read = async move { pins::page(&owner, &caller.0, id.0, before, limit + 1).await };
    let rows = app.detached(read).await?.into_iter().map(|(message, at)| (message, at.0)).collect();
    let Page { items, next_cursor } = cursor::page(Collection::Pins, rows, limit);
    Ok(HttpResponse::Ok().json(Page::<Message> { items: items.into_iter().flatten().collect(), next_cursor }))
}
