//! Who has a message, and who has read it.

use super::Caller;
use super::conversations::require_participant;
use crate::app::App;
use crate::domain::ids::{ConversationId, MessageId};
use crate::error::{Error, Result};
use crate::protocol::resources::Receipts;
use crate::store::pools::Share;
use crate::store::{receipts, targets};

/// The receipts of a message, for any participant who has it.
pub async fn of(app: &App, caller: &Caller, conversation: ConversationId, message: MessageId) -> Result<Receipts> {
    let conn = app.db().read(Share::Ordinary);
    let found = match targets::find(conn, conversation, message, caller.user_id).await? {
        Some(target) => Some(receipts::of(conn, conversation, &target, caller.user_id).await?),
        None => None,
    };
    // the right last: whoever is removed while the rows are read is not shown what came after
    require_participant(app, caller, conversation).await?;
    found.ok_or_else(|| Error::not_found("message"))
}
