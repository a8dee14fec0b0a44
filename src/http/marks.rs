//! The call that marks messages as read.

use super::body::OptionalJson;
use super::extract::{AuthCaller, PathId};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::ConversationId;
use crate::error::Error;
use crate::protocol::marks::{ReadMark, ReadUpTo};
use crate::usecases::marks::{self, ReadTarget};
use actix_web::{HttpResponse, web};

/// Mark messages as read
///
/// The body names a `seq` or a message. Without either, all messages are marked. The read mark never moves back.
#[utoipa::path(
    post, path = "/conversations/{id}/read", tag = "conversations", request_body = ReadUpTo,
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The read mark after the call", body = ReadMark))
)]
pub async fn read(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<ConversationId>,
    body: OptionalJson<ReadUpTo>,
) -> Result<HttpResponse, Problem> {
    let target = match (body.0.seq, body.0.message_id) {
        (Some(_), Some(_)) => return Err(Error::invalid("seq", "and message_id cannot both be given").into()),
        (Some(seq), None) => ReadTarget::Seq(seq),
        (None, Some(message)) => ReadTarget::Message(message),
        (None, None) => ReadTarget::End,
    };
    Ok(HttpResponse::Ok().json(marks::update_read_mark(&app, &caller.0, id.0, target).await?))
}
