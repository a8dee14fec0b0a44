//! Counts: of a conversation, and of one's own conversations.

use super::extract::{Auth, PathId};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::protocol::resources::{ConversationStatistics, OwnStatistics};
use crate::usecases::statistics;
use actix_web::{HttpResponse, web};

/// What is counted in a conversation
///
/// The counts follow the messages within a second.
#[utoipa::path(
    get, path = "/conversations/{id}/stats", tag = "conversations",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "Counts", body = ConversationStatistics))
)]
pub async fn stats(app: web::Data<App>, caller: Auth, id: PathId<ConversationId>) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    let found = app.detached(async move { statistics::of_conversation(&owner, &caller.0, id.0).await }).await?;
    Ok(HttpResponse::Ok().json(found))
}

/// One's own conversations, counted
#[utoipa::path(
    get, path = "/conversations/stats", tag = "conversations",
    responses((status = 200, description = "Counts", body = OwnStatistics))
)]
pub async fn own_stats(app: web::Data<App>, caller: Auth) -> Result<HttpResponse, Problem> {
    let owner = app.as_ref().clone();
    let found = app.detached(async move { statistics::own(&owner, &caller.0).await }).await?;
    Ok(HttpResponse::Ok().json(found))
}
