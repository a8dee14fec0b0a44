//! Receipts: which participants have received or read a message.

use super::Caller;
use super::conversations::require_participant;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::error::{Error, Result};
use crate::protocol::resources::Receipts;
use crate::store::pools::ReadPool;
use crate::store::{receipts, target_messages};

/// Returns the receipts of a message. Fails if the caller cannot see the message.
pub async fn get(app: &App, caller: &Caller, conversation: ConversationId, message: MessageId) -> Result<Receipts> {
    let conn = app.db().read(ReadPool::Ordinary);
    let found = match target_messages::find(conn, conversation, message, caller.user_id).await? {
        Some(target) => Some(receipts::get(conn, conversation, &target, caller.user_id).await?),
        None => None,
    };
    // Check membership after reading: a user removed meanwhile must not see newer rows.
    require_participant(app, caller, conversation).await?;
    found.ok_or_else(|| Error::not_found("message"))
}
