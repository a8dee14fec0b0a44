//! The calls that change the caller's own view of a conversation: archive, mute, pin and notify level.

use super::body::{Json, NoBody, OptionalJson};
use super::extract::{AuthCaller, PathId};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::error::Result;
use crate::protocol::conversations::Conversation;
use crate::protocol::settings::{Mute, Notify};
use crate::usecases::settings::{self, SettingChange};
use actix_web::{HttpResponse, web};

async fn update(
    app: &web::Data<App>,
    caller: &AuthCaller,
    id: PathId<ConversationId>,
    change: SettingChange,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(settings::update(app, &caller.0, id.0, change).await?))
}

async fn update_without_answer(
    app: &web::Data<App>,
    caller: &AuthCaller,
    id: PathId<ConversationId>,
    change: SettingChange,
) -> Result<HttpResponse, Problem> {
    settings::update(app, &caller.0, id.0, change).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Archive a conversation
///
/// An archived conversation is not in the list of conversations. A later message takes it out of the archive, unless
/// the conversation is muted.
#[utoipa::path(
    post, path = "/conversations/{id}/archive", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The changed conversation", body = Conversation))
)]
pub async fn archive(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    update(&app, &caller, id, SettingChange::Archive(true)).await
}

/// Take a conversation out of the archive
#[utoipa::path(
    delete, path = "/conversations/{id}/archive", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 204, description = "The conversation is not archived"))
)]
pub async fn unarchive(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    update_without_answer(&app, &caller, id, SettingChange::Archive(false)).await
}

/// Mute a conversation
///
/// The mute lasts until a time, for a number of seconds, or without an end. Without an end, `my.muted_until` is
/// `9999-12-31T23:59:59.999Z`.
#[utoipa::path(
    post, path = "/conversations/{id}/mute", tag = "settings", request_body = Mute,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The changed conversation", body = Conversation))
)]
pub async fn mute(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    body: OptionalJson<Mute>,
) -> Result<HttpResponse, Problem> {
    update(&app, &caller, id, settings::check_mute(&body.0)?).await
}

/// Unmute a conversation
#[utoipa::path(
    delete, path = "/conversations/{id}/mute", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 204, description = "The conversation is not muted"))
)]
pub async fn unmute(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    update_without_answer(&app, &caller, id, SettingChange::Unmute).await
}

/// Pin a conversation to the top of the list
#[utoipa::path(
    post, path = "/conversations/{id}/pin", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The changed conversation", body = Conversation))
)]
pub async fn pin(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    update(&app, &caller, id, SettingChange::Pin(true)).await
}

/// Unpin a conversation
#[utoipa::path(
    delete, path = "/conversations/{id}/pin", tag = "settings",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 204, description = "The conversation is not pinned"))
)]
pub async fn unpin(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    update_without_answer(&app, &caller, id, SettingChange::Pin(false)).await
}

/// Set the messages for which the caller wants a notification
#[utoipa::path(
    put, path = "/conversations/{id}/notify", tag = "settings", request_body = Notify,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The changed conversation", body = Conversation))
)]
pub async fn notify(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    body: Json<Notify>,
) -> Result<HttpResponse, Problem> {
    update(&app, &caller, id, SettingChange::Notify(body.0.level)).await
}
