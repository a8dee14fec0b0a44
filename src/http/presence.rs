//! The calls that get the presence of users.

use super::body::Json;
use super::extract::{AuthCaller, PathId};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::protocol::presence::{PresenceRequest, PresenceStates};
use crate::protocol::users::UserIds;
use crate::usecases::presence;
use actix_web::{HttpResponse, web};

/// Get the presence of users
///
/// Users whose presence the caller may not see are not in the answer.
#[utoipa::path(
    post, path = "/users/presence", tag = "users", request_body = PresenceRequest,
    responses((status = 200, description = "The presence of each user", body = PresenceStates))
)]
pub async fn presence(
    app: web::Data<App>,
    caller: AuthCaller,
    body: Json<PresenceRequest>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(presence::list(&app, caller.0, body.0).await?))
}

/// List the participants who are online or away
///
/// Users with a block between them and the caller are not in the list.
#[utoipa::path(
    get, path = "/conversations/{id}/online", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The ids of the participants", body = UserIds))
)]
pub async fn online(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
) -> Result<HttpResponse, Problem> {
    let user_ids = presence::list_online(&app, &caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(UserIds { user_ids }))
}
