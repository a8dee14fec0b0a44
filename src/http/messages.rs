//! Messages: send, list, look at, edit, delete.

use super::body::{Json, NoBody};
use super::cursor::{self, Collection, Paging};
use super::extract::{Auth, PathId, Query, message_path};
use super::problem::Problem;
use crate::admission::Kind;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId, Seq};
use crate::domain::limits;
use crate::error::Error;
use crate::protocol::client::Audience;
use crate::protocol::conversations::{ChangedText, NewMessage};
use crate::protocol::resources::{FormerText, Message, MessageContext, MessagePage, Page};
use crate::usecases::messages::{self, Draft, Range};
use crate::usecases::{deletions, edits};
use actix_web::{HttpResponse, web};
use serde::Deserialize;

/// Send a message
///
/// Sent again with the same `temp_id`, it is answered with 200 and the message as it now is.
#[utoipa::path(
    post, path = "/conversations/{id}/messages", tag = "messages", request_body = NewMessage,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses(
        (status = 201, description = "Committed", body = Message),
        (status = 200, description = "Was committed before", body = Message),
    )
)]
pub async fn send(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    body: Json<NewMessage>,
) -> Result<HttpResponse, Problem> {
    let new = body.0;
    let draft = Draft {
        content: new.content,
        kind: new.kind,
        data: new.data,
        attachment_ids: new.attachment_ids.unwrap_or_default(),
        reply_to_id: new.reply_to_id,
        temp_id: new.temp_id,
    };
    app.admission().charge(Kind::Send, caller.0.user_id, 1)?;
    let sent = messages::send(&app, &caller.0, id.0, draft).await?;
    let mut answer = if sent.replayed { HttpResponse::Ok() } else { HttpResponse::Created() };
    Ok(answer.json(sent.message))
}

/// Which messages.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Messages in a page, 1–100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// Below this place.
    before: Option<i64>,
    /// Above this place.
    after: Option<i64>,
    /// On both sides of this place.
    around: Option<i64>,
}

/// List messages
///
/// The newest, or those before, after or around a place; always ascending. Events above `rev` continue the page.
#[utoipa::path(
    get, path = "/conversations/{id}/messages", tag = "messages",
    params(("id" = ConversationId, Path, description = "The conversation"), Which),
    responses((status = 200, description = "Messages", body = MessagePage))
)]
pub async fn list(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    query: Query<Which>,
) -> Result<HttpResponse, Problem> {
    let which = query.0;
    let limit = cursor::limit(which.limit, limits::MESSAGE_PAGE)?;
    let place = |seq: i64| {
        if seq >= 0 {
            Ok(Seq(seq))
        } else {
            Err(Error::invalid_request("before, after and around must not be negative"))
        }
    };
    let range = match (which.before, which.after, which.around) {
        (None, None, None) => Range::Newest,
        (Some(seq), None, None) => Range::Before(place(seq)?),
        (None, Some(seq), None) => Range::After(place(seq)?),
        (None, None, Some(seq)) => Range::Around(place(seq)?),
        _ => return Err(Error::invalid_request("give at most one of before, after and around").into()),
    };
    let owner = app.as_ref().clone();
    let page = app.detached(async move { messages::list(&owner, &caller.0, id.0, range, limit).await }).await?;
    Ok(HttpResponse::Ok().json(page))
}

/// See a message
#[utoipa::path(
    get, path = "/messages/{id}", tag = "messages",
    params(("id" = MessageId, Path, description = "The message")),
    responses((status = 200, description = "The message", body = Message))
)]
pub async fn get(app: web::Data<App>, caller: Auth, id: PathId<MessageId>) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    let found = app.detached(async move { messages::get(&owner, &caller.0, id.0).await }).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// How many messages around one.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HowMany {
    /// Messages beside the one, 1–100 in all, half of them on each side, an odd one before; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// See a message among its neighbours
#[utoipa::path(
    get, path = "/messages/{id}/context", tag = "messages",
    params(("id" = MessageId, Path, description = "The message"), HowMany),
    responses((status = 200, description = "The message and those around it", body = MessageContext))
)]
pub async fn context(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<MessageId>,
    query: Query<HowMany>,
) -> Result<HttpResponse, Problem> {
    let limit = cursor::limit(query.0.limit, limits::PAGE)?;
    let owner = app.as_ref().clone();
    let found = app.detached(async move { messages::context(&owner, &caller.0, id.0, limit).await }).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// Edit a message
///
/// One's own; the former text is kept. The same text again changes nothing.
#[utoipa::path(
    method(patch, put), path = "/conversations/{id}/messages/{mid}", tag = "messages", request_body = ChangedText,
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
    ),
    responses((status = 200, description = "The message as it is now", body = Message))
)]
pub async fn edit(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
    body: Json<ChangedText>,
) -> Result<HttpResponse, Problem> {
    let (id, message) = message_path(&path)?;
    let owner = app.as_ref().clone();
    let edited =
        app.detached(async move { edits::edit(&owner, &caller.0, id, message, &body.0.content).await }).await?;
    Ok(HttpResponse::Ok().json(edited))
}

/// For whom to delete.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    /// `everyone` when absent.
    #[param(inline)]
    r#for: Option<Audience>,
}

/// Delete a message
///
/// For everyone: one's own, and as an owner or admin others'; its place stays. For oneself: any. Repeated, it changes
/// nothing.
#[utoipa::path(
    delete, path = "/conversations/{id}/messages/{mid}", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        Deletion,
    ),
    responses((status = 204, description = "Deleted"))
)]
pub async fn delete(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
    query: Query<Deletion>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let (id, message) = message_path(&path)?;
    let audience = query.0.r#for.unwrap_or_default();
    deletions::delete(&app, &caller.0, id, message, audience).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List a message's former texts
///
/// Oldest first; a deleted message has none.
#[utoipa::path(
    get, path = "/conversations/{id}/messages/{mid}/history", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        Paging,
    ),
    responses((status = 200, description = "Former texts", body = Page<FormerText>))
)]
pub async fn history(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
    query: Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let (id, message) = message_path(&path)?;
    let (limit, after) = (query.0.limit()?, query.0.after(Collection::FormerTexts)?.unwrap_or(0));
    let owner = app.as_ref().clone();
    let work = async move { edits::history(&owner, &caller.0, id, message, after, limit + 1).await };
    Ok(HttpResponse::Ok().json(cursor::page(Collection::FormerTexts, app.detached(work).await?, limit)))
}
