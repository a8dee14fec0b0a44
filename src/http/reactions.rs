//! Reactions to a message: add, take back, see whose they are.

use super::body::NoBody;
use super::cursor::{self, Collection, Paging};
use super::extract::{Auth, Query, message_path, path_id};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::error::{Error, Result};
use crate::protocol::resources::{Page, Reaction, Reactors};
use crate::usecases::reactions;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};

/// The path of one emoji of one message, decoded.
struct Target {
    conversation: ConversationId,
    message: MessageId,
    emoji: String,
}

impl Target {
    fn of(req: &HttpRequest) -> Result<Self> {
        // through the framework's own reader, which also decodes what the router leaves encoded
        let read = web::Path::<(String, String, String)>::extract(req).into_inner();
        let (conversation, message, emoji) =
            read.map_err(|_| Error::invalid("emoji", "must be percent-encoded UTF-8"))?.into_inner();
        Ok(Self { conversation: path_id(&conversation)?, message: path_id(&message)?, emoji })
    }
}

/// React to a message
///
/// Again, it changes nothing. An emoji has one spelling: ❤ is stored and answered as ❤️.
#[utoipa::path(
    put, path = "/conversations/{id}/messages/{mid}/reactions/{emoji}", tag = "reactions",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        ("emoji" = String, Path, description = "Exactly one emoji, percent-encoded, at most 64 bytes"),
    ),
    responses((status = 200, description = "The emoji's reactions now", body = Reaction))
)]
pub async fn add(app: web::Data<App>, caller: Auth, req: HttpRequest, _: NoBody) -> Result<HttpResponse, Problem> {
    let Target { conversation, message, emoji } = Target::of(&req)?;
    let owner = app.as_ref().clone();
    let reacted =
        app.detached(async move { reactions::add(&owner, &caller.0, conversation, message, &emoji).await }).await?;
    Ok(HttpResponse::Ok().json(reacted.reaction))
}

/// Take a reaction back
#[utoipa::path(
    delete, path = "/conversations/{id}/messages/{mid}/reactions/{emoji}", tag = "reactions",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        ("emoji" = String, Path, description = "Exactly one emoji, percent-encoded, at most 64 bytes"),
    ),
    responses((status = 204, description = "It is not there any more"))
)]
pub async fn remove(app: web::Data<App>, caller: Auth, req: HttpRequest, _: NoBody) -> Result<HttpResponse, Problem> {
    let Target { conversation, message, emoji } = Target::of(&req)?;
    let owner = app.as_ref().clone();
    app.detached(async move { reactions::remove(&owner, &caller.0, conversation, message, &emoji).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// See who reacts to a message
///
/// By emoji, in the order in which they came; of each at most the first 1,000 users, `count` counts all.
#[utoipa::path(
    get, path = "/conversations/{id}/messages/{mid}/reactions", tag = "reactions",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        Paging,
    ),
    responses((status = 200, description = "Reactions", body = Page<Reactors>))
)]
pub async fn list(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
    query: Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let (conversation, message) = message_path(&path)?;
    let (limit, after) = (query.0.limit()?, query.0.after(Collection::Reactions)?.unwrap_or(0));
    let owner = app.as_ref().clone();
    let read = async move { reactions::page(&owner, &caller.0, conversation, message, after, limit + 1).await };
    Ok(HttpResponse::Ok().json(cursor::page(Collection::Reactions, app.detached(read).await?, limit)))
}
