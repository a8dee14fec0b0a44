//! Who has a message, and who has read it.

use super::extract::{Auth, message_path};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::protocol::resources::Receipts;
use crate::usecases::receipts;
use actix_web::{HttpResponse, web};

/// See who has a message and who has read it
///
/// Reads are shown only when both sides share theirs, and nothing across a block; `read_ratio` counts the reads shown.
#[utoipa::path(
    get, path = "/conversations/{id}/messages/{mid}/receipts", tag = "receipts",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
    ),
    responses((status = 200, description = "Receipts", body = Receipts))
)]
pub async fn get(
    app: web::Data<App>,
    caller: Auth,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (conversation, message) = message_path(&path)?;
    let owner = app.as_ref().clone();
    let found = app.detached(async move { receipts::of(&owner, &caller.0, conversation, message).await }).await?;
    Ok(HttpResponse::Ok().json(found))
}
