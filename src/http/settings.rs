//! One's own view of a conversation: archive, mute, pin, notify level.

use super::body::{Json, MaybeJson, NoBody};
use super::extract::{Auth, PathId};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::error::Result;
use crate::protocol::conversations::{Mute, Notify};
use crate::protocol::resources::Conversation;
use crate::usecases::settings::{self, Change};
use actix_web::{HttpResponse, web};

async fn changed(
    app: &web::Data<App>,
    caller: &Auth,
    id: PathId<ConversationId>,
    change: Change,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(settings::change(app, &caller.0, id.0, change).await?))
}

async fn undone(
    app: &web::Data<App>,
    caller: &Auth,
    id: PathId<ConversationId>,
    change: Change,
) -> Result<HttpResponse, Problem> {
    settings::change(app, &caller.0, id.0, change).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Archive a conversation
///
/// It leaves the list until a later message comes; while it is muted it stays archived.
#[utoipa::path(
    post, path = "/conversations/{id}/archive", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation", body = Conversation))
)]
pub async fn archive(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    changed(&app, &caller, id, Change::Archive(true)).await
}

/// Take a conversation out of the archive
#[utoipa::path(
    delete, path = "/conversations/{id}/archive", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 204, description = "Not archived"))
)]
pub async fn unarchive(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    undone(&app, &caller, id, Change::Archive(false)).await
}

/// Mute a conversation
///
/// Until a time, for so many seconds, or for good; `my.muted_until` shows `9999-12-31T23:59:59.999Z` then.
#[utoipa::path(
    post, path = "/conversations/{id}/mute", tag = "settings", request_body = Mute,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation", body = Conversation))
)]
pub async fn mute(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    body: MaybeJson<Mute>,
) -> Result<HttpResponse, Problem> {
    changed(&app, &caller, id, settings::mute(&body.0)?).await
}

/// Unmute a conversation
#[utoipa::path(
    delete, path = "/conversations/{id}/mute", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 204, description = "Not muted"))
)]
pub async fn unmute(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    undone(&app, &caller, id, Change::Unmute).await
}

/// Pin a conversation to the top of the list
#[utoipa::path(
    post, path = "/conversations/{id}/pin", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation", body = Conversation))
)]
pub async fn pin(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    changed(&app, &caller, id, Change::Pin(true)).await
}

/// Unpin a conversation
#[utoipa::path(
    delete, path = "/conversations/{id}/pin", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 204, description = "Not pinned"))
)]
pub async fn unpin(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    undone(&app, &caller, id, Change::Pin(false)).await
}

/// Say which messages make a notification
#[utoipa::path(
    put, path = "/conversations/{id}/notify", tag = "settings", request_body = Notify,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation", body = Conversation))
)]
pub async fn notify(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    body: Json<Notify>,
) -> Result<HttpResponse, Problem> {
    changed(&app, &caller, id, Change::Notify(body.0.level)).await
}
