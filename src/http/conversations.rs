//! Conversations: make, list, look at, change, mark as read, leave.

use super::body::{Json, MaybeJson, NoBody};
use super::cursor::{self, Collection};
use super::extract::{Auth, PathId, Query, UserRefPath};
use super::problem::Problem;
use crate::admission::{Kind, costs};
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::roles::ConversationKind;
use crate::error::{Error, Result};
use crate::protocol::conversations::{ConversationChange, NewConversation, NewKind, ReadUpTo};
use crate::protocol::resources::{Conversation, ConversationDetail, Page, ReadMark, UnreadCount, UserIds};
use crate::store::conversations::{Filter, Place};
use crate::usecases::conversations::{self, Made};
use crate::usecases::groups;
use crate::usecases::marks::{self, Target};
use crate::usecases::{members, presence, typing};
use actix_web::{HttpResponse, web};
use serde::Deserialize;

/// Make a conversation
///
/// A direct one is made once for a pair: asked for again, it is answered with 200. A group begins with a system message; a
/// repeated `temp_id` of the same creator is answered with 200 and the group it made (another body: 409 `temp_id_reused`).
#[utoipa::path(
    post, path = "/conversations", tag = "conversations", request_body = NewConversation,
    responses(
        (status = 201, description = "Made", body = Conversation),
        (status = 200, description = "The one that was there", body = Conversation),
    )
)]
pub async fn create(app: web::Data<App>, caller: Auth, body: Json<NewConversation>) -> Result<HttpResponse, Problem> {
    let (caller, new) = (caller.0, body.0);
    let users = references("participant_ids", &new.participant_ids)?;
    if new.kind == NewKind::Direct {
        if new.name.is_some() || new.avatar_url.is_some() || new.description.is_some() {
            return Err(Error::invalid("name", "and the like belong to a group").into());
        }
        return get_or_make(app, caller, users).await;
    }
    // the call itself is paid for
    app.admission().charge_rest(Kind::Call, caller.user_id, costs::of_members(users.len()) - 1);
    let group = groups::new_group(&new, users)?;
    // a thousand names are not kept while the group waits to be made
    drop(new);
    let owner = app.as_ref().clone();
    Ok(answer(app.detached(async move { groups::group(&owner, &caller, group).await }).await?))
}

fn answer(made: Made) -> HttpResponse {
    let mut answer = if made.new { HttpResponse::Created() } else { HttpResponse::Ok() };
    answer.json(made.conversation)
}

/// Get or make the direct conversation with a user
#[utoipa::path(
    post, path = "/conversations/with/{ref}", tag = "conversations",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the host's id")),
    responses(
        (status = 201, description = "Made", body = Conversation),
        (status = 200, description = "The one that was there", body = Conversation),
    )
)]
pub async fn create_with(
    app: web::Data<App>,
    caller: Auth,
    user: UserRefPath,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    get_or_make(app, caller.0, vec![user.0]).await
}

async fn get_or_make(
    app: web::Data<App>,
    caller: crate::usecases::Caller,
    named: Vec<UserRef>,
) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    Ok(answer(app.detached(async move { conversations::direct(&owner, &caller, &named).await }).await?))
}

/// The direct conversation with a user, if there is one
#[utoipa::path(
    get, path = "/conversations/with/{ref}", tag = "conversations",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the host's id")),
    responses((status = 200, description = "The conversation", body = Conversation))
)]
pub async fn get_with(app: web::Data<App>, caller: Auth, user: UserRefPath) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    let found = app.detached(async move { conversations::existing_direct(&owner, &caller.0, &user.0).await }).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// Which conversations to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Only of this type.
    #[serde(rename = "type")]
    kind: Option<ConversationKind>,
    /// Only archived ones; they are left out otherwise.
    archived: Option<bool>,
    /// Only those with unread messages, or only those without.
    unread: Option<bool>,
    /// Items in a page, 1–100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List one's conversations
///
/// Pinned ones first, then the newest message first.
#[utoipa::path(
    get, path = "/conversations", tag = "conversations", params(Which),
    responses((status = 200, description = "Conversations", body = Page<Conversation>))
)]
pub async fn list(app: web::Data<App>, caller: Auth, query: Query<Which>) -> Result<HttpResponse, Problem> {
    let which = query.0;
    let limit = cursor::limit(which.limit, limits::PAGE)?;
    let after: Option<Place> =
        which.cursor.as_deref().map(|cursor| cursor::decode(Collection::Conversations, cursor)).transpose()?;
    let filter = Filter { kind: which.kind, archived: which.archived.unwrap_or(false), unread: which.unread };
    let owner = app.as_ref().clone();
    let (items, next) =
        app.detached(async move { conversations::list(&owner, &caller.0, filter, after, limit).await }).await?;
    Ok(HttpResponse::Ok()
        .json(Page { items, next_cursor: next.as_ref().map(|place| cursor::encode(Collection::Conversations, place)) }))
}

/// What is unread
#[utoipa::path(
    get, path = "/conversations/unread-count", tag = "conversations",
    responses((status = 200, description = "Over all conversations", body = UnreadCount))
)]
pub async fn unread_count(app: web::Data<App>, caller: Auth) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    let count = app.detached(async move { conversations::unread_count(&owner, &caller.0).await }).await?;
    Ok(HttpResponse::Ok().json(count))
}

/// See a conversation
///
/// With its first hundred participants.
#[utoipa::path(
    get, path = "/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation", body = ConversationDetail))
)]
pub async fn detail(app: web::Data<App>, caller: Auth, id: PathId<ConversationId>) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    let found = app.detached(async move { conversations::detail(&owner, &caller.0, id.0).await }).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// Change a group
///
/// What is absent stays as it is; null clears `description` and `avatar_url`.
#[utoipa::path(
    method(patch, put), path = "/conversations/{id}", tag = "conversations", request_body = ConversationChange,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation, changed", body = Conversation))
)]
pub async fn update(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    body: Json<ConversationChange>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(conversations::update(&app, &caller.0, id.0, body.0).await?))
}

/// See who is online or away
///
/// Those apart by a block are left out.
#[utoipa::path(
    get, path = "/conversations/{id}/online", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "Participants", body = UserIds))
)]
pub async fn online(app: web::Data<App>, caller: Auth, id: PathId<ConversationId>) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    let user_ids = app.detached(async move { presence::online(&owner, &caller.0, id.0).await }).await?;
    Ok(HttpResponse::Ok().json(UserIds { user_ids }))
}

/// See who types
///
/// Oneself and those apart by a block are left out.
#[utoipa::path(
    get, path = "/conversations/{id}/typing", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "Participants", body = UserIds))
)]
pub async fn typing(app: web::Data<App>, caller: Auth, id: PathId<ConversationId>) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    let user_ids = app.detached(async move { typing::list(&owner, &caller.0, id.0).await }).await?;
    Ok(HttpResponse::Ok().json(UserIds { user_ids }))
}

/// Leave a group
///
/// The owner's role passes on; the last one out deletes it.
#[utoipa::path(
    delete, path = "/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 204, description = "Left"))
)]
pub async fn leave(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    members::leave(&app, &caller.0, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Mark as read
///
/// To a place, to a message, or to the end; the mark never moves back.
#[utoipa::path(
    post, path = "/conversations/{id}/read", tag = "conversations", request_body = ReadUpTo,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "Where the mark stands", body = ReadMark))
)]
pub async fn read(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<ConversationId>,
    body: MaybeJson<ReadUpTo>,
) -> Result<HttpResponse, Problem> {
    let target = match (body.0.seq, body.0.message_id) {
        (Some(_), Some(_)) => return Err(Error::invalid("seq", "and message_id cannot both be given").into()),
        (Some(seq), None) => Target::Place(seq),
        (None, Some(message)) => Target::Message(message),
        (None, None) => Target::End,
    };
    Ok(HttpResponse::Ok().json(marks::read(&app, &caller.0, id.0, target).await?))
}

/// Reads what names users in a body; what can name nobody is a user who does not exist.
pub fn references(field: &str, texts: &[String]) -> Result<Vec<UserRef>> {
    if texts.is_empty() && field == "user_ids" {
        return Err(Error::invalid(field, "must not be empty"));
    }
    texts.iter().map(|text| UserRef::parse(text).ok_or_else(Error::user_not_found)).collect()
}
