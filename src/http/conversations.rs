//! The calls that create, list, get, change and leave conversations.

use super::answer::ok_json;
use super::body::{Json, NoBody};
use super::cursor::{self, Collection};
use super::extract::{AuthCaller, CallerInRead, PathId, StrictQuery, UserRefPath};
use super::problem::Problem;
use crate::admission::{ChargeKind, costs};
use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::ConversationId;
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::roles::ConversationKind;
use crate::error::{Error, Result};
use crate::protocol::conversations::{
    Conversation, ConversationChange, ConversationDetail, NewConversation, NewConversationKind, UnreadCount,
};
use crate::protocol::page::Page;
use crate::store::conversations::views::{ConversationFilter, ConversationSortKey};
use crate::usecases::conversations::{self, CreatedConversation};
use crate::usecases::groups;
use crate::usecases::members;
use actix_web::{HttpResponse, web};
use serde::Deserialize;

/// Create a conversation
///
/// Two users have at most one direct conversation. If it exists, the answer is 200 with that conversation. A group
/// begins with a system message. If the caller repeats a `temp_id`, the answer is 200 with the existing group, or 409
/// `temp_id_reused` if the body is different.
#[utoipa::path(
    post, path = "/conversations", tag = "conversations", request_body = NewConversation,
    responses(
        (status = 201, description = "The new conversation", body = Conversation),
        (status = 200, description = "The conversation that existed before", body = Conversation),
    )
)]
pub async fn create(
    app: web::Data<App>,
    caller: AuthCaller,
    body: Json<NewConversation>,
) -> Result<HttpResponse, Problem> {
    let (caller, new) = (caller.0, body.0);
    let users = parse_references("participant_ids", &new.participant_ids)?;
    if new.kind == NewConversationKind::Direct {
        if new.name.is_some() || new.avatar_url.is_some() || new.description.is_some() {
            return Err(Error::invalid("name", "and the like belong to a group").into());
        }
        return get_or_create(app, caller, users).await;
    }
    // The call itself is already charged.
    app.admission().charge_rest(ChargeKind::Call, &caller, costs::of_members(users.len()) - 1);
    let group = groups::check_new_group(&new, users)?;
    // Free the names of up to a thousand users before the group waits for its transaction.
    drop(new);
    Ok(answer(groups::create(&app, &caller, group).await?))
}

fn answer(created: CreatedConversation) -> HttpResponse {
    let mut answer = if created.is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    answer.json(created.conversation)
}

/// Get or create the direct conversation with a user
#[utoipa::path(
    post, path = "/conversations/with/{ref}", tag = "conversations",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the id of the host application")),
    responses(
        (status = 201, description = "The new conversation", body = Conversation),
        (status = 200, description = "The conversation that existed before", body = Conversation),
    )
)]
pub async fn create_with(
    app: web::Data<App>,
    caller: AuthCaller,
    user: UserRefPath,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    get_or_create(app, caller.0, vec![user.0]).await
}

async fn get_or_create(app: web::Data<App>, caller: Caller, users: Vec<UserRef>) -> Result<HttpResponse, Problem> {
    Ok(answer(conversations::get_or_create_direct(&app, &caller, &users).await?))
}

/// Get the direct conversation with a user
#[utoipa::path(
    get, path = "/conversations/with/{ref}", tag = "conversations",
    params(("ref" = String, Path, description = "An id, a username, or `ext:` and the id of the host application")),
    responses((status = 200, description = "The conversation", body = Conversation))
)]
pub async fn get_with(app: web::Data<App>, caller: AuthCaller, user: UserRefPath) -> Result<HttpResponse, Problem> {
    let found = conversations::get_direct(&app, &caller.0, &user.0).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// The parameters of a list of conversations.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConversationListParams {
    /// Only conversations of this type.
    #[serde(rename = "type")]
    kind: Option<ConversationKind>,
    /// True for archived conversations only. Otherwise the list has no archived conversations.
    archived: Option<bool>,
    /// True for conversations with unread messages only, false for those without. Both when absent.
    unread: Option<bool>,
    /// The number of items in a page, 1–100. It is 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// The `next_cursor` of the previous page. The first page has none.
    cursor: Option<String>,
}

/// About the length of a page without its conversations.
const PAGE_BYTES: usize = 256;
/// About the length of a conversation.
const CONVERSATION_BYTES: usize = 1280;

/// List the caller's conversations
///
/// Pinned conversations come first, then those with the newest message.
#[utoipa::path(
    get, path = "/conversations", tag = "conversations", params(ConversationListParams),
    responses((status = 200, description = "A page of conversations", body = Page<Conversation>))
)]
pub async fn list(
    app: web::Data<App>,
    caller: CallerInRead,
    query: StrictQuery<ConversationListParams>,
) -> Result<HttpResponse, Problem> {
    let params = query.0;
    let limit = cursor::limit(params.limit, limits::PAGE_DEFAULT)?;
    let after: Option<ConversationSortKey> =
        params.cursor.as_deref().map(|cursor| cursor::decode(Collection::Conversations, cursor)).transpose()?;
    let filter =
        ConversationFilter { kind: params.kind, archived: params.archived.unwrap_or(false), unread: params.unread };
    let (items, next) = conversations::list(&app, &caller.0, filter, after, limit).await?;
    let bytes = PAGE_BYTES + items.len() * CONVERSATION_BYTES;
    let next_cursor = next.as_ref().map(|sort_key| cursor::encode(Collection::Conversations, sort_key));
    ok_json(&Page { items, next_cursor }, bytes)
}

/// Get the unread totals
#[utoipa::path(
    get, path = "/conversations/unread-count", tag = "conversations",
    responses((status = 200, description = "The totals over all conversations", body = UnreadCount))
)]
pub async fn unread_count(app: web::Data<App>, caller: AuthCaller) -> Result<HttpResponse, Problem> {
    let count = conversations::get_unread_count(&app, &caller.0).await?;
    Ok(HttpResponse::Ok().json(count))
}

/// Get a conversation
///
/// The answer includes the first 100 participants.
#[utoipa::path(
    get, path = "/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation", body = ConversationDetail))
)]
pub async fn detail(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
) -> Result<HttpResponse, Problem> {
    let found = conversations::get_detail(&app, &caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// Change a group
///
/// Absent fields keep their value. Null removes `description` and `avatar_url`.
#[utoipa::path(
    method(patch, put), path = "/conversations/{id}", tag = "conversations", request_body = ConversationChange,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The changed conversation", body = Conversation))
)]
pub async fn update(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    body: Json<ConversationChange>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(conversations::update(&app, &caller.0, id.0, body.0).await?))
}

/// Leave a group
///
/// If the owner leaves, another member becomes the owner. If the last member leaves, the group is deleted.
#[utoipa::path(
    delete, path = "/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 204, description = "The caller has left"))
)]
pub async fn leave(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    members::leave(&app, &caller.0, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Parses the references to users in the field `field` of a body. A reference that no user can have is
/// `user_not_found`.
pub fn parse_references(field: &str, texts: &[String]) -> Result<Vec<UserRef>> {
    if texts.is_empty() && field == "user_ids" {
        return Err(Error::invalid(field, "must not be empty"));
    }
    texts.iter().map(|text| UserRef::parse(text).ok_or_else(Error::user_not_found)).collect()
}
