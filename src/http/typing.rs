//! The call that lists the users who type.

use super::extract::{AuthCaller, PathId};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::protocol::users::UserIds;
use crate::usecases::typing;
use actix_web::{HttpResponse, web};

/// List the participants who type
///
/// The caller, and users with a block between them and the caller, are not in the list.
#[utoipa::path(
    get, path = "/conversations/{id}/typing", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The ids of the participants", body = UserIds))
)]
pub async fn typing(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
) -> Result<HttpResponse, Problem> {
    let user_ids = typing::list(&app, &caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(UserIds { user_ids }))
}
