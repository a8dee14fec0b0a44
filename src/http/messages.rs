//! The calls that send, list, get, edit and delete messages.

use super::answer::ok_json;
use super::body::{Json, NoBody};
use super::cursor::{self, Collection, PageParams};
use super::extract::{AuthCaller, CallerInRead, PathId, StrictQuery, parse_message_path};
use super::problem::Problem;
use crate::admission::ChargeKind;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId, Seq};
use crate::domain::limits;
use crate::error::Error;
use crate::protocol::messages::{Audience, FormerText, Message, MessageContext, MessagePage, NewMessage, NewText};
use crate::protocol::page::Page;
use crate::protocol::sends::CheckedSend;
use crate::usecases::messages::{self, MessageRange};
use crate::usecases::{deletions, edits};
use actix_web::{HttpResponse, web};
use serde::Deserialize;

/// Send a message
///
/// If the caller repeats a `temp_id`, the answer is 200 with the existing message as it is now.
#[utoipa::path(
    post, path = "/conversations/{id}/messages", tag = "messages", request_body = NewMessage,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses(
        (status = 201, description = "The new message", body = Message),
        (status = 200, description = "The message that existed before", body = Message),
    )
)]
pub async fn send(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    body: Json<NewMessage>,
) -> Result<HttpResponse, Problem> {
    app.admission().charge(ChargeKind::Send, &caller.0, 1)?;
    let checked = CheckedSend::parse(&caller.0, id.0, body.0)?;
    let sent = messages::send(&app, checked).await?;
    let mut answer = if sent.repeated { HttpResponse::Ok() } else { HttpResponse::Created() };
    Ok(answer.json(sent.message))
}

/// The parameters of a list of messages. At most one of `before`, `after` and `around` may be present.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MessageListParams {
    /// The number of messages in a page, 1–100. It is 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// Only messages with a smaller `seq`.
    before: Option<i64>,
    /// Only messages with a greater `seq`.
    after: Option<i64>,
    /// Messages on both sides of this `seq`.
    around: Option<i64>,
}

/// About the length of a page without its messages.
const PAGE_BYTES: usize = 128;
/// About the length of a message without its text.
const MESSAGE_BYTES: usize = 768;

/// List messages
///
/// The page has the newest messages, or those before, after or around a `seq`, always in the order of their `seq`.
/// Events with a greater revision than `rev` continue the page.
#[utoipa::path(
    get, path = "/conversations/{id}/messages", tag = "messages",
    params(("id" = ConversationId, Path, description = "The conversation"), MessageListParams),
    responses((status = 200, description = "A page of messages", body = MessagePage))
)]
pub async fn list(
    app: web::Data<App>,
    caller: CallerInRead,
    id: PathId<ConversationId>,
    query: StrictQuery<MessageListParams>,
) -> Result<HttpResponse, Problem> {
    let params = query.0;
    let limit = cursor::limit(params.limit, limits::MESSAGE_PAGE_DEFAULT)?;
    let parse_seq = |seq: i64| {
        if seq >= 0 {
            Ok(Seq(seq))
        } else {
            Err(Error::invalid_request("The parameters before, after and around must not be negative."))
        }
    };
    let range = match (params.before, params.after, params.around) {
        (None, None, None) => MessageRange::Newest,
        (Some(seq), None, None) => MessageRange::Before(parse_seq(seq)?),
        (None, Some(seq), None) => MessageRange::After(parse_seq(seq)?),
        (None, None, Some(seq)) => MessageRange::Around(parse_seq(seq)?),
        _ => {
            return Err(
                Error::invalid_request("Only one of the parameters before, after and around may be present.").into()
            );
        }
    };
    let page = messages::list(&app, &caller.0, id.0, range, limit).await?;
    let bytes = page.items.iter().map(|message| MESSAGE_BYTES + message.content.len()).sum::<usize>();
    ok_json(&page, PAGE_BYTES + bytes)
}

/// Get a message
#[utoipa::path(
    get, path = "/messages/{id}", tag = "messages",
    params(("id" = MessageId, Path, description = "The message")),
    responses((status = 200, description = "The message", body = Message))
)]
pub async fn get(app: web::Data<App>, caller: AuthCaller, id: PathId<MessageId>) -> Result<HttpResponse, Problem> {
    let found = messages::get(&app, &caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// The parameters of a call for a message and its neighbours.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ContextParams {
    /// The number of neighbours, 1–100 in all. Half of them are on each side, and the one more of an odd number is
    /// before the message. It is 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// Get a message and its neighbours
#[utoipa::path(
    get, path = "/messages/{id}/context", tag = "messages",
    params(("id" = MessageId, Path, description = "The message"), ContextParams),
    responses((status = 200, description = "The message and its neighbours", body = MessageContext))
)]
pub async fn context(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<MessageId>,
    query: StrictQuery<ContextParams>,
) -> Result<HttpResponse, Problem> {
    let limit = cursor::limit(query.0.limit, limits::PAGE_DEFAULT)?;
    let found = messages::get_context(&app, &caller.0, id.0, limit).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// Edit a message
///
/// Only the author can edit a message. The server keeps the former text. The same text again changes nothing.
#[utoipa::path(
    method(patch, put), path = "/conversations/{id}/messages/{mid}", tag = "messages", request_body = NewText,
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
    ),
    responses((status = 200, description = "The message as it is now", body = Message))
)]
pub async fn edit(
    app: web::Data<App>,
    caller: AuthCaller,
    path: web::Path<(String, String)>,
    body: Json<NewText>,
) -> Result<HttpResponse, Problem> {
    let (id, message) = parse_message_path(&path)?;
    let edited = edits::edit(&app, &caller.0, id, message, body.0.parse()?).await?;
    Ok(HttpResponse::Ok().json(edited))
}

/// The parameters of a deletion.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeletionParams {
    /// The users for whom the message is deleted: `everyone`, or `me` for the caller only. It is `everyone` when
    /// absent.
    #[param(inline)]
    r#for: Option<Audience>,
}

/// Delete a message
///
/// For everyone: the author can do it, and in a group also owners and admins. The message keeps its `seq` and loses its
/// content. For the caller only: any message. A message that is already deleted does not change.
#[utoipa::path(
    delete, path = "/conversations/{id}/messages/{mid}", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        DeletionParams,
    ),
    responses((status = 204, description = "The message is deleted"))
)]
pub async fn delete(
    app: web::Data<App>,
    caller: AuthCaller,
    path: web::Path<(String, String)>,
    query: StrictQuery<DeletionParams>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let (id, message) = parse_message_path(&path)?;
    let audience = query.0.r#for.unwrap_or_default();
    deletions::delete(&app, &caller.0, id, message, audience).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the former texts of a message
///
/// The oldest text comes first. A deleted message has none.
#[utoipa::path(
    get, path = "/conversations/{id}/messages/{mid}/history", tag = "messages",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        PageParams,
    ),
    responses((status = 200, description = "A page of former texts", body = Page<FormerText>))
)]
pub async fn history(
    app: web::Data<App>,
    caller: AuthCaller,
    path: web::Path<(String, String)>,
    query: StrictQuery<PageParams>,
) -> Result<HttpResponse, Problem> {
    let (id, message) = parse_message_path(&path)?;
    let (limit, after) = (query.0.limit()?, query.0.after(Collection::FormerTexts)?.unwrap_or(0));
    let rows = edits::list_former_texts(&app, &caller.0, id, message, after, limit + 1).await?;
    Ok(HttpResponse::Ok().json(cursor::page(Collection::FormerTexts, rows, limit)))
}
