//! Editing one's own messages, and listing their former texts.

use crate::app::App;
use crate::domain::content;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::events::Event;
use crate::protocol::messages::{FormerText, Message, MessageEvent};
use crate::store;
use crate::store::db::pools::ReadPool;
use crate::store::messages::FurthestMarks;
use crate::store::messages::edits;
use crate::work::read::read;
use crate::work::transact::{Tx, transact_for};
use crate::domain::caller::Caller;
use crate::work::{access, mentions};

/// Replaces the text of the caller's own message and keeps the former text. Returns the message as its author sees it.
/// If the text is the same, nothing changes.
pub async fn edit(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    id: MessageId,
    content: &str,
) -> Result<Message> {
    let text = content::parse_content(content).map_err(|message| Error::invalid("content", message))?;
    let caller = *caller;
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        let text = text.clone();
        Box::pin(async move { edit_in(tx, caller, conversation, id, text).await })
    })
    .await
}

async fn edit_in(
    tx: &mut Tx,
    caller: Caller,
    conversation: ConversationId,
    id: MessageId,
    text: String,
) -> Result<Message> {
    tx.lock_conversations(&[conversation]).await?;
    let sender = access::get_rights(tx, conversation, caller.user_id).await?;
    access::require_writable(&sender, Action::EditOwn)?;
    let mut message = access::get_message(tx, conversation, caller.user_id, id).await?;
    access::require_not_hidden(tx.conn(), id, caller.user_id).await?;
    if message.sender_id != Some(caller.user_id) {
        return Err(Error::forbidden("Only the author can edit a message."));
    }
    if message.deleted_at.is_some() {
        return Err(Error::conflict("This message was deleted and cannot be edited."));
    }
    if text.is_empty() && message.data.is_none() && message.attachments.is_empty() {
        return Err(Error::invalid("content", "must not be empty"));
    }
    if text != message.content {
        let mentioned = mentions::update(tx, &message, &text).await?;
        edits::update_text(tx.conn(), id, &text, mentioned.all, tx.now()).await?;
        (message.mentions, message.mentions_all) = (mentioned.users, mentioned.all);
        message.content = text;
        message.edited_at = Some(tx.now());
        let message = Box::new(without_viewer_fields(&message));
        tx.append(
            Stream::Conversation(conversation),
            &Event::MessageEdited(MessageEvent { conversation_id: conversation, message }),
        );
    }
    let reached = store::messages::furthest_marks(tx.conn(), conversation, caller.user_id).await?;
    message.status = Some(FurthestMarks::status(reached, message.seq));
    Ok(message)
}

/// Returns the message without the fields that depend on the viewer.
fn without_viewer_fields(message: &Message) -> Message {
    let mut message = message.clone();
    message.status = None;
    for reaction in &mut message.reactions {
        reaction.me = None;
    }
    message
}

/// Lists the former texts of a message, oldest first, each with the cursor after it. A deleted message has no former
/// texts.
pub async fn list_former_texts(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    id: MessageId,
    after: i64,
    limit: u64,
) -> Result<Vec<(FormerText, i64)>> {
    let user = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let texts = edits::list(conn, id, after, limit).await?;
            let found = store::messages::get_seq(conn, id).await?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_participant(conn, conversation, user).await?;
            if found.is_none_or(|(home, _)| home != conversation) {
                return Err(Error::not_found("message"));
            }
            access::require_not_hidden(conn, id, user).await?;
            Ok(texts)
        })
    })
    .await
}
