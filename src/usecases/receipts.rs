//! What users do with receipts: listing which participants have received or read a message.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, MessageId};
use crate::error::{Error, Result};
use crate::protocol::receipts::Receipts;
use crate::store::db::pools::ReadPool;
use crate::store::messages::target;
use crate::store::receipts;
use crate::work::access;
use crate::work::read::read;

/// Returns the receipts of a message. Fails if the caller cannot see the message.
pub async fn get(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    message_id: MessageId,
) -> Result<Receipts> {
    let user = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let found = match target::find(conn, conversation_id, message_id, user).await? {
                Some(target) => Some(receipts::get(conn, conversation_id, &target, user).await?),
                None => None,
            };
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_participant(conn, conversation_id, user).await?;
            found.ok_or_else(|| Error::not_found("message"))
        })
    })
    .await
}
