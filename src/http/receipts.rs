//! The call for the receipts of a message.

use super::extract::{AuthCaller, parse_message_path};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::protocol::receipts::Receipts;
use crate::usecases::receipts;
use actix_web::{HttpResponse, web};

/// List the participants who have received and read a message
///
/// A read is shown only if both users share their read receipts. Nothing is shown if there is a block between them.
/// `read_ratio` counts the shown reads.
#[utoipa::path(
    get, path = "/conversations/{id}/messages/{mid}/receipts", tag = "receipts",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("mid" = MessageId, Path, description = "The message"),
    ),
    responses((status = 200, description = "The receipts", body = Receipts))
)]
pub async fn get(
    app: web::Data<App>,
    caller: AuthCaller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (conversation, message) = parse_message_path(&path)?;
    let found = receipts::get(&app, &caller.0, conversation, message).await?;
    Ok(HttpResponse::Ok().json(found))
}
