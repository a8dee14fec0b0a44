//! How users edit their own messages, and list the former texts.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::content::Content;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::events::Event;
use crate::protocol::messages::{FormerText, Message};
use crate::protocol::shared_message::{MessageEvent, SharedMessage};
use crate::store;
use crate::store::db::pools::ReadPool;
use crate::store::messages::edits;
use crate::work::assemble::messages::get_for_viewer;
use crate::work::read::read;
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use crate::work::{access, mentions};

/// Replaces the text of the caller's own message and keeps the former text. Returns the message as its author sees it.
/// If the text is the same, nothing changes.
pub async fn edit(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    id: MessageId,
    content: Content,
) -> Result<Message> {
    let caller = *caller;
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        let content = content.clone();
        Box::pin(async move { edit_in(tx, caller, conversation_id, id, &content).await })
    })
    .await
}

async fn edit_in(
    tx: &mut Tx,
    caller: Caller,
    conversation_id: ConversationId,
    id: MessageId,
    content: &Content,
) -> Result<Message> {
    tx.lock_conversations(&[conversation_id]).await?;
    let sender = access::get_rights(tx, conversation_id, caller.user_id).await?;
    access::require_writable(&sender, Action::EditOwn)?;
    let mut row = access::get_message(tx, conversation_id, id).await?;
    access::require_not_hidden(tx.conn(), conversation_id, row.seq, caller.user_id).await?;
    if row.sender_id() != Some(caller.user_id) {
        return Err(Error::forbidden("Only the author can edit a message."));
    }
    if row.deleted_at.is_some() {
        return Err(Error::conflict("This message was deleted and cannot be edited."));
    }
    if content.is_empty() && row.data.is_none() {
        return Err(Error::invalid("content", "must not be empty"));
    }
    let is_new_text = content.as_str() != row.content;
    if is_new_text {
        let mentioned = mentions::update(tx, &row, content.as_str()).await?;
        edits::update_text(tx.conn(), conversation_id, id, content.as_str(), mentioned.all, tx.now()).await?;
        row.content = content.as_str().to_owned();
        row.mentions_all = mentioned.all;
        row.edited_at = Some(tx.now());
    }
    let message = get_for_viewer(tx.conn(), caller.user_id, row).await?;
    if is_new_text {
        let event = Event::MessageEdited(MessageEvent::new(SharedMessage::new(message.clone())));
        tx.append(Stream::Conversation(conversation_id), &event);
    }
    Ok(message)
}

/// Lists the former texts of a message, oldest first, each with the cursor after it. A deleted message has no former
/// texts.
pub async fn list_former_texts(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    id: MessageId,
    after: i64,
    limit: u64,
) -> Result<Vec<(FormerText, i64)>> {
    let user = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let texts = edits::list(conn, conversation_id, id, after, limit).await?;
            let found = store::messages::get_seq(conn, conversation_id, id).await?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_participant(conn, conversation_id, user).await?;
            let seq = found.ok_or_else(|| Error::not_found("message"))?;
            access::require_not_hidden(conn, conversation_id, seq, user).await?;
            Ok(texts)
        })
    })
    .await
}
