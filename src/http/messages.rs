//! Messages: send, list, look at.

use super::cursor;
use super::extract::{Auth, Json, PathId, Query};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId, Seq};
use crate::domain::limits;
use crate::error::Error;
use crate::protocol::conversations::NewMessage;
use crate::protocol::resources::{Message, MessagePage};
use crate::usecases::messages::{self, Draft, Range};
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
        if seq >= 0 { Ok(Seq(seq)) } else { Err(Error::invalid_request("a place must not be negative")) }
    };
    let range = match (which.before, which.after, which.around) {
        (None, None, None) => Range::Newest,
        (Some(seq), None, None) => Range::Before(place(seq)?),
        (None, Some(seq), None) => Range::After(place(seq)?),
        (None, None, Some(seq)) => Range::Around(place(seq)?),
        _ => return Err(Error::invalid_request("give one of before, after and around").into()),
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
