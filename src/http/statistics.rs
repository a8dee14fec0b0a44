//! The calls for the counts of one conversation and of all conversations of the caller.

use super::extract::{AuthCaller, PathId};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::protocol::statistics::{ConversationStatistics, OwnStatistics};
use crate::usecases::statistics;
use actix_web::{HttpResponse, web};

/// Get the counts of a conversation
///
/// The counts follow the messages within about a second.
#[utoipa::path(
    get, path = "/conversations/{id}/stats", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The counts", body = ConversationStatistics))
)]
pub async fn stats(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
) -> Result<HttpResponse, Problem> {
    let found = statistics::get_for_conversation(&app, &caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// Get the counts over all conversations of the caller
#[utoipa::path(
    get, path = "/conversations/stats", tag = "conversations",
    responses((status = 200, description = "The counts", body = OwnStatistics))
)]
pub async fn own_stats(app: web::Data<App>, caller: AuthCaller) -> Result<HttpResponse, Problem> {
    let found = statistics::get_own(&app, &caller.0).await?;
    Ok(HttpResponse::Ok().json(found))
}
