//! The calls that pin, unpin and list pinned messages.

use super::body::NoBody;
use super::cursor::{self, Collection, PageParams};
use super::extract::{AuthCaller, PathId, StrictQuery, parse_message_path};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::time::Timestamp;
use crate::protocol::messages::Message;
use crate::protocol::page::Page;
use crate::usecases::pins;
use actix_web::{HttpResponse, web};

/// Pin a message
///
/// Owners and admins can pin messages, and in a direct conversation both participants. A message that is already pinned
/// does not change.
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
    caller: AuthCaller,
    path: web::Path<(String, String)>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let (conversation, message) = parse_message_path(&path)?;
    let pinned = pins::add(&app, &caller.0, conversation, message).await?;
    Ok(HttpResponse::Ok().json(pinned))
}

/// Unpin a message
#[utoipa::path(
    delete, path = "/conversations/{id}/messages/{mid}/pin", tag = "pins",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
    ),
    responses((status = 204, description = "The message is not pinned"))
)]
pub async fn remove(
    app: web::Data<App>,
    caller: AuthCaller,
    path: web::Path<(String, String)>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let (conversation, message) = parse_message_path(&path)?;
    pins::remove(&app, &caller.0, conversation, message).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List pinned messages
///
/// The message that was pinned last comes first.
#[utoipa::path(
    get, path = "/conversations/{id}/pins", tag = "pins",
    params(("id" = ConversationId, Path, description = "The conversation"), PageParams),
    responses((status = 200, description = "The pinned messages", body = Page<Message>))
)]
pub async fn list(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    query: StrictQuery<PageParams>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = (query.0.limit()?, Timestamp(query.0.after(Collection::Pins)?.unwrap_or(i64::MAX)));
    let rows = pins::list(&app, &caller.0, id.0, before, limit + 1).await?;
    let rows = rows.into_iter().map(|(message, at)| (message, at.0)).collect();
    let Page { items, next_cursor } = cursor::page(Collection::Pins, rows, limit);
    Ok(HttpResponse::Ok().json(Page::<Message> { items: items.into_iter().flatten().collect(), next_cursor }))
}
