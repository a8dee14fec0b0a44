//! The calls that add, remove and list reactions to a message.

use super::body::NoBody;
use super::cursor::{self, Collection, PageParams};
use super::extract::{AuthCaller, StrictQuery, parse_id, parse_message_path};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::error::{Error, Result};
use crate::protocol::page::Page;
use crate::protocol::reactions::{Reaction, ReactionUsers};
use crate::usecases::reactions;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};

/// The decoded path of one emoji of one message.
struct ReactionPath {
    conversation_id: ConversationId,
    message_id: MessageId,
    emoji: String,
}

impl ReactionPath {
    fn from_request(req: &HttpRequest) -> Result<Self> {
        // The extractor of the framework also decodes the characters that the router leaves encoded.
        let read = web::Path::<(String, String, String)>::extract(req).into_inner();
        let (conversation, message, emoji) =
            read.map_err(|_| Error::invalid("emoji", "must be percent-encoded UTF-8"))?.into_inner();
        Ok(Self { conversation_id: parse_id(&conversation)?, message_id: parse_id(&message)?, emoji })
    }
}

/// React to a message
///
/// A reaction that exists does not change. Each emoji has one spelling: ❤ is stored and returned as ❤️.
#[utoipa::path(
    put, path = "/conversations/{id}/messages/{mid}/reactions/{emoji}", tag = "reactions",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        ("emoji" = String, Path, description = "Exactly one emoji, percent-encoded, at most 64 bytes"),
    ),
    responses((status = 200, description = "The reactions with this emoji after the call", body = Reaction))
)]
pub async fn add(
    app: web::Data<App>,
    caller: AuthCaller,
    req: HttpRequest,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let ReactionPath { conversation_id, message_id, emoji } = ReactionPath::from_request(&req)?;
    let reacted = reactions::add(&app, &caller.0, conversation_id, message_id, &emoji).await?;
    Ok(HttpResponse::Ok().json(reacted.reaction))
}

/// Remove a reaction
#[utoipa::path(
    delete, path = "/conversations/{id}/messages/{mid}/reactions/{emoji}", tag = "reactions",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        ("emoji" = String, Path, description = "Exactly one emoji, percent-encoded, at most 64 bytes"),
    ),
    responses((status = 204, description = "The caller does not react with this emoji"))
)]
pub async fn remove(
    app: web::Data<App>,
    caller: AuthCaller,
    req: HttpRequest,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    let ReactionPath { conversation_id, message_id, emoji } = ReactionPath::from_request(&req)?;
    reactions::remove(&app, &caller.0, conversation_id, message_id, &emoji).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the reactions to a message
///
/// There is one item for each emoji, in the order of the first reactions. An item names at most the first 1,000 users,
/// and its `count` is the number of all of them.
#[utoipa::path(
    get, path = "/conversations/{id}/messages/{mid}/reactions", tag = "reactions",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
        PageParams,
    ),
    responses((status = 200, description = "A page of reactions", body = Page<ReactionUsers>))
)]
pub async fn list(
    app: web::Data<App>,
    caller: AuthCaller,
    path: web::Path<(String, String)>,
    query: StrictQuery<PageParams>,
) -> Result<HttpResponse, Problem> {
    let (conversation_id, message_id) = parse_message_path(&path)?;
    let (limit, after) = (query.0.limit()?, query.0.after(Collection::Reactions)?.unwrap_or(0));
    let rows = reactions::list(&app, &caller.0, conversation_id, message_id, after, limit + 1).await?;
    Ok(HttpResponse::Ok().json(cursor::page(Collection::Reactions, rows, limit)))
}
